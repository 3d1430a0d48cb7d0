"""``registry list``, ``show``, ``add`` and ``create``; ``migrate plan``, ``apply``, ``check``, ``list``; ``import lamindb``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from lakehouse import api, customizing
from lakehouse.cli.progress import counted
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from registries.adding import add as add_all
from registries.adding import named, registry_called
from registries.binding import REGISTRIES
from registries.custom import PLUGIN
from registries.instance import Instance
from registries.migrated import broken_rules, recorded
from registries.migration import Step, planned
from registries.record import Record

__all__ = ["add", "apply", "check", "create", "history", "import_lamindb", "list_all", "plan", "show"]


def list_all(screen: Screen) -> None:
    """Show the registries of the instance."""
    with opened(screen, read_only=True) as lake:
        rows = []
        for table, registry in REGISTRIES.items():
            if lake.has(table) and registry.meta.title != "uid":
                count = lake.bound(registry).filter().count()
                meta = registry.meta
                rows.append(
                    {"registry": meta.name, "table": table, "records": count, "from": meta.origin or "built in"}
                )
    if screen.options.json:
        screen.document(rows)
        return
    screen.table(("registry", "table", "records", "from"), [list(row.values()) for row in rows], right=("records",))


def show(screen: Screen, name: str) -> None:
    """Show the columns of a registry."""
    with opened(screen, read_only=True) as lake:
        meta = registry_called(lake, name).meta
    columns = [
        {
            "column": column.name,
            "type": column.accepted,
            "refers to": column.references,
            "unique": column.unique or (column.name,) in meta.unique,
            "meaning": column.doc,
        }
        for column in meta.columns.values()
    ]
    if screen.options.json:
        screen.document({"registry": meta.name, "table": meta.table, "from": meta.origin or None, "columns": columns})
        return
    screen.line(f"{meta.name} (table {meta.table}): {meta.comment}")
    screen.table(list(columns[0]), [list(column.values()) for column in columns], spare=("meaning",))


def add(screen: Screen, classes: Sequence[str], *, allow_loss: bool) -> None:
    """Add registries that classes declare."""
    with opened(screen) as lake:
        found = _classes(classes)  # only now: a class that was changed since would make the instance look older
        done = add_all(lake, found, allow_loss=allow_loss)
    _told(screen, done.steps, done.commit, nothing="is there already, as it is declared")


def create(screen: Screen, name: str, source: Path, *, key: str, dry_run: bool) -> None:
    """Make a registry of a sample sheet."""
    with opened(screen, read_only=dry_run):
        report = customizing.create_registry(name, source, key=key, dry_run=dry_run)
    if screen.options.json:
        screen.document(asdict(report))
        return
    screen.line(
        f"{report.registry} (table {report.table}): {'would be' if dry_run else 'is'} told apart by {report.key}"
    )
    rows = [[one.header, one.column, one.kind, one.why] for one in report.decisions]
    screen.table(("in the sheet", "column", "type", "decided"), rows, spare=("in the sheet",))
    if not dry_run:
        screen.line(f"{report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged")


def plan(screen: Screen, classes: Sequence[str]) -> None:
    """Show what a migration would do."""
    found = _classes(classes)
    with opened(screen, read_only=True) as lake:
        steps = planned(lake, found).steps
        unseen = _unseen(lake, found)
    if screen.options.json:
        screen.document([asdict(step) for step in steps])
        return
    for step in steps:
        screen.line(str(step))
    if not steps:
        screen.line("nothing to migrate: the instance is up to date")
    if unseen:
        screen.note(f"compared with their classes only when these are named: {', '.join(unseen)}")


def apply(screen: Screen, classes: Sequence[str], *, allow_loss: bool) -> None:
    """Migrate."""
    done = customizing.migrate(*_classes(classes), root=_root(screen), allow_loss=allow_loss)
    _told(screen, done.steps, done.commit, nothing="is up to date: nothing was changed")


def _root(screen: Screen) -> Any:
    return screen.options.instance if screen.options.instance is not None else api.place_of(None)


def check(screen: Screen, classes: Sequence[str]) -> None:
    """Verify that nothing is left to migrate, and that rows meet what is declared."""
    found = _classes(classes)
    with opened(screen, read_only=True) as lake:
        steps = [str(step) for step in planned(lake, found).steps]
        broken = broken_rules(lake)
        harm = [f"{one.where}: {one.message}" for one in lake.check().findings if one.severity.name == "HARM"]
    faults = [*(f"to migrate: {step}" for step in steps), *broken, *harm]
    if screen.options.json:
        screen.document({"ok": not faults, "faults": faults})
    for fault in faults:
        screen.line(fault)
    if faults:
        raise typer.Exit(1)
    screen.line("nothing is left to migrate, and all rows meet what is declared")


def history(screen: Screen) -> None:
    """List what was recorded of changes of tables."""
    with opened(screen, read_only=True) as lake:
        rows = recorded(lake)
    if screen.options.json:
        screen.document(rows)
        return
    columns = ("commit", "at", "user", "tables", "message")
    screen.table(columns, [[row[c] for c in columns] for row in rows], right=("commit", "tables"), spare=("user",))


def import_lamindb(screen: Screen, path: Path) -> None:
    """Move in what a LaminDB instance holds."""
    with opened(screen), counted(screen, "moving in") as progress:
        report = customizing.import_lamindb(path, progress=progress)
    if screen.options.json:
        screen.document(asdict(report))
        return
    rows = [[name, moved.there, moved.added, moved.known] for name, moved in report.moved.items()]
    screen.table(("registry", "in LaminDB", "added", "known"), rows, right=("in LaminDB", "added", "known"))
    for note in report.notes:
        screen.line(f"note: {note}")
    for name, count in report.lacking.items():
        screen.line(f"no counterpart: {name} ({count:,})")


def _unseen(lake: Instance, found: Sequence[type[Record]]) -> list[str]:
    """Return where the registries came from whose modules nobody named: an instance's word imports nothing."""
    origins = {one.meta.origin for table, one in REGISTRIES.items() if one not in found and lake.has(table)}
    return sorted(origin for origin in origins if ":" in origin and not origin.startswith((PLUGIN, "__main__")))


def _classes(texts: Sequence[str]) -> list[type[Record]]:
    return [named(text) for text in texts]


def _told(screen: Screen, steps: Sequence[Step], commit: int, *, nothing: str) -> None:
    if screen.options.json:
        screen.document({"commit": commit if steps else None, "steps": [asdict(step) for step in steps]})
        return
    for step in steps:
        screen.line(str(step))
    screen.line(f"done in commit {commit}" if steps else nothing)
