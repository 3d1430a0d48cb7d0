"""Saving many records at once: columns in place of rows, one commit for all of them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, InvalidName, UnknownField, did_you_mean, shown
from lakehouse.ids import ALPHABET, new_uid
from registries.limits import check_values
from registries.names import check_name, check_text

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.column import Column
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = [
    "VISIBLE",
    "arrow_of",
    "checked_columns",
    "insert_rows",
    "is_uniform",
    "known_rows",
    "new_uids",
    "plan_one_by_one",
    "plan_records",
]

_MANY = 100
"""From here on records of one registry are saved as columns."""
VISIBLE = r"^[\x21-\x7e]([\x20-\x7e]{0,998}[\x21-\x7e])?$"
"""Names that need no further look: ASCII, without blanks at the ends, of at most 1,000 characters."""


def new_uids(count: int) -> pa.Array:
    """Return uids that nobody else has, at version 0; as ``new_uid``, but many at once.

    Examples
    --------
    >>> len(set(new_uids(1_000).to_pylist()))
    1000
    """
    letters = np.frombuffer(ALPHABET.encode(), np.uint8)
    texts = np.full((count, 20), letters[0], np.uint8)
    texts[:, :4] = np.frombuffer(new_uid()[:4].encode(), np.uint8)
    drawn = np.frombuffer(os.urandom(4 * 12 * count), np.uint32).reshape(count, 12)
    texts[:, 4:16] = letters[drawn % np.uint32(62)]
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(20), count, [None, pa.py_buffer(texts.tobytes())])
    return fixed.cast(pa.binary()).cast(pa.string())


def arrow_of(frame: Any, owner: str) -> pa.Table:
    """Return a pandas or Polars frame, an Arrow table or rows as dicts as an Arrow table.

    Raises
    ------
    InputError
        When it is something else.
    """
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    module = type(frame).__module__
    try:
        if module.startswith("pandas"):
            if not all(isinstance(name, str) for name in frame.columns):
                raise InputError(f"{owner}: columns of a frame are named by text, not {shown(list(frame.columns))}")
            return pa.Table.from_pandas(frame, preserve_index=False)
        if module.startswith("polars"):
            return (frame.collect() if hasattr(frame, "collect") else frame).to_arrow()
        if isinstance(frame, Sequence) and not isinstance(frame, str) and all(isinstance(r, Mapping) for r in frame):
            names = list(dict.fromkeys(name for row in frame for name in row))  # Arrow takes those of the first row
            if not all(isinstance(name, str) for name in names):
                raise InputError(f"{owner}: fields are named by text, not {shown(names)}")
            return pa.table({name: [row.get(name) for row in frame] for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InputError(f"{owner}: the frame has columns of mixed types: {error}") from error
    except UnicodeEncodeError as error:
        raise InvalidName(f"{owner}: a text holds half a surrogate pair: {error}") from error
    raise InputError(
        f"{owner}({shown(frame)}): a pandas or Polars frame, an Arrow table or a list of dicts is accepted"
    )


def checked_columns(meta: Meta, table: pa.Table, *, partial: bool = False) -> pa.Table:
    """Return columns as they are stored: cast, names normalised, defaults filled in.

    Parameters
    ----------
    partial
        Whether columns without a default may be absent.

    Raises
    ------
    UnknownField, InputError, InvalidName
        Naming the column, the value and what is accepted.
    """
    accepted = {name: column for name, column in meta.columns.items() if column.init}
    for name in table.column_names:
        if name not in accepted:
            raise UnknownField(f"{meta.name} has no field {shown(name)}{did_you_mean(name, accepted)}")
    if len(set(table.column_names)) < len(table.column_names):
        raise InputError(f"{meta.name}: a column occurs twice among {shown(table.column_names)}")
    found: dict[str, pa.ChunkedArray] = {}
    for name, column in accepted.items():
        if name in table.column_names:
            found[name] = _column(meta, column, table[name])
        elif not partial:
            found[name] = _default(meta, column, table.num_rows)
    made = pa.table(found) if found else pa.table({"_": pa.nulls(table.num_rows)}).select([])
    return meta.registry.check_columns(made)


def _default(meta: Meta, column: Column[Any], count: int) -> pa.Array:
    if column.initial is None and column.nullable:
        return pa.nulls(count, column.arrow_type)
    try:
        value = pa.scalar(column.initial, column.arrow_type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise InputError(f"{meta.name} needs {column.name}: {column.accepted} is accepted") from None
    return pa.array([value.as_py()] * count, column.arrow_type)


def _column(meta: Meta, column: Column[Any], values: pa.ChunkedArray) -> pa.Array:
    where = f"{meta.name}.{column.name}"
    if isinstance(values.type, pa.DictionaryType):
        values = values.cast(values.type.value_type)
    if values.type != column.arrow_type:
        values = _cast(column, values, where)
    if column.rule is not None:
        check_values(column.rule, values, where)
    if values.null_count and not column.nullable:
        raise InputError(f"{where} is missing in {values.null_count:,} rows: {column.accepted} is accepted")
    if pa.types.is_string(column.arrow_type):
        values = _names(values, where) if column.name in meta.natural or column.unique else _texts(values, where)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _cast(column: Column[Any], values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.arrow_type
    if values.null_count == len(values):  # pandas has no other type for a column without values than float
        return pa.chunked_array([pa.nulls(len(values), kind)])
    texts = pa.types.is_string(kind) and not (
        pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type) or pa.types.is_null(values.type)
    )
    numbers = pa.types.is_boolean(values.type) != pa.types.is_boolean(kind) and not pa.types.is_null(values.type)
    try:
        if texts or numbers:
            raise pa.ArrowInvalid(f"{values.type} is not {kind}")
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        first = next((value for value in values.to_pylist() if value is not None), None)
        raise InputError(f"{where} = {shown(first)} is a {values.type}: {column.accepted} is accepted") from error


def _names(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    plain = pc.match_substring_regex(values, VISIBLE)
    if pc.all(plain, skip_nulls=True).as_py() is not False:
        return values
    return pa.chunked_array([[None if v is None else check_name(v, where) for v in values.to_pylist()]], pa.string())


def _texts(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pc.any(pc.match_substring(values, "\0")).as_py():
        for value in values.to_pylist():
            if value is not None:
                check_text(value, where)
    return values


def known_rows(snapshot: Snapshot, table: str, column: str, values: pa.Array) -> pa.Table:
    """Return the rows whose column holds one of the values, by scanning once where these are many."""
    if len(values) <= 1_000 or snapshot.is_large(table):
        found = snapshot.lookup(table, column, values.to_pylist())
    else:
        every = snapshot.arrow(f'select * from "{table}"', tables=[table])
        found = every.filter(pc.is_in(every[column], values))
    return found.cast(snapshot.schema(table))  # DuckDB calls the items of lists otherwise


def insert_rows(txn: Transaction, home: Instance, meta: Meta, columns: pa.Table) -> pa.Table:
    """Insert rows whose natural keys are new, stamped with time, user and run; return them."""
    count = columns.num_rows
    stamps: dict[str, pa.Array] = {
        "uid": new_uids(count),
        "created_at": pa.repeat(pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC")), count),
        "created_by": pa.repeat(pa.scalar(home.ensure_user(txn)), count),
        "run": pa.repeat(pa.scalar(home.run_uid, pa.string()), count),
    }
    have = {name: columns[name] for name in columns.column_names} | stamps
    schema = pa.schema([column.field for column in meta.columns.values()])
    rows = pa.table([have.get(f.name, pa.nulls(count, f.type)) for f in schema], schema=schema)
    if count:
        txn.insert(meta.table, rows, fresh=True)  # what is new is nobody's parent yet
    return rows


def is_uniform(records: Sequence[Record]) -> bool:
    """Return whether records can be saved as columns: many new ones of one registry that needs no more than its columns."""
    if len(records) < _MANY:
        return False
    first = records[0]
    meta = first.meta
    return first.is_plain() and all(record.meta is meta and not record.is_saved for record in records)


def plan_one_by_one(txn: Transaction, home: Instance, records: Sequence[Record]) -> list[bool]:
    """Save records of one registry that need more than their columns; return for each whether its row was there."""
    found = []
    with txn.collecting(_looked_up(records)):
        for record in records:
            saved = record.plan_save(txn, home)
            record.settle(saved, home)
            found.append(saved.found)
    return found


def _looked_up(records: Sequence[Record]) -> dict[tuple[str, str], list[object]]:
    """Return what saving the records is going to look up, so that it is had at once."""
    expected: dict[tuple[str, str], list[object]] = {}
    for record in records:
        for column, text in record.sought():
            if isinstance(text, str):
                expected.setdefault((record.meta.table, column), []).append(text)
    return expected


def plan_records(txn: Transaction, home: Instance, records: Sequence[Record]) -> None:
    """Save records as columns; those whose name is there, or comes twice, are rebound to the row that has it."""
    meta = records[0].meta
    (name,) = meta.natural
    for record in records:
        record.check_home(home)
    columns = checked_columns(meta, _as_columns(meta, records))
    names: pa.Array = columns[name].combine_chunks()
    known = known_rows(txn.snapshot, meta.table, name, names)
    first = pc.index_in(pc.unique(names), names)
    new = first.filter(pc.invert(pc.is_in(names.take(first), known[name].combine_chunks())))
    made = insert_rows(txn, home, meta, columns.take(new))
    uids = dict(zip(made[name].to_pylist(), made["uid"].to_pylist(), strict=True))
    alike = {key: made[key][0].as_py() for key in ("created_at", "created_by", "run")} if len(made) else {}
    there: dict[str, dict[str, Any]] = {row[name]: row for row in known.to_pylist()}
    base = dict.fromkeys(meta.columns) | alike
    for record, text in zip(records, names.to_pylist(), strict=True):
        if (uid := uids.pop(text, None)) is None:
            record.take_row(dict(there[text]), home, found=True)
        else:
            there[text] = base | dict(record.given()) | {"uid": uid, name: text}
            record.take_row(there[text], home)


def _as_columns(meta: Meta, records: Sequence[Record]) -> pa.Table:
    found = {}
    rows = [record.given() for record in records]
    for name, column in meta.columns.items():
        if column.init:
            values = [row.get(name) for row in rows]
            try:
                found[name] = pa.array(values, column.arrow_type)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
                for value in values:  # says which one
                    column.storable(value, meta.name)
                raise
    return pa.table(found)
