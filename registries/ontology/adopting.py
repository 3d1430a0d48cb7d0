"""Users' own entries that turn out to be public ones: the public entry takes their place, and all that they had."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.requirements import RowsUntouched
from lakehouse.engine.scan import quoted
from registries.repointing import repoint

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.ontology.term import Entry

__all__ = ["adopted", "merged_row", "own_like", "take_places", "users_own"]

pc: Any = _compute
_log = logging.getLogger("lakehouse")
_STAMPS = ("uid", "source", "created_at", "created_by", "run")
_PAIRS = {"synonyms": "synonym_scopes", "parent_uids": "parent_relations"}


def users_own(registry: type[Entry], snapshot: Snapshot, table: pa.Table) -> dict[str, dict[str, Any]]:
    """Return users' own rows that are public entries, by the uid of these.

    They have the identifier of one under another uid, or no identifier and the very name of one alone. Where several
    entries have that name, none is guessed.
    """
    name, identity, label = registry.meta.table, registry.identity_field, registry.label_field
    if identity == label or not snapshot.count(name):
        return {}
    statement = f"select * from {quoted(name)} where source is null and not obsolete"
    mine = snapshot.arrow(statement, tables=[name]).to_pylist()
    if not mine:
        return {}
    columns = [one for one in ("uid", identity, label, "organism") if one in table.column_names]
    wanted = {row[field] for row in mine for field in (identity, label)}
    rows = [row for row in table.select(columns).to_pylist() if row[identity] in wanted or row.get(label) in wanted]
    by_id = {row[identity]: row["uid"] for row in rows}
    by_name: dict[tuple[Any, Any], list[str]] = {}
    for row in rows:
        by_name.setdefault((row.get(label), row.get("organism")), []).append(row["uid"])
    public = {row["uid"] for row in rows}
    found: dict[str, dict[str, Any]] = {}
    for row in mine:
        same = [by_id[row[identity]]] if row[identity] in by_id else by_name.get((row[label], row.get("organism")), [])
        if row["uid"] not in public and len(same) == 1 and row[identity] in (None, *by_id):
            found.setdefault(same[0], row)
    return found


def own_like(registry: type[Entry], snapshot: Snapshot, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the user's own row without an identifier that has the name of a new one with, if there is one."""
    identity, label = registry.identity_field, registry.label_field
    if identity == label or row[identity] is None or row[label] is None:
        return None
    rows = snapshot.lookup(registry.meta.table, label, [row[label]]).to_pylist()
    same = [one for one in rows if one[identity] is None and one["source"] is None and not one["obsolete"]]
    return next((one for one in same if one.get("organism") == row.get("organism")), None)


def adopted(table: pa.Table, own: Mapping[str, dict[str, Any]]) -> pa.Table:
    """Return public rows with what users' own rows have beyond them."""
    if not own:
        return table
    theirs = pc.is_in(table["uid"], pa.array(list(own), pa.string()))
    rows = [merged_row(row, own[row["uid"]]) for row in table.filter(theirs).to_pylist()]
    return pa.concat_tables([table.filter(pc.invert(theirs)), pa.Table.from_pylist(rows, schema=table.schema)])


def merged_row(row: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a public row with the values that it lacks, and the synonyms and parents that it does not name.

    Examples
    --------
    >>> public = {"name": "T cell", "definition": None, "synonyms": ["T-cell"], "synonym_scopes": ["EXACT"]}
    >>> merged_row(public, {"definition": "mine", "synonyms": ["TC"], "synonym_scopes": ["EXACT"]})["synonyms"]
    ['T-cell', 'TC']
    """
    made = dict(row)
    for name, value in own.items():
        if name in made and name not in _STAMPS and made[name] is None:
            made[name] = value
    for names, kinds in _PAIRS.items():
        if names in made:
            both = dict(zip(own[names], own[kinds], strict=False)) | dict(zip(made[names], made[kinds], strict=False))
            made[names] = list(dict.fromkeys((*made[names], *own[names])))
            made[kinds] = [both[one] for one in made[names]]
    return made


def take_places(registry: type[Entry], txn: Transaction, home: Instance, own: Mapping[str, dict[str, Any]]) -> None:
    """Let all that refers to users' own rows refer to the public ones, which are there by now, and remove the former."""
    if not own:
        return
    name, moves = registry.meta.table, {row["uid"]: uid for uid, row in own.items()}
    repoint(txn, home, registry.meta, moves)
    txn.require(RowsUntouched(name, frozenset(moves)))
    txn.delete(name, list(moves))
    for uid, row in own.items():
        _log.info("%s %r is the public entry %s: its labels moved there", name, row[registry.label_field], uid)
