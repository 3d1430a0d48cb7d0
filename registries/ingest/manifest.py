"""What is to be ingested: the entries of a manifest, a folder, or a pattern of paths or URLs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.base import is_instance_of
from formats.durable import TEMPORARY
from formats.frames import FRAME_TYPES, to_arrow
from formats.keys import check_source, suffix_of
from formats.registry import folder_suffixes, format_of
from formats.remote import is_remote
from lakehouse.errors import InputError, NotFound, Unavailable, did_you_mean, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from registries.instance import Instance

__all__ = ["Entry", "Source", "source_of"]

_COLUMNS = ("path", "key", "description", "features", "labels")
_MAGIC = re.compile(r"[*?[]")
_BETWEEN = re.compile(r"\s*[;|]\s*")
_OWN = frozenset({"lake.json", "head.json", "catalog.db", "catalog.lock", ".lakehouse"})


@dataclass(slots=True)
class Entry:
    """One file or folder that is to become an artifact.

    Attributes
    ----------
    path
        Where it lies: an absolute path, or a URL.
    key
        Of the artifact.
    fault
        What is wrong with the entry itself: a reason and a message.
    """

    path: str
    key: str
    stat: tuple[int, int, int] | None = None
    description: str | None = None
    features: Mapping[str, Any] | None = None
    labels: tuple[str, ...] = ()
    fault: tuple[str, str] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it says no more than path and key."""
        return not (self.labels or self.features or self.description)


@dataclass(frozen=True)
class Source:
    """Where entries come from.

    Attributes
    ----------
    name
        By which it is known again.
    entries
        What was found.
    folder
        The folder, where it is one: what vanishes from it is known.
    """

    name: str
    entries: list[Entry]
    folder: Path | None = None
    remote: bool = field(default=False)


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
        return Source("frame", list(_of_manifest(to_arrow(given), Path.cwd())))
    if not isinstance(given, str | os.PathLike):
        raise InputError(
            f"ingest({shown(given)}): a manifest (csv, parquet or a frame), a folder, or a pattern of paths or URLs is "
            "accepted"
        )
    text = os.fspath(given)
    if is_remote(text):
        return Source(text, list(_of_urls(text, home)), remote=True)
    if Path(text).is_dir():
        return _of_folder(Path(text), home, prefix)
    if _MAGIC.search(text) and not Path(text).exists():
        return _of_pattern(text, prefix)
    return _of_file(check_source(text))


def _of_file(path: Path) -> Source:
    fmt = format_of(path, suffix_of(path))
    if fmt.kind != "dataframe":
        raise InputError(
            f"{shown(str(path))} is {fmt.name}, and no manifest: a table with a column 'path' is accepted, or a folder"
        )
    table = fmt.load_as(path, "arrow")
    return Source(str(path.absolute()), list(_of_manifest(table, path.absolute().parent)))


# Manifests


def _of_manifest(table: pa.Table, beside: Path) -> Iterator[Entry]:
    """Yield the entries of a manifest; paths are relative to where it lies."""
    for name in table.column_names:
        if name not in _COLUMNS:
            raise InputError(f"the manifest has a column {shown(name)}{did_you_mean(name, _COLUMNS)}")
    if "path" not in table.column_names:
        raise InputError(f"the manifest has no column 'path', but {', '.join(map(shown, table.column_names))}")
    if not table.num_rows:
        raise InputError("the manifest has no rows: there is nothing to ingest")
    seen_keys: dict[str, int] = {}
    seen_paths: dict[str, int] = {}
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for row, path in enumerate(columns["path"]):
        entry = _of_row(row, path, {name: values[row] for name, values in columns.items()}, beside)
        for known, value, what in ((seen_keys, entry.key, "key"), (seen_paths, entry.path, "path")):
            if entry.fault is None and known.setdefault(value, row) != row:
                entry.fault = (
                    f"duplicate_{what}",
                    (
                        f"{what} {shown(value)} stands in the rows {known[value]} and {row} of the manifest: leave one of them"
                    ),
                )
        yield entry


