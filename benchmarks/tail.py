"""A repeated query while a thousand commits are not published yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, Sample, Side, alternate, at_most, ms, scratch
from benchmarks.rows import big_spec, big_table
from lakehouse.engine import Lake, Options
from lakehouse.ids import new_uid

__all__ = ["run"]

_COMMITS, _ROUNDS = 1_000, 40
_SIZES = {"100,000 rows, in memory": 100_000, "500,000 rows, scanned": 500_000}
_SQL = "SELECT grp, count(*) AS n, avg(x) AS x FROM big GROUP BY grp"


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    for name, rows in _SIZES.items():
        with scratch() as folder:
            yield from _tails(folder, name, rows)


def _tails(folder: Path, name: str, count: int) -> Iterator[Row]:
    rows = big_table(count, seed=5)
    lakes: dict[str, Lake] = {}
    for kind in ("none", "inserts", "updates"):
        lake = lakes[kind] = Lake.create(folder / kind, [big_spec()], options=Options(auto_publish=False))
        lake.run(lambda txn: txn.insert("big", rows, fresh=True))
        lake.flush()
    _commit_each(lakes["inserts"], _new_rows())
    _commit_each(lakes["updates"], rows.take(list(range(0, count, count // _COMMITS))).to_pylist())
    cold = {kind: _first(lake) for kind, lake in lakes.items()}
    found = alternate({kind: _asking(lake) for kind, lake in lakes.items()}, rounds=_ROUNDS, warm=3)
    for lake in lakes.values():
        lake.close()
    yield from _figures(name, found, cold)


def _figures(name: str, found: dict[str, Sample], cold: dict[str, Sample]) -> Iterator[Row]:
    none, inserts = found["none"], found["inserts"]
    added = (inserts.median - none.median) * 1e3
    note = f"{none.median * 1e3:.1f} without, {inserts.median * 1e3:.1f} with it"
    yield Row("tail", f"{name}: added by 1,000 inserts", added, "ms", limits=(at_most(value=10),), note=note)
    yield ms("tail", f"{name}: under 1,000 updates", found["updates"], none, "no tail", at_most(4))
    for kind in ("inserts", "updates"):
        yield ms(
            "tail", f"{name}: first query, {kind}", cold[kind], cold["none"], "no tail", note="right after opening"
        )


def _new_rows() -> Sequence[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {"uid": new_uid(), "name": f"late {i}", "grp": f"group {i % 100}", "n": i, "x": 0.5, "created_at": now}
        for i in range(_COMMITS)
    ]


def _commit_each(lake: Lake, rows: Sequence[dict[str, Any]]) -> None:
    """Upsert each row in a commit of its own; a row whose uid is new is an insert."""
    known = lake.snapshot()
    new = known.get("big", rows[0]["uid"]) is None
    for row in rows:
        if new:
            lake.run(lambda txn, row=row: txn.insert("big", [row], fresh=True))  # type: ignore[misc]
        else:
            lake.run(lambda txn, row=row: txn.upsert("big", [row | {"x": 0.25}]))  # type: ignore[misc]


def _asking(lake: Lake) -> Side:
    return lambda _: lambda: lake.snapshot().arrow(_SQL, tables=["big"])


def _first(lake: Lake) -> Sample:
    """Return what the query takes when nothing is decoded yet."""

    def side(_: int) -> Callable[[], object]:
        fresh = Lake.open(lake.root, options=lake.options)
        fresh.sql("SELECT 1").fetchall()
        fresh.states.clear()
        return lambda: fresh.snapshot().arrow(_SQL, tables=["big"])

    return alternate({"first": side}, rounds=3, warm=0)["first"]
