"""Tables and helpers that the tests of the engine share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.engine import Lake, Options, TableSpec, Transaction
from lakehouse.engine.faults import install

UID = pa.field("uid", pa.string(), nullable=False)
LABEL = TableSpec("label", pa.schema([UID, ("name", pa.string()), ("n", pa.int64())]), unique=(("name",),))
LINK = TableSpec("link", pa.schema([UID, ("label", pa.string()), ("note", pa.string())]), references={"label": "label"})
EVENT = TableSpec("event", pa.schema([UID, ("at", pa.timestamp("us", tz="UTC")), ("size", pa.float64())]))
SPECS = (LABEL, LINK, EVENT)
QUIET = Options(auto_publish=False, lock_timeout=10.0)


def quiet(**changes: Any) -> Options:
    """Return options that publish only when asked to."""
    return Options(**{"auto_publish": False, "lock_timeout": 10.0, **changes})


def create(root: Path, *, catalog: str | None = None, **options: Any) -> Lake:
    """Return a new lake with the shared tables."""
    return Lake.create(root, SPECS, catalog=catalog, options=quiet(**options), user="ann")


def label(uid: str, name: str | None = None, n: int | None = None) -> dict[str, Any]:
    """Return a row of ``label``."""
    return {"uid": uid, "name": name if name is not None else f"name of {uid}", "n": n}


def add(lake: Lake, *uids: str, table: str = "label") -> None:
    """Insert rows in one commit."""
    rows = [label(u) if table == "label" else {"uid": u} for u in uids]
    lake.run(lambda txn: txn.insert(table, rows))


def uids(lake: Lake, table: str = "label", at: Any = None) -> list[str]:
    """Return all uids of a table as a query sees them."""
    found = lake.snapshot(at).arrow(f'SELECT uid FROM "{table}" ORDER BY uid', tables=[table])
    return found["uid"].to_pylist()


def plain(lake: Lake, table: str = "label", version: int | None = None) -> list[dict[str, Any]]:
    """Return a table's rows as a plain Delta reader sees them."""
    from deltalake import DeltaTable

    found = DeltaTable(str(lake.root / "tables" / table), version=version).to_pyarrow_table()
    return sorted(found.to_pylist(), key=lambda row: row["uid"])


def rows_of(lake: Lake, table: str = "label", at: Any = None) -> list[dict[str, Any]]:
    """Return all rows of a table."""
    return lake.snapshot(at).arrow(f'SELECT * FROM "{table}" ORDER BY uid', tables=[table]).to_pylist()


@contextmanager
def once_at(point: str, action: Any) -> Iterator[list[str]]:
    """Call ``action`` the first time a fault point is passed; yields the points that were passed."""
    seen: list[str] = []

    def hook(name: str) -> None:
        first = name == point and point not in seen
        seen.append(name)
        if first:
            action()

    install(hook)
    try:
        yield seen
    finally:
        install(None)


def renames(uid: str, name: str) -> Any:
    """Return a plan that gives a label another name."""

    def plan(txn: Transaction) -> None:
        row = txn.snapshot.get("label", uid)
        assert row is not None
        txn.upsert("label", [{**row, "name": name}], as_read=[row])

    return plan
