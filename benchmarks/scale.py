"""``python -m benchmarks.scale --rows N ...``: an instance of N artifacts built, asked, changed and compacted.

Every step runs in a process of its own, which tells its peak memory. A hundred million rows take some 40 GB of disk
and half an hour; ``--keep FOLDER`` leaves the instances there, and finds them again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import Limit, Row, at_most
from benchmarks.report import show, write_json

__all__ = ["main"]

_ORDER = ("load", "compact", "open", "read", "commit", "publish")
_MOST = {
    "uid look-up": 0.06,
    "day window": 0.04,
    "artifacts of a label": 1.5,
    "latest 20": 1.0,
    "open": 0.3,
}
"""Seconds that must not be passed at any size."""
_FLOORS = {
    "group-by": ("group-by, bare DuckDB", "DuckDB on the same files", 1.3),
    "one-row commit": ("one-row commit, 10,000 rows", "the same at 10,000 rows", 1.2),
}
"""What is held against which other figure, and the most that the ratio may be; a tenth or two is noise."""
_GIGABYTES = 4.0
_PICTURE = {
    "Questions": [
        "uid look-up",
        "day window",
        "latest 20",
        "artifacts of a label",
        "group-by",
        "open",
        "one-row commit",
    ],
    "Maintenance": ["load", "compaction", "1,000 scattered updates: publish"],
}
Figures = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write JSON and a picture where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1_000_000], help="artifacts; several sizes are admitted"
    )
    parser.add_argument("--keep", type=Path, help="keep the instances in this folder, and use those that are there")
    parser.add_argument("--steps", default=",".join(_ORDER), help="some of them, with commas")
    parser.add_argument("--json", type=Path, help="write all figures to this file, beside those that are in it")
    parser.add_argument("--plot", type=Path, help="draw the curves of all figures (needs matplotlib)")
    given = parser.parse_args(arguments)
    began, measured = time.monotonic(), _known(given.json)
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lakehouse-scale-")))
        folder.mkdir(parents=True, exist_ok=True)
        for rows in given.rows:
            for name, found in _measured(folder / str(rows), rows, given.steps.split(",")):
                print(f"{rows:,} rows: {name} {found}", file=sys.stderr, flush=True)
                measured.setdefault(rows, {}).update(found)
    table = [row for rows, figures in sorted(measured.items()) for row in _table(rows, figures)]
    show(table, time.monotonic() - began)
    if given.json:
        write_json(table, time.monotonic() - began, given.json)
        given.json.with_suffix(".raw.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        _draw(measured, given.plot)
    return 0


def _known(path: Path | None) -> dict[int, Figures]:
    """Return the figures of earlier runs."""
    raw = path.with_suffix(".raw.json") if path else None
    if raw is None or not raw.exists():
        return {}
    return {int(rows): figures for rows, figures in json.loads(raw.read_text(encoding="utf-8")).items()}


def _measured(root: Path, rows: int, steps: Sequence[str]) -> Iterator[tuple[str, Figures]]:
    for step in steps:
        if step == "load" and root.exists():
            continue
        command = [sys.executable, "-m", "benchmarks.scale_steps", step, str(root), str(rows)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        yield step, json.loads(done.stdout.splitlines()[-1])


# -- the table -----------------------------------------------------------------------------------------------------
def _table(rows: int, figures: Figures) -> Iterator[Row]:
    group, floors = f"{rows:,} rows", {floor for floor, _, _ in _FLOORS.values()}
    for name, value in figures.items():
        if name in floors:
            continue
        if name.startswith(("peak", "gigabytes")):
            limits = (at_most(value=_GIGABYTES),) if name.startswith("peak") else ()
            yield Row(group, name.removesuffix(", GB"), value, "GB", limits=limits)
        elif name.startswith(("files", "bytes")):
            yield Row(group, name, value, "")
        else:
            yield _time(group, name, value, figures)


def _time(group: str, name: str, seconds: float, figures: Figures) -> Row:
    limits: list[Limit] = [at_most(value=_MOST[name] * 1e3)] if name in _MOST else []
    floor, against, most = _FLOORS.get(name, ("", "", 0.0))
    if floor not in figures:
        return Row(group, name, seconds * 1e3, "ms", limits=tuple(limits))
    limits.append(at_most(most))
    return Row(group, name, seconds * 1e3, "ms", figures[floor] * 1e3, against, tuple(limits))


# -- the picture ---------------------------------------------------------------------------------------------------
def _draw(measured: dict[int, Figures], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(_PICTURE), figsize=(13, 4.2), layout="constrained")
    for axis, (title, names) in zip(axes, _PICTURE.items(), strict=True):
        for name in names:
            points = [(rows, found[name]) for rows, found in sorted(measured.items()) if name in found]
            axis.plot(*zip(*points, strict=True), marker="o", label=name)
        axis.set(title=title, xlabel="artifacts", ylabel="seconds", xscale="log", yscale="log")
        axis.grid(visible=True, which="major", alpha=0.3)
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)  # the same picture, the same file
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
