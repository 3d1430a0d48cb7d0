"""What ``validate`` and ``schema`` do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from formats.keys import check_source
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import InputError, InvalidFile
from registries.checking import Checked, check_files, stale
from registries.curate import find_schema
from registries.instance import Instance
from registries.parts import loaded

__all__ = ["add_schema", "list_schemas", "list_stale", "show_schema", "validate"]


def validate(
    screen: Screen,
    paths: Sequence[Path],
    *,
    schema: str | None,
    save: bool,
    on_invalid: str,
    quarantine: Path | None,
) -> None:
    """Validate files, and save those that conform where that is asked for."""
    if not paths:
        raise InputError("validate needs a PATH, or --stale")
    if schema is None:
        raise InputError("validate needs --schema NAME: `lakehouse schema list` lists them")
    with opened(screen, read_only=not save) as lake:
        found = check_files(lake, paths, schema, save=save, on_invalid=on_invalid, quarantine=quarantine)
    _tell(screen, found)


def list_stale(screen: Screen, *, schema: str | None) -> None:
    """List the artifacts that were valid and no longer conform."""
    with opened(screen, read_only=True) as lake:
        found = stale(lake, schema)
    if not found:
        screen.line("all artifacts that were valid conform still")
    _tell(screen, found)


def _tell(screen: Screen, found: Sequence[Checked]) -> None:
    if screen.options.json:
        screen.document([one.to_dict() for one in found])
    for one in found:
        screen.line(f"{one.name}: {one.outcome}, {one.report!r}")
    if any(not one.report.ok for one in found):
        raise typer.Exit(1)


def list_schemas(screen: Screen) -> None:
    """List the schemas."""
    with opened(screen, read_only=True) as lake:
        records = lake.Schema.filter().order_by("name", "version").all()
    rows = [(one.name, one.version, ", ".join(one.definition.slots), one.description, one.uid) for one in records]
    names = ("name", "version", "slots", "description", "uid")
    if screen.options.json:
        screen.document([dict(zip(names, row, strict=True)) for row in rows])
    else:
        screen.table(names, rows, right=("version",), spare=("description",))


def show_schema(screen: Screen, name: str) -> None:
    """Show the newest version of a schema."""
    with opened(screen, read_only=True) as lake:
        found = find_schema(lake, name)
    if screen.options.json:
        screen.document(json.loads(found.to_json()))
    else:
        screen.line(found.to_yaml().rstrip())


def add_schema(screen: Screen, file: Path, *, name: str | None) -> None:
    """Save a schema from a file."""
    path = check_source(file)
    with opened(screen) as lake:
        made = _read(lake, path, name)
        made.save()
        if screen.options.json:
            screen.document({"name": made.name, "version": made.version, "uid": made.uid})
        screen.line(f"schema {made.name!r}, version {made.version}")


def _read(lake: Instance, path: Path, name: str | None) -> Any:
    if path.suffix in (".yaml", ".yml", ".json"):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InvalidFile(f"{str(path)!r} is no UTF-8: save it so") from None
        made = (lake.Schema.from_json if path.suffix == ".json" else lake.Schema.from_yaml)(text, name=name)
        if not made.name:
            raise InputError(f"{str(path)!r} gives the schema no name: pass --name")
        return made
    return lake.Schema.infer(loaded(path), name=name or path.stem)
