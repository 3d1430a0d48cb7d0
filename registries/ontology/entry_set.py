"""Entries for a list of values: those that are there, and those that a public source knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, LakehouseError, RecordNotFound, Unavailable, shown
from registries.ontology.identity import CLEAR
from registries.ontology.importing import Wanted, add_rows, organism_meant
from registries.ontology.public import PublicEntries, public_entries
from registries.record import Saved

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.ontology.term import Entry

__all__ = ["EntrySet", "entries_for"]

pc: Any = _compute
E = TypeVar("E", bound="Entry")
_log = logging.getLogger("lakehouse")


class EntrySet(Generic[E]):
    """What ``from_values`` returns: a record per value that is known, in input order; nothing is written before ``save``.

    Attributes
    ----------
    records
        The records, each once; those that are not in the registry yet are not saved.
    unknown
        Values that neither the registry nor the source knows, in input order.
    ambiguous
        For values that several entries go by, the identifiers of these; none of them is chosen.
    """

    def __init__(self, records: list[E], unknown: list[str], ambiguous: dict[str, list[str]]) -> None:
        self.records, self.unknown, self.ambiguous = records, unknown, ambiguous
        self.public: PublicEntries | None = None
        self.places: list[int] = []

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[E]:
        return iter(self.records)

    def __getitem__(self, place: int) -> E:
        return self.records[place]

    def __repr__(self) -> str:
        new = sum(not record.is_saved for record in self.records)
        told = f"{len(self)} records, {new} of them new; {len(self.unknown)} unknown: {shown(self.unknown[:5])}"
        if self.ambiguous:
            some = list(self.ambiguous.items())[:5]
            meant = ", ".join(f"{shown(value)} ({' or '.join(ids)})" for value, ids in some)
            told += f"; {len(self.ambiguous)} not clear: {meant}"
        return f"<{told}>"

    def save(self) -> Self:
        """Save what is new, with all that is above it, in one commit."""
        public = self.public
        if public is None or not self.places:
            return self
        home = public.registry.home()
        new = [record for record in self.records if not record.is_saved]
        home.change(new, lambda txn: self._add(txn, home, public, new))
        return self

    def _add(self, txn: Transaction, home: Instance, public: PublicEntries, new: list[E]) -> None:
        table = with_ancestors(public, self.places)
        add_rows(public.registry, txn, home, public.source, table)
        rows = txn.snapshot.lookup(public.registry.meta.table, "uid", table["uid"].to_pylist()).to_pylist()
        by_uid = {row["uid"]: row for row in rows}
        for record in new:
            record.settle(Saved(by_uid[record.own_uid()]), home)


def with_ancestors(public: PublicEntries, places: list[int]) -> pa.Table:
    """Return the rows of entries and of all that is above them."""
    chosen = public.table.take(pa.array(places, pa.int64()))
    if public.hierarchy is None:
        return chosen
    above = public.hierarchy.above(chosen["uid"].to_pylist())
    return public.table.filter(pc.is_in(public.table["uid"], above))


def entries_for(registry: type[E], values: Iterable[str], wanted: Wanted) -> EntrySet[E]:
    """Return the entries for values; see ``Entry.from_values``."""
    home = registry.home()
    asked = _texts(registry, values)
    found, several = _there(registry, home, asked, wanted.organism)
    rest = [value for value in asked if value not in found and value not in several]
    public = _public(registry, wanted, rest) if rest else None
    places: dict[str, int] = {}
    if public is not None:
        places, unclear = public.places(rest)
        several |= unclear
    if public is not None:
        found |= {value: _new(registry, public, place) for value, place in places.items()}
    records = list({found[value].own_uid(): found[value] for value in asked if value in found}.values())
    unknown = [value for value in asked if value not in found and value not in several]
    entries = EntrySet(records, unknown, several)
    entries.public, entries.places = public, sorted(set(places.values()))
    _tell(registry, entries)
    return entries


def _tell(registry: type[E], entries: EntrySet[E]) -> None:
    """Say which values came to nothing, where they were looked up, and what they may mean."""
    name, where = registry.meta.name, f" nor to {entries.public.source}" if entries.public is not None else ""
    if entries.unknown:
        known = "neither known to the registry" + where if where else "not known"
        _log.warning("%d values of %s are %s: %s", len(entries.unknown), name, known, shown(entries.unknown[:10]))
    if entries.ambiguous:
        some = list(entries.ambiguous.items())[:10]
        meant = "; ".join(f"{shown(value)} may be {', '.join(these)}" for value, these in some)
        _log.warning("%d values of %s are not clear, give identifiers: %s", len(entries.ambiguous), name, meant)


def _texts(registry: type[Entry], values: Iterable[str]) -> list[str]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(
            f"{registry.meta.name}.from_values({shown(values)}): a list of names or identifiers is accepted"
        )
    given: Any = values
    plain = given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's own values are no text
    texts = [value for value in dict.fromkeys(plain) if value is not None and value == value]
    for value in texts:
        if not isinstance(value, str):
            raise InputError(f"{registry.meta.name}.from_values([...{shown(value)}...]): text is accepted")
    return list(dict.fromkeys(map(registry.plain, texts)))


def _there(
    registry: type[E], home: Instance, values: list[str], organism: str | None
) -> tuple[dict[str, E], dict[str, list[str]]]:
    """Return the records that the registry has already, and the identifiers that ambiguous values may mean.

    Identifiers go before those that were merged into others, these before names, these before exact and previous synonyms, and current entries before obsolete ones.
    """
    found, several = dict[str, E](), dict[str, list[str]]()
    snapshot, bound = home.snapshot(), home.bound(registry)
    mine = _organism(snapshot, registry, organism)
    for hits in (_by_identity, _by_alternative, _by_label, _by_synonym):
        rest = [value for value in values if value not in found and value not in several]
        for value, rows in hits(registry, snapshot, rest).items() if rest else ():
            ours = [row for row in rows if mine is None or row["organism"] == mine]
            live = [row for row in ours if not row["obsolete"]] or ours
            ids = [str(row[registry.identity_field] or row["uid"]) for row in live]
            meant = organism_meant(registry, value, ids) if len(live) > 1 else None
            if len(live) == 1 or meant is not None:
                found[value] = bound.from_row(live[0 if meant is None else ids.index(meant)], home)
            elif live:
                several[value] = sorted(ids)
    return found, several


def _organism(snapshot: Snapshot, registry: type[Entry], name: str | None) -> str | None:
    """Return the uid of an organism that goes by a name, where entries belong to one."""
    if name is None or "organism" not in registry.meta.columns:
        return None
    statement = 'select uid from "organism" where name = ? or ontology_id = ? or list_contains(synonyms, ?)'
    rows = snapshot.arrow(statement, [name] * 3, ["organism"])["uid"].to_pylist()
    return rows[0] if rows else "none"


_Rows: TypeAlias = dict[str, list[dict[str, Any]]]


def _by_identity(registry: type[Entry], snapshot: Snapshot, values: list[str]) -> _Rows:
    return _by_field(registry, snapshot, values, registry.identity_field)


def _by_label(registry: type[Entry], snapshot: Snapshot, values: list[str]) -> _Rows:
    return _by_field(registry, snapshot, values, registry.label_field)


def _by_field(registry: type[Entry], snapshot: Snapshot, values: list[str], field: str) -> _Rows:
    found: _Rows = {}
    for row in snapshot.lookup(registry.meta.table, field, values).to_pylist():
        found.setdefault(row[field], []).append(row)
    return found


def _by_alternative(registry: type[Entry], snapshot: Snapshot, values: list[str]) -> _Rows:
    table, wanted, found = registry.meta.table, set(values), _Rows()
    statement = f"select * from {quoted(table)} where list_has_any(alternative_ids, ?::VARCHAR[])"
    for row in snapshot.arrow(statement, [values], [table]).to_pylist():
        for identifier in wanted.intersection(row["alternative_ids"]):
            found.setdefault(identifier, []).append(row)
    return found


def _by_synonym(registry: type[Entry], snapshot: Snapshot, values: list[str]) -> _Rows:
    table, wanted, found = registry.meta.table, set(values), _Rows()
    statement = f"select * from {quoted(table)} where list_has_any(synonyms, ?::VARCHAR[])"
    for row in snapshot.arrow(statement, [values], [table]).to_pylist():
        for name, scope in zip(row["synonyms"], row["synonym_scopes"], strict=False):
            if name in wanted and scope in CLEAR:
                found.setdefault(name, []).append(row)
    return found


def _public(registry: type[Entry], wanted: Wanted, values: list[str]) -> PublicEntries | None:
    """Return the source, or None where there is none at hand: that is told, and the values count as unknown."""
    try:
        return public_entries(registry, wanted)
    except (Unavailable, RecordNotFound) as error:
        if any((wanted.version, wanted.source, wanted.path)):  # the caller names a source, and is to hear of it
            raise
        _say_why(registry, values, error)
        return None


def _say_why(registry: type[Entry], values: list[str], error: LakehouseError) -> None:
    _log.warning("%d values of %s were looked up in no public source: %s", len(values), registry.meta.name, error)


def _new(registry: type[E], public: PublicEntries, place: int) -> E:
    row: dict[str, Any] = public.table.slice(place, 1).to_pylist()[0]
    return registry(**{name: value for name, value in row.items() if name in registry.meta.columns and name != "uid"})
