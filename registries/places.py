"""Where an instance and its catalog may lie, and what is said where they may not."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from formats.remote import check_url, is_remote
from formats.storage import Storage as ObjectStore
from lakehouse.engine import is_postgres
from lakehouse.errors import InputError, InvalidKey, LakehouseError, ReadOnly, Unavailable, Unsupported, shown
from registries.names import is_utf8

__all__ = ["OWN_STORAGE", "catalog_file", "check_path", "instance_root", "local_root", "refusing", "storage_root"]

OWN_STORAGE = "storage"
"""The folder below an instance's root in which its artifacts lie."""

# pathlib makes one slash of two, and one letter is a drive
_COLLAPSED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def instance_root(root: str | os.PathLike[str]) -> Path | str:
    """Return the folder or the URL that a root names, in one spelling.

    Raises
    ------
    InvalidKey
        When a URL holds a key, a password or a signature.
    """
    return check_url(root) if isinstance(root, str) and is_remote(root) else local_root(root)


def local_root(root: str | os.PathLike[str]) -> Path:
    """Return the absolute folder that a root names: a path, or a ``file://`` URL.

    Raises
    ------
    Unsupported
        When it lies elsewhere.
    """
    text = check_path(root, "root")
    if text == "":
        raise InputError("the root is empty: name a folder such as './mylake'")
    place = ObjectStore(_expanded(text) if text.startswith("~") else text)
    if not place.local:
        raise Unsupported(f"an instance cannot lie in {shown(text)}: name a local folder")
    _refuse_unreadable(place.root)
    return Path(place.root)


def _refuse_unreadable(folder: str) -> None:
    """Refuse folders whose name Delta readers cannot follow: they take %20 for a blank and a backslash for a slash."""
    try:
        os.stat(folder)  # noqa: PTH116
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise InputError(f"{shown(folder)} cannot be a folder ({error.strerror}): name another") from None
    unseen = any(unicodedata.category(character) == "Cc" for character in folder)
    if unseen or not is_utf8(folder) or unquote(folder) != folder or (os.name != "nt" and "\\" in folder):
        raise Unsupported(
            f"{shown(folder)} cannot hold an instance, since programs that read Delta tables take %20 and the like, "
            "backslashes, control characters and what is no UTF-8 for something else: name another folder"
        )


def storage_root(root: str, home: Path | str) -> tuple[str, str]:
    """Return the protocol of a storage's root and its one spelling; relative to the instance where it lies inside.

    Raises
    ------
    InputError
        When it is a file, or holds what is the instance's own.

    Examples
    --------
    >>> storage_root("memory://scratch/", Path("/lake")), storage_root("/lake/more", Path("/lake"))
    (('memory', 'memory://scratch'), ('file', 'more'))
    """
    scheme, mark, _ = root.partition("://")
    if mark and scheme not in ("file", "memory"):
        return scheme, check_url(root) if is_remote(root) else root.rstrip("/")
    place = ObjectStore(str(_expanded(root)) if root.startswith("~") else root)
    if not place.local:
        return place.protocol, place.root
    folder = Path(place.root)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the storage {shown(root)} is a file: name a folder")
    if isinstance(home, str):
        return "file", str(folder)
    inside = Path(os.path.realpath(home))
    if folder == inside or any(folder.is_relative_to(inside / own) for own in (OWN_STORAGE, "tables")):
        raise InputError(f"the storage {shown(root)} is a folder of the instance's own: name another")
    return "file", folder.relative_to(inside).as_posix() if folder.is_relative_to(inside) else str(folder)


def check_path(place: object, what: str) -> str:
    """Return a path as text, or refuse what is none; of a URL that is refused, only the scheme is shown."""
    if not isinstance(place, str | os.PathLike) or not isinstance(text := os.fspath(place), str):
        raise InputError(f"the {what} {shown(place)} is a {type(place).__name__}: a path is accepted")
    if "\0" in text:
        raise InvalidKey(f"the {what} {shown(text)} holds a NUL character: remove it")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidKey(f"the {what} {shown(text)} holds half a surrogate pair: remove it") from None
    # Path("s3://key:secret@bucket") must not become a folder of that name
    if (url := _COLLAPSED.match(text)) is not None:
        raise Unsupported(f"the {what} is a {shown(url[1] + '://')} URL, which cannot be used here: name a local path")
    return text


def catalog_file(catalog: str | os.PathLike[str]) -> str:
    """Return the path of the file, or the URL of the Postgres database, that is to hold a catalog.

    Raises
    ------
    Unsupported
        When it is another URL, which may hold a password and is not shown.
    InputError
        When it is a folder or empty.
    """
    if isinstance(catalog, str) and is_postgres(catalog):
        return catalog
    text = check_path(catalog, "catalog")
    scheme, mark, _ = text.partition("://")
    if mark:
        raise Unsupported(
            f"the catalog is a {shown(scheme + mark)} URL, which cannot be used here: name a local path, or postgresql://..."
        )
    path = _expanded(text)
    if text == "" or (os.path.exists(path) and not os.path.isfile(path)):  # noqa: PTH110, PTH113  these never raise
        raise InputError(f"the catalog {shown(text)} is no file: name one such as '/local/path/catalog.db'")
    return str(path)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{shown(text)} begins with a user who has no home folder here: name the whole path") from None


@contextmanager
def refusing(folder: Path | str) -> Iterator[None]:
    """Say in our words why a folder or its catalog cannot be used."""
    try:
        yield
    except OSError as error:
        if isinstance(error, LakehouseError):
            raise
        told = f"{shown(str(folder))} cannot hold an instance with its catalog ({error.strerror})"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReadOnly(f"{told}: name a folder that you may write to") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise Unavailable(f"{told}: free some space or repair the disk, then try again") from error
        raise InputError(f"{told}: name another folder") from error
