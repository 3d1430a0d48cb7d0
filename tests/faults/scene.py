"""A small lake, a model of it that needs no engine, and commits that are the same in every process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from lakehouse.engine import Lake, Options, TableSpec, faults

__all__ = [
    "OPTIONS",
    "TABLES",
    "Die",
    "Scene",
    "as_model",
    "catalog_rows",
    "changed",
    "delta_rows",
    "die_at",
    "open_lake",
    "specs",
    "states",
    "work",
]

TABLES = ("item", "mirror")
"""Both hold the same rows after every commit; ``item`` gets further columns, and its names are unique."""
OPTIONS = Options(
    lease=1e-6, retention=0.0, grace=0.0, bulk_rows=5, file_rows=20, checkpoint_every=3, auto_publish=False
)
"""A lease that is over at once, retentions that let everything go, and small files."""
Rows = dict[str, int]


class Die(BaseException):
    """What a dead process would not have survived."""


def die_at(point: str, nth: int = 1) -> Callable[[str], None]:
    """Return a hook that raises ``Die`` at the nth passage of a point."""
    left = nth

    def hook(name: str) -> None:
        nonlocal left
        left -= name == point
        if name == point and left == 0:
            raise Die

    return hook


def specs(added: int = 0) -> list[TableSpec]:
    """Return the tables, the first of them with so many added columns."""
    fields = [pa.field("uid", pa.string(), nullable=False), pa.field("val", pa.int64()), pa.field("name", pa.string())]
    more = [pa.field(f"x{number}", pa.int64()) for number in range(added)]
    return [TableSpec("item", pa.schema(fields + more), unique=(("name",),)), TableSpec("mirror", pa.schema(fields))]


def open_lake(root: Path, added: int = 0, *, catalog: str | None = None, **options: Any) -> Lake:
    return Lake.create(root, specs(added), catalog=catalog, options=Options(**{**vars(OPTIONS), **options}))


# -- commits -------------------------------------------------------------------------------------------------------
def _steps(number: int, rows: Rows) -> tuple[Rows, Rows, list[str]]:
    """Return what commit ``number`` inserts, updates and deletes; every third one inserts in bulk."""
    inserted = {f"i{number:03}": number}
    if number % 3 == 0:
        inserted |= {f"k{number:03}-{i:02}": number for i in range(12)}
    keys = sorted(rows)
    updated = {keys[number % len(keys)]: number} if keys else {}
    deleted = [keys[number * 7 % len(keys)]] if len(keys) > 1 else []
    return inserted, updated, [key for key in deleted if key not in updated]


def changed(number: int, rows: Rows) -> Rows:
    """Return the rows after commit ``number``."""
    inserted, updated, deleted = _steps(number, rows)
    return {key: val for key, val in {**rows, **inserted, **updated}.items() if key not in deleted}


def states(upto: int) -> list[Rows]:
    """Return the rows after 0, 1, ... commits."""
    found: list[Rows] = [{}]
    for number in range(1, upto + 1):
        found.append(changed(number, found[-1]))
    return found


def work(lake: Lake, number: int, rows: Rows) -> int:
    """Make commit ``number`` and return its id."""
    inserted, updated, deleted = _steps(number, rows)
    txn = lake.begin(client_txn=f"work-{number}", message=f"work {number}")
    for table in TABLES:
        columns = lake.schemas.current(table).schema.names[3:]
        txn.insert(table, [_row(key, val, columns) for key, val in inserted.items()])
        if updated:
            txn.upsert(table, [_row(key, val, columns) for key, val in updated.items()])
        if deleted:
            txn.delete(table, deleted)
    return lake.commit(txn)


def _row(key: str, val: int, columns: list[str]) -> dict[str, Any]:
    return {"uid": key, "val": val, "name": f"name of {key}", **dict.fromkeys(columns, val)}


# -- reading -------------------------------------------------------------------------------------------------------
def is_published(root: Path, table: str) -> bool:
    """Whether a table has a Delta log; a publisher that could not write leaves an empty folder."""
    return any((root / "tables" / table / "_delta_log").glob("*.json"))


def delta_rows(root: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows that a plain Delta reader sees, by uid; none before the first publication."""
    if not is_published(root, table):
        return []
    delta = DeltaTable(str(root / "tables" / table))
    uris = delta.file_uris()
    assert len(uris) == len(set(uris)), f"Delta names a file of {table} twice"
    return sorted(delta.to_pyarrow_table().to_pylist(), key=lambda row: row["uid"])


