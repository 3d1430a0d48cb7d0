"""Data frames as Arrow tables, whichever library they come from.

Polars hangs in a forked process, so nothing here touches it unless the frame itself is a Polars one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from formats.base import ColumnInfo, is_instance_of
from lakehouse.errors import UnknownFormat, shown

__all__ = ["FRAME_TYPES", "columns_of", "dtype_name", "eager", "pandas_ready", "to_arrow", "writing"]

FRAME_TYPES = (
    "pandas.DataFrame",
    "polars.DataFrame",
    "pyarrow.Table",
    "polars.LazyFrame",
    "pyarrow.dataset.Dataset",
)
"""Dotted names of the frames in memory that table formats write."""

_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16", "large_string": "string"}
_NAMES |= {"string_view": "string", "large_binary": "binary", "binary_view": "binary"}


def eager(obj: Any) -> Any:
    """Return what a lazy frame or a dataset comes to; anything else as it is.

    Examples
    --------
    >>> import polars as pl
    >>> eager(pl.LazyFrame({"a": [1, 2]})).height
    2
    """
    if is_instance_of(obj, "polars.LazyFrame"):
        return obj.collect()
    return obj.to_table() if is_instance_of(obj, "pyarrow.dataset.Dataset") else obj


def to_arrow(frame: Any) -> pa.Table:
    """Return a frame's columns as an Arrow table.

    Lazy frames and datasets are read whole. The index of a pandas frame becomes columns unless it is the default one (0, 1, 2, ...); an index without a
    name becomes ``__index_level_0__``. What pandas needs to put it back is kept in the schema's metadata.

    Raises
    ------
    UnknownFormat
        A column holds what Arrow has no type for, such as numbers and texts mixed.

    Examples
    --------
    >>> to_arrow(pa.table({"a": [1]})).column_names
    ['a']
    """
    with writing("a table"):
        if is_instance_of(frame, "pandas.DataFrame"):
            return _signed(pa.Table.from_pandas(frame))
        frame = eager(frame)
        return _signed(_from_polars(frame)) if is_instance_of(frame, "polars.DataFrame") else frame


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn what Arrow raises about a value that it cannot store into a typed error."""
    try:
        yield
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        detail = "; ".join(str(argument) for argument in error.args) or type(error).__name__
        raise UnknownFormat(
            f"this frame cannot be stored as {what}: {detail[:300]}; convert the column first, "
            "for instance with df[name] = df[name].astype(str)"
        ) from error


def _from_polars(frame: Any) -> pa.Table:
    import polars as pl

    if opaque := [name for name, kind in frame.schema.items() if kind == pl.Object]:
        # Polars would hand out the addresses of the objects
        raise UnknownFormat(f"column {shown(opaque[0])} holds Python objects, which no format stores: cast it first")
    try:
        # the oldest level gives types that every reader of Arrow knows
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    except pl.exceptions.PolarsError as error:
        raise UnknownFormat(f"this Polars frame has a column that Arrow cannot hold: {error}") from error


def pandas_ready(table: pa.Table) -> pa.Table:
    """Return a table that ``to_pandas`` can take: its dictionaries have signed indices."""
    return _signed(table)


def _signed(table: pa.Table) -> pa.Table:
    # pandas refuses categories with unsigned codes, which is what Polars writes
    for position, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type) and pa.types.is_unsigned_integer(column.type.index_type):
            kind = pa.dictionary(pa.int32(), column.type.value_type, ordered=column.type.ordered)
            table = table.set_column(position, column.with_type(kind), table.column(position).cast(kind))
    return table


def columns_of(schema: pa.Schema) -> tuple[ColumnInfo, ...]:
    """Return the columns of an Arrow schema.

    Examples
    --------
    >>> columns_of(pa.schema({"x": pa.float64()}))
    (ColumnInfo(name='x', dtype='float64'),)
    """
    return tuple(ColumnInfo(column.name, dtype_name(column.type)) for column in schema)


def dtype_name(kind: pa.DataType) -> str:
    """Return the one name that a type has in every format.

    Examples
    --------
    >>> dtype_name(pa.dictionary(pa.int8(), pa.string())), dtype_name(pa.large_string())
    ('category', 'string')
    """
    if pa.types.is_dictionary(kind):
        return "category"
    name = str(kind)
    return _NAMES.get(name, name)
