"""``Registry.upsert_df``: a frame's rows as records that are new, changed or left alone, in one commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import Duplicate, InputError, MultipleFound, UnknownField, Unsupported, did_you_mean, shown
from registries.bulk import arrow_of, checked_columns, insert_rows, known_rows, plan_one_by_one

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = ["Upserted", "upserted"]

_Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Upserted:
    """What ``Registry.upsert_df`` did: numbers of rows."""

    inserted: int
    updated: int
    unchanged: int

    def __repr__(self) -> str:
        return f"{self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"


def upserted(
    registry: type[Record], home: Instance, frame: Any, on: str | Sequence[str] | None, *, from_columns: bool
) -> Upserted:
    """Insert or change a record for each row of a frame; see ``Record.upsert_df``.

    Parameters
    ----------
    from_columns
        Whether a record of the registry can be made of its columns alone.
    """
    meta = registry.meta
    if not from_columns:
        raise Unsupported(
            f"{meta.name}.upsert_df: its records need more than columns: save them with lh.save([{meta.name}(...), ...])"
        )
    if isinstance(frame, list) and not frame:
        return Upserted(0, 0, 0)
    parts = [arrow_of(part, f"{meta.name}.upsert_df") for part in _alike(frame)]
    keys = _keys(registry, on, parts[0].column_names)
    checked = [checked_columns(meta, _having(meta, part, keys), partial=True) for part in parts]
    _refuse_twice(meta, pa.concat_tables([columns.select(keys) for columns in checked]), keys)
    plain = registry.is_plain() and len(keys) == 1 and meta.columns[keys[0]].unique

    def plan(txn: Transaction) -> Upserted:
        if plain:
            done = [_plan_columns(txn, home, registry, columns, keys[0]) for columns in checked]
        else:
            done = [_plan_rows(txn, home, registry, columns, keys) for columns in checked]
        return Upserted(*(sum(getattr(one, f.name) for one in done) for f in fields(Upserted)))

    return home.run(plan)


def _alike(frame: Any) -> list[Any]:
    """Return rows as dicts by the fields that they give: what a row does not give stays as it is."""
    if not isinstance(frame, Sequence) or not all(isinstance(row, Mapping) for row in frame):
        return [frame]
    parts: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for row in frame:
        parts.setdefault(frozenset(row), []).append(row)
    return list(parts.values()) or [frame]


def _having(meta: Meta, part: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    """Return a part of a frame if it has the key."""
    for key in keys:
        if key not in part.column_names:
            raise InputError(f"{meta.name}.upsert_df needs a column {key!r}, which says which record each row is")
    return part


def _keys(registry: type[Record], on: str | Sequence[str] | None, given: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that tell records apart, which the frame must have."""
    meta = registry.meta
    if on is not None and not isinstance(on, str | Sequence):
        raise InputError(f"{meta.name}.upsert_df(on={shown(on)}): the name of a field, or several, is accepted")
    keys = registry.upsert_key(given) if on is None else (on,) if isinstance(on, str) else tuple(on)
    for key in keys:
        column = meta.columns.get(str(key))  # whatever it is, the message names it
        if column is None or not column.init:
            raise UnknownField(f"{meta.name} has no field {shown(key)}{did_you_mean(str(key), meta.columns)}")
    if not keys:
        raise InputError(f"{meta.name}.upsert_df(on=...): name the field that says which record each row is")
    return keys


def _refuse_twice(meta: Meta, columns: pa.Table, keys: tuple[str, ...]) -> None:
    if len(keys) > 1:
        listed = Counter(zip(*(columns[key].to_pylist() for key in keys), strict=True))
        twice = next((key for key, count in listed.items() if count > 1), None)
    else:
        on = next(iter(keys))
        values = columns[on]
        if values.null_count:
            raise InputError(
                f"{meta.name}.{on} is missing in {values.null_count:,} rows: it says which record each row is"
            )
        counted = pc.value_counts(values) if len(pc.unique(values)) < len(values) else pa.array([], pa.null())
        twice = next((one["values"] for one in counted.to_pylist() if one["counts"] > 1), None)
    if twice is not None:
        name = f"{meta.name}.{' and '.join(keys)}"
        raise Duplicate(f"{name} {shown(twice)} occurs twice in the frame: leave one of the rows").final()


def _plan_columns(txn: Transaction, home: Instance, registry: type[Record], columns: pa.Table, on: str) -> Upserted:
    """Insert the rows whose key is new, and change those that are there in the columns that are given."""
    meta = registry.meta
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
        registry.check_rows(txn.snapshot, updated)
    return Upserted(len(fresh), len(updated), len(matched) - len(updated))


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


def _plan_rows(
    txn: Transaction, home: Instance, registry: type[Record], columns: pa.Table, keys: tuple[str, ...]
) -> Upserted:
    """Do the same by records, for registries that check more than their columns."""
    bound = home.bound(registry)
    there = _by_key(txn, registry, columns, keys)
    changed: list[Record] = []
    fresh: list[Record] = []
    rows = columns.to_pylist()
    for row in rows:
        known = there.get(tuple(row[key] for key in keys))
        if known is None:
            fresh.append(bound(**{name: value for name, value in row.items() if value is not None}))
            continue
        record = bound.from_row(known, home)
        for name, value in row.items():
            if value != known[name]:
                setattr(record, name, value)
        if any(record.value(name) != known[name] for name in columns.column_names):
            changed.append(record)
    plan_one_by_one(txn, home, changed)
    taken = [record for record, found in zip(fresh, plan_one_by_one(txn, home, fresh), strict=True) if found]
    if taken:
        raise Duplicate(
            f"{taken[0]!r} is there already, under another {' and '.join(keys)}: choose on=..., or leave the row out"
        ).final()
    return Upserted(len(fresh), len(changed), len(rows) - len(fresh) - len(changed))


def _by_key(
    txn: Transaction, registry: type[Record], columns: pa.Table, keys: tuple[str, ...]
) -> dict[_Key, dict[str, Any]]:
    """Return the rows that are there by their key; raises ``MultipleFound`` for one that does not tell them apart."""
    meta = registry.meta
    wanted = set(zip(*(columns[key].to_pylist() for key in keys), strict=True))
    found: dict[_Key, dict[str, Any]] = {}
    for row in known_rows(txn.snapshot, meta.table, keys[0], pc.unique(columns[keys[0]]).drop_null()).to_pylist():
        key = tuple(row[name] for name in keys)
        if key not in wanted or row.get("deleted_at") is not None:
            continue
        if key in found:
            named = f"{meta.name}.{' and '.join(keys)} {', '.join(map(shown, key))}"
            raise MultipleFound(f"{named} is that of several records: choose on=... so that one is meant")
        found[key] = row
    return found
