"""What the torture works on: three tables, short retentions, and a digest that needs no engine code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.engine import Lake, Options, TableSpec

__all__ = ["COLUMNS", "LEASE", "RETENTION", "digest_sql", "open_lake", "plain_digest", "specs"]

LEASE, RETENTION, GRACE = 0.3, 1.0, 1.5
COLUMNS = {"item": ("uid", "val", "name"), "mirror": ("uid", "val", "name"), "link": ("uid", "item", "val")}
"""The columns that the oracle replays; the items have further ones, which come during the run."""
_TYPES = {"uid": pa.string(), "val": pa.int64(), "name": pa.string(), "item": pa.string()}
_OPTIONS = Options(
    lease=LEASE,
    retention=RETENTION,
    grace=GRACE,
    bulk_rows=30,
    file_rows=80,
    checkpoint_every=10,
    auto_publish=False,
)


def specs(generation: int) -> list[TableSpec]:
    """Return the tables as a program of some generation declares them: each generation adds a column to the items."""
    schemas = {t: [pa.field(c, _TYPES[c], nullable=c != "uid") for c in columns] for t, columns in COLUMNS.items()}
    schemas["item"] += [pa.field(f"x{number}", pa.int64()) for number in range(generation)]
    return [
        TableSpec("item", pa.schema(schemas["item"]), unique=(("name",),)),
        TableSpec("mirror", pa.schema(schemas["mirror"])),
        TableSpec("link", pa.schema(schemas["link"]), references={"item": "item"}),
    ]


def open_lake(root: Path, generation: int = 0, catalog: str | None = None) -> Lake:
    return Lake.create(root, specs(generation), catalog=catalog, options=_OPTIONS)


def digest_sql(table: str, source: str) -> str:
    """Return a query for the number of rows and the sum of their hashes."""
    columns = ", ".join(COLUMNS[table])
    return (
        f"SELECT '{table}' AS t, count(*) AS n, coalesce(sum(hash({columns})::HUGEINT), 0)::VARCHAR AS s FROM {source}"
    )


def plain_digest(con: duckdb.DuckDBPyConnection, table: str, uris: list[str]) -> list[Any]:
    """Return the digest of Parquet files, read by DuckDB alone."""
    if not uris:
        return [0, "0"]
    listed = ", ".join("'" + uri.removeprefix("file://") + "'" for uri in uris)
    _, n, s = con.execute(digest_sql(table, f"read_parquet([{listed}], union_by_name = true)")).fetchall()[0]
    return [n, s]
