"""A process that works on a lake and kills itself at the nth passage of a fault point.

``python -m tests.faults.killed ROOT POINT NTH [CATALOG]``; it ends by itself only when the point was never reached.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from lakehouse.engine import Lake, faults
from lakehouse.engine.backup import back_up
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.restore import restore
from tests.faults.scene import OPTIONS, Die, changed, die_at, open_lake, specs, work

__all__ = ["acknowledged"]


class _Notes:
    """What was begun and what was acknowledged, durable before the next step."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> None:
        self._file.write(f"{text}\n".encode())
        os.fsync(self._file.fileno())


def acknowledged(root: Path) -> tuple[int, int]:
    """Return how many commits were acknowledged and how many were begun, from the notes of a killed process."""
    words = root.with_suffix(".notes").read_text().split()
    return words.count("acked"), words.count("began")


class _Worker:
    """The fixed workload."""

    def __init__(self, lake: Lake, notes: _Notes, fatal: Callable[[str], None]) -> None:
        self._lake, self._notes, self._fatal = lake, notes, fatal
        self._rows: dict[str, int] = {}
        self._number = 0
        faults.install(fatal)

    def work(self, times: int) -> None:
        for _ in range(times):
            self._number += 1
            self._notes.write("began")
            work(self._lake, self._number, self._rows)
            self._notes.write("acked")
            self._rows = changed(self._number, self._rows)

    def publish_and_die_at(self, point: str) -> None:
        """Leave what a publisher leaves that dies at a point, and live on."""
        dies = die_at(point)

        def hook(name: str) -> None:
            self._fatal(name)
            dies(name)

        faults.install(hook)
        try:
            self._lake.publisher.publish()
        except Die:
            pass
        faults.install(self._fatal)

    def run(self) -> None:
        self.work(2)
        self._lake.ensure(specs(1))  # its Delta commit comes second: rows, schema, rows
        self.work(2)
        for _ in range(3):  # Delta commits to be adopted: rows, schema, rows
            self.publish_and_die_at("publish.after_delta")
        self._lake.vacuum()
        for added in range(2, 6):
            self._lake.flush()
            self.work(2)
            self.publish_and_die_at("publish.before_delta")
            self._lake.ensure(specs(added))
            self.work(1)
            self._lake.flush()
            self._lake.compact()
            self._lake.vacuum()
        for number in range(2 if isinstance(self._lake.catalog, SqliteCatalog) else 0):
            self._back_and_forth(number)

    def _back_and_forth(self, number: int) -> None:
        """Back the catalog up and restore it."""
        root, path = self._lake.root, self._lake.root.with_suffix(f".backup{number}")
        back_up(self._lake.catalog, path)
        self._lake.close()
        restore(root, path, options=OPTIONS)
        self._lake = open_lake(root, 5)


def _fatal(point: str, nth: int) -> Callable[[str], None]:
    left = nth

    def hook(name: str) -> None:
        nonlocal left
        left -= name == point
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main() -> None:
    root, point, nth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    lake = open_lake(root, catalog=sys.argv[4] if len(sys.argv) > 4 else None)
    _Worker(lake, _Notes(root.with_suffix(".notes")), _fatal(point, nth)).run()


if __name__ == "__main__":
    main()
