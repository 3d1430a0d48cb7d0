"""What keeps names from being lost or doubled: close names are told of, old names stay, and what is in use says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from lakehouse.errors import LakehouseError, StillReferenced, shown
from registries.binding import REGISTRIES
from registries.meta import own_attribute
from registries.search.closeness import close_names, is_guarded

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.record import Record

__all__ = ["in_use", "keep_old_name", "refuse_member", "refuse_parents", "warn_of_close_names"]

_log = logging.getLogger("lakehouse")
_SHOWN = 3


def warn_of_close_names(record: Record, *, asked: bool = False) -> None:
    """Say on the log which names are close to that of a record that is about to be saved for the first time.

    Parameters
    ----------
    asked
        Whether also for records that are known by something else than a name, and for public terms.
    """
    meta = record.meta
    name = record.value(meta.title)
    identify = own_attribute(type(record), "identity")
    guarded = is_guarded(meta) and (identify is None or identify(record) is None)
    if not (asked or guarded) or not isinstance(name, str) or not name.strip():
        return
    close = close_names(record.home_of(), meta, normalize("NFC", name[:1_000]))  # as it will be saved
    if close:
        _log.warning(
            "%s %s is close to %s: if one of these is meant, take that, and merge_into() it what is there twice; "
            "save(near=False) does not look",
            meta.name,
            shown(name),
            ", ".join(map(shown, close)),
        )


def keep_old_name(row: dict[str, Any], before: Mapping[str, Any], title: str) -> None:
    """Let the name that a record had be one of its synonyms."""
    old, new = before.get(title), row.get(title)
    if not old or old == new or "synonyms" not in row:
        return
    synonyms: list[str] = list(row["synonyms"] or ())
    scopes: list[str] = list(row.get("synonym_scopes") or ())
    if new in synonyms:  # it is given back the name that it had once
        place = synonyms.index(new)
        del synonyms[place], scopes[place : place + 1]
    if old not in synonyms:
        synonyms.append(old)
        scopes.append("PREVIOUS")
    row["synonyms"] = synonyms
    if "synonym_scopes" in row:
        row["synonym_scopes"] = scopes


def refuse_parents(record: Record, snapshot: Snapshot) -> None:
    """Raise ``StillReferenced`` for a term that other terms have as a parent."""
    if "parent_uids" not in record.meta.columns:
        return
    title, table = record.meta.title, record.meta.table
    statement = f'select "{title}" as name from "{table}" where list_contains(parent_uids, ?) order by 1'
    children = snapshot.arrow(statement, [record.uid], [table])["name"].to_pylist()
    if children:
        raise StillReferenced(
            f"{record.meta.name} {shown(record.value(title))} is a parent of {_some(children)}: "
            "give these other parents first, or merge_into() another one"
        ).final()


def refuse_member(record: Record, snapshot: Snapshot) -> None:
    """Raise ``StillReferenced`` for an artifact that is a member of datasets, also of some in the trash."""
    added = snapshot.lookup("dataset_member", "artifact", [record.uid])["dataset"].to_pylist()
    if added:
        rows = snapshot.lookup("dataset", "uid", added).to_pylist()
        names = sorted(f"{shown(row['name'])} from version {row['version']} on" for row in rows)
        more = ", …" if len(names) > _SHOWN else ""
        raise StillReferenced(
            f"artifact {shown(record.value('key') or record.uid)} is a member of dataset {', '.join(names[:_SHOWN])}{more}: "
            "delete these versions with permanent=True first, or leave it in the trash, where datasets read it as before"
        ).final()


def in_use(record: Record, error: StillReferenced) -> LakehouseError:
    """Return the error for a record that is to be deleted and is referred to, saying where and what to do."""
    home, meta = record.home_of(), record.meta
    snapshot, used = home.snapshot(), []
    for link in (link for link in meta.links.values() if link.via is None and link.table in snapshot.tables):
        uids = dict.fromkeys(snapshot.lookup(link.table, link.near, [record.uid])[link.far].to_pylist())
        title = REGISTRIES[link.target].meta.title
        names = snapshot.lookup(link.target, "uid", list(uids)[:_SHOWN])[title].to_pylist()
        if uids:
            rest = ", …" if len(uids) > len(names) else ""
            many = "s" if len(uids) > 1 else ""
            used.append(f"{len(uids):,} {link.target}{many} ({', '.join(map(shown, names))}{rest})")
    if not used:
        return error
    return StillReferenced(
        f"{meta.name} {shown(record.value(meta.title))} is in use by {' and '.join(used)}: take it off them first, such "
        "as with labels.remove(...), or merge_into() another one, which they have then"
    )


def _some(names: list[Any]) -> str:
    return ", ".join(map(shown, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