def catalog_rows(lake: Lake, table: str, at: int | None = None) -> list[dict[str, Any]]:
    found = lake.snapshot(at).arrow(f"SELECT * FROM {table} ORDER BY uid", tables=[table])
    return found.to_pylist()


def as_model(rows: list[dict[str, Any]]) -> Rows:
    """Return rows as the model holds them; a uid that occurs twice is a fault."""
    assert len({row["uid"] for row in rows}) == len(rows), "a uid occurs twice"
    for row in rows:
        assert row["name"] == f"name of {row['uid']}"
        assert all(value in (None, row["val"]) for column, value in row.items() if column.startswith("x"))
    return {row["uid"]: row["val"] for row in rows}


class Scene:
    """A lake that several actors use in turn, and the states that were ever committed."""

    def __init__(self, root: Path, catalog: str | None = None) -> None:
        self.root, self._catalog = root, catalog
        self.states: dict[int, Rows] = {0: {}}
        self.count, self._head_commit, self._lakes = 0, 0, list[Lake]()
        self.added = 0
        self.a, self.b = self.actor(), self.actor()

    def actor(self, **options: Any) -> Lake:
        """Return a further process's view, in this process."""
        self._lakes.append(open_lake(self.root, self.added, catalog=self._catalog, **options))
        return self._lakes[-1]

    def close(self) -> None:
        faults.install(None)
        for lake in self._lakes:
            lake.close()

    @property
    def rows(self) -> Rows:
        """What is committed."""
        return self.states[max(self.states)]

    def work(self, lake: Lake | None = None, times: int = 1) -> None:
        """Commit."""
        for _ in range(times):
            self.count += 1
            rows = self.rows
            self.states[work(lake or self.b, self.count, rows)] = changed(self.count, rows)

    def evolve(self, lake: Lake | None = None) -> None:
        """Add a column."""
        self.added += 1
        (lake or self.b).ensure(specs(self.added))
        self.states[(lake or self.b).head()] = self.rows

    def state_at(self, commit: int) -> Rows:
        """Return the rows at a commit; those of tables come before all others and change nothing."""
        return self.states[max(c for c in self.states if c <= commit)]

    def interrupted(self, point: str, act: Callable[[], object], nth: int = 1) -> None:
        """Run something that dies at a point."""
        faults.install(die_at(point, nth))
        try:
            act()
        except Die:
            return
        finally:
            faults.install(None)
        raise AssertionError(f"{point} was not reached")

    # -- judgements ------------------------------------------------------------------------------------------------
    def agree(self, lake: Lake) -> None:
        """Check the catalog against the model, Delta against all states, ``head.json`` against its commit."""
        for table in TABLES:
            assert as_model(catalog_rows(lake, table)) == self.rows, f"the catalog's {table} is not what was committed"
            if is_published(self.root, table):
                found = as_model(delta_rows(self.root, table))
                assert found in self.states.values(), f"Delta {table} shows no committed state"
        self._agree_on_head()

    def _agree_on_head(self) -> None:
        if not (self.root / "head.json").exists():
            return
        head = json.loads((self.root / "head.json").read_text())
        assert head["commit"] >= self._head_commit, "head.json went back"
        self._head_commit = head["commit"]
        for table, found in head["tables"].items():
            paths = [self.root / "tables" / table / path for path in found["files"]]
            rows = [row for path in paths for row in pq.ParquetFile(path).read().to_pylist()]
            assert as_model(rows) == self.state_at(head["commit"]), f"head.json's {table} is not its commit"

    def settle(self, lake: Lake) -> None:
        """Flush: then catalog, Delta and ``head.json`` are one."""
        assert lake.flush(timeout=5) == lake.head()
        self.agree(lake)
        for table in TABLES:
            assert delta_rows(self.root, table) == catalog_rows(lake, table), f"Delta {table} is not the catalog"
