"""Paths inside storages and roots of storages, in one spelling, and the small checks that all kinds share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from formats.hashing import Hasher, read_stable
from lakehouse.errors import InvalidFile, InvalidKey, NotFound, shown
from lakehouse.types import Progress

__all__ = ["copy_path", "file_size", "path_of_url", "relative_parts", "report", "text_of", "verified"]


def relative_parts(path: str) -> str:
    """Return a path relative to a root in one spelling.

    Raises
    ------
    InvalidKey
        It climbs, is absolute or empty.

    Examples
    --------
    >>> relative_parts("a//b/")
    'a/b'
    """
    parts = PurePosixPath(path).parts
    if not parts or "\0" in path or ".." in parts or path.startswith("/") or (os.name == "nt" and "\\" in path):
        raise InvalidKey(f"{shown(path)} is no path inside a storage: write it relative to the root, without '..'")
    return "/".join(parts)


def text_of(path: Path, library: str) -> str:
    """Return the absolute path as text, for a library that takes UTF-8 names only.

    Raises
    ------
    InvalidFile
        It is not UTF-8.
    """
    text = str(path.absolute())
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFile(
            f"{shown(text)} has a name that is not UTF-8, which {library} cannot open: rename it"
        ) from None
    return text


def path_of_url(url: str) -> str:
    """Return the local path that a ``file://`` URL names.

    Examples
    --------
    >>> path_of_url("file:///data/my%20lake")
    '/data/my lake'
    """
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise InvalidKey(f"{shown(url.split('@')[-1])} names another host: write file:///folder")
    # a file's name may hold '#' or '?', which are no fragment or query here
    rest = url.partition("://")[2].removeprefix(parts.netloc)
    return url2pathname(rest) if os.name == "nt" else unquote(rest, errors="surrogateescape")


def verified(source: Path, expected: str, progress: Progress | None) -> Iterator[bytes]:
    """Yield a file's bytes and raise at the end unless they have the hash, so that no wrong object is ever named."""
    hasher = Hasher(size=file_size(source))
    for piece, _ in read_stable(source, progress=progress):
        hasher.update(piece)
        yield piece
    if hasher.text() != expected:
        raise InvalidFile(f"{shown(str(source))} changed since it was hashed: save it again when its writer is done")


def file_size(source: Path) -> int:
    """Return a local file's bytes; raises ``NotFound``."""
    try:
        return source.stat().st_size
    except FileNotFoundError:
        raise NotFound(f"no file at {shown(str(source))}") from None


def copy_path(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that it holds; the target must not be there."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        with source.open("rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy, 8 << 20)


def report(progress: Progress | None, size: int) -> None:
    """Say that all is done."""
    if progress:
        progress(size, size)
