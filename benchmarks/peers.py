"""``python -m benchmarks.peers``: the same steps by us and by LaminDB, in one table.

``make bench-peers`` puts LaminDB into an environment of its own, as its pins clash with ours. It works on throw-away folders,
without a login or a network.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import Limit, Row, Sample, alternate, at_most, scratch
from benchmarks.registries import four_processes
from benchmarks.report import show
from registries import Instance

_LIMITS: dict[str, float] = {
    "save a label": 0.8,
    "save a 10-row frame": 4,
    "values looked up": 300,
    "get a label by uid": 3,
    "get a label by name": 3,
    "artifacts of a label": 10,
    "labels as a frame": 80,
}
"""The most milliseconds that a step may take, at 100,000 labels."""
_LEAST = {"labels in bulk": 80_000, "four processes saving frames": 500}


def main() -> int:
    """Run both; the exit code says whether LaminDB could be run at all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".cache/peers/venv"), help="where LaminDB is installed")
    parser.add_argument("--rows", type=int, default=20_000, help="labels in the registry (LaminDB makes 1,400/s)")
    parser.add_argument("--seconds", type=float, default=5, help="for which four processes save")
    given = parser.parse_args()
    python = given.venv.absolute() / "bin" / "python"
    if (name := _version(python)) is None:
        print(f"no LaminDB in {given.venv}: make bench-peers installs it, where pip reaches an index", file=sys.stderr)
        return 1
    began = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    with scratch() as folder:
        theirs = _theirs(python, folder, given.rows, given.seconds)
    print("ours ...", file=sys.stderr, flush=True)
    with scratch() as folder:
        mine = _ours(folder, given.rows, given.seconds)
    show([_row(step, mine[step], theirs[step], name) for step in mine], time.monotonic() - began)
    return 0


def _version(python: Path) -> str | None:
    if not python.exists():
        return None
    code = "from importlib.metadata import version; print(version('lamindb'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return f"LaminDB {done.stdout.strip()}" if not done.returncode else None


def _theirs(python: Path, folder: Path, rows: int, seconds: float) -> dict[str, float]:
    """Run the steps by LaminDB: with a home of its own, so that it neither finds nor leaves settings."""
    own = {"HOME": folder, "LAMIN_SETTINGS_DIR": folder / "settings", "LAMIN_CACHE_DIR": folder / "cache"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LAMIN_", "PYTHONPATH"))}
    script = Path(__file__).with_name("peer_lamindb.py")
    done = subprocess.run(
        [python, script, str(rows), str(seconds)],
        cwd=folder,
        env=environment | {name: str(value) for name, value in own.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"LaminDB failed:\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _median(act: Callable[[int], object], rounds: int) -> float:
    def side(turn: int) -> Callable[[], object]:
        return lambda: act(turn)

    sample: Sample = alternate({"ours": side}, rounds=rounds, warm=3)["ours"]
    return sample.median


def _frame(turn: int) -> pd.DataFrame:
    return pd.DataFrame({"n": np.arange(10) + turn, "who": ["points"] * 10})


def _ours(folder: Path, rows: int, seconds: float) -> dict[str, float]:
    with Instance.create(folder / "ours", user="bench") as lake:
        found = _points(lake) | _many(lake, rows)
    return found | {"four processes saving frames": four_processes(folder / "shared", seconds)}


def _points(lake: Any) -> dict[str, float]:
    def artifact(turn: int) -> None:
        lake.Artifact.from_df(_frame(turn), key=f"points/{turn}.parquet").save()

    return {
        "save a label": _median(lambda turn: lake.ULabel(name=f"label {turn}").save(), 100),
        "save a 10-row frame": _median(artifact, 60),
        "get an artifact by key": _median(lambda _: lake.Artifact.get(key="points/7.parquet"), 60),
    }


def _many(lake: Any, rows: int) -> dict[str, float]:
    names = [f"term {number}" for number in range(rows)]
    began = time.perf_counter()
    lake.save([lake.ULabel(name=name) for name in names])
    found = {"labels in bulk": rows / (time.perf_counter() - began)}
    uid, label = lake.ULabel.get(name="term 77").uid, lake.ULabel.get(name="term 5")
    for artifact in lake.Artifact.filter(key__startswith="points/"):
        artifact.ulabels.add(label)
    found["values looked up"] = _median(lambda _: lake.ULabel.from_values(names), 3)
    found["get a label by uid"] = _median(lambda _: lake.ULabel.get(uid), 60)
    found["get a label by name"] = _median(lambda _: lake.ULabel.get(name="term 77"), 60)
    found["artifacts of a label"] = _median(lambda _: lake.Artifact.filter(ulabels__name="term 5").all(), 20)
    found["labels as a frame"] = _median(lambda _: lake.ULabel.filter().df(), 3)
    return found


def _row(step: str, mine: float, theirs: float, name: str) -> Row:
    if (least := _LEAST.get(step)) is not None:
        return Row("peers", step, mine, "/s", theirs, name, (Limit("value", least, least=True),))
    limits = (at_most(value=_LIMITS[step]),) if step in _LIMITS else ()
    return Row("peers", step, mine * 1e3, "ms", theirs * 1e3, name, limits)


if __name__ == "__main__":
    sys.exit(main())
