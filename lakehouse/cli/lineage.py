"""``lineage``: shown, compared, exported and taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from lakehouse.cli.listing import artifact_called
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.text import visible
from lakehouse.errors import RecordNotFound, did_you_mean
from registries.instance import Instance
from registries.lineage.aborted import settle_killed
from registries.lineage.export import tree
from registries.lineage.network import network_of
from registries.lineage.openlineage import as_lines, events_of
from registries.lineage.told import import_events
from registries.lineage.view import FORMATS

__all__ = ["diff", "export", "recipe", "record_called", "show", "take_in", "withdrawal"]


def record_called(lake: Instance, name: str) -> Any:
    """Return the artifact, run, transform or dataset of a name: a key, a uid or its beginning, the name of a script or dataset."""
    try:
        return artifact_called(lake, name)
    except RecordNotFound as error:
        missing = error
    for registry in (lake.Run, lake.Transform, lake.Dataset):
        try:
            return registry.get(name)
        except RecordNotFound:
            continue
    for registry in (lake.Transform, lake.Dataset):
        if (found := registry.filter(name=name).order_by("-uid").first()) is not None:
            return found
    raise missing


def show(
    screen: Screen,
    name: str,
    *,
    direction: str,
    depth: int | None,
    format: str | None,
    output: Path | None,
    every: bool,
) -> None:
    """Show the lineage around a record."""
    if format is not None and format not in FORMATS:
        raise typer.BadParameter(f"{format!r} is no format{did_you_mean(format, FORMATS)}", param_hint="--format")
    with opened(screen, read_only=True) as lake:
        record = record_called(lake, name)
        view = record.view_lineage(direction=direction, depth=depth, collapse=not every)
    if output is not None:
        view.save(output, format=format)
        screen.line(f"wrote {output}")
    elif format in (None, "text") and not screen.options.json:
        screen.write(tree(view.graph, ascii_only=screen.ascii_only) + "\n")
    elif screen.options.json:
        screen.document(view.to_dict())
    else:
        screen.write(view.to_text(format or "text"))


def recipe(screen: Screen, name: str, *, deep: bool) -> None:
    """Say how something is made again."""
    with opened(screen, read_only=True) as lake:
        _told(screen, record_called(lake, name).recipe(deep=deep))


def diff(screen: Screen, first: str, second: str) -> None:
    """Tell the lineage of two artifacts apart."""
    with opened(screen, read_only=True) as lake:
        _told(screen, artifact_called(lake, first).compare_lineage(artifact_called(lake, second)))


def withdrawal(screen: Screen, name: str) -> None:
    """Say what would break if an artifact were withdrawn."""
    with opened(screen, read_only=True) as lake:
        _told(screen, artifact_called(lake, name).withdrawal())


def _told(screen: Screen, found: Any) -> None:
    if screen.options.json:
        screen.document(found.to_dict())
    else:
        screen.write("\n".join(visible(line) for line in str(found).splitlines()) + "\n")


def export(screen: Screen, name: str, *, output: Path | None) -> None:
    """Write runs as events of OpenLineage."""
    with opened(screen) as lake:
        settle_killed(lake)
        record = record_called(lake, name)
        snapshot = lake.snapshot()
        own = [record.uid] if record.meta.table == "run" else []
        if record.meta.table == "transform":
            own = snapshot.lookup("run", "transform", [record.uid])["uid"].to_pylist()
        edges = network_of(snapshot).upstream([record.uid, *own])
        events = events_of(lake, list(dict.fromkeys([*own, *(e.source for e in edges), *(e.target for e in edges)])))
    if screen.options.json:
        screen.document(events)
    elif output is not None:
        output.write_text(as_lines(events), encoding="utf-8")
        screen.line(f"wrote {len(events):,} events to {output}")
    else:
        screen.write(as_lines(events))


def take_in(screen: Screen, file: Path) -> None:
    """Record the runs that events of OpenLineage tell of."""
    with opened(screen) as lake:
        found = import_events(lake, file)
    if screen.options.json:
        values = {"runs": found.runs, "inputs": found.inputs, "outputs": found.outputs, "unknown": found.unknown}
        values["others"] = found.others
        screen.document(values)
        return
    screen.line(f"recorded {len(found.runs):,} runs with {found.inputs:,} inputs and {found.outputs:,} outputs")
    if found.others:
        screen.note(f"{found.others:,} events tell of no run and were passed over")
    if found.unknown:
        some = ", ".join(found.unknown[:5]) + (", …" if len(found.unknown) > 5 else "")
        screen.note(f"{len(found.unknown):,} names are no artifacts' keys: {some}")
