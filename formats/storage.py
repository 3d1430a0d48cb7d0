"""Roots under which files lie.

A storage is a local folder (or ``file://`` URL), ``memory://name``, a bucket (``s3://``, ``gs://``, ``az://``,
``abfs://``) or, for reading, a web server. Managed objects are named by their content,
``objects/ab/<hash><suffix>``, and never change; other files under the root may be registered where they are.

All paths are relative to the root and in POSIX form. Nothing outside the root is ever read or written: a path that
climbs, or a link that leads out, is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from formats.cache import Cache
from formats.folders import Folder
from formats.hashing import is_hash
from formats.keys import check_suffix
from formats.paths import file_size, path_of_url
from formats.remote import RemoteOptions, check_url, is_remote
from formats.remotepath import RemotePath
from formats.storage_fsspec import MemoryPlace
from formats.storage_local import LocalPlace
from formats.storage_remote import RemotePlace
from lakehouse.errors import InvalidKey, Unsupported, shown
from lakehouse.types import Progress

__all__ = ["Place", "Storage"]

_OBJECTS = "objects"
_CHOICES = "a local folder, file:///folder, memory://name, s3://, gs://, az:// or abfs://bucket/prefix, or https://host"


class Place(Protocol):
    """What each kind of storage does; paths were not checked yet."""

    root: str

    def put(self, path: str, source: bytes | Path, hash_: str, size: int, progress: Progress | None) -> None:
        """Store bytes, durably, unless a file of this size is there."""
        ...

    def put_folder(self, path: str, folder: Folder, progress: Progress | None) -> None:
        """Store a folder, durably."""
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading."""
        ...

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        ...

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        ...

    def holds(self, path: str, size: int) -> bool:
        """Tell whether a file of this size is there."""
        ...

    def holds_folder(self, path: str, size: int, n_files: int) -> bool:
        """Tell whether a folder of this size is there."""
        ...

    def local_path(
        self, path: str, *, size: int | None = None, hash: str | None = None, progress: Progress | None = None
    ) -> Path:
        """Return a path in the local file system."""
        ...

    def uri(self, path: str) -> str:
        """Return an absolute URI."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file or folder."""
        ...

    def paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths of all files under a folder, sorted."""
        ...

    def relative(self, text: str) -> str | None:
        """Return a path relative to the root, or None."""
        ...


class Storage:
    """A root that holds files.

    Parameters
    ----------
    root
        A folder (created at the first write), a ``file://`` URL, ``memory://name``, which lives as long as the
        process, or the URL of a bucket or web server.
    options
        How a remote root is reached; default: as the environment says.
    cache
        Where copies of remote files lie; default: as the settings say.

    Raises
    ------
    Unsupported
        Another protocol.
    InvalidKey
        The root holds a key, a password or a signature.

    Examples
    --------
    >>> from formats.hashing import hash_bytes
    >>> storage = Storage("memory://doctest")
    >>> path = storage.put_object(hash_bytes(b"abc"), ".txt", b"abc")
    >>> path
    'objects/mq/mq33hlbyizith75whn2soounwvemkwcg.txt'
    >>> with storage.open(path) as file:
    ...     file.read()
    b'abc'
    """

    root: str
    """Canonical: an absolute path without links, or a URL without a slash at its end."""

    protocol: str
    """``file``, ``memory``, ``s3``, ``gs``, ``az``, ``abfs``, ``http`` or ``https``."""

    local: bool
    """Whether files have a path in the local file system."""

    def __init__(
        self, root: str | os.PathLike[str], *, options: RemoteOptions | None = None, cache: Cache | None = None
    ) -> None:
        self.protocol, self._place = _placed(os.fspath(root), options or RemoteOptions(), cache)
        self.root, self.local = self._place.root, self.protocol == "file"

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

    def ask(self) -> bool:
        """Make sure that a bucket or web server is there; a local folder is made at the first write.

        Returns
        -------
        bool
            False where what lies there cannot be listed: by these credentials, or at all.

        Raises
        ------
        NotFound
            There is no such bucket or container.
        Unavailable, ConfigurationError
            The store cannot be reached, or does not know these credentials.
        """
        return self._place.ask() if isinstance(self._place, RemotePlace) else True

    def put_object(
        self,
        hash: str,
        suffix: str,
        source: Path | bytes,
        *,
        progress: Progress | None = None,
    ) -> str:
        """Store bytes under their hash; what is already there is not written again.

        When this returns, the object survives a loss of power (on a local disk).

        Parameters
        ----------
        hash
            The content hash of ``source``; a file is checked against it while it is copied.
        suffix
            Such as ``.csv.gz``, or empty.
        source
            The bytes, or a local file that holds them.
        progress
            Called with the bytes copied and the bytes in all.

        Returns
        -------
        str
            The path relative to the root.

        Raises
        ------
        InvalidFile
            The file changed since it was hashed.
        """
        if not is_hash(hash):
            raise InvalidKey(f"{shown(hash)} is no content hash: use formats.hashing")
        path = f"{_OBJECTS}/{hash[:2]}/{hash}{check_suffix(suffix)}"
        size = len(source) if isinstance(source, bytes) else file_size(source)
        self._place.put(path, source, hash, size, progress)
        return path

    def put_folder(self, folder: Folder, suffix: str, *, progress: Progress | None = None) -> str:
        """Store a folder under its hash; what is already there is not written again.

        When this returns, the folder survives a loss of power (on a local disk). Readers see all of it or nothing.

        Parameters
        ----------
        folder
            A folder whose files were hashed; they are checked against it while they are copied.
        suffix
            Such as ``.zarr``, or empty.
        progress
            Called with the bytes copied and the bytes in all.

        Returns
        -------
        str
            The path relative to the root.

        Raises
        ------
        InvalidFile
            A file changed since it was hashed.
        """
        path = f"{_OBJECTS}/{folder.hash[:2]}/{folder.hash}{check_suffix(suffix)}"
        self._place.put_folder(path, folder, progress)
        return path

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a file for reading.

        Raises
        ------
        NotFound
            There is no such file.
        InvalidKey
            The path leaves the root.
        """
        if mode != "rb":
            raise Unsupported(f"mode {shown(mode)}: stored files are read only, open them with 'rb'")
        return self._place.open(path)

    def exists(self, path: str) -> bool:
        """Tell whether a file or a folder is there."""
        return self._place.exists(path)

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        return self._place.size(path)

    def holds(self, path: str, size: int) -> bool:
        """Tell whether a file of this size is there, at the price of one stat."""
        return self._place.holds(path, size)

    def holds_folder(self, path: str, size: int, n_files: int) -> bool:
        """Tell whether a folder with so many bytes and files is there, at the price of one stat per file."""
        return self._place.holds_folder(path, size, n_files)

    def local_path(
        self, path: str, *, size: int | None = None, hash: str | None = None, progress: Progress | None = None
    ) -> Path:
        """Return a path in the local file system, of a file or folder, that other libraries can read.

        What lies in memory is copied to a temporary folder, which lives as long as this object; what is remote is
        copied to the cache.

        Parameters
        ----------
        path
            Relative to the root.
        size
            Bytes of the file or folder, where they are known; a large copy that broke off is then taken up again.
        hash
            Content hash, where it is known: a copy is checked against it.
        progress
            Is told of the bytes that are copied.

        Raises
        ------
        NotFound
            There is no such file.
        Unavailable
            The store cannot be reached, or what arrives is damaged.
        """
        return self._place.local_path(path, size=size, hash=hash, progress=progress)

    def cached(self, path: str, size: int) -> Path | None:
        """Return where a file or folder can be read locally without copying anything, if it can.

        Parameters
        ----------
        path
            Relative to the root.
        size
            Its bytes.
        """
        if isinstance(self._place, RemotePlace):
            return self._place.cached(path, size)
        return self._place.local_path(path)

    def remote_path(self, path: str) -> RemotePath | None:
        """Return a path that reads ranges of what lies in a bucket; ``None`` for what does not lie in one.

        Nothing is asked for yet, so the file or folder need not be there.
        """
        return self._place.remote_path(path) if isinstance(self._place, RemotePlace) else None

    def known_hash(self, path: str) -> tuple[str, str] | None:
        """Return kind and text of the hash that a bucket has of a file or folder under a name of its own.

        See :mod:`formats.storehash` for the kinds. ``None`` where there is none, or elsewhere.

        Raises
        ------
        NotFound
            There is no such file.
        """
        return self._place.known_hash(path) if isinstance(self._place, RemotePlace) else None

    def totals(self, path: str) -> tuple[int, int | None]:
        """Return the bytes of what lies in a bucket, and the number of files of a folder (``None`` for a file)."""
        if not isinstance(self._place, RemotePlace):
            return self.size(path), None
        return self._place.totals(path)

    def uri(self, path: str) -> str:
        """Return an absolute URI, percent-encoded for local files."""
        return self._place.uri(path)

    def remove(self, path: str) -> None:
        """Delete a file, or a folder with all that it holds."""
        self._place.remove(path)

    def abandon_uploads(self, *, before: float, dry_run: bool = False) -> int:
        """Give up uploads in parts of managed objects that were begun in a bucket of S3 and never ended.

        Parameters
        ----------
        before
            Those to which anything was added at this time (seconds since 1970) or later stay.
        dry_run
            Only count them.

        Returns
        -------
        int
            How many there were.
        """
        place = self._place
        return place.abandon_uploads(before=before, dry_run=dry_run) if isinstance(place, RemotePlace) else 0

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths of all files under a folder, sorted; links and unfinished files are passed over.

        Parameters
        ----------
        prefix
            A folder relative to the root; the root itself if empty.
        """
        yield from self._place.paths(prefix)

    def states(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield path and state of all files under a folder of a bucket, sorted, or of the file that is called so.

        A state changes when the file does; it is empty where the store tells nothing that would.

        Parameters
        ----------
        prefix
            Relative to the root; the root itself if empty.
        """
        if isinstance(self._place, RemotePlace):
            yield from self._place.states(prefix)

    def state(self, path: str) -> str:
        """Return the state of one file of a bucket or web server, at the price of one request; empty elsewhere.

        Raises
        ------
        NotFound
            There is no such file or folder.
        """
        return self._place.state(path) if isinstance(self._place, RemotePlace) else ""

    def relative(self, path_or_uri: str | os.PathLike[str]) -> str | None:
        """Return the path of a file relative to this root, or ``None`` if it lies elsewhere.

        Parameters
        ----------
        path_or_uri
            A path (relative ones start at the working folder) or a URI.

        Raises
        ------
        InvalidKey
            It seems to lie in this root, but a link on the way leads out.
        """
        return self._place.relative(os.fspath(path_or_uri))


def _placed(root: str, options: RemoteOptions, cache: Cache | None) -> tuple[str, Place]:
    if not root or "\0" in root:
        raise InvalidKey(f"{shown(root)} is no root of a storage: name {_CHOICES}")
    scheme, mark, _ = root.partition("://")
    if not mark or scheme == "file":
        return "file", LocalPlace(path_of_url(root) if mark else root)
    if scheme == "memory":
        return "memory", MemoryPlace(root)
    if is_remote(root):
        return scheme, RemotePlace(check_url(root), options, cache)
    # only the scheme is shown: what follows may hold a key or a password
    raise Unsupported(f"storage {shown(scheme + '://')}… cannot be used here: name {_CHOICES}")
