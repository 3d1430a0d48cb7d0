"""``source list``, ``source show``, ``source add``, ``source pin``, ``source download``, ``source import`` and ``source upgrade``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lakehouse.cli.progress import downloaded
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import InputError, shown
from registries.ontology.importing import Wanted, resolved
from registries.ontology.known import KnownSource, known_source, known_sources, pin_source, registry_of
from registries.ontology.obtain import is_url, local_path
from registries.ontology.upgrade import Upgrade

__all__ = ["add", "download_file", "import_whole", "list_all", "pin", "show", "upgrade"]

_KINDS = {
    "new": "new",
    "renamed": "renamed",
    "replaced": "obsolete, with another in its stead",
    "obsolete": "obsolete, with nothing in its stead",
    "dropped": "not in it any more, becomes obsolete",
}
"""What an upgrade does to entries, and how that is told."""


def list_all(screen: Screen, entity: str | None, *, imported: bool, here: bool) -> None:
    """Show the versions of sources."""
    with opened(screen, read_only=True) as lake:
        name = registry_of(lake, entity).meta.name if entity is not None else None
        rows = [_row(one) for one in known_sources(lake, name)]
    rows = [row for row in rows if (row["entries"] or not imported) and (row["file"] or not here)]
    if screen.options.json:
        screen.document(rows)
        return
    columns = ("entity", "source", "organism", "version", "pinned", "entries", "here", "title")
    told = [
        {**row, "pinned": row["pinned"] or None, "here": _where(row), "entries": row["entries"] or None} for row in rows
    ]
    screen.table(columns, [[row[c] for c in columns] for row in told], right=("entries",), spare=("title",))
    screen.note(
        "`lakehouse source import ENTITY --source NAME --version VERSION` imports one; `source show` tells more."
    )


def show(screen: Screen, entity: str, *, source: str | None, version: str | None, organism: str | None) -> None:
    """Show what is known of a source."""
    with opened(screen, read_only=True) as lake:
        wanted = Wanted(source=source, version=version, organism=organism)
        row = _row(known_source(registry_of(lake, entity), wanted))
    if screen.options.json:
        screen.document(row)
        return
    screen.table(("", "value"), [[name, value] for name, value in row.items() if value not in (None, "")])


def add(
    screen: Screen,
    entity: str,
    name: str,
    version: str,
    url: str,
    *,
    fields: Mapping[str, Any],
    pinned: bool,
) -> None:
    """Add a source of the user's own."""
    place = url if is_url(url) else str(local_path(url).absolute())
    if not is_url(place) and not Path(place).is_file():
        raise InputError(f"there is no file {shown(place)}: name one that is there, or a URL")
    with opened(screen) as lake:
        registry = registry_of(lake, entity)
        record = lake.Source(entity=registry.meta.name, name=name, version=version, url=place, **fields)
        row = (record.pin() if pinned else record.save()).to_row()
    if screen.options.json:
        screen.document(row)
        return
    screen.line(f"added {name} {version} to the sources of {row['entity']}{': it is pinned' if row['pinned'] else ''}")


def pin(screen: Screen, entity: str, *, source: str | None, version: str, organism: str | None) -> None:
    """Let a version be the one that is used."""
    with opened(screen) as lake:
        registry = registry_of(lake, entity)
        row = pin_source(registry, Wanted(source=source, version=version, organism=organism)).to_row()
    if screen.options.json:
        screen.document(row)
        return
    screen.line(
        f"{row['entity']}: {row['name']} {row['version']} ({row['organism']}) is used where no version is named"
    )


def download_file(
    screen: Screen, entity: str, *, source: str | None, version: str | None, organism: str | None
) -> None:
    """Bring a source's file to this machine."""
    with opened(screen, read_only=True) as lake, downloaded(screen, "downloading") as progress:
        wanted = Wanted(source=source, version=version, organism=organism, progress=progress)
        meant, file = resolved(registry_of(lake, entity), wanted, lake)
    if screen.options.json:
        screen.document(
            {"source": meant.source, "version": meant.version, "organism": meant.organism, "path": str(file)}
        )
        return
    screen.line(str(file))


