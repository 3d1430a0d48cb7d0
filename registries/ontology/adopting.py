"""Users' own entries that turn out to be public ones: the public entry takes their place, and all that they had."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.requirements import RowsUntouched
from lakehouse.engine.scan import quoted
from registries.binding import REGISTRIES
from registries.conditions import SHARE
from registries.feature_set import member_table
from registries.links import HOLDERS, link_table, link_uid

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
    for table, column in home.lake.schemas.referring_to(name):
        rows = txn.snapshot.lookup(table, column, list(moves)).to_pylist()
        if rows:
            _refer(txn, table, column, rows, moves)
    if "parent_uids" in registry.meta.columns:
        _below(txn, name, moves)
    txn.require(RowsUntouched(name, frozenset(moves)))
    txn.delete(name, list(moves))
    for uid, row in own.items():
        _log.info(
            "%s %r is the public entry %s: its labels moved there", registry.meta.name, row[registry.label_field], uid
        )


def _refer(txn: Transaction, table: str, column: str, rows: Sequence[dict[str, Any]], moves: Mapping[str, str]) -> None:
    """Point rows to other entries; those whose uid follows from what they link are made anew."""
    made: dict[str, dict[str, Any]] = {}
    for row in rows:
        moved = row | {column: moves[row[column]]}
        moved["uid"] = _uid_of(table, column, moved)
        made[moved["uid"]] = moved
    if all(row["uid"] in made for row in rows):
        txn.upsert(table, list(made.values()), as_read=rows)
        return
    there = set(txn.snapshot.lookup(table, "uid", list(made))["uid"].to_pylist())
    txn.delete(table, [row["uid"] for row in rows])
    if new := [row for uid, row in made.items() if uid not in there]:
        txn.insert(table, new)


def _uid_of(table: str, column: str, row: Mapping[str, Any]) -> str:
    for holder in HOLDERS:
        if table == link_table(holder, column):
            return link_uid(row[REGISTRIES[holder].meta.link_column], row[column], row["feature"], table)
    if table == member_table(column):
        return str(row[column][SHARE] + row["feature_set"][SHARE])
    return str(row["uid"])


def _below(txn: Transaction, table: str, moves: Mapping[str, str]) -> None:
    """Let entries below others be below those in their stead."""
    statement = f"select * from {quoted(table)} where list_has_any(parent_uids, ?::VARCHAR[])"
    rows = txn.snapshot.arrow(statement, [list(moves)], [table]).to_pylist()
    changed = []
    for row in rows:
        pairs = zip(row["parent_uids"], row["parent_relations"], strict=False)
        parents = {moves.get(uid, uid): relation for uid, relation in reversed(list(pairs))}
        changed.append(row | {"parent_uids": [*parents][::-1], "parent_relations": [*parents.values()][::-1]})
    if changed:
        txn.upsert(table, changed, as_read=rows)
