"""Rows of a registry as they come from a look-up: those in the trash left out, and the newest of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakehouse.engine.arrow import pc

__all__ = ["live", "newest"]


def live(rows: pa.Table) -> pa.Table:
    """Return the rows that are not in the trash."""
    if not len(rows) or "deleted_at" not in rows.schema.names or rows["deleted_at"].null_count == len(rows):
        return rows
    return rows.filter(pc.is_null(rows["deleted_at"]))


def newest(rows: pa.Table) -> dict[str, Any] | None:
    """Return the row with the highest version, or the only row, or None."""
    if not len(rows):
        return None
    found: list[dict[str, Any]] = rows.to_pylist()
    return max(found, key=lambda row: (row.get("version") or 0, row["uid"]))
