"""Roots under which files lie.

A storage is a local folder (or ``file://`` URL) or ``memory://name``. Managed objects are named by their content,
``objects/ab/<hash><suffix>``, and never change; other files under the root may be registered where they are.

All paths are relative to the root and in POSIX form. Nothing outside the root is ever read or written: a path that
climbs, or a link that leads out, is refused.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from formats.durable import TEMPORARY, fsync_dir, make_dirs_durably, write_durably
from formats.folders import Folder, holds_folder, put_folder
from formats.hashing import Hasher, is_hash, read_stable
from formats.inside import open_inside
from formats.keys import check_suffix
from lakehouse.errors import InvalidFile, InvalidKey, NotFound, Unsupported, shown
from lakehouse.types import Progress

__all__ = ["Storage"]

_OBJECTS = "objects"
_CHOICES = "a local folder, file:///folder or memory://name"


class Storage:
    """A root that holds files.

    Parameters
    ----------
    root
        A folder (created at the first write), a ``file://`` URL, or ``memory://name``, which lives as long as the
        process.

    Raises
    ------
    Unsupported
        Another protocol.

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
    """Canonical: an absolute path without links, or ``memory://name``."""

    protocol: str
    """``file`` or ``memory``."""

    local: bool
    """Whether files have a path in the local file system."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.protocol, self.root = _canonical(os.fspath(root))
        self.local = self.protocol == "file"
        self._folder = Path(self.root) if self.local else None
        # Folders whose own entry is known to be durable. One that exists may have been made a moment ago by another
        # process that has not yet synced it, so this process syncs each once; a clean folder costs microseconds.
        self._durable: set[Path] = set()

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

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
        size = len(source) if isinstance(source, bytes) else _file_size(source)
        if self._folder is None:
            self._put_in_memory(path, hash, size, source, progress)
        else:
            self._put_locally(self._folder / path, hash, size, source, progress)
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
        if self._folder is None:
            for file in folder.files:
                self._memory.pipe_file(self._memory_path(f"{path}/{file.name}"), b"".join(folder.read(file)))
            _report(progress, folder.size)
            return path
        target = self._inside(path)
        self._make_durable(target.parent)
        put_folder(target, folder, progress=progress)
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
        if self._folder is None:
            with _not_found(self, path):
                stored: BinaryIO = self._memory.open(self._memory_path(path), "rb")
                return stored
        inside = self._inside(path).relative_to(self._folder)
        with _not_found(self, path):
            return os.fdopen(open_inside(self._folder, inside), "rb")

    def exists(self, path: str) -> bool:
        """Tell whether a file or a folder is there."""
        if self._folder is None:
            return bool(self._memory.exists(self._memory_path(path)))
        return self._inside(path).exists()

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        with _not_found(self, path):
            if self._folder is None:
                return int(self._memory.size(self._memory_path(path)))
            return self._inside(path).stat().st_size

    def holds(self, path: str, size: int) -> bool:
        """Tell whether a file of this size is there, at the price of one stat."""
        if self._folder is None:
            return self.exists(path) and self.size(path) == size
        return _has_size(self._inside(path), size)

    def holds_folder(self, path: str, size: int, n_files: int) -> bool:
        """Tell whether a folder with so many bytes and files is there, at the price of one stat per file."""
        if self._folder is None:
            sizes = [self.size(name) for name in self.list(path)] if self.exists(path) else []
            return (len(sizes), sum(sizes)) == (n_files, size)
        return holds_folder(self._inside(path), size=size, n_files=n_files)

    def local_path(self, path: str) -> Path:
        """Return a path in the local file system, of a file or folder, that other libraries can read.

        What lies in memory is copied to a temporary folder, which lives as long as this object.
        """
        if self._folder is None:
            return self._copied(path)
        found = self._inside(path)
        if not found.exists():
            raise NotFound(f"no file {shown(path)} in {self!r}")
        return found

    def uri(self, path: str) -> str:
        """Return an absolute URI, percent-encoded for local files."""
        if self._folder is None:
            return f"{self.root}/{_relative_parts(path)}"
        return self._inside(path).as_uri()

    def remove(self, path: str) -> None:
        """Delete a file, or a folder with all that it holds."""
        with _not_found(self, path):
            if self._folder is None:
                self._memory.rm(self._memory_path(path), recursive=True)
            elif (found := self._inside(path)).is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the paths of all files under a folder, sorted; links and unfinished files are passed over.

        Parameters
        ----------
        prefix
            A folder relative to the root; the root itself if empty.
        """
        if self._folder is None:
            top = self._memory_path(prefix) if prefix else self._memory_root
            start = len(self._memory_root) + 1
            yield from sorted(found[start:] for found in self._memory.find(top))
            return
        top_folder = self._inside(prefix) if prefix else self._folder
        for folder, subfolders, files in os.walk(top_folder):
            subfolders.sort()
            for name in sorted(files):
                found = Path(folder, name)
                if not name.startswith(TEMPORARY) and not found.is_symlink():
                    yield found.relative_to(self._folder).as_posix()

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
        text = os.fspath(path_or_uri)
        if self._folder is None:
            rest = text.removeprefix(self.root + "/")
            return None if rest == text else _relative_parts(rest)
        if "://" in text:
            if urlsplit(text).scheme != "file":
                return None
            text = _path_of_url(text)
        written = Path(os.path.abspath(text))  # noqa: PTH100  # without following links, which resolve() does
        real = Path(os.path.realpath(text))
        if real != self._folder and real.is_relative_to(self._folder):
            return real.relative_to(self._folder).as_posix()
        if written != self._folder and written.is_relative_to(self._folder):
            raise InvalidKey(f"{shown(text)} is reached through a link that leads out of {self!r}: name the real file")
        return None

    def _put_locally(
        self, target: Path, hash_: str, size: int, source: Path | bytes, progress: Progress | None
    ) -> None:
        self._inside(target.relative_to(self.root).as_posix())
        self._make_durable(target.parent)
        if _has_size(target, size):
            # its writer may have died, or not be done, between its rename and its fsync
            fsync_dir(target.parent)
            _report(progress, size)
            return
        write_durably(target, source if isinstance(source, bytes) else _verified(source, hash_, progress))
        if isinstance(source, bytes):
            _report(progress, size)

    def _make_durable(self, folder: Path) -> None:
        if folder in self._durable and folder.is_dir():
            return
        if not make_dirs_durably(folder):
            fsync_dir(folder.parent)
        if folder.parent not in self._durable:
            fsync_dir(folder.parent.parent)
        self._durable |= {folder, folder.parent}

    def _inside(self, path: str) -> Path:
        """Return the real path of something under the root; a link that leads out is refused."""
        joined = os.path.join(self.root, *_relative_parts(path).split("/"))  # noqa: PTH118
        real = os.path.realpath(joined)
        if real != joined and not Path(real).is_relative_to(self.root):
            raise InvalidKey(f"{shown(path)} is reached through a link that leads out of {self!r}")
        return Path(real)

    def _put_in_memory(self, path: str, hash_: str, size: int, source: Path | bytes, progress: Progress | None) -> None:
        if self.holds(path, size):
            _report(progress, size)
            return
        data = source if isinstance(source, bytes) else b"".join(_verified(source, hash_, progress))
        self._memory.pipe_file(self._memory_path(path), data)
        if isinstance(source, bytes):
            _report(progress, size)

    @cached_property
    def _memory(self) -> Any:
        import fsspec

        return fsspec.filesystem("memory")

    @property
    def _memory_root(self) -> str:
        return "/" + self.root.removeprefix("memory://")

    def _memory_path(self, path: str) -> str:
        return f"{self._memory_root}/{_relative_parts(path)}"

    @cached_property
    def _copies(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="lakehouse-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _copied(self, path: str) -> Path:
        if self._memory.isdir(self._memory_path(path)):
            for name in self.list(path):
                self._copied(name)
            return self._copies / _relative_parts(path)
        with self.open(path) as file:
            data = file.read()
        target = self._copies / _relative_parts(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _has_size(target, len(data)) or target.read_bytes() != data:
            target.write_bytes(data)
        return target


def _canonical(root: str) -> tuple[str, str]:
    if not root or "\0" in root:
        raise InvalidKey(f"{shown(root)} is no root of a storage: name {_CHOICES}")
    scheme, mark, rest = root.partition("://")
    if not mark or scheme == "file":
        return "file", os.path.realpath(_path_of_url(root) if mark else root)
    if scheme == "memory":
        return "memory", f"memory://{_relative_parts(rest.strip('/') or 'default')}"
    # only the scheme is shown: what follows may hold a key or a password
    raise Unsupported(f"storage {shown(scheme + '://')}… cannot be used here: name {_CHOICES}")


def _path_of_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise InvalidKey(f"{shown(url.split('@')[-1])} names another host: write file:///folder")
    # a file's name may hold '#' or '?', which are no fragment or query here
    rest = url.partition("://")[2].removeprefix(parts.netloc)
    return url2pathname(rest) if os.name == "nt" else unquote(rest, errors="surrogateescape")


def _relative_parts(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or "\0" in path or ".." in parts or path.startswith("/") or (os.name == "nt" and "\\" in path):
        raise InvalidKey(f"{shown(path)} is no path inside a storage: write it relative to the root, without '..'")
    return "/".join(parts)


def _verified(source: Path, expected: str, progress: Progress | None) -> Iterator[bytes]:
    """Yield a file's bytes and raise at the end unless they have the hash, so that no wrong object is ever named."""
    hasher = Hasher(size=_file_size(source))
    for piece, _ in read_stable(source, progress=progress):
        hasher.update(piece)
        yield piece
    if hasher.text() != expected:
        raise InvalidFile(f"{shown(str(source))} changed since it was hashed: save it again when its writer is done")


def _file_size(source: Path) -> int:
    try:
        return source.stat().st_size
    except FileNotFoundError:
        raise NotFound(f"no file at {shown(str(source))}") from None


def _has_size(path: Path, size: int) -> bool:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _report(progress: Progress | None, size: int) -> None:
    if progress:
        progress(size, size)


class _not_found:  # noqa: N801  # reads as a statement: with _not_found(...)
    """Turn FileNotFoundError into NotFound; a class, since a generator costs more than the call it guards."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._storage, self._path = storage, path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise NotFound(f"no file {shown(self._path)} in {self._storage!r}") from error
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise InvalidKey(f"{shown(self._path)} became a link while it was opened in {self._storage!r}") from error
