"""A local cache of remote files: read-through, bounded, least recently used out first, safe under several processes.

Files that never change make it coherent without asking anybody: an entry is named by what it is a copy of, and it is
renamed into place only after its size and, where it is known, its hash were found right.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from formats.durable import TEMPORARY
from formats.folders import read_folder
from formats.hashing import hash_file
from lakehouse import config
from lakehouse.errors import InvalidFile, LakehouseError, Unavailable, shown

if sys.platform == "win32":  # pragma: no cover - no Windows machine in CI

    def _lock(_fd: int) -> None:
        """Do nothing: two processes may then fetch the same file, and the second of them fails."""

else:
    import fcntl

    def _lock(fd: int) -> None:
        """Wait for the lock of a file, which ends with the process that holds it."""
        fcntl.flock(fd, fcntl.LOCK_EX)


__all__ = ["Cache", "Damaged"]

_GRACE = 600.0
_ABANDONED = 86_400.0
_TRIES = 3


class Damaged(Unavailable):
    """What arrives has another hash, or other bytes, than it should, several times."""


class Cache:
    """A folder of copies.

    Parameters
    ----------
    folder
        Where they lie; made when it is needed. Default: ``cache_dir`` of the settings.
    limit
        Bytes that it may hold. Default: ``cache_size`` of the settings.
    grace
        Seconds for which an entry that was handed out is not removed, since somebody may be about to open it; the
        bound gives way to that.

    Examples
    --------
    >>> import tempfile
    >>> cache = Cache(Path(tempfile.mkdtemp()), limit=1_000_000)
    >>> path = cache.fetch("s3://bucket/a.txt", lambda target: target.write_bytes(b"abc"), size=3, suffix=".txt")
    >>> path.read_bytes(), cache.used()
    (b'abc', 3)
    """

    def __init__(self, folder: Path | None = None, *, limit: int | None = None, grace: float = _GRACE) -> None:
        found, size = config.cache_settings()
        self.folder = (folder or found) / "files"
        self._limit, self._grace = size if limit is None else limit, grace
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._filling: dict[str, threading.Lock] = {}
        self._used: int | None = None  # as far as this process knows

    def __repr__(self) -> str:
        return f"Cache({str(self.folder)!r}, limit={self._limit})"

    def __getstate__(self) -> tuple[Path, int, float]:
        return self.folder, self._limit, self._grace

    def __setstate__(self, state: tuple[Path, int, float]) -> None:
        self.folder, self._limit, self._grace = state
        self._begin()

    def fetch(
        self,
        name: str,
        fill: Callable[[Path], object],
        *,
        size: int | None = None,
        hash: str | None = None,
        suffix: str = "",
        resume: bool = False,
    ) -> Path:
        """Return the path of a copy, which is made if it is not there.

        Parameters
        ----------
        name
            What it is a copy of: whatever can change its content must be part of the name.
        fill
            Writes the file, or the folder, that is to be kept to the path that it is given.
        size
            Bytes expected, where known.
        hash
            Content hash expected, where known.
        suffix
            Of the file, for libraries that go by it.
        resume
            Whether ``fill`` goes on with what an earlier call left at the same path when it broke off. One process
            fills at a time; the others wait for it.

        Raises
        ------
        Unavailable
            When what arrives is not what was expected, several times.
        """
        key = _key(name)
        if (known := self._hit(key, size, suffix)) is not None:
            return known
        with self._filling_lock(key):
            if (known := self._hit(key, size, suffix)) is not None:  # another thread was quicker
                return known
            if resume:
                with self._alone(key):
                    known = self._hit(key, size, suffix)  # another process was quicker
                    return known or self._filled(name, key, fill, size, hash, suffix, resume=True)
            return self._filled(name, key, fill, size, hash, suffix)

    def find(self, name: str, size: int | None = None, *, suffix: str = "") -> Path | None:
        """Return the path of a copy, if it is there."""
        return self._hit(_key(name), size, suffix)

    def add(self, name: str, data: bytes, *, suffix: str = "") -> None:
        """Keep a copy of bytes that were just stored; a cache that cannot be written is no reason to fail."""
        with suppress(OSError):
            self.fetch(name, lambda target: target.write_bytes(data), size=len(data), suffix=suffix)

    def used(self) -> int:
        """Return the bytes that all entries hold."""
        return sum(size for _, size, _ in self._entries())

    def clear(self) -> int:
        """Delete all entries; returns how many."""
        count = 0
        for path, _, _ in self._entries():
            _discard(path)
            count += 1
        return count

    # -- one entry -------------------------------------------------------------------------------------------------
    def _hit(self, key: str, size: int | None, suffix: str) -> Path | None:
        folder = self.folder / key[:2]
        if size is not None:
            candidates = [folder / f"{key}-{size}{suffix}"]
        else:
            candidates = list(folder.glob(f"{key}-*")) if folder.is_dir() else []
        for path in candidates:
            with suppress(FileNotFoundError):
                # a power failure may leave a name with fewer bytes than were written
                if _size(path) == _told(path):
                    with suppress(PermissionError):  # another user made it, and may be read
                        os.utime(path)
                    return path
        return None

    def _filled(
        self,
        name: str,
        key: str,
        fill: Callable[[Path], object],
        size: int | None,
        hash_: str | None,
        suffix: str,
        *,
        resume: bool = False,
    ) -> Path:
        draft = self._made(key) / (f"{TEMPORARY}{key}" if resume else f"{TEMPORARY}{secrets.token_hex(8)}")
        left = False
        try:
            found = self._tried(name, draft, fill, size, hash_, resume=resume)
            target = draft.with_name(f"{key}-{found}{suffix}")
            _publish(draft, target)
        except InvalidFile as error:
            raise Unavailable(f"{shown(name)} changed while it was copied: try again") from error
        except Unavailable:
            left = resume
            raise
        except LakehouseError:
            raise
        except OSError as error:
            raise self._unwritable(error) from error
        except (KeyboardInterrupt, SystemExit):
            left = resume
            raise
        finally:
            if not left:
                _discard(draft)
        self._make_room(found, target)
        return target

    def _tried(
        self,
        name: str,
        draft: Path,
        fill: Callable[[Path], object],
        size: int | None,
        hash_: str | None,
        *,
        resume: bool,
    ) -> int:
        """Fill a draft until it is what was expected; returns its bytes."""
        found = 0
        for attempt in range(_TRIES):
            if attempt or not resume:
                _discard(draft)
            fill(draft)
            found = _size(draft)
            if (size is None or found == size) and (hash_ is None or _hash(draft) == hash_):
                return found
        _discard(draft)
        raise Damaged(
            f"{shown(name)} arrives damaged: {found} bytes of {'other content' if found == size else size}, "
            f"{_TRIES} times: try again, and look at the connection or the stored file"
        )

    def _made(self, key: str) -> Path:
        folder = self.folder / key[:2]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._unwritable(error) from error
        return folder

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Let one process at a time fill an entry."""
        try:
            lock = (self._made(key) / f"{TEMPORARY}{key}.lock").open("w")
        except OSError as error:
            raise self._unwritable(error) from error
        with lock:
            _lock(lock.fileno())
            yield

    def _unwritable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"the cache {self.folder} cannot be written ({error.strerror or error}): free some space, or name another folder "
            "in LAKEHOUSE_CACHE_DIR"
        )

    def _filling_lock(self, key: str) -> threading.Lock:
        with self._lock:
            if len(self._filling) > 1_000:
                self._filling = {k: lock for k, lock in self._filling.items() if lock.locked()}
            return self._filling.setdefault(key, threading.Lock())

    # -- all entries -----------------------------------------------------------------------------------------------
    def _make_room(self, added: int, fresh: Path) -> None:
        """Count what was added, and remove the entries that were not used for longest when it is too much."""
        with self._lock:
            self._used = self.used() if self._used is None else self._used + added
            if self._used <= self._limit:
                return
            entries = sorted(self._entries(), key=lambda entry: entry[2])
            used, youngest = sum(size for _, size, _ in entries), time.time() - self._grace
            for path, size, at in entries:
                if used <= self._limit or at > youngest:
                    break
                if path != fresh:
                    _discard(path)
                    used -= size
            self._used = used

    def _entries(self) -> list[tuple[Path, int, float]]:
        """Return path, bytes and last use of every entry; what a dead process left half done is removed."""
        found: list[tuple[Path, int, float]] = []
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                if not path.name.startswith(TEMPORARY):
                    found.append((path, _told(path), status.st_mtime))
                elif status.st_mtime < time.time() - _ABANDONED:
                    _discard(path)
        return found


def _told(path: Path) -> int:
    """Return the bytes that an entry's name tells."""
    return int(path.name.partition("-")[2].partition(".")[0])


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())


def _hash(path: Path) -> str:
    return read_folder(path).hash if path.is_dir() else hash_file(path)


def _publish(draft: Path, target: Path) -> None:
    """Rename a draft into place; a folder replaces no other one, so one that is not whole is taken away first."""
    for attempt in range(1, _TRIES + 1):
        try:
            draft.replace(target)
        except OSError:
            if not target.is_dir() or attempt == _TRIES:
                raise
            if _is_whole(target):  # another process was quicker
                return
            _discard(target)
        else:
            return


def _is_whole(path: Path) -> bool:
    """Tell whether an entry has the bytes that its name tells."""
    try:
        return _size(path) == _told(path)
    except FileNotFoundError:  # another process is removing it
        return False


def _discard(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(TEMPORARY):  # in one step, so that nobody finds half a folder under its name
        doomed = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        with suppress(FileNotFoundError):  # another process removes it
            path.rename(doomed)
        path = doomed
    shutil.rmtree(path, ignore_errors=True)


def _key(name: str) -> str:
    return hashlib.blake2b(os.fsencode(name), digest_size=20).hexdigest()
