"""One-row commits over three tables with the catalog in Postgres: alone and from four processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg

from benchmarks.commit import encoded, plan_of, race
from benchmarks.harness import Limit, Row, Sample, Side, alternate, at_most, ms, scratch
from benchmarks.rows import RULED, THREE, one_each
from lakehouse.engine import Lake, Options
from tests.postgres import PostgresServer

__all__ = ["run"]

_ROUNDS = 300
_PROCESSES = 4
_QUIET = Options(auto_publish=False)
_NAME, _FLOOR = "one row in each of 3 tables", "bare Postgres transaction"


class _Bare:
    """What a careful programmer would write with psycopg: a transaction, and prepared INSERTs of the same bytes."""

    def __init__(self, url: str, schema: str) -> None:
        self._con = psycopg.connect(url, autocommit=True, prepare_threshold=1)
        self._con.execute(f"CREATE SCHEMA {schema}")
        self._con.execute(f"SET search_path = {schema}")
        for spec in THREE:
            self._con.execute(f"CREATE TABLE {spec.name}(uid TEXT PRIMARY KEY, body BYTEA NOT NULL)")

    def side(self, _: int) -> Callable[[], object]:
        rows = one_each()
        same = [(spec.name, rows[spec.name]["uid"], encoded(spec, rows[spec.name])) for spec in THREE]
        return lambda: self._insert(same)

    def _insert(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        with self._con.transaction():
            for table, uid, body in rows:
                self._con.execute(f"INSERT INTO {table} VALUES(%s, %s)", (uid, body))

    def close(self) -> None:
        self._con.close()


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    server = PostgresServer().start()
    try:
        with scratch() as folder:
            yield from _alone(folder, server)
            yield from _together(folder / "racing", server)
    finally:
        server.remove()


def _alone(folder: Path, server: PostgresServer) -> Iterator[Row]:
    bare = _Bare(server.url(), "bare")
    with (
        Lake.create(folder / "plain", THREE, catalog=server.url(), options=_QUIET) as plain,
        Lake.create(folder / "ruled", RULED, catalog=server.url(), options=_QUIET) as ruled,
    ):
        found = alternate(
            {"lake": _committing(plain), "bare": bare.side, "ruled": _committing(ruled)}, rounds=_ROUNDS, warm=20
        )
    bare.close()
    yield ms("postgres", _NAME, found["lake"], found["bare"], _FLOOR, at_most(3))
    yield ms("postgres", _NAME + ", unique name, 2 references", found["ruled"], found["bare"], _FLOOR)


def _committing(lake: Lake) -> Side:
    def side(_: int) -> Callable[[], object]:
        plan = plan_of(one_each())
        return lambda: lake.run(plan)

    return side


def _together(root: Path, server: PostgresServer) -> Iterator[Row]:
    Lake.create(root, THREE, catalog=server.url(), options=_QUIET).close()
    times, errors, seconds = race(root, _QUIET)
    bare = _Bare(server.url(), "alone")
    floor = alternate({"bare": bare.side}, rounds=_ROUNDS)["bare"]
    bare.close()
    rate, sample = len(floor.times) / sum(floor.times), Sample(tuple(times))
    worst = f"median {sample.median * 1e3:.1f} ms, worst {max(times) * 1e3:.0f} ms"
    limit = Limit("value", 400, least=True)
    name = f"{_PROCESSES} processes"
    yield Row(
        "postgres", f"{name}: commits", len(times) / seconds, "/s", rate, _FLOOR + ", one process", (limit,), note=worst
    )
    note = "; ".join(sorted(set(errors))[:3])
    yield Row("postgres", f"{name}: errors", len(errors), "", limits=(at_most(value=0),), note=note)
