"""Files of a folder, and of a pattern, as entries."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from formats.keys import suffix_of
from formats.registry import folder_suffixes, format_of
from lakehouse.errors import InputError, NotFound, Unavailable, shown
from registries.ingest.entries import Entries, Source

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["MAGIC", "OWN", "of_folder", "of_pattern"]

MAGIC = re.compile(r"[*?[]")
"""Characters that make a pattern of a path."""
OWN = frozenset({"lake.json", "head.json", "catalog.db", "catalog.lock", ".lakehouse"})
"""Names of what an instance itself consists of."""


def of_folder(folder: Path, home: Instance, prefix: str | None) -> Source:
    """Return all files below a folder, by name; or the folder alone, where it is one thing."""
    top = Path(os.path.realpath(folder))
    root = home.root if isinstance(home.root, Path) else None
    if root is not None and root.is_relative_to(top):
        raise InputError(f"{shown(str(folder))} holds this instance itself: name a folder beside it")
    if _is_whole(top):
        held = home.stores.holding(top) if prefix is None else None
        key = _under(prefix or "") + top.name if held is None else held[2]
        return Source(str(top), Entries([str(top)], [key]))
    paths: list[str] = []
    try:
        _walk(str(top), folder_suffixes(), paths)
    except OSError as error:
        raise Unavailable(
            f"{shown(str(folder))} cannot be read: {error.strerror}; mend that, then run it again"
        ) from error
    begin, named = len(str(top).rstrip("/")) + 1, _named(home, top, prefix)
    return Source(str(top), Entries(paths, [named + path[begin:] for path in paths]), top)


def _named(home: Instance, top: Path, prefix: str | None) -> str:
    """Return what keys begin with: what is asked for, or the folder's place in its storage, or its name."""
    if prefix is not None:
        return _under(prefix)
    found = home.stores.holding(top / "_")
    if found is not None:
        return found[2].removesuffix("_")
    return f"{top.name}/"


def _under(prefix: str) -> str:
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _is_whole(folder: Path) -> bool:
    """Tell whether a folder is one thing, such as a store of zarr."""
    suffix = suffix_of(folder.name)
    return suffix in folder_suffixes() and format_of(folder, suffix).name != "folder"


def _walk(folder: str, whole: frozenset[str], paths: list[str]) -> None:
    """Add files by name, and folders that are one thing; no links, nothing hidden. Nothing is asked of a file here."""
    with os.scandir(folder) as found:
        members = {member.name: member for member in found}
    for name in sorted(members):
        member = members[name]
        if name[0] == "." or name in OWN:
            continue
        if member.is_file(follow_symlinks=False):
            paths.append(member.path)
        elif member.is_dir(follow_symlinks=False):
            if (suffix := suffix_of(name)) in whole and format_of(Path(member.path), suffix).name != "folder":
                paths.append(member.path)
            else:
                _walk(member.path, whole, paths)


def of_pattern(text: str, prefix: str | None) -> Source:
    """Return the files that a pattern finds."""
    parts = Path(text).parts
    first = next(n for n, part in enumerate(parts) if MAGIC.search(part))
    top = Path(*parts[:first]) if first else Path()
    found = sorted(path for path in top.glob(str(Path(*parts[first:]))) if path.is_file() and not _hidden(path, top))
    if not found:
        raise NotFound(f"no file matches {shown(text)}: check the pattern (you are in {Path.cwd()})")
    begin = f"{prefix.strip('/')}/" if prefix else ""
    keys = [begin + path.relative_to(top).as_posix() for path in found]
    return Source(str(Path(text).absolute()), Entries([str(path.absolute()) for path in found], keys))


def _hidden(path: Path, top: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(top).parts)
