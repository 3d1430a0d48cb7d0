"""Getting one record: by uid, stem or prefix, by a unique field, or by look-ups.

Whole uids and unique fields go through the engine's key index and never start DuckDB.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.errors import InputError, MultipleFound, RecordNotFound, shown
from lakehouse.ids import is_uid, stem
from registries.lookups import NORMALISED
from registries.names import check_text
from registries.near import near_misses
from registries.query import Query
from registries.rows import live, newest

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["get", "live", "near_misses", "newest"]

R = TypeVar("R", bound="Record")
_SHORTEST = 3
_RANDOM_FROM = 5  # the position, from 1, at which a uid's random part begins


def get(registry: type[R], home: Instance, uid: str | None, lookups: Mapping[str, Any]) -> R:
    """Return the one record that is meant; see ``Record.get``."""
    if uid is None and not lookups:
        raise InputError(f"{registry.meta.name}.get() needs a uid or a look-up such as uid='...'")
    if uid is not None and lookups:
        raise InputError(f"{registry.meta.name}.get({shown(uid)}, ...): give a uid or look-ups, not both")
    if uid is not None:
        return by_uid(registry, home, uid)
    return by_fields(registry, home, lookups)


def by_uid(registry: type[R], home: Instance, text: str) -> R:
    """Return the record of a whole uid, or the latest version of the only stem that the text begins."""
    if not isinstance(text, str):
        raise InputError(f"{registry.meta.name}.get({shown(text)}): a uid is text, not a {type(text).__name__}")
    if is_uid(text):
        row = home.snapshot().get(registry.meta.table, text)
        if row is None:
            raise _missing(registry, text)
        return registry.from_row(row, home)
    if not (_SHORTEST <= len(text) < 20 and text.isascii() and text.isalnum()):
        raise _missing(registry, text)
    return _by_prefix(registry, home, text)


def _by_prefix(registry: type[R], home: Instance, text: str) -> R:
    table = registry.meta.table
    where = f"starts_with(uid, ?) or starts_with(substr(uid, {_RANDOM_FROM}), ?)"
    if "deleted_at" in registry.meta.columns:
        where = f"({where}) and deleted_at is null"
    statement = f'select max(uid) as uid from "{table}" where {where} group by substr(uid, 1, 16) order by 1 limit 6'
    found = home.snapshot().arrow(statement, [text, text], [table])["uid"].to_pylist()
    if not found:
        raise _missing(registry, text)
    if len(found) > 1:
        stems = ", ".join(stem(uid) for uid in found[:5])
        raise MultipleFound(f"{registry.meta.name}.get({text!r}) may mean {stems}: give more characters")
    return by_uid(registry, home, found[0])


def _missing(registry: type[Record], text: str) -> RecordNotFound:
    hint = ""
    for field in ("name", "key", "handle"):
        if field in registry.meta.columns:
            hint = f"; to look up its {field} write {registry.meta.name}.get({field}={shown(text)})"
            break
    return RecordNotFound(f"{registry.meta.name} has no uid that is or begins with {shown(text)}{hint}")


def by_fields(registry: type[R], home: Instance, lookups: Mapping[str, Any]) -> R:
    """Return the one record that meets look-ups; of a versioned key, the latest version."""
    if len(lookups) == 1:
        (field, value), *_ = lookups.items()
        if isinstance(value, str) and _is_keyed(registry, field):
            return _by_key(registry, home, field, value)
    return Query.of(registry, home).filter(**lookups).one()


def _is_keyed(registry: type[Record], field: str) -> bool:
    meta = registry.meta
    declared = meta.columns.get(field)
    return declared is not None and (declared.unique or (field, "version") in meta.unique)


def _by_key(registry: type[R], home: Instance, field: str, value: str) -> R:
    check_text(value, f"{registry.meta.name}.{field}")
    if field in NORMALISED:
        value = unicodedata.normalize("NFC", value)
    snapshot = home.snapshot()
    row = newest(live(snapshot.lookup(registry.meta.table, field, [value])))
    if row is None:
        near = near_misses(snapshot, registry, field, [value])
        raise RecordNotFound(f"no {registry.meta.name} has {field} {shown(value)}{near}")
    return registry.from_row(row, home)
