"""The versions of sources that an instance may import from: what it says of each, and what is on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, did_you_mean, shown
from registries.binding import REGISTRIES
from registries.ontology.importing import Wanted, chosen, of_row, source_record
from registries.ontology.obtain import at_hand
from registries.ontology.published import PublicSource, public_sources
from registries.ontology.source import Source, source_uid
from registries.ontology.term import Entry

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["KnownSource", "known_source", "known_sources", "pin_source", "registry_of"]


@dataclass(frozen=True, kw_only=True)
class KnownSource:
    """A version of a source, as an instance sees it."""

    source: PublicSource
    pinned: bool
    """Whether it is the version that is used where none is named."""
    entries: int
    """How many entries of the registry are from it."""
    registered: bool
    """Whether the instance has a record of it."""
    file: Path | None
    """Where it lies on this machine; None where it would have to be downloaded."""


def registry_of(home: Instance, entity: str) -> type[Entry]:
    """Return the registry that a class or table name means, of those that take terms from sources.

    Raises
    ------
    InputError
        When there is none.
    """
    there = [one for one in REGISTRIES.values() if issubclass(one, Entry) and home.has(one.meta.table)]
    for registry in there:
        if entity in (registry.__name__, registry.meta.table):
            return home.bound(registry)
    names = sorted(registry.__name__ for registry in there)
    raise InputError(f"{shown(entity)} takes no terms from sources{did_you_mean(entity, names)}")


def known_sources(home: Instance, entity: str | None = None) -> list[KnownSource]:
    """Return all versions that an instance may import from, of one registry or of all; pinned ones come first."""
    rows, counts = _registered(home, entity), dict[str, int]()
    for table in {registry_of(home, name).meta.table for name, *_ in rows}:
        counts |= _entries(home, table)
    known = {_key(source): source for source in public_sources(entity) if _is_here(home, source.entity)}
    every = [*(of_row(row) for key, row in rows.items() if key not in known), *known.values()]
    found = [_seen(source, rows.get(_key(source)), counts) for source in every]
    return sorted(found, key=lambda one: (one.source.entity, not one.pinned))


def known_source(registry: type[Entry], wanted: Wanted) -> KnownSource:
    """Return the one of them that would be imported."""
    home = registry.home()
    meant = _key(chosen(registry, home.snapshot(), wanted))
    return next(one for one in known_sources(home, registry.meta.name) if _key(one.source) == meant)


def pin_source(registry: type[Entry], wanted: Wanted) -> Source:
    """Let a version be the one that is used where none is named, whether it was imported or not; return its record."""
    home = registry.home()
    home.refuse_reading_only()
    return source_record(home, chosen(registry, home.snapshot(), wanted)).pin()


def _key(source: PublicSource) -> tuple[str, str, str, str]:
    return source.entity, source.source, source.organism, source.version


def _registered(home: Instance, entity: str | None) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    rows = home.snapshot().arrow('select * from "source" order by created_at', [], ["source"]).to_pylist()
    mine = [row for row in rows if entity in (None, row["entity"])]
    return {(row["entity"], row["name"], row["organism"], row["version"]): row for row in mine}


def _entries(home: Instance, table: str) -> dict[str, int]:
    """Return how many entries of a registry are from each of its sources, by the uids of these."""
    statement = f"select source, count(*) as n from {quoted(table)} where source is not null group by 1"
    return {row["source"]: row["n"] for row in home.snapshot().arrow(statement, [], [table]).to_pylist()}


def _is_here(home: Instance, entity: str) -> bool:
    return any(home.has(one.meta.table) for one in REGISTRIES.values() if one.__name__ == entity)


def _seen(source: PublicSource, row: Mapping[str, Any] | None, counts: Mapping[str, int]) -> KnownSource:
    """Return what is told of a source; where it lies is what a record of it says, unless it is installed."""
    entries = counts.get(source_uid(*_key(source)), 0) if row is not None else 0
    told = source if row is None or not row["url"] or source.file is not None else of_row(row)
    return KnownSource(
        source=told,
        pinned=bool(row and row["pinned"]),
        entries=entries,
        registered=row is not None,
        file=at_hand(told),
    )
