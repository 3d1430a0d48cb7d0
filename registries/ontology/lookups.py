"""Look-ups by hierarchy: ``descendant_of``, ``ancestor_of``, ``parents__name``, ``children__ontology_id``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, RecordNotFound, UnknownField, shown
from lakehouse.ids import is_uid
from registries.conditions import Condition
from registries.lookups import nested
from registries.names import check_text
from registries.ontology.hierarchy import hierarchy_of
from registries.retrieve import near_misses

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.meta import Lookup, Meta

__all__ = ["HIERARCHY", "named_terms"]

_FIELDS = ("uid", "ontology_id", "name")


def named_terms(snapshot: Snapshot, meta: Meta, text: str) -> list[str]:
    """Return the uids of the terms that a text means: by uid, by identifier, or else by name.

    Raises
    ------
    RecordNotFound
        When there is none, with the near ones.
    """
    check_text(text, f"{meta.name}.name")
    for field in _fields(meta):
        if field == "uid" and not is_uid(text):
            continue
        if found := snapshot.lookup(meta.table, field, [text])["uid"].to_pylist():
            return list(found)
    near = near_misses(snapshot, meta.registry, "name", [text])
    named = " or ".join(reversed(_fields(meta)[1:]))
    raise RecordNotFound(f"no {meta.name} has the {named} {shown(text)}{near}")


def _fields(meta: Meta) -> list[str]:
    """Return the columns by which a record may be named."""
    return [field for field in _FIELDS if field in meta.columns]


def _related(meta: Meta, rest: list[str], value: object, lookup: Any, *, up: bool) -> Condition:
    if rest not in ([], ["exact"]):
        raise UnknownField(f"{shown(str(lookup))}: {'ancestor_of' if up else 'descendant_of'} takes no further look-up")
    wanted = getattr(value, "uid", value)
    if not isinstance(wanted, str):
        raise InputError(f"{lookup}={shown(value)}: a record, its {', '.join(reversed(_fields(meta)))} is accepted")

    def settle(snapshot: Snapshot) -> Condition:
        tree = hierarchy_of(snapshot, meta.table)
        starts = [wanted] if is_uid(wanted) and wanted in tree else named_terms(snapshot, meta, wanted)
        found = tree.above(starts) if up else tree.below(starts)
        return Condition.of_values("uid", found.to_pylist())

    return Condition(_recursive(meta, up=up), (wanted,) * len(_fields(meta)), frozenset({meta.table}), settle=settle)


def _recursive(meta: Meta, *, up: bool) -> str:
    """Return the condition as SQL alone, which DuckDB can run; circles end, as UNION keeps each uid once."""
    table, named = quoted(meta.table), " or ".join(f"{field} = ?" for field in _fields(meta))
    begin = f"select uid, parent_uids from {table} where {named}"
    link = "list_contains(t.parent_uids, r.uid)" if not up else "list_contains(r.parent_uids, t.uid)"
    step = f"select t.uid, t.parent_uids from {table} t join r on {link}"
    return f'"uid" in (with recursive r as ({begin} union {step}) select uid from r)'


def descendant_of(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that a term is another one, or below it."""
    return _related(meta, rest, value, lookup, up=False)


def ancestor_of(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that a term is another one, or above it."""
    return _related(meta, rest, value, lookup, up=True)


def parents(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that a term has a direct parent which meets the rest of the look-up."""
    inner, table = nested(meta, rest, value, lookup), quoted(meta.table)
    sql = f"list_has_any(parent_uids, (select coalesce(list(uid), []) from {table} where {inner.sql}))"
    return Condition(sql, inner.parameters, inner.tables | {meta.table})


def children(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that a term is the direct parent of one which meets the rest of the look-up."""
    inner, table = nested(meta, rest, value, lookup), quoted(meta.table)
    sql = f'"uid" in (select unnest(parent_uids) from {table} where {inner.sql})'
    return Condition(sql, inner.parameters, inner.tables | {meta.table})


HIERARCHY: Mapping[str, Lookup] = {
    "descendant_of": descendant_of,
    "ancestor_of": ancestor_of,
    "parents": parents,
    "children": children,
}
"""The look-ups that registries of terms have beside their columns."""
