"""``python -m benchmarks.peers``: the same steps by us and by LaminDB, in turn, in one table.

``make bench-peers`` puts LaminDB into an environment of its own, as its pins clash with ours. It works on throw-away
folders, without a login or a network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import Limit, Row, Sample, at_most, ms, scratch
from benchmarks.processes import ours, together
from benchmarks.report import show
from registries import Instance

_STEPS = {
    "label": ("save a label, with the check for close names", 100, 3),
    "frame": ("save a 10-row frame", 60, 4),
    "by_key": ("get an artifact by key", 60, None),
    "values": ("from_values of all names", 3, 300),
    "by_uid": ("get a label by uid", 60, 3),
    "by_name": ("get a label by name", 60, 3),
    "labelled": ("artifacts of a label", 20, 10),
    "export": ("all labels as a frame", 3, 80),
}
"""By name: what it is, how often it is done, and the most milliseconds that it may take at 100,000 labels."""
_EARLY = ("label", "frame", "by_key")
_SCRIPT = Path(__file__).with_name("peer_lamindb.py")


def main() -> int:
    """Run both in turn; the exit code says whether LaminDB could be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".cache/peers/venv"), help="where LaminDB is installed")
    parser.add_argument("--rows", type=int, default=20_000, help="labels in the registry; LaminDB saves some 1,400/s")
    parser.add_argument("--seconds", type=float, default=5, help="for which four processes save")
    given = parser.parse_args()
    python = given.venv.absolute() / "bin" / "python"
    if (name := _version(python)) is None:
        print(f"no LaminDB in {given.venv}: make bench-peers installs it, where pip reaches an index", file=sys.stderr)
        return 1
    began = time.monotonic()
    with scratch() as folder, Instance.create(folder / "ours", user="bench") as lake:
        theirs = _Theirs(python, folder / "theirs", given.rows)
        try:
            rows = list(_measured(Steps(lake, given.rows), theirs, given.rows, name))
        finally:
            theirs.close()
        mine, other = together(ours(folder / "shared"), given.seconds), together(theirs.workers(), given.seconds)
    limit = Limit("value", 500, least=True)
    rows.append(Row("peers", "four processes saving frames", mine, "/s", other, name, (limit,)))
    show(rows, time.monotonic() - began)
    return 0


def _version(python: Path) -> str | None:
    if not python.exists():
        return None
    code = "from importlib.metadata import version; print(version('lamindb'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return f"LaminDB {done.stdout.strip()}" if not done.returncode else None


def _measured(mine: Steps, theirs: _Theirs, count: int, name: str) -> Iterator[Row]:
    for step in _EARLY:
        yield _alternated(step, mine, theirs, name)
    took = _timed(mine, "bulk", 0)
    limit = Limit("value", 80_000, least=True)
    yield Row("peers", f"{count:,} labels in bulk", count / took, "/s", count / theirs("bulk", 0), name, (limit,))
    mine.link(0)
    theirs("link", 0)
    for step in _STEPS:
        if step not in _EARLY:
            yield _alternated(step, mine, theirs, name)


def _alternated(step: str, mine: Steps, theirs: _Theirs, name: str) -> Row:
    what, rounds, most = _STEPS[step]
    print(f"{what} ...", file=sys.stderr, flush=True)
    times = [(_timed(mine, step, turn), theirs(step, turn)) for turn in range(rounds + 2)][2:]
    limits = () if most is None else (at_most(value=most),)
    return ms("peers", what, Sample(tuple(a for a, _ in times)), Sample(tuple(b for _, b in times)), name, *limits)


def _timed(steps: Steps, step: str, turn: int) -> float:
    began = time.perf_counter()
    getattr(steps, step)(turn)
    return time.perf_counter() - began


class Steps:
    """What can be asked for, by name, as ``benchmarks.peer_lamindb`` has it."""

    def __init__(self, lake: Any, rows: int) -> None:
        self._lake, self._names = lake, [f"term {number}" for number in range(rows)]

    def label(self, turn: int) -> None:
        self._lake.ULabel(name=f"label {turn}").save()

    def frame(self, turn: int) -> None:
        frame = pd.DataFrame({"n": np.arange(10) + turn, "who": ["points"] * 10})
        self._lake.Artifact.from_df(frame, key=f"points/{turn}.parquet").save()

    def by_key(self, turn: int) -> None:
        self._lake.Artifact.get(key=f"points/{turn % 5}.parquet")

    def bulk(self, turn: int) -> None:
        del turn
        self._lake.save([self._lake.ULabel(name=name) for name in self._names])

    def link(self, turn: int) -> None:
        """Not measured: label what was saved, and look up a uid."""
        del turn
        label = self._lake.ULabel.get(name="term 5")
        for artifact in self._lake.Artifact.filter(key__startswith="points/"):
            artifact.ulabels.add(label)
        self._uid = self._lake.ULabel.get(name="term 77").uid

    def values(self, turn: int) -> None:
        del turn
        self._lake.ULabel.from_values(self._names)

    def by_uid(self, turn: int) -> None:
        del turn
        self._lake.ULabel.get(self._uid)

    def by_name(self, turn: int) -> None:
        self._lake.ULabel.get(name=f"term {turn}")

    def labelled(self, turn: int) -> None:
        del turn
        self._lake.Artifact.filter(ulabels__name="term 5").all()

    def export(self, turn: int) -> None:
        del turn
        self._lake.ULabel.filter().df()


class _Theirs:
    """A process that does the steps by LaminDB, with a home of its own: it neither finds nor leaves settings."""

    def __init__(self, python: Path, folder: Path, rows: int) -> None:
        self._python, self._work, self._home = python, folder / "work", folder / "home"
        self._work.mkdir(parents=True)
        self._home.mkdir()
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self._process = self._begun(str(rows))

    def _begun(self, *arguments: str) -> subprocess.Popen[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("LAMIN_", "PYTHONPATH"))}
        own: Mapping[str, str] = {
            "HOME": str(self._home),
            "LAMIN_SETTINGS_DIR": str(self._home / "settings"),
            "LAMIN_CACHE_DIR": str(self._home / "cache"),
        }
        return subprocess.Popen(
            [self._python, _SCRIPT, *arguments],
            cwd=self._work,
            env={**plain, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __call__(self, step: str, turn: int) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{step} {turn}\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            self._errors.seek(0)
            sys.exit(f"LaminDB failed at {step}:\n{self._errors.read()[-2_000:]}")
        return float(answer)

    def workers(self) -> list[subprocess.Popen[str]]:
        """Return four processes that get ready to save frames."""
        return [self._begun("--worker", str(number)) for number in range(4)]

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


if __name__ == "__main__":
    sys.exit(main())
