"""Arrow's compute functions, and picking few rows out of many cheaply.

pyarrow makes its compute functions at import, so type checkers cannot see them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute

__all__ = ["matching", "pc", "picked"]

pc: Any = pyarrow.compute
_FEW = 16


def matching(rows: pa.Table, column: str, values: Sequence[object]) -> pa.Table:
    """Return the rows whose column holds one of the values.

    A few values are searched one by one: on tables of many chunks a filter costs ten times as much as a search.

    Examples
    --------
    >>> matching(pa.table({"uid": ["a", "b"]}), "uid", ["b", "c"]).to_pylist()
    [{'uid': 'b'}]
    """
    if not len(rows) or not values:
        return rows.slice(0, 0)
    where, kind = rows[column], rows.schema.field(column).type
    positions: list[int] = []
    for value in values[:_FEW]:
        wanted, start = pa.scalar(value, kind), 0
        while len(positions) < _FEW and (step := pc.index(where.slice(start), wanted).as_py()) >= 0:
            positions.append(start + step)
            start += step + 1
    if len(values) < _FEW and len(positions) < _FEW:
        return picked(rows, positions)
    return rows.filter(pc.is_in(where, pa.array(values, kind)))


def picked(rows: pa.Table, positions: Sequence[int]) -> pa.Table:
    """Return the rows at some positions.

    Examples
    --------
    >>> picked(pa.table({"uid": ["a", "b", "c"]}), [2, 0]).to_pylist()
    [{'uid': 'c'}, {'uid': 'a'}]
    """
    if len(positions) > _FEW:
        return rows.take(pa.array(positions, pa.int64()))
    parts = [rows.slice(position, 1) for position in positions]
    if len(parts) < 2:
        return parts[0] if parts else rows.slice(0, 0)
    return pa.concat_tables(parts)
