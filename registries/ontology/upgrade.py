"""Going from one version of a source to another: what changes is shown first, and then done in one commit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.requirements import RowsUntouched
from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, shown
from registries.links import HOLDERS, link_table
from registries.ontology.enriching import replaced, with_synonyms
from registries.ontology.guide import version_order
from registries.ontology.identity import entry_uid
from registries.ontology.importing import (
    Wanted,
    add_rows,
    chosen,
    ensure_source,
    read_rows,
    registered,
    resolved,
    stamped,
)
from registries.ontology.ingest import Rows
from registries.ontology.published import PublicSource, public_sources
from registries.ontology.source import source_uid
from registries.repointing import repoint_column

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.ontology.term import Entry

__all__ = ["Upgrade", "planned"]

pc: Any = _compute
_log = logging.getLogger("lakehouse")


@dataclass(frozen=True)
class Upgrade:
    """What ``CellType.upgrade_source(version)`` returns: what a version changes; ``apply`` does it.

    ``new``, ``renamed``, ``obsolete``, ``replaced`` and ``dropped`` are lists of entries as dicts: identifier, name
    before and after, and for replaced ones the identifier and the name in their stead.
    """

    registry: type[Entry]
    source: PublicSource
    rows: Rows

    @property
    def new(self) -> list[dict[str, Any]]:
        """Entries that the registry does not have."""
        return self._changes["new"]

    @property
    def renamed(self) -> list[dict[str, Any]]:
        """Entries whose preferred name is another one."""
        return self._changes["renamed"]

    @property
    def obsolete(self) -> list[dict[str, Any]]:
        """Entries that are withdrawn now, and were not before."""
        return self._changes["obsolete"]

    @property
    def replaced(self) -> list[dict[str, Any]]:
        """Those among them for which the source gives another one."""
        return [one for one in self.obsolete if one["replaced_by"]]

    @property
    def dropped(self) -> list[dict[str, Any]]:
        """Entries of the source that the version says nothing of; they become obsolete."""
        return self._changes["dropped"]

    @cached_property
    def _changes(self) -> dict[str, list[dict[str, Any]]]:
        snapshot = self.registry.home().snapshot()
        return _compared(self.registry, self.rows.table, _current(self.registry, snapshot, self.source))

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{len(getattr(self, name)):,} {name}" for name in ("new", "renamed", "obsolete", "replaced", "dropped")
        )
        return f"<Upgrade of {self.registry.meta.name} to {self.source}: {counts}; apply() does it>"

    def artifacts(self) -> pl.DataFrame:
        """Return which artifacts carry entries that become obsolete, or are: key, uid, entry, what is in its stead, its name."""
        import polars

        home, meta = self.registry.home(), self.registry.meta
        table = link_table("artifact", meta.table)
        going = {one["uid"]: one["replaced_by"] for one in (*self.obsolete, *self.dropped)}
        names = f"t.{quoted(self.registry.identity_field)} as identifier, t.{quoted(self.registry.label_field)} as name"
        statement = (
            f"select a.key, a.uid as artifact, t.uid, {names}, t.replaced_by from {quoted(table)} l "
            f"join artifact a on a.uid = l.artifact join {quoted(meta.table)} t on t.uid = l.{quoted(meta.table)} "
            "where t.obsolete or t.uid in (select unnest(?::VARCHAR[])) order by a.key, identifier"
        )
        found = home.snapshot().arrow(statement, [list(going)], [table, "artifact", meta.table])
        stead = [
            going.get(uid) or known
            for uid, known in zip(*(found[c].to_pylist() for c in ("uid", "replaced_by")), strict=True)
        ]
        found = found.drop_columns(["replaced_by"]).append_column("replaced_by", pa.array(stead, pa.string()))
        names_now = _names(self.registry, self.rows.table)
        called = pa.array([names_now.get(one) for one in stead], pa.string())
        found = found.append_column("replaced_by_name", called)
        frame = polars.from_arrow(found)
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def apply(self, *, move_labels: bool = False) -> Upgrade:
        """Do it, in one commit: uids stay, and so do links and synonyms that users added.

        Parameters
        ----------
        move_labels
            Whether what carries a replaced entry is to carry the one in its stead.
        """
        home = self.registry.home()
        home.refuse_reading_only()
        home.run(lambda txn: self._apply(txn, home, move_labels=move_labels))
        return self

    def _apply(self, txn: Transaction, home: Instance, *, move_labels: bool) -> None:
        registry, table = self.registry, self.registry.meta.table
        before = _current(registry, txn.snapshot, self.source)
        _pin(txn, home, self.source)
        known = pc.is_in(self.rows.table["uid"], before["uid"])
        add_rows(registry, txn, home, self.source, self.rows.table.filter(pc.invert(known)))
        after = stamped(registry, txn, home, self.source, self.rows.table.filter(known))
        after = _keeping(before, after)
        gone = before.filter(pc.and_(pc.invert(pc.is_in(before["uid"], after["uid"])), pc.invert(before["obsolete"])))
        if len(gone):
            place = gone.schema.get_field_index("obsolete")
            gone = gone.set_column(place, gone.schema.field(place), pa.repeat(pa.scalar(True), len(gone)))  # noqa: FBT003
        changed = pa.concat_tables([after, gone.select(after.column_names).cast(after.schema)])
        txn.require(RowsUntouched(table, frozenset(changed["uid"].to_pylist())))
        txn.upsert(table, changed)
        if move_labels:
            _move(txn, home, registry, _stead(registry, changed))


def planned(registry: type[Entry], wanted: Wanted) -> Upgrade:
    """Return what a version of a source would change; see ``Entry.upgrade_source``."""
    home = registry.home()
    mine = chosen(registry, home.snapshot(), Wanted(source=wanted.source, organism=wanted.organism))
    asked = Wanted(
        version=wanted.version or (_newest(mine, home.snapshot()) if wanted.path is None else None),
        source=wanted.source or mine.source,
        organism=wanted.organism or mine.organism,
        path=wanted.path,
        format=wanted.format,
        progress=wanted.progress,
    )
    meant = chosen(registry, home.snapshot(), asked)
    if not len(_current(registry, home.snapshot(), meant)):  # some sources take long to read
        raise InputError(
            f"{registry.meta.name} holds nothing of {shown(meant.source)} that could be upgraded: "
            f"import_source({shown(meant.version)}) imports it"
        )
    source, file = resolved(registry, asked, home)
    return Upgrade(registry, source, read_rows(registry, source, file, wanted.format))


def _newest(mine: PublicSource, snapshot: Snapshot) -> str:
    """Return the newest version that is known of a source, to this program or to the instance."""
    pinned, others = registered(snapshot, mine.entity)
    known = [mine, *pinned, *others, *public_sources(mine.entity)]
    like = [one.version for one in known if (one.source, one.organism) == (mine.source, mine.organism)]
    return max(like, key=version_order)


def _current(registry: type[Entry], snapshot: Snapshot, source: PublicSource) -> pa.Table:
    """Return the entries of a registry that are of any version of a source."""
    rows = snapshot.lookup("source", "entity", [registry.meta.name]).to_pylist()
    uids = [row["uid"] for row in rows if (row["name"], row["organism"]) == (source.source, source.organism)]
    return snapshot.lookup(registry.meta.table, "source", uids).combine_chunks()


def _compared(registry: type[Entry], table: pa.Table, before: pa.Table) -> dict[str, list[dict[str, Any]]]:
    label, identity = registry.label_field, registry.identity_field
    old = {row["uid"]: row for row in before.select(["uid", identity, label, "obsolete"]).to_pylist()}
    found: dict[str, list[dict[str, Any]]] = {"new": [], "renamed": [], "obsolete": [], "dropped": []}
    columns = [one for one in ("uid", identity, label, "obsolete", "replaced_by") if one in table.column_names]
    names = _names(registry, table)
    for row in table.select(list(dict.fromkeys(columns))).to_pylist():
        was = old.pop(row["uid"], None)
        one = {"uid": row["uid"], identity: row[identity], "before": was and was[label], "after": row[label]}
        one["replaced_by"] = row.get("replaced_by")
        one["replaced_by_name"] = names.get(one["replaced_by"])
        if was is None:
            found["new"].append(one)
        elif row.get("obsolete") and not was["obsolete"]:
            found["obsolete"].append(one)
        elif row[label] != was[label]:
            found["renamed"].append(one)
    for uid, was in old.items():
        if not was["obsolete"]:
            one = {"uid": uid, identity: was[identity], "before": was[label], "after": None, "replaced_by": None}
            found["dropped"].append(one | {"replaced_by_name": None})
    return found


def _names(registry: type[Entry], table: pa.Table) -> dict[str | None, str]:
    """Return what those entries are called that stand in the stead of others, by identifier."""
    if "replaced_by" not in table.column_names:
        return {}
    identifiers = table[registry.identity_field]
    there = table.filter(pc.is_in(identifiers, pc.unique(table["replaced_by"]).drop_null()))
    columns = (there[name].to_pylist() for name in (registry.identity_field, registry.label_field))
    return dict(zip(*columns, strict=True))


def _keeping(before: pa.Table, after: pa.Table) -> pa.Table:
    """Return the new rows with what is the row's own: who made it and when, synonyms that it had, what no source says."""
    old = before.take(pc.index_in(after["uid"], before["uid"].combine_chunks()))
    for name in ("created_at", "created_by", "run"):
        after = replaced(after, name, old[name])
    return with_synonyms(after, after, old)


