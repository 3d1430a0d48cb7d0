"""What the columns of all registries mean, as a table for SQL."""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa

from registries.binding import REGISTRIES

__all__ = ["COLUMNS", "column_table"]

COLUMNS = "registry_column"
"""What SQL calls the table."""


def column_table(tables: Container[str] | None = None) -> pa.Table:
    """Return the columns of all registries, or of those with certain tables, with their comments.

    Examples
    --------
    >>> import registries
    >>> rows = column_table().to_pylist()
    >>> next(row["comment"] for row in rows if (row["registry"], row["column"]) == ("artifact", "size"))
    'Bytes.'
    """
    rows = [
        {
            "registry": table,
            "column": column.name,
            "type": str(column.arrow_type),
            "nullable": column.nullable,
            "references": column.references,
            "comment": column.doc,
        }
        for table, registry in REGISTRIES.items()
        if tables is None or table in tables
        for column in registry.meta.columns.values()
    ]
    return pa.Table.from_pylist(rows)
