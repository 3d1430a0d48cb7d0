"""What workers do: hash, describe, validate and store files.

A worker is a process of its own, on this machine or another: it is handed plain values and gives such back, and opens
the instance for reading only where it validates.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from formats.base import Format
from formats.folders import Folder, read_folder
from formats.hashing import hash_bytes, hash_file
from formats.keys import check_source, suffix_of
from formats.registry import by_name, format_of
from formats.remote import RemoteOptions
from formats.storage import Storage
from lakehouse.errors import InvalidData, InvalidFile, LakehouseError, NotFound, Unavailable, shown
from registries.curate import Curator
from registries.curated import Collected, collect
from registries.instance import Instance
from registries.parts import opened_parts
from validation import Spec

if TYPE_CHECKING:
    from validation import Report

__all__ = ["Finding", "Plan", "examine", "share"]

_SMALL = 1 << 20
"""Bytes up to which a file is read in one piece."""


class Finding(NamedTuple):
    """What is known of a file once it was read; where ``reason`` is given, what is wrong with it."""

    hash: str = ""
    size: int = 0
    suffix: str = ""
    format: str = "blob"
    kind: str = "blob"
    n_rows: int | None = None
    n_files: int | None = None
    stamp: tuple[int, int, int] | None = None
    stored: str | None = None
    collected: Collected | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be done with each file.

    Attributes
    ----------
    root
        Of the instance, where files are validated.
    spec
        The schema as JSON, and its name; None where nothing is validated.
    """

    root: str = ""
    spec: tuple[str, str] | None = None
    store: str | None = None
    """Root of the storage that bytes are copied to; None where they stay, or the one who plans does it."""
    remote: RemoteOptions | None = None
    keep_bad: bool = False
    """Whether what is not valid is stored, too."""


_shared: dict[str, Instance] = {}


def share(home: Instance | None, root: str) -> None:
    """Let workers that are threads of this process use an open instance; None ends that."""
    if home is None:
        _shared.pop(root, None)
    else:
        _shared[root] = home


def examine(paths: Sequence[str], plan: Plan) -> list[Finding]:
    """Return what is found in each file; what is wrong with one is told in its finding."""
    return [_examined(path, plan) for path in paths]


def _examined(path: str, plan: Plan) -> Finding:
    try:
        found = _read(path)
        if found.size and (found.format != "blob" or plan.spec is not None):
            found = _described(Path(path), found, plan)
    except NotFound as error:
        return Finding(reason="vanished", message=str(error))
    except InvalidFile as error:
        changed = "changed while" in str(error)
        return Finding(reason="changed" if changed else "unreadable", message=str(error))
    except LakehouseError as error:
        return Finding(reason="refused", message=str(error))
    except OSError as error:
        return Finding(reason="unavailable", message=f"{shown(path)} cannot be read: {error.strerror or error}")
    if plan.store is not None and (found.reason is None or plan.keep_bad):
        found = _stored(path, found, plan)
    return found


# Reading


def _read(path: str) -> Finding:
    """Hash a file, and say which format it has; small ones in as few calls of the system as can be."""
    try:
        # a pipe that came in place of a file must not hold this process up
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise NotFound(f"no file at {shown(path)}") from None
    try:
        before = os.fstat(fd)
        if stat.S_ISDIR(before.st_mode):
            return _folder(path)
        if not stat.S_ISREG(before.st_mode):
            check_source(path)
        small = before.st_size <= _SMALL
        data = os.read(fd, before.st_size + 1) if small else b""
        digest = hash_bytes(data) if small else hash_file(Path(path))
        after = os.fstat(fd)
        if _stamp(before) != _stamp(after) or (small and len(data) != before.st_size):
            raise InvalidFile(
                f"{shown(path)} changed while it was read: wait until its writer is done, then run it again"
            )
    finally:
        os.close(fd)
    suffix = _suffix(path)
    fmt = _format(path, suffix) if before.st_size else by_name("blob")
    return Finding(digest, before.st_size, suffix, fmt.name, fmt.kind, stamp=_stamp(before))


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _suffix(path: str) -> str:
    name = path[path.rfind("/") + 1 :]
    dot = name.find(".", 1)
    return _suffix_after("x" + name[dot:]) if dot > 0 else ""


_suffix_after = lru_cache(4096)(suffix_of)


def _format(path: str, suffix: str) -> Format:
    return _only_format(suffix) or format_of(Path(path), suffix)


@lru_cache(4096)
def _only_format(suffix: str) -> Format | None:
    """Return the format of a suffix that means no more than one thing."""
    return by_name("blob") if format_of(Path(os.devnull), suffix).name == "blob" else None


def _folder(path: str) -> Finding:
    folder = read_folder(Path(path))
    suffix = _suffix(path)
    fmt = format_of(Path(path), suffix)
    return Finding(folder.hash, folder.size, suffix, fmt.name, fmt.kind, n_files=folder.n_files)


# Describing and validating


def _described(path: Path, found: Finding, plan: Plan) -> Finding:
    try:
        if found.format != "blob":
            described = by_name(found.format).describe(path)
            found = found._replace(kind=described.kind, n_rows=described.n_rows)
        return _validated(path, found, plan) if plan.spec is not None else found
    except InvalidFile as error:
        return found._replace(reason="unreadable", message=str(error))
    except InvalidData as error:
        return found._replace(reason="invalid", message=str(error))


def _validated(path: Path, found: Finding, plan: Plan) -> Finding:
    assert plan.spec is not None
    spec = _spec(*plan.spec)
    report: Report = Curator(path, spec, _home(plan)).validate()
    report.raise_if_invalid()
    with opened_parts(path) as parts:
        return found._replace(collected=collect(spec, parts))


@lru_cache(8)
def _spec(text: str, name: str) -> Spec:
    return Spec(Spec.from_json(text).slots, name)


def _home(plan: Plan) -> Instance:
    if (known := _shared.get(plan.root)) is None:
        known = _shared[plan.root] = Instance.open(plan.root, read_only=True, remote=plan.remote)
    return known


# Storing


def _stored(path: str, found: Finding, plan: Plan) -> Finding:
    """Store the bytes durably under their hash; a full disk is nobody's fault but the disk's."""
    assert plan.store is not None
    try:
        return found._replace(stored=put(_storage(plan.store, plan.remote), path, found))
    except (InvalidFile, NotFound) as error:
        return Finding(reason="changed", message=str(error))
    except (OSError, Unavailable) as error:
        return Finding(reason="storage", message=f"{shown(path)} cannot be stored: {error}")


def put(store: Storage, path: str, found: Finding) -> str:
    """Store the bytes of a file or folder under their hash, unless they are there; return their path in the storage."""
    if found.n_files is None:
        return store.put_object(found.hash, found.suffix, Path(path))
    folder: Folder = read_folder(Path(path))
    if folder.hash != found.hash:
        raise InvalidFile(f"{shown(path)} changed while it was read: wait until its writer is done, then run it again")
    return store.put_folder(folder, found.suffix)


@lru_cache(8)
def _storage(root: str, remote: RemoteOptions | None) -> Storage:
    return Storage(root, options=remote)
