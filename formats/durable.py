"""Files that are still there after the power fails.

A rename is atomic but not durable, and neither is a new directory entry: both need an fsync of the
directory that holds them. The order is always the same: write under a temporary name, fsync the file,
rename it, fsync the directory.

Windows has no fsync of a directory; there :func:`fsync_dir` does nothing and the file system's own
journal is all the protection that names have.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "TEMPORARY",
    "fsync_dir",
    "fsync_path",
    "make_dirs_durably",
    "make_each_durably",
    "temporary_name",
    "write_durably",
    "write_synced",
]

TEMPORARY = ".tmp-"
"""How the names of unfinished files begin; whoever lists a folder passes over them."""

_HAS_DIRECTORY_FSYNC = sys.platform != "win32"


def fsync_path(path: Path) -> None:
    """Force a file's bytes to the disk.

    Parameters
    ----------
    path
        An existing file.
    """
    # Windows flushes only through a handle that may write
    fd = os.open(path, os.O_RDONLY if _HAS_DIRECTORY_FSYNC else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fsync_dir(path: Path) -> None:
    """Force a directory's entries to the disk; does nothing on Windows.

    Parameters
    ----------
    path
        An existing directory.
    """
    if _HAS_DIRECTORY_FSYNC:
        fsync_path(path)


def make_dirs_durably(path: Path) -> bool:
    """Create a directory and its missing parents, and fsync the parent of each new one.

    Parameters
    ----------
    path
        The directory.

    Returns
    -------
    bool
        Whether anything was created here.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        fsync_dir(folder.parent)
    return bool(missing)


def make_each_durably(path: Path, names: Iterable[str]) -> set[Path]:
    """Create the directories of some names in one that exists, and fsync that once; return their paths.

    Examples
    --------
    >>> import tempfile
    >>> sorted(folder.name for folder in make_each_durably(Path(tempfile.mkdtemp()), ["a", "b"]))
    ['a', 'b']
    """
    there = {entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)}
    found = {path / name for name in names}
    for folder in found:
        if folder.name not in there:
            folder.mkdir(exist_ok=True)
    fsync_dir(path)  # those that were there may have been made by somebody who did not get to this
    return found


def temporary_name(path: Path) -> Path:
    """Return a fresh name beside ``path``, on the same file system so that a rename can replace it."""
    return path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")


def write_durably(path: Path, data: bytes | Iterable[bytes]) -> int:
    """Write a file so that it is there whole, or not at all, whatever happens; an older one is replaced.

    Parameters
    ----------
    path
        The final name; its directory must exist.
    data
        The bytes, or pieces of them in order. An error raised by the iterator leaves nothing behind.

    Returns
    -------
    int
        Bytes written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_durably(folder / "head.json", b"{}")
    2
    >>> [p.name for p in folder.iterdir()]
    ['head.json']
    """
    temporary = temporary_name(path)
    try:
        size = write_synced(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)
    return size


def write_synced(path: Path, data: bytes | Iterable[bytes]) -> int:
    """Write a new file and force its bytes, not its name, to the disk; an error may leave a part of it.

    Parameters
    ----------
    path
        Nothing may be there yet.
    data
        The bytes, or pieces of them in order.

    Returns
    -------
    int
        Bytes written.
    """
    # unbuffered: each piece goes out in one system call
    with path.open("xb", buffering=0) as file:
        size = _write_all(file, [data] if isinstance(data, bytes) else data)
        os.fsync(file.fileno())
    return size


def _write_all(file: BinaryIO, pieces: Iterable[bytes]) -> int:
    total = 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]
        total += len(piece)
    return total
