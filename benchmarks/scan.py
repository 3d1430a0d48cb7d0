"""Queries over a published table, beside DuckDB on the same Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from benchmarks.harness import Row, alternate, at_most, ms, scratch
from benchmarks.rows import big_spec, big_table
from lakehouse.engine import Lake, Options

__all__ = ["run"]

_STEP = 1_000_000
_QUERIES = {
    "count": "SELECT count(*) AS n FROM big",
    "sum": "SELECT sum(n) AS n, avg(x) AS x FROM big",
    "filter": "SELECT uid, name, n FROM big WHERE grp = 'group 7' AND n < 50000",
    "group by": "SELECT grp, count(*) AS n, avg(x) AS x FROM big GROUP BY grp",
}


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures for 1 million rows, with ``large`` also for 10 million."""
    for millions, rounds in [(1, 25), (10, 10)][: 2 if large else 1]:
        with scratch() as folder:
            yield from _scans(folder, millions, rounds)


def _scans(folder: Path, millions: int, rounds: int) -> Iterator[Row]:
    with Lake.create(folder / "lake", [big_spec()], options=Options(auto_publish=False)) as lake:
        for seed in range(millions):
            rows = big_table(_STEP, seed=seed)
            lake.run(lambda txn, rows=rows: txn.insert("big", rows, fresh=True))  # type: ignore[misc]
        lake.flush()
        with duckdb.connect() as bare:
            state = lake.snapshot().state("big")
            paths = [str(state.base.folder.path(file.path)) for file in state.base.files]
            bare.execute(f"CREATE VIEW big AS SELECT * FROM read_parquet({paths!r})")
            for name, sql in _QUERIES.items():
                yield from _query(lake, bare, f"{name}, {millions} million rows", sql, rounds)
            yield _fixed(lake, rounds)


def _query(lake: Lake, bare: duckdb.DuckDBPyConnection, name: str, sql: str, rounds: int) -> Iterator[Row]:
    # in two alternations: whoever comes after a database that was closed pays for the end of its threads
    found = alternate(
        {
            "snapshot": lambda _: lambda: lake.snapshot().arrow(sql, tables=["big"]),
            "bare": lambda _: lambda: bare.sql(sql).to_arrow_table(),
        },
        rounds=rounds,
        warm=3,
    )
    found |= alternate(
        {
            "sql": lambda _: lambda: lake.sql(sql).to_arrow_table(),
            "fresh": lambda _: _in_new_database(bare, sql),
        },
        rounds=rounds,
        warm=3,
    )
    yield ms("scan", f"{name}: registries", found["snapshot"], found["bare"], "DuckDB, read_parquet", at_most(1.3))
    floor = "the same in a new DuckDB"
    warm = found["sql"].median / found["bare"].median
    note = f"{warm:.2f}× an open DuckDB"
    yield ms("scan", f"{name}: user SQL", found["sql"], found["fresh"], floor, at_most(1.3), note=note)


def _in_new_database(bare: duckdb.DuckDBPyConnection, sql: str) -> Callable[[], object]:
    """Return the query with what user SQL needs in any case: a database that only this snapshot is in."""
    (view,) = bare.sql("SELECT sql FROM duckdb_views() WHERE view_name = 'big'").fetchall()[0]

    def act() -> None:
        with duckdb.connect() as con:
            con.execute(view)
            con.sql(sql).to_arrow_table()

    return act


def _fixed(lake: Lake, rounds: int) -> Row:
    sides = {
        "sql": lambda _: lambda: lake.sql("SELECT 1 AS one").to_arrow_table(),
        "bare": lambda _: lambda: duckdb.connect().sql("SELECT 1 AS one").to_arrow_table(),
    }
    found = alternate(sides, rounds=rounds, warm=3)
    return ms("scan", "SELECT 1: user SQL", found["sql"], found["bare"], "a new DuckDB", note="what any query pays")
