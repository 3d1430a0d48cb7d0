"""A million rows from Arrow in one commit, and how long it keeps others from committing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from benchmarks.harness import Row, Sample, Side, alternate, at_most, ms, scratch
from benchmarks.rows import big_spec, big_table
from lakehouse.engine import Lake, Options, TableSpec
from lakehouse.engine.faults import install

__all__ = ["run"]

_ROWS, _ROUNDS = 1_000_000, 3


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    rows = big_table(_ROWS, seed=1)
    plain, unique = _Held(), _Held()
    with scratch() as folder:
        sides = {
            "lake": _inserting(folder / "plain", big_spec(), rows, plain),
            "delta": _writing(folder / "delta", rows),
            "unique": _inserting(folder / "unique", big_spec(unique=True), rows, unique),
        }
        found = alternate(sides, rounds=_ROUNDS, settle=True)
    name, floor = "1,000,000 rows from Arrow", "write_deltalake"
    yield ms("bulk", name, found["lake"], found["delta"], floor, at_most(1.5))
    yield ms("bulk", f"{name}, unique name", found["unique"], found["delta"], floor, at_most(2.5))
    yield _lock_row("head lock held, per 100,000 rows", plain)
    yield _lock_row("head lock held, per 100,000 rows, unique name", unique)


class _Held:
    """A stopwatch on the head lock: from when it is taken until the commit is done."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._since: float | None = None

    def __call__(self, point: str) -> None:
        """Take note of a fault point."""
        if point == "lock.taken":
            self._since = time.perf_counter()
        elif point == "commit.done" and self._since is not None:
            self.times.append(time.perf_counter() - self._since)


def _lock_row(name: str, held: _Held) -> Row:
    sample = Sample(tuple(t * 100_000 / _ROWS for t in held.times[1:]))
    return ms("bulk", name, sample, None, "", at_most(value=200))


def _inserting(root: Path, spec: TableSpec, rows: pa.Table, held: _Held) -> Side:
    """Insert into a new lake each time."""

    opened: list[Lake] = []

    def side(_: int) -> Callable[[], object]:
        while opened:
            opened.pop().close()
        shutil.rmtree(root, ignore_errors=True)
        lake = Lake.create(root, [spec], options=Options(auto_publish=False))
        opened.append(lake)

        def act() -> None:
            install(held)
            try:
                lake.run(lambda txn: txn.insert(spec.name, rows, fresh=True))
            finally:
                install(None)

        return act

    return side


def _writing(place: Path, rows: pa.Table) -> Side:
    from deltalake import write_deltalake

    def side(_: int) -> Callable[[], object]:
        shutil.rmtree(place, ignore_errors=True)
        return lambda: write_deltalake(str(place), rows, mode="append")

    return side
