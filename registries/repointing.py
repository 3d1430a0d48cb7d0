"""Letting what refers to some records refer to others: links, values, members, references and parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.engine.scan import quoted
from lakehouse.errors import Duplicate
from registries.feature_set import member_uid
from registries.links import HOLDERS, link_table, link_uid
from registries.values import value_table, value_uid

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance
    from registries.meta import Meta

__all__ = ["repoint", "repoint_column"]


def repoint(txn: Transaction, home: Instance, meta: Meta, moves: Mapping[str, str]) -> None:
    """Let all that refers to records of a registry refer to others of it.

    Parameters
    ----------
    txn
        The transaction.
    home
        The instance.
    meta
        Of the registry.
    moves
        By uid, the uid in its stead.

    Raises
    ------
    Duplicate
        When a record has values under both of two features.
    """
    for table, column in home.lake.schemas.referring_to(meta.table):
        repoint_column(txn, table, column, moves)
    if "parent_uids" in meta.columns:
        _children(txn, meta.table, moves)


def repoint_column(txn: Transaction, table: str, column: str, moves: Mapping[str, str]) -> int:
    """Let the rows of one table that refer to records refer to others; return how many rows these are."""
    rows = txn.snapshot.lookup(table, column, list(moves)).to_pylist()
    moved = [row | {column: moves[row[column]]} for row in rows]
    for row in moved:
        row["uid"] = _own_uid(table, row)
    pairs = list(zip(rows, moved, strict=True))
    if same := [row for before, row in pairs if row["uid"] == before["uid"]]:
        txn.upsert(table, same, as_read=[before for before, row in pairs if row["uid"] == before["uid"]])
    others = {row["uid"]: row for before, row in pairs if row["uid"] != before["uid"]}
    if others:
        _made_anew(txn, table, [before["uid"] for before, row in pairs if row["uid"] != before["uid"]], others)
    return len(rows)


def _made_anew(txn: Transaction, table: str, gone: Sequence[str], made: Mapping[str, dict[str, Any]]) -> None:
    """Replace rows whose uid follows from what they refer to; those that are there already stay."""
    there = set(txn.snapshot.lookup(table, "uid", list(made))["uid"].to_pylist())
    if there and table in {value_table(holder) for holder in HOLDERS}:
        raise Duplicate(
            f"{len(there):,} records have values under both features: remove those of one of them, then merge"
        ).final()
    txn.delete(table, list(gone))
    if new := [row for uid, row in made.items() if uid not in there]:
        txn.insert(table, new)
    if there and table.startswith("feature_set_"):
        sets = [made[uid]["feature_set"] for uid in there]
        rows = txn.snapshot.lookup("feature_set", "uid", sets).to_pylist()
        txn.upsert("feature_set", [row | {"n": row["n"] - sets.count(row["uid"])} for row in rows])


def _own_uid(table: str, row: Mapping[str, Any]) -> str:
    """Return the uid of a row, which of links, values and members follows from what they refer to."""
    for holder in HOLDERS:
        near = "subject" if holder == "run" else holder
        if table == value_table(holder):
            return value_uid(row[near], row["feature"], row["position"])
        label = table.removeprefix(f"{holder}_")
        if "feature" in row and label in row and table == link_table(holder, label):
            return link_uid(row[near], row[label], row["feature"], table)
    member = table.removeprefix("feature_set_")
    if member != table and member in row:
        return member_uid(row[member], row["feature_set"])
    return str(row["uid"])


def _children(txn: Transaction, table: str, moves: Mapping[str, str]) -> None:
    """Let the children of terms be those of others."""
    statement = f"select * from {quoted(table)} where list_has_any(parent_uids, ?::VARCHAR[])"
    rows = txn.snapshot.arrow(statement, [list(moves)], [table]).to_pylist()
    changed = []
    for row in rows:
        kinds = [*row["parent_relations"], *([""] * len(row["parent_uids"]))]
        links: dict[str, str] = {}
        for uid, kind in zip(row["parent_uids"], kinds, strict=False):
            links.setdefault(moves.get(uid, uid), kind)
        changed.append(row | {"parent_uids": list(links), "parent_relations": list(links.values())})
    if changed:
        txn.upsert(table, changed, as_read=rows)
