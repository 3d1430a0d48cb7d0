"""Storage in a local folder."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from formats.durable import TEMPORARY, fsync_dir, make_dirs_durably, make_each_durably, write_durably
from formats.folders import Folder, holds_folder, put_folder
from formats.hashing import PREFIXES
from formats.inside import open_inside
from formats.paths import path_of_url, relative_parts, report, verified
from lakehouse.errors import InvalidKey, NotFound, shown
from lakehouse.types import Progress

__all__ = ["LocalPlace"]

_MANY = 64  # folders that one process put objects in: then all are made, with one fsync in place of a thousand


class LocalPlace:
    """A folder on this machine; nothing outside it is reached, not through links either."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._folder = Path(self.root)
        # Folders whose own entry is known to be durable. One that exists may have been made a moment ago by another
        # process that has not yet synced it, so this process syncs each once; a clean folder costs microseconds.
        self._durable: set[Path] = set()
        self._spread = False

    def put(self, path: str, source: bytes | Path, hash_: str, size: int, progress: Progress | None) -> None:
        """Write durably, unless it is there."""
        self._inside(path)
        target = self._folder / path
        self._make_durable(target.parent)
        if _has_size(target, size) and _touched(target):
            # its writer may have died, or not be done, between its rename and its fsync
            fsync_dir(target.parent)
            report(progress, size)
            return
        write_durably(target, source if isinstance(source, bytes) else verified(source, hash_, progress))
        if isinstance(source, bytes):
            report(progress, size)

    def put_folder(self, path: str, folder: Folder, progress: Progress | None) -> None:
        """Write durably under a name that appears last."""
        target = self._inside(path)
        self._make_durable(target.parent)
        _touched(target)
        put_folder(target, folder, progress=progress)

    def open(self, path: str) -> BinaryIO:
        """Open for reading, through no link."""
        inside = self._inside(path).relative_to(self._folder)
        with _not_found(self, path):
            return os.fdopen(open_inside(self._folder, inside), "rb")

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there."""
        return self._inside(path).exists()

    def size(self, path: str) -> int:
        """Return a file's bytes."""
        with _not_found(self, path):
            return self._inside(path).stat().st_size

    def holds(self, path: str, size: int) -> bool:
        """Tell whether a file of this size is there."""
        return _has_size(self._inside(path), size)

    def holds_folder(self, path: str, size: int, n_files: int) -> bool:
        """Tell whether a folder of this size is there."""
        return holds_folder(self._inside(path), size=size, n_files=n_files)

    def local_path(
        self, path: str, *, size: int | None = None, hash: str | None = None, progress: Progress | None = None
    ) -> Path:
        """Return the path itself."""
        found = self._inside(path)
        if not found.exists():
            raise NotFound(f"no file {shown(path)} in {self._title}")
        return found

    def uri(self, path: str) -> str:
        """Return a percent-encoded ``file://`` URI."""
        return self._inside(path).as_uri()

    def remove(self, path: str) -> None:
        """Delete a file or folder."""
        with _not_found(self, path):
            if (found := self._inside(path)).is_dir():
                shutil.rmtree(found)
            else:
                found.unlink()

    def paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths of all files, sorted; links and unfinished files are passed over."""
        top = self._inside(prefix) if prefix else self._folder
        for folder, subfolders, files in os.walk(top):
            subfolders.sort()
            for name in sorted(files):
                found = Path(folder, name)
                if not name.startswith(TEMPORARY) and not found.is_symlink():
                    yield found.relative_to(self._folder).as_posix()

    def relative(self, text: str) -> str | None:
        """Return a path relative to this root, or None if it lies elsewhere."""
        if "://" in text:
            if urlsplit(text).scheme != "file":
                return None
            text = path_of_url(text)
        written = Path(os.path.abspath(text))  # noqa: PTH100  # without following links, which resolve() does
        real = Path(os.path.realpath(text))
        if real != self._folder and real.is_relative_to(self._folder):
            return real.relative_to(self._folder).as_posix()
        if written != self._folder and written.is_relative_to(self._folder):
            raise InvalidKey(
                f"{shown(text)} is reached through a link that leads out of {self._title}: name the real file"
            )
        return None

    def _inside(self, path: str) -> Path:
        """Return the real path of something under the root; a link that leads out is refused."""
        parts = relative_parts(path).split("/")
        joined = os.path.join(self.root, *parts)  # noqa: PTH118
        real = joined if _has_no_link(self.root, parts) else os.path.realpath(joined)
        if real != joined and not Path(real).is_relative_to(self.root):
            raise InvalidKey(f"{shown(path)} is reached through a link that leads out of {self._title}")
        return Path(real)

    @property
    def _title(self) -> str:
        return f"Storage({self.root!r})"

    def _make_durable(self, folder: Path) -> None:
        if folder in self._durable and folder.is_dir():
            return
        if len(self._durable) > _MANY and not self._spread and folder.name in PREFIXES and folder.parent.is_dir():
            self._spread = True
            self._durable |= make_each_durably(folder.parent, PREFIXES)
            return
        if not make_dirs_durably(folder):
            fsync_dir(folder.parent)
        if folder.parent not in self._durable:
            fsync_dir(folder.parent.parent)
        self._durable |= {folder, folder.parent}


def _has_no_link(root: str, parts: list[str]) -> bool:
    """Whether nothing below a root, which holds no link itself, is a link; cheaper than to resolve the whole path."""
    if sys.platform == "win32":  # whose junctions are no links
        return False
    place = root
    for part in parts:
        place = f"{place}/{part}"
        try:
            found = os.lstat(place)
        except OSError as error:
            return error.errno == errno.ENOENT
        if stat.S_ISLNK(found.st_mode):
            return False
    return True


def _touched(path: Path) -> bool:
    """Let a sweep see that somebody is about to refer to an object; False when it is not there, or another user's."""
    try:
        os.utime(path)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def _has_size(path: Path, size: int) -> bool:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


class _not_found:  # noqa: N801  # reads as a statement: with _not_found(...)
    """Turn FileNotFoundError into NotFound; a class, since a generator costs more than the call it guards."""

    def __init__(self, place: LocalPlace, path: str) -> None:
        self._place, self._path = place, path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        title = f"Storage({self._place.root!r})"
        if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
            raise NotFound(f"no file {shown(self._path)} in {title}") from error
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise InvalidKey(f"{shown(self._path)} became a link while it was opened in {title}") from error
