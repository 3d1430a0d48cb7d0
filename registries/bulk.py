"""Saving many records at once: columns in place of rows, one commit for all of them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import Duplicate, InputError, InvalidName, UnknownField, did_you_mean, shown
from lakehouse.ids import ALPHABET, new_uid
from registries.names import check_name, check_text

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.column import Column
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = [
    "VISIBLE",
    "Upserted",
    "arrow_of",
    "checked_columns",
    "insert_rows",
    "is_uniform",
    "known_rows",
    "new_uids",
    "plan_records",
    "plan_upsert",
]

_MANY = 100
"""From here on records of one registry are saved as columns."""
VISIBLE = r"^[\x21-\x7e]([\x20-\x7e]{0,998}[\x21-\x7e])?$"
"""Names that need no further look: ASCII, without blanks at the ends, of at most 1,000 characters."""


@dataclass(frozen=True)
class Upserted:
    """What ``Registry.upsert_df`` did: numbers of rows."""

    inserted: int
    updated: int
    unchanged: int

    def __repr__(self) -> str:
        return f"{self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"


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
    drawn = np.frombuffer(os.urandom(8 * 12 * count), np.uint64).reshape(count, 12)
    texts[:, 4:16] = letters[(drawn % np.uint64(62)).astype(np.int64)]
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
            return pa.Table.from_pylist([dict(row) for row in frame])
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
    return pa.table(found) if found else pa.table({"_": pa.nulls(table.num_rows)}).select([])


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
    if values.null_count and not column.nullable:
        raise InputError(f"{where} is missing in {values.null_count:,} rows: {column.accepted} is accepted")
    if pa.types.is_string(column.arrow_type):
        values = _names(values, where) if column.name in meta.natural or column.unique else _texts(values, where)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _cast(column: Column[Any], values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.arrow_type
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
        txn.insert(meta.table, rows, fresh=True)
    return rows


def plan_upsert(txn: Transaction, home: Instance, registry: type[Record], columns: pa.Table, on: str) -> Upserted:
    """Insert the rows whose key is new, and change those that are there in the columns that are given."""
    meta = registry.meta
    _refuse_twice(meta, columns[on], on)
    there = known_rows(txn.snapshot, meta.table, on, columns[on].combine_chunks())
    if "deleted_at" in there.schema.names:
        there = there.filter(pc.is_null(there["deleted_at"]))
    place = pc.index_in(columns[on], there[on].combine_chunks())
    fresh = columns.filter(pc.is_null(place))
    if len(fresh):
        insert_rows(txn, home, meta, checked_columns(meta, fresh))
    matched = columns.filter(pc.is_valid(place))
    before = there.take(pc.drop_null(place))
    after = before
    for name in columns.column_names:
        position = after.schema.get_field_index(name)
        after = after.set_column(
            position, after.schema.field(position), matched[name].cast(after.schema.field(position).type)
        )
    changed = _differs(before, after, columns.column_names)
    updated = after.filter(changed)
    if len(updated):
        txn.upsert(meta.table, updated, as_read=before.filter(changed).to_pylist())
    return Upserted(len(fresh), len(updated), len(matched) - len(updated))


def _refuse_twice(meta: Meta, values: pa.ChunkedArray, on: str) -> None:
    if values.null_count:
        raise InputError(f"{meta.name}.{on} is missing in {values.null_count:,} rows: it says which record each row is")
    counted = pc.value_counts(values)
    if len(counted) < len(values):
        twice = next(one["values"] for one in counted.to_pylist() if one["counts"] > 1)
        raise Duplicate(f"{meta.name}.{on} {shown(twice)} occurs twice in the frame: leave one of the rows").final()


def _differs(before: pa.Table, after: pa.Table, names: Iterable[str]) -> pa.Array:
    """Return for each row whether one of the columns differs."""
    differs = pa.array(np.zeros(len(before), bool))
    for name in names:
        if pa.types.is_nested(before[name].type):
            pairs = zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)
            one = pa.array([old != new for old, new in pairs], pa.bool_())
        else:
            unlike = pc.fill_null(pc.not_equal(before[name], after[name]), pa.scalar(value=False))
            one = pc.or_(unlike, pc.xor(pc.is_null(before[name]), pc.is_null(after[name])))
        differs = pc.or_(differs, one)
    return differs


def is_uniform(records: Sequence[Record]) -> bool:
    """Return whether records can be saved as columns: many new ones of one registry that needs no more than its columns."""
    if len(records) < _MANY:
        return False
    first = records[0]
    meta = first.meta
    return first.is_plain() and all(record.meta is meta and not record.is_saved for record in records)


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
    for name, column in meta.columns.items():
        if column.init:
            values = [record.value(name) for record in records]
            try:
                found[name] = pa.array(values, column.arrow_type)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
                for value in values:  # says which one
                    column.storable(value, meta.name)
                raise
    return pa.table(found)
