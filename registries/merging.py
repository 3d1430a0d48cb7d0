"""Making one record of two: what refers to one of them refers to the other from then on, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.errors import InputError, Unsupported, shown
from registries.meta import own_attribute
from registries.ontology.hierarchy import hierarchy_of
from registries.record import Saved
from registries.repointing import repoint

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["merge"]

R = TypeVar("R", bound="Record")


def merge(gone: R, kept: R) -> R:
    """Let everything that refers to one record refer to another, and delete the first; see ``Record.merge_into``."""
    home = gone.home_of()
    home.refuse_reading_only()
    _check(gone, kept, home)

    def plan(txn: Transaction) -> None:
        before, other = (_now(txn, record) for record in (kept, gone))
        _refuse_relatives(txn, gone, kept)
        repoint(txn, home, gone.meta, {gone.uid: kept.uid})
        row = _joined(gone, before, other)
        if row != before:
            txn.upsert(kept.meta.table, [row], as_read=[before])
        txn.delete(gone.meta.table, [gone.uid])
        gone.forget_row()
        kept.settle(Saved(row), home)

    home.change([gone, kept], plan)
    return kept


def _check(gone: Record, kept: object, home: Instance) -> None:
    meta = gone.meta
    if getattr(getattr(kept, "meta", None), "table", None) != meta.table:
        raise InputError(f"merge_into({shown(kept)}): a {meta.name} is accepted, as it is one itself")
    other: Any = kept
    for record in (gone, other):
        if not record.is_saved:
            raise InputError(f"{record!r} is not saved: there is nothing to merge")
    if other.home_of() is not home:
        raise InputError(f"{other!r} belongs to the instance at {other.home_of().root}, not to {home.root}")
    if gone.uid == other.uid:
        raise InputError(f"{gone!r} is the same record: name another to merge it into")
    if meta.title in ("uid", "key", "handle", "root") or "version" in meta.columns:
        raise Unsupported(f"{meta.name} records are not merged: those that are known by a name alone are")
    if "dtype" in meta.columns and gone.value("dtype") != other.value("dtype"):
        raise InputError(
            f"{meta.name} {shown(gone.value(meta.title))} has dtype {gone.value('dtype')!r} and "
            f"{shown(other.value(meta.title))} {other.value('dtype')!r}: only features of one dtype are merged"
        )


def _now(txn: Transaction, record: Record) -> dict[str, Any]:
    row = txn.snapshot.get(record.meta.table, record.uid)
    if row is None:
        raise InputError(f"{record!r} is deleted already: there is nothing to merge")
    return row


def _refuse_relatives(txn: Transaction, gone: Record, kept: Record) -> None:
    """Refuse terms of which one is above the other: what lies between them would be above itself."""
    if "parent_uids" not in gone.meta.columns:
        return
    tree = hierarchy_of(txn.snapshot, gone.meta.table)
    if kept.uid in tree.descendants([gone.uid]) or gone.uid in tree.descendants([kept.uid]):
        names = [shown(record.value(record.meta.title)) for record in (gone, kept)]
        raise InputError(f"{' and '.join(names)} are above one another: change parents first, then merge them")


def _joined(gone: Record, kept: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that is kept, with the other one's names among its synonyms, and what it lacked itself."""
    row, meta = dict(kept), gone.meta
    for name, declared in meta.columns.items():
        if declared.init and row[name] is None and declared.references is None:
            row[name] = other[name]
    if "synonyms" in meta.columns:
        scopes = dict(zip(other["synonyms"], other.get("synonym_scopes") or (), strict=False))
        new = [n for n in (other[meta.title], *other["synonyms"]) if n and n not in (row[meta.title], *row["synonyms"])]
        row["synonyms"] = [*row["synonyms"], *dict.fromkeys(new)]
        if "synonym_scopes" in meta.columns:
            row["synonym_scopes"] = [*row["synonym_scopes"], *(scopes.get(n, "EXACT") for n in dict.fromkeys(new))]
    identity = own_attribute(meta.registry, "identity_field")
    if "alternative_ids" in meta.columns:
        ids = [one for one in (other.get(identity), *other["alternative_ids"]) if one and one != row.get(identity)]
        row["alternative_ids"] = list(dict.fromkeys([*row["alternative_ids"], *ids]))
    return row
