"""What is to be ingested: the entries of a manifest, a folder, or a pattern of paths or URLs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.base import is_instance_of
from formats.frames import FRAME_TYPES, to_arrow
from formats.keys import check_source, suffix_of
from formats.registry import format_of
from formats.remote import check_url, is_remote
from lakehouse.errors import InputError, LakehouseError, NotFound, did_you_mean, shown
from registries.ingest.bucket import of_urls
from registries.ingest.entries import Entries, Note, Source
from registries.ingest.folders import MAGIC, of_folder, of_pattern

if TYPE_CHECKING:
    import pyarrow as pa

    from registries.instance import Instance

__all__ = ["source_of"]

_COLUMNS = ("path", "key", "description", "features", "labels")
_NOTHING = Note()
_BETWEEN = re.compile(r"\s*[;|]\s*")


def source_of(given: Any, home: Instance, *, prefix: str | None) -> Source:
    """Return the entries of what ``lh.ingest`` is given.

    Raises
    ------
    InputError
        When a manifest lacks a column, or it is none of these.
    NotFound
        When nothing is there.
    """
    if any(is_instance_of(given, dotted) for dotted in FRAME_TYPES):
        return Source("frame", _of_manifest(to_arrow(given), Path.cwd(), home))
    if not isinstance(given, str | os.PathLike):
        raise InputError(
            f"ingest({shown(given)}): a manifest (csv, parquet or a frame), a folder, or a pattern of paths or URLs is "
            "accepted"
        )
    text = os.fspath(given)
    if is_remote(text):
        return of_urls(text, home, prefix)
    if Path(text).is_dir():
        return of_folder(Path(text), home, prefix)
    if MAGIC.search(text) and not Path(text).exists():
        return of_pattern(text, prefix)
    return _of_file(check_source(text), home)


def _of_file(path: Path, home: Instance) -> Source:
    fmt = format_of(path, suffix_of(path))
    if fmt.kind != "dataframe":
        raise InputError(
            f"{shown(str(path))} is {fmt.name}, and no manifest: a table with a column 'path' is accepted, or a folder"
        )
    table = fmt.load_as(path, "arrow")
    return Source(str(path.absolute()), _of_manifest(table, path.absolute().parent, home))


# Manifests


def _of_manifest(table: pa.Table, beside: Path, home: Instance) -> Entries:
    """Return the entries of a manifest; paths are relative to where it lies."""
    for name in table.column_names:
        if name not in _COLUMNS:
            raise InputError(f"the manifest has a column {shown(name)}{did_you_mean(name, _COLUMNS)}")
    if "path" not in table.column_names:
        raise InputError(f"the manifest has no column 'path', but {', '.join(map(shown, table.column_names))}")
    if not table.num_rows:
        raise InputError("the manifest has no rows: there is nothing to ingest")
    entries, missing = Entries(), [None] * table.num_rows
    columns = [table[name].to_pylist() if name in table.column_names else missing for name in _COLUMNS]
    roots = sorted((store.root for store in home.stores.all() if is_remote(store.root)), key=len, reverse=True)
    for row, given in enumerate(zip(*columns, strict=True)):
        _add_row(entries, row, given, beside, roots)
    _refuse_twins(entries, entries.keys, "key")
    _refuse_twins(entries, entries.paths, "path")
    return entries


def _refuse_twins(entries: Entries, values: list[str], what: str) -> None:
    seen: dict[str, int] = {}
    for row, value in enumerate(values):
        if row not in entries.faults and (first := seen.setdefault(value, row)) != row:
            message = f"{what} {shown(value)} stands in the rows {first} and {row} of the manifest: leave one of them"
            entries.faults[row] = f"duplicate_{what}", message


def _add_row(entries: Entries, row: int, given: tuple[Any, ...], beside: Path, roots: list[str]) -> None:
    path, key, description, features, labels = given
    if not isinstance(path, str) or not path.strip():
        entries.paths.append(f"row {row}")
        entries.keys.append(f"row {row}")
        entries.faults[row] = "no_path", f"row {row} of the manifest has no path"
        return
    place = path if is_remote(path) else os.path.normpath(beside / path)
    entries.paths.append(place)
    entries.keys.append(str(key) if key is not None and str(key).strip() else _implied_key(path, roots))
    try:
        note = Note(description or None, _features(features), _labels(labels))
        if note != _NOTHING:
            entries.notes[row] = note
        if is_remote(path):
            entries.paths[-1] = check_url(path)
        else:
            check_source(place, folders=True)
    except LakehouseError as error:
        if is_remote(path):  # what follows may hold a secret
            entries.paths[-1] = entries.keys[-1] = f"row {row}"
        entries.faults[row] = _reason(error), f"row {row} of the manifest: {error}"


def _implied_key(path: str, roots: list[str]) -> str:
    """Return the key of a row without one: a relative path, the place in a registered bucket, else the name."""
    if is_remote(path):
        root = next((root for root in roots if path.startswith(f"{root}/")), path.rpartition("/")[0])
        return path[len(root) + 1 :]
    return Path(path).name if Path(path).is_absolute() else path.removeprefix("./")


def _reason(error: Exception) -> str:
    return "not_found" if isinstance(error, NotFound) else "manifest"


def _labels(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    names = _BETWEEN.split(given.strip()) if isinstance(given, str) else list(given)
    if not all(isinstance(name, str) for name in names):
        raise InputError(f"labels {shown(given)}: names with ';' between them, or a list of names is accepted")
    return tuple(dict.fromkeys(name for name in names if name))


def _features(given: Any) -> Mapping[str, Any] | None:
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else None
        except (ValueError, RecursionError) as error:
            raise InputError(f'features {shown(given)}: JSON such as {{"temperature": 21.5}} is accepted') from error
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InputError(f"features {shown(given)}: values by the name of a feature are accepted")
    return {name: value for name, value in given.items() if value is not None} or None
