"""Tables as SQL for a DuckDB that knows nothing of us: over explicit lists of published files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from lakehouse.engine.changes import DataFile
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.scan import literal, quoted
from lakehouse.engine.snapshot import Snapshot
from lakehouse.errors import InputError

__all__ = ["over_files", "sql_types"]


def over_files(root: Folder, snapshot: Snapshot, table: str) -> str:
    """Return a table as SQL over its published files.

    Raises
    ------
    InputError
        When some of it is not published at that commit.
    """
    state = snapshot.state(table)
    if len(state.tail.rows) or len(state.tail.hidden) or state.tail.staged:
        raise InputError(f"{table} is not published up to commit {snapshot.commit}: flush first")
    kinds = sql_types(state.table.schema)
    folder = table_folder(root, table)
    parts = []
    for version in sorted({file.schema for file in state.base.files}):
        known = state.older_columns(version)
        columns = ", ".join(
            quoted(name) if name in known else f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in kinds.items()
        )
        listed = ", ".join(literal(_place(folder, f)) for f in state.base.files if f.schema == version)
        parts.append(f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)")
    if not parts:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in kinds.items())
        parts.append(f"SELECT {empty} WHERE false")
    return " UNION ALL ".join(parts)


def _place(folder: Folder, file: DataFile) -> str:
    place = folder.place
    return (place / file.path).as_posix() if isinstance(place, Path) else f"{place}/{file.path}"


def sql_types(schema: pa.Schema) -> dict[str, str]:
    """Return the types of columns as DuckDB writes them, by name.

    Examples
    --------
    >>> sql_types(pa.schema([("uid", pa.string()), ("at", pa.timestamp("us", "UTC")), ("n", pa.list_(pa.int64()))]))
    {'uid': 'VARCHAR', 'at': 'TIMESTAMP WITH TIME ZONE', 'n': 'BIGINT[]'}
    """
    return {field.name: _sql_type(field.type) for field in schema}


_PLAIN: Mapping[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({_sql_type(kind.key_type)}, {_sql_type(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quoted(inner.name)} {_sql_type(inner.type)}' for inner in kind.fields)})"
    if pa.types.is_decimal128(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _PLAIN[kind]
