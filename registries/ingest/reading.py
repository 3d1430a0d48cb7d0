"""Hashing a file, and saying which format it has, in as few calls of the system as can be."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from formats.base import Format
from formats.folders import read_folder
from formats.hashing import digest_of, hash_bytes, hash_file, texts_of
from formats.keys import check_source, suffix_of
from formats.registry import by_name, format_of, format_of_nothing
from lakehouse.errors import InvalidFile, LakehouseError, NotFound, shown
from registries.ingest.findings import Columns, Finding

__all__ = ["read", "read_small", "reread"]

_SMALL = 1 << 20
"""Bytes up to which a file is read in one piece."""
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# a pipe that came in place of a file must not hold this process up


def read(path: str) -> Finding:
    """Return hash, size and times of a file, its suffix and the format that goes with that.

    Raises
    ------
    NotFound, InvalidFile
        When it is gone, or changes meanwhile.
    """
    try:
        fd = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise NotFound(f"no file at {shown(path)}") from None
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            if stat.S_ISDIR(before.st_mode):
                return _folder(path)
            check_source(path)
        size, mtime, ctime = before.st_size, before.st_mtime_ns, before.st_ctime_ns
        small = size <= _SMALL
        data = os.read(fd, size + 1) if small else b""
        digest = hash_bytes(data) if small else hash_file(Path(path))
        after = os.fstat(fd)
        if after.st_mtime_ns != mtime or after.st_ctime_ns != ctime or (small and len(data) != size):
            raise InvalidFile(
                f"{shown(path)} changed while it was read: wait until its writer is done, then run it again"
            )
    finally:
        os.close(fd)
    suffix = _suffix(path)
    fmt = (_only_format(suffix) or format_of(Path(path), suffix)) if size else format_of_nothing(suffix)
    return Finding(digest, size, suffix, fmt.name, fmt.kind, "blake3", None, None, mtime, ctime)


def read_small(paths: Sequence[str], begin: int, most: int) -> tuple[Columns, int]:
    """Return what :func:`read` says of small files without a format, up to the first one that is something else.

    Whether one changed meanwhile is not asked: its times are those before it was read, and are looked at again before
    its row is committed.

    Parameters
    ----------
    begin
        Place of the first path.
    most
        Bytes after which no further file is read.

    Returns
    -------
    tuple
        The fields of the findings, and the bytes that were read.
    """
    digests, sizes, suffixes, mtimes, ctimes = list[bytes](), list[int](), list[str](), list[int](), list[int]()
    done = 0
    for at in range(begin, len(paths)):
        if done > most or (suffix := _blob_suffix(_ending(paths[at]))) is None or (seen := _small(paths[at])) is None:
            break
        digest, size, mtime, ctime = seen
        digests.append(digest)
        sizes.append(size)
        suffixes.append(suffix)
        mtimes.append(mtime)
        ctimes.append(ctime)
        done += size
    if not digests:
        return ((),) * len(Finding._fields), 0
    blobs, nothing = ["blob"] * len(digests), [None] * len(digests)
    columns = (texts_of(digests), sizes, suffixes, blobs, blobs, ["blake3"] * len(digests), nothing, nothing)
    return (*columns, mtimes, ctimes, *[nothing] * 4), done


def _small(path: str) -> tuple[bytes, int, int, int] | None:
    """Return digest, size and times of a small file; None where there is more to say."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        before = os.fstat(fd)
        size, mtime, ctime = before.st_size, before.st_mtime_ns, before.st_ctime_ns
        if not 0 < size <= _SMALL or not stat.S_ISREG(before.st_mode) or len(data := os.read(fd, size + 1)) != size:
            return None
        return digest_of(data), size, mtime, ctime
    except OSError:
        return None
    finally:
        os.close(fd)


def reread(path: str) -> str | None:
    """Return the hash of a file as it is now; None where it cannot be read."""
    try:
        return read(path).hash
    except (LakehouseError, OSError):
        return None


def _ending(path: str) -> str:
    """Return what a file's name has after its first dot, with this; of files of one kind it is mostly the same."""
    dot = path.find(".", path.rfind("/") + 2)
    return path[dot:] if dot > 0 else ""


@lru_cache(4096)
def _suffix_of(ending: str) -> str:
    return suffix_of("x" + ending) if ending else ""


def _suffix(path: str) -> str:
    return _suffix_of(_ending(path))


@lru_cache(4096)
def _only_format(suffix: str) -> Format | None:
    """Return the format of a suffix that means no more than one thing."""
    return by_name("blob") if format_of(Path(os.devnull), suffix).name == "blob" else None


@lru_cache(4096)
def _blob_suffix(ending: str) -> str | None:
    """Return the suffix of files whose names end so, where that means no format."""
    suffix = _suffix_of(ending)
    return None if _only_format(suffix) is None else suffix


def _folder(path: str) -> Finding:
    folder = read_folder(Path(path))
    suffix = _suffix(path)
    fmt = format_of(Path(path), suffix)
    return Finding(folder.hash, folder.size, suffix, fmt.name, fmt.kind, "blake3-folder", n_files=folder.n_files)