def _of_row(row: int, path: Any, given: Mapping[str, Any], beside: Path) -> Entry:
    if not isinstance(path, str) or not path.strip():
        return Entry(f"row {row}", f"row {row}", fault=("no_path", f"row {row} of the manifest has no path"))
    place = path if is_remote(path) else os.path.normpath(beside / path)
    key = given.get("key")
    key = (
        str(key)
        if key is not None and str(key).strip()
        else path.removeprefix("./")
        if not Path(path).is_absolute()
        else Path(path).name
    )
    entry = Entry(place, key, description=given.get("description") or None)
    try:
        entry.labels, entry.features = _labels(given.get("labels")), _features(given.get("features"))
        if not is_remote(path):
            check_source(place, folders=True)
    except (InputError, NotFound) as error:
        entry.fault = _reason(error), f"row {row} of the manifest: {error}"
    return entry


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


# Folders and patterns


def _of_folder(folder: Path, home: Instance, prefix: str | None) -> Source:
    top = Path(os.path.realpath(folder))
    root = home.root if isinstance(home.root, Path) else None
    if root is not None and root.is_relative_to(top):
        raise InputError(f"{shown(str(folder))} holds this instance itself: name a folder beside it")
    try:
        entries = [Entry(path, path, stat) for path, stat in _walk(str(top))]
    except OSError as error:
        raise Unavailable(
            f"{shown(str(folder))} cannot be read: {error.strerror}; mend that, then run it again"
        ) from error
    begin = len(str(top).rstrip("/")) + 1
    named = _named(home, top, prefix)
    for entry in entries:
        entry.key = named + entry.path[begin:]
    return Source(str(top), entries, top)


def _named(home: Instance, top: Path, prefix: str | None) -> str:
    """Return what keys begin with: what is asked for, or the folder's place in its storage, or its name."""
    if prefix is not None:
        return f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    found = home.stores.holding(top / "_")
    if found is not None:
        return found[2].removesuffix("_")
    return f"{top.name}/"


def _walk(folder: str) -> Iterator[tuple[str, tuple[int, int, int] | None]]:
    """Yield files by name with size and times, and folders that are one thing; no links, nothing hidden."""
    whole = folder_suffixes()
    with os.scandir(folder) as found:
        members = sorted(found, key=lambda member: member.name)
    for member in members:
        if member.name.startswith((".", TEMPORARY)) or member.name in _OWN:
            continue
        if member.is_file(follow_symlinks=False):
            stat = member.stat(follow_symlinks=False)
            yield member.path, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        elif member.is_dir(follow_symlinks=False):
            if (
                suffix_of(member.name) in whole
                and format_of(Path(member.path), suffix_of(member.name)).name != "folder"
            ):
                yield member.path, None
            else:
                yield from _walk(member.path)


def _of_pattern(text: str, prefix: str | None) -> Source:
    parts = Path(text).parts
    first = next(n for n, part in enumerate(parts) if _MAGIC.search(part))
    top = Path(*parts[:first]) if first else Path()
    found = sorted(path for path in top.glob(str(Path(*parts[first:]))) if path.is_file() and not _hidden(path, top))
    if not found:
        raise NotFound(f"no file matches {shown(text)}: check the pattern (you are in {Path.cwd()})")
    begin = f"{prefix.strip('/')}/" if prefix else ""
    entries = [Entry(str(path.absolute()), begin + path.relative_to(top).as_posix()) for path in found]
    return Source(str(Path(text).absolute()), entries)


def _hidden(path: Path, top: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(top).parts)


def _of_urls(text: str, home: Instance) -> Iterator[Entry]:
    """Yield the objects below a URL, or that match a pattern in one; they lie in a registered storage."""
    head = text[: match.start()] if (match := _MAGIC.search(text)) else text
    folder = head if match is None else head.rpartition("/")[0]
    _, store, inside = home.stores.holding_url(folder.rstrip("/") + "/_")
    inside = inside.removesuffix("_").rstrip("/")
    wanted = partial(_matches, re.compile(_regex(text[len(folder) :].strip("/"))) if match else None)
    names = [name for name in store.list(inside) if wanted(name[len(inside) :].strip("/"))]
    if not names:
        raise NotFound(f"nothing lies below {shown(folder)} that matches")
    yield from (Entry(store.uri(name), name) for name in names)


def _matches(pattern: re.Pattern[str] | None, name: str) -> bool:
    return pattern is None or pattern.fullmatch(name) is not None


def _regex(pattern: str) -> str:
    """Return a pattern of a shell as a regular expression: ``*`` stays in one folder, ``**`` does not.

    Examples
    --------
    >>> bool(re.fullmatch(_regex("**/*.h5ad"), "a/b/c.h5ad")), bool(re.fullmatch(_regex("*.h5ad"), "a/b.h5ad"))
    (True, False)
    """
    found = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return found.replace(r"\?", "[^/]")
