"""Files of a folder, of a pattern, and objects of a bucket, as entries."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from formats.durable import TEMPORARY
from formats.keys import suffix_of
from formats.registry import folder_suffixes, format_of
from formats.remote import check_url
from formats.storage import Storage
from lakehouse.errors import InputError, InvalidKey, NotFound, Unavailable, shown
from registries.ingest.entries import Entries, Source

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["MAGIC", "of_folder", "of_pattern", "of_urls"]

MAGIC = re.compile(r"[*?[]")
"""Characters that make a pattern of a path."""
_QUERY = re.compile(r"\?[^/*?]*=")
_OWN = frozenset({"lake.json", "head.json", "catalog.db", "catalog.lock", ".lakehouse"})


def of_folder(folder: Path, home: Instance, prefix: str | None) -> Source:
    """Return all files below a folder, by name."""
    top = Path(os.path.realpath(folder))
    root = home.root if isinstance(home.root, Path) else None
    if root is not None and root.is_relative_to(top):
        raise InputError(f"{shown(str(folder))} holds this instance itself: name a folder beside it")
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
        return f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    found = home.stores.holding(top / "_")
    if found is not None:
        return found[2].removesuffix("_")
    return f"{top.name}/"


def _walk(folder: str, whole: frozenset[str], paths: list[str]) -> None:
    """Add files by name, and folders that are one thing; no links, nothing hidden. Nothing is asked of a file here."""
    with os.scandir(folder) as found:
        members = {member.name: member for member in found}
    for name in sorted(members):
        if name[0] == "." or name.startswith(TEMPORARY) or name in _OWN:
            continue
        member = members[name]
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


def of_urls(text: str, home: Instance, prefix: str | None) -> Source:
    """Return the objects below a URL, or that match a pattern in one.

    Where they lie in a registered storage their keys are their paths in it, else they begin with the folder's name.
    """
    if _QUERY.search(text):
        check_url(text)  # refuses it, and does not repeat what may be a signature
    head = text[: match.start()] if (match := MAGIC.search(text)) else text
    folder = check_url(head if match is None else head.rpartition("/")[0])
    if f"{home.root}/".startswith(f"{folder}/"):
        raise InputError(f"{shown(folder)} holds this instance itself: name a folder beside it")
    store, inside, named = _listed(folder, home, named=match is None)
    wanted = re.compile(_regex(text[len(folder) :].strip("/"))) if match else None
    names = dict.fromkeys(_whole(name[len(inside) :].strip("/")) for name in store.list(inside))
    found = [name for name in names if name is not None and (wanted is None or wanted.fullmatch(name))]
    if not found:
        raise NotFound(f"nothing lies below {shown(folder)} that matches")
    if prefix is not None:
        named = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return Source(text, Entries([f"{folder}/{name}" for name in found], [named + name for name in found]))


def _listed(folder: str, home: Instance, *, named: bool) -> tuple[Storage, str, str]:
    """Return the store that lists a folder, its path there, and what keys begin with."""
    try:
        _, store, inside = home.stores.holding_url(f"{folder}/_")
    except InvalidKey:  # in no registered storage: what is found is fetched
        return Storage(folder, options=home.remote), "", f"{folder.rpartition('/')[2]}/" if named else ""
    inside = inside.removesuffix("_").rstrip("/")
    return store, inside, f"{inside}/" if inside else ""


def _whole(name: str) -> str | None:
    """Return the object, or the folder that is one thing and holds it; None of what is hidden, or an instance's own."""
    parts = name.split("/")
    for n, part in enumerate(parts, 1):
        if part.startswith((".", TEMPORARY)) or part in _OWN:
            return None
        if n < len(parts) and suffix_of(part) in folder_suffixes():
            return "/".join(parts[:n])
    return name


def _regex(pattern: str) -> str:
    """Return a pattern of a shell as a regular expression: ``*`` stays in one folder, ``**`` does not.

    Examples
    --------
    >>> bool(re.fullmatch(_regex("**/*.h5ad"), "a/b/c.h5ad")), bool(re.fullmatch(_regex("*.h5ad"), "a/b.h5ad"))
    (True, False)
    """
    found = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return found.replace(r"\?", "[^/]")