def import_whole(screen: Screen, entity: str, wanted: Mapping[str, Any], *, enrich: bool) -> None:
    """Import a whole source."""
    with opened(screen) as lake:
        registry = registry_of(lake, entity)
        with downloaded(screen, f"importing {registry.meta.name}") as progress:
            done = registry.import_source(**wanted, progress=progress, enrich=enrich)
    if screen.options.json:
        screen.document(asdict(done))
        return
    more = f", {done.enriched:,} of these enriched" if enrich else ""
    screen.line(
        f"{registry.meta.name}: {done.added:,} entries added from {done.source}; {done.kept:,} were there{more}"
    )


def upgrade(
    screen: Screen,
    entity: str,
    wanted: Mapping[str, Any],
    *,
    applied: bool,
    move_labels: bool,
    limit: int,
) -> None:
    """Show what a version changes, and do it where that is asked for."""
    with opened(screen, read_only=not applied) as lake:
        registry = registry_of(lake, entity)
        with downloaded(screen, f"reading {registry.meta.name}") as progress:
            plan = registry.upgrade_source(**wanted, progress=progress)
        changes, carrying = _changes(plan), plan.artifacts().to_dicts()
        if applied:
            plan.apply(move_labels=move_labels)
    if screen.options.json:
        told = {"source": plan.source.source, "version": plan.source.version, "applied": applied}
        screen.document({**told, **changes, "artifacts": carrying})
        return
    _tell_changes(screen, registry.identity_field, changes, limit)
    _tell_artifacts(screen, carrying, limit)
    if applied:
        screen.line(f"{registry.meta.name} is at {plan.source}")
    else:
        screen.note("Nothing was changed: --apply does it, --move-labels with it lets labels follow replacements.")


def _changes(plan: Upgrade) -> dict[str, list[dict[str, Any]]]:
    """Return what becomes of entries, each under one kind."""
    bare = [one for one in plan.obsolete if not one["replaced_by"]]
    kinds = (plan.new, plan.renamed, plan.replaced, bare, plan.dropped)
    return dict(zip(_KINDS, kinds, strict=True))


def _tell_changes(screen: Screen, identity: str, changes: Mapping[str, list[dict[str, Any]]], limit: int) -> None:
    for kind, entries in changes.items():
        screen.line(f"{len(entries):,} {_KINDS[kind]}{':' if entries else ''}")
        for one in entries[: limit or None]:
            screen.line(f"  {_change(one, identity)}")
        if limit and len(entries) > limit:
            screen.line(f"  ... and {len(entries) - limit:,} more: --limit 0 shows all")


def _change(one: Mapping[str, Any], identity: str) -> str:
    names = dict.fromkeys(name for name in (one["before"], one["after"]) if name)
    stead = f" -> {_named(one)}" if one["replaced_by"] else ""
    return f"{one[identity]}  {' => '.join(names)}{stead}"


def _named(one: Mapping[str, Any]) -> str:
    """Return what is in the stead of an entry, with its name where the source has it."""
    return " ".join(filter(None, (one["replaced_by"], one["replaced_by_name"])))


def _tell_artifacts(screen: Screen, carrying: list[dict[str, Any]], limit: int) -> None:
    if not carrying:
        return
    screen.line(f"{len(carrying):,} labels of artifacts are, or become, obsolete:")
    rows = [[one["key"], one["identifier"], one["name"], _named(one)] for one in carrying[: limit or None]]
    screen.table(("artifact", "carries", "name", "in its stead"), rows)


def _row(one: KnownSource) -> dict[str, Any]:
    """Return what is told of a source, in the order in which it is told."""
    source = one.source
    return {
        "entity": source.entity,
        "source": source.source,
        "organism": source.organism,
        "version": source.version,
        "title": source.title or None,
        "pinned": one.pinned,
        "entries": one.entries,
        "registered": one.registered,
        "file": str(one.file) if one.file is not None else None,
        "url": source.url or None,
        "format": source.format or None,
        "prefix": source.prefix or None,
        "licence": source.licence or None,
        "checksum": source.checksum or None,
    }


def _where(row: Mapping[str, Any]) -> str | None:
    return "yes" if row["file"] else None
