"""The steps of ``benchmarks.peers`` by LaminDB; runs in an environment of its own, in an empty folder.

``python peer_lamindb.py ROWS`` does one step for each line ``name turn`` that it reads, and prints the seconds that it took. It
uses the fastest public way that there is: ``ln.save(list)`` without the search for close names, warm caches.
``python peer_lamindb.py --worker NAME`` saves frames for as many seconds as it reads, and prints how many.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_WORKER = "--worker"


def main() -> None:
    if sys.argv[1] == _WORKER:
        _saving(sys.argv[2])
        return
    lamin = Path(sys.executable).with_name("lamin")
    done = subprocess.run(
        [lamin, "init", "--storage", "./storage", "--name", "peer"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    answers = sys.stdout
    sys.stdout = sys.stderr  # what LaminDB says is no answer
    steps = Steps(_connected(), int(sys.argv[1]))
    for line in sys.stdin:
        name, turn = line.split()
        print(_timed(getattr(steps, name), int(turn)), file=answers, flush=True)


def _timed(step: Callable[[int], object], turn: int) -> float:
    began = time.perf_counter()
    step(turn)
    return time.perf_counter() - began


def _connected() -> Any:
    """Return the module, which asks no hub."""
    ln: Any = import_module("lamindb")
    ln.setup.settings.instance._is_on_hub = False
    ln.settings.verbosity = "error"
    return ln


def _frame(name: str, turn: int) -> Any:
    pd: Any = import_module("pandas")
    return pd.DataFrame({"n": [turn + number for number in range(10)], "who": [name] * 10})


class Steps:
    """What can be asked for, by name."""

    def __init__(self, ln: Any, rows: int) -> None:
        self._ln, self._names = ln, [f"term {number}" for number in range(rows)]

    def label(self, turn: int) -> None:
        self._ln.ULabel(name=f"label {turn}").save()

    def frame(self, turn: int) -> None:
        self._ln.Artifact.from_dataframe(_frame("points", turn), key=f"points/{turn}.parquet").save()

    def by_key(self, turn: int) -> None:
        self._ln.Artifact.get(key=f"points/{turn % 5}.parquet")

    def bulk(self, turn: int) -> None:
        del turn
        self._ln.settings.creation.search_names = False
        self._ln.save([self._ln.ULabel(name=name) for name in self._names])

    def link(self, turn: int) -> None:
        """Not measured: label what was saved, and look up a uid."""
        del turn
        label = self._ln.ULabel.get(name="term 5")
        for artifact in self._ln.Artifact.filter(key__startswith="points/").to_list():
            artifact.ulabels.add(label)
        self._uid = self._ln.ULabel.get(name="term 77").uid

    def values(self, turn: int) -> None:
        del turn
        self._ln.ULabel.from_values(self._names)

    def by_uid(self, turn: int) -> None:
        del turn
        self._ln.ULabel.get(self._uid)

    def by_name(self, turn: int) -> None:
        self._ln.ULabel.get(name=f"term {turn}")

    def labelled(self, turn: int) -> None:
        del turn
        self._ln.Artifact.filter(ulabels__name="term 5").to_list()

    def export(self, turn: int) -> None:
        del turn
        self._ln.ULabel.filter().to_dataframe(limit=None)


def _saving(name: str) -> None:
    ln = _connected()
    ln.Artifact.from_dataframe(_frame(name, 0), key=f"warm/{name}.parquet").save()
    print("ready", flush=True)
    seconds = float(sys.stdin.readline())
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ln.Artifact.from_dataframe(_frame(name, count), key=f"w{name}/{count}.parquet").save()
        count += 1
    print(count, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    main()