def _pin(txn: Transaction, home: Instance, source: PublicSource) -> None:
    """Pin a version, and unpin the others of its source."""
    ensure_source(txn, home, source)
    uid = source_uid(source.entity, source.source, source.organism, source.version)
    rows = txn.snapshot.lookup("source", "entity", [source.entity]).to_pylist()
    like = [row for row in rows if (row["name"], row["organism"]) == (source.source, source.organism)]
    changed = [row | {"pinned": row["uid"] == uid} for row in like if row["pinned"] != (row["uid"] == uid)]
    if changed:
        txn.upsert("source", changed)


def _stead(registry: type[Entry], rows: pa.Table) -> dict[str, str]:
    """Return the uid in whose stead another one is, by the uid of an obsolete entry."""
    there = rows.filter(pc.and_(rows["obsolete"], pc.is_valid(rows["replaced_by"]))).select(["uid", "replaced_by"])
    return {row["uid"]: entry_uid(registry.meta.name, row["replaced_by"]) for row in there.to_pylist()}


def _move(txn: Transaction, home: Instance, registry: type[Entry], stead: Mapping[str, str]) -> None:
    """Let what carries replaced entries carry those in their stead, where these are in the registry."""
    far = registry.meta.table
    missing = set(txn.snapshot.missing(far, pa.array(stead.values(), pa.string())))
    moves = {old: new for old, new in stead.items() if new not in missing}
    for holder in HOLDERS:
        table = link_table(holder, far)
        if moved := repoint_column(txn, table, far, moves):
            _log.info("%d labels of %s moved to the entries in their stead", moved, table)
