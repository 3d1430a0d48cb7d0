"""Storage in buckets and, for reading, on web servers; what is read is copied to a local cache."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from formats.cache import Cache
from formats.folders import Folder
from formats.hashing import is_hash
from formats.keys import suffix_of
from formats.paths import relative_parts
from formats.remote import READ_ONLY, RemoteOptions, address_in, filesystem, reaching
from formats.storage_fsspec import FsspecPlace
from lakehouse.errors import NotFound, ReadOnly, Unavailable, Unsupported, shown
from lakehouse.types import Progress

__all__ = ["RemotePlace"]

_WHOLE = 64_000_000
"""Files of up to this many bytes are sent in one request."""
_BLOCK = 16_000_000
_THREADS = 8


class RemotePlace(FsspecPlace):
    """A bucket or a web server; reading goes through a local cache."""

    def __init__(self, root: str, options: RemoteOptions, cache: Cache | None) -> None:
        self.root, self._options, self._given_cache = root, options, cache
        self._scheme = root.partition("://")[0]

    @property
    def _fs(self) -> Any:
        return filesystem(self.root, self._options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_cache"}

    @cached_property
    def _cache(self) -> Cache:
        return self._given_cache or Cache()

    @property
    def _top(self) -> str:
        return self.root if self._scheme in READ_ONLY else self.root.partition("://")[2]

    def _address(self, path: str) -> str:
        return address_in(self.root, relative_parts(path))

    def put(self, path: str, source: bytes | Path, hash_: str, size: int, progress: Progress | None) -> None:
        """Store, unless it is there."""
        self._refuse_reading_only()
        super().put(path, source, hash_, size, progress)

    def put_folder(self, path: str, folder: Folder, progress: Progress | None) -> None:
        """Store the files of a folder; nothing refers to them before all are there."""
        self._refuse_reading_only()
        super().put_folder(path, folder, progress)

    def remove(self, path: str) -> None:
        """Delete a file or folder."""
        self._refuse_reading_only()
        super().remove(path)

    def paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths of all files, sorted; what a web server holds cannot be listed."""
        if self._scheme in READ_ONLY:
            raise Unsupported(f"{self.root} is a web server, which cannot list its files: name them one by one")
        yield from super().paths(prefix)

    def _refuse_reading_only(self) -> None:
        if self._scheme in READ_ONLY:
            raise ReadOnly(f"{self.root} is a web server and is only read: store in a folder or a bucket instead")

    def _send(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """Send what is verified while it is read; an object appears whole at the end, or not at all."""
        address = self._address(path)
        if size <= _WHOLE:
            data = b"".join(pieces)
            with reaching(self.uri(path), writing=True):
                self._fs.pipe_file(address, data)
        else:
            self._stream(path, pieces)
        if not self.holds(path, size):
            raise Unavailable(f"{self.uri(path)} is not as it was sent: save it again")

    def _stream(self, path: str, pieces: Iterator[bytes]) -> None:
        with reaching(self.uri(path), writing=True):
            target = self._fs.open(self._address(path), "wb", block_size=_BLOCK, autocommit=False)
        try:
            for piece in pieces:
                with reaching(self.uri(path), writing=True):
                    target.write(piece)
            with reaching(self.uri(path), writing=True):
                target.close()
                target.commit()
        except BaseException:
            with reaching(self.uri(path), writing=True):
                target.discard()
            target.closed = True  # else it is sent after all when it is collected
            raise

    # -- reading through the cache ---------------------------------------------------------------------------------
    def local_path(self, path: str) -> Path:
        """Return a copy in the cache; objects named by their content are verified by it and never asked for again."""
        relative = relative_parts(path)
        first, _, digest = relative.rpartition("/")
        digest = digest[:32]
        managed = first.startswith("objects/") and is_hash(digest)
        suffix = suffix_of(relative)
        if managed:
            name = f"content {digest}{suffix}"
            return self._cache.fetch(name, lambda t: self._fetch_either(relative, t), hash=digest, suffix=suffix)
        info = self._info(relative)
        if info["type"] != "file":
            return self._folder_as_it_is(relative)
        name = f"{self.uri(path)} {_state(info)}"
        return self._cache.fetch(name, lambda t: self._fetch(relative, t), size=info["size"], suffix=suffix)

    def _fetch_either(self, relative: str, target: Path) -> None:
        """Fetch a managed object, which may be a file or a folder."""
        try:
            self._fetch(relative, target)
        except NotFound:
            if self._scheme in READ_ONLY or not self._sizes(relative):
                raise
            self._fetch_folder(relative, target)

    def _folder_as_it_is(self, relative: str) -> Path:
        found = self._sizes(relative)
        if not found:
            raise NotFound(f"no file {shown(relative)} in {self.root}")
        name = f"{self.uri(relative)} {found}"
        return self._cache.fetch(name, lambda t: self._fetch_folder(relative, t), suffix=suffix_of(relative))

    def _fetch(self, relative: str, target: Path) -> None:
        with reaching(self.uri(relative)):
            self._fs.get_file(self._address(relative), str(target))

    def _fetch_folder(self, relative: str, target: Path) -> None:
        names = [name for name, _ in self._sizes(relative)]

        def fetch(name: str) -> None:
            # whoever writes to a bucket chooses its names: one that climbs must make no folder outside the copy
            inside = target.joinpath(*PurePosixPath(relative_parts(name)).relative_to(relative).parts)
            inside.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(name, inside)

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(fetch, names))


def _state(info: dict[str, Any]) -> str:
    """Return what changes when a file that is not ours changes."""
    return " ".join(
        str(info[name])
        for name in ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "last_modified", "mtime", "size")
        if info.get(name)
    )
