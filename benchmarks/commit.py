"""One-row commits over three tables: alone, and from four processes at once."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.bare import BareSqlite
from benchmarks.harness import Limit, Row, Sample, Side, alternate, at_most, ms, scratch
from benchmarks.rows import RULED, THREE, one_each
from lakehouse.engine import Lake, Options, TableSpec, Transaction

__all__ = ["encoded", "plan_of", "race", "run"]

_ROUNDS, _DELTA_ROUNDS = 400, 30
_PROCESSES, _SECONDS = 4, 3.0
_QUIET = Options(auto_publish=False)
_TABLES = tuple(spec.name for spec in THREE)


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder:
        yield from _alone(folder)
        yield from _together(folder / "quiet", _QUIET, "")
        yield from _together(folder / "publishing", Options(), ", publishing")


# -- one process -------------------------------------------------------------------------------------------------------
def _alone(folder: Path) -> Iterator[Row]:
    with Lake.create(folder / "plain", THREE, options=_QUIET) as plain:
        with Lake.create(folder / "ruled", RULED, options=_QUIET) as ruled:
            bare = BareSqlite(folder / "bare.db", _TABLES)
            sides = {"lake": _committing(plain), "bare": _bare(bare), "ruled": _committing(ruled)}
            found = alternate(sides, rounds=_ROUNDS, warm=20)
            bare.close()
        name, floor = "one row in each of 3 tables", "bare SQLite transaction"
        yield ms("commit", name, found["lake"], found["bare"], floor, at_most(4), note="aim: 2×")
        yield ms("commit", name + ", unique name, 2 references", found["ruled"], found["bare"], floor, at_most(4))
        sides = {"lake": _rehearsed(_committing(plain)), "delta": _rehearsed(_appending(folder))}
        found = alternate(sides, rounds=_DELTA_ROUNDS)
        yield ms("commit", name, found["lake"], found["delta"], "3 write_deltalake appends", at_most(1 / 20))


def plan_of(rows: dict[str, dict[str, Any]]) -> Callable[[Transaction], None]:
    """Return a plan that inserts one row into each of some tables."""

    def plan(txn: Transaction) -> None:
        for table, row in rows.items():
            txn.insert(table, [row], fresh=True)

    return plan


def _committing(lake: Lake) -> Side:
    def side(_: int) -> Callable[[], object]:
        plan = plan_of(one_each())
        return lambda: lake.run(plan)

    return side


def _bare(bare: BareSqlite) -> Side:
    def side(_: int) -> Callable[[], object]:
        rows = one_each()
        same = [(spec.name, rows[spec.name]["uid"], encoded(spec, rows[spec.name])) for spec in THREE]
        return lambda: bare.insert(same)

    return side


def encoded(spec: TableSpec, row: dict[str, Any]) -> bytes:
    """Return the bytes that the engine keeps of a row."""
    return bytes(pa.RecordBatch.from_pylist([row], schema=spec.schema).serialize())


def _appending(folder: Path) -> Side:
    from deltalake import write_deltalake

    def side(_: int) -> Callable[[], object]:
        rows = one_each()
        tables = [(str(folder / s.name), pa.Table.from_pylist([rows[s.name]], schema=s.schema)) for s in THREE]
        return lambda: [write_deltalake(place, table, mode="append") for place, table in tables]

    return side


def _rehearsed(side: Side) -> Side:
    """Do it once unmeasured: after the other side's long turn both find their caches cold and its pages unwritten."""

    def rehearsed(turn: int) -> Callable[[], object]:
        side(turn)()
        return side(turn)

    return rehearsed


# -- four processes ----------------------------------------------------------------------------------------------------
def _together(root: Path, options: Options, suffix: str) -> Iterator[Row]:
    Lake.create(root, THREE, options=options).close()
    times, errors, seconds = race(root, options)
    slow = sum(t > 0.25 for t in times)
    name = f"{_PROCESSES} processes{suffix}"
    sample = Sample(tuple(times))
    limit, floor = Limit("value", 800, least=True), _rate(root.with_suffix(".db"))
    yield Row("commit", f"{name}: commits", len(times) / seconds, "/s", floor, "bare SQLite, one process", (limit,))
    share = 100 * (1 - slow / len(times))
    worst = f"median {sample.median * 1e3:.1f} ms, worst {max(times) * 1e3:.0f} ms"
    yield Row("commit", f"{name}: within 250 ms", share, "%", limits=(Limit("value", 99.9, least=True),), note=worst)
    note = "; ".join(sorted(set(errors))[:3])
    yield Row("commit", f"{name}: errors", len(errors), "", limits=(at_most(value=0),), note=note)


def _rate(path: Path) -> float:
    """Return how many bare transactions of the same rows one process commits in a second, just now."""
    bare = BareSqlite(path, _TABLES)
    found = alternate({"bare": _bare(bare)}, rounds=_ROUNDS)["bare"]
    bare.close()
    return len(found.times) / sum(found.times)


def race(root: Path, options: Options) -> tuple[list[float], list[str], float]:
    """Return all durations, all errors and how long the race took, in seconds."""
    spawn = mp.get_context("spawn")
    results, gate = spawn.SimpleQueue(), spawn.Barrier(_PROCESSES)
    racers = [spawn.Process(target=_racer, args=(root, options, gate, results)) for _ in range(_PROCESSES)]
    for racer in racers:
        racer.start()
    found: Sequence[tuple[list[float], list[str], float, float]] = [results.get() for _ in racers]
    for racer in racers:
        racer.join()
    times = [t for each in found for t in each[0]]
    errors = [e for each in found for e in each[1]]
    return times, errors, max(each[3] for each in found) - min(each[2] for each in found)


def _racer(root: Path, options: Options, gate: Barrier, results: Any) -> None:
    times: list[float] = []
    errors: list[str] = []
    with Lake.open(root, THREE, options=options) as lake:
        lake.run(plan_of(one_each()))
        gate.wait()
        began = time.time()
        while time.time() - began < _SECONDS:
            plan = plan_of(one_each())
            start = time.perf_counter()
            try:
                lake.run(plan)
            except Exception as error:  # noqa: BLE001 - whatever reaches a caller is counted
                errors.append(f"{type(error).__name__}: {error}")
            times.append(time.perf_counter() - start)
        ended = time.time()
    results.put((times, errors, began, ended))
