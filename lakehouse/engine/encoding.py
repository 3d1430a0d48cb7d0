"""Rows as Arrow with the columns of a table, or the column and the value that do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from lakehouse.errors import InputError, UnknownField, did_you_mean, shown

__all__ = ["Encoder"]

_NO_TIMES = ("NaTType", "NAType")
_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError, UnicodeEncodeError)
_NO_NULL = frozenset({str, int, bool, list, datetime})
"""Types of which no value becomes a null, as None, ``pandas.NA`` and ``NaT`` do."""


class Encoder:
    """Encodes rows of one table; what only depends on its columns is worked out once.

    Parameters
    ----------
    table
        The table's name, for messages.
    schema
        Its columns.

    Examples
    --------
    >>> schema = pa.schema([pa.field("uid", pa.string(), nullable=False), ("n", pa.int64())])
    >>> Encoder("label", schema).batch([{"uid": "a"}]).to_pylist()
    [{'uid': 'a', 'n': None}]
    """

    def __init__(self, table: str, schema: pa.Schema) -> None:
        self._table, self._schema, self._struct = table, schema, pa.struct(list(schema))
        self._names = frozenset(schema.names)
        self._whole = [item.name for item in schema if pa.types.is_integer(item.type)]
        self._times = [item.name for item in schema if pa.types.is_temporal(item.type)]
        self._needed = [(number, item.name) for number, item in enumerate(schema) if not item.nullable]

    def batch(self, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """Return rows as a batch; columns that are not given are null."""
        try:
            for row in rows:
                self._refuse_cut(row)
            # all columns at once: one by one they take three times as long
            structs = pa.array([self._plain(row) for row in rows], self._struct)
            batch = pa.RecordBatch.from_struct_array(structs)
        except _MISFITS as error:
            raise self._misfit(rows, error) from error
        for row in rows:
            if not row.keys() <= self._names:
                unknown = min(row.keys() - self._names)
                raise UnknownField(
                    f"{self._table} has no column {shown(unknown)}{did_you_mean(unknown, self._schema.names)}"
                )
        if len(rows) != 1 or not all(type(rows[0].get(name)) in _NO_NULL for _, name in self._needed):
            self._refuse_nulls(batch)
        return batch

    def _plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row with None for the times of pandas that are none: Arrow does not always take these for nulls."""
        lost = [name for name in self._times if type(row.get(name)).__name__ in _NO_TIMES]
        if lost:
            return {**row, **dict.fromkeys(lost)}
        return row if type(row) is dict else dict(row)

    def table(self, rows: pa.Table) -> pa.Table:
        """Return a table with the columns in their order, cast to their types."""
        for name in rows.schema.names:
            if name not in self._names:
                raise UnknownField(f"{self._table} has no column {shown(name)}{did_you_mean(name, self._schema.names)}")
        columns = []
        for item in self._schema:
            if item.name not in rows.schema.names:
                columns.append(pa.chunked_array([pa.nulls(len(rows), item.type)]))
                continue
            column = rows[item.name]
            try:
                columns.append(column if column.type == item.type else column.cast(item.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InputError(f"{self._table}.{item.name} takes {item.type}, not {column.type}: {error}") from error
        conformed = pa.Table.from_arrays(columns, schema=self._schema)
        self._refuse_nulls(conformed)
        return conformed

    def _refuse_cut(self, row: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for a float in a column of another kind: Arrow would cut 1.5 down to 1 in silence."""
        for name in self._whole:
            if isinstance(value := row.get(name), float) and not value.is_integer():
                raise ValueError(value)
        for name in self._times:
            if isinstance(value := row.get(name), float):
                raise ValueError(value)  # noqa: TRY004  nobody sees it: the one that follows names the column

    def _refuse_nulls(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Raise for a null that the table's Parquet files could not hold."""
        for number, name in self._needed:
            if rows.column(number).null_count:
                raise InputError(f"{self._table}: a row has no {name}, which must not be null")

    def _misfit(self, rows: Sequence[Mapping[str, Any]], error: Exception) -> InputError:
        for row in rows:
            for item in self._schema:
                value = row.get(item.name)
                try:
                    self._refuse_cut({item.name: value})
                    pa.array([value], item.type)
                except _MISFITS:
                    return InputError(f"{self._table}.{item.name} takes {item.type}, not {shown(value)}")
        return InputError(f"{self._table}: {error}")
