"""Storage in buckets and, for reading, on web servers; what is read is copied to a local cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from formats import transfer, upload_azure, upload_google
from formats.abandoned import abandon_uploads
from formats.bucket_azure import AzureBucket
from formats.buckets import bucket_at
from formats.cache import Cache
from formats.folders import Folder
from formats.hashing import is_hash
from formats.keys import suffix_of
from formats.paths import relative_parts, report
from formats.remote import READ_ONLY, Denied, RemoteOptions, address_in, filesystem, reaching
from formats.remotepath import RemotePath
from formats.storage_fsspec import FsspecPlace
from formats.storehash import BYTES, digest_of, folder_hash, hash_in_store, hash_of_info
from lakehouse.errors import NotFound, ReadOnly, Unavailable, Unsupported, shown
from lakehouse.types import Progress

__all__ = ["RemotePlace"]

_BUCKETS = {
    "s3": ("bucket", "AWS_ENDPOINT_URL, AWS_PROFILE"),
    "gs": ("bucket", "STORAGE_EMULATOR_HOST"),
    **dict.fromkeys(("az", "abfs"), ("container", "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_CONNECTION_STRING")),
}
"""What each store calls that which holds files, and the variables that name the store."""


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

    def ask(self) -> bool:
        """Ask the store whether it is there; False for one that may not, or cannot, be listed."""
        if self._scheme in READ_ONLY:
            with suppress(NotFound, Denied), reaching(self.root):  # files may be there though the folder shows none
                self._fs.info(f"{self.root}/")
            return False
        try:
            bucket_at(self.root, self._options).look()
        except Denied:
            return False
        except NotFound:
            raise NotFound(_no_bucket(self.root)) from None
        return True

    def put(self, path: str, source: bytes | Path, hash_: str, size: int, progress: Progress | None) -> None:
        """Store, unless it is there."""
        self._refuse_reading_only()
        super().put(path, source, hash_, size, progress)

    def put_folder(self, path: str, folder: Folder, progress: Progress | None) -> None:
        """Store the files of a folder, several at once; nothing refers to them before all are there."""
        self._refuse_reading_only()
        there = dict(self._sizes(path))
        files = {file.name: file for file in folder.files}
        missing = [(f.name, f.size) for f in folder.files if there.get(f"{path}/{f.name}") != f.size]
        done = folder.size - sum(size for _, size in missing)

        def send(file: tuple[str, int]) -> int:
            self._send(f"{path}/{file[0]}", folder.read(files[file[0]]), file[1])
            return file[1]

        small, large = _by_size(missing)
        with ThreadPoolExecutor(transfer.THREADS) as pool:
            for size in chain(pool.map(send, small), map(send, large)):
                done += size
                if progress:
                    progress(done, folder.size)
        report(progress, folder.size)

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there; a web server that cannot be asked is no answer."""
        if self._scheme not in READ_ONLY:
            return super().exists(path)
        try:
            self._info(path)
        except NotFound:
            return False
        return True

    def remove(self, path: str) -> None:
        """Delete a file or folder."""
        self._refuse_reading_only()
        super().remove(path)

    def paths(self, prefix: str) -> Iterator[str]:
        """Yield the paths of all files, sorted; what a web server holds cannot be listed."""
        self._refuse_listing()
        yield from super().paths(prefix)

    def _refuse_listing(self) -> None:
        if self._scheme in READ_ONLY:
            raise Unsupported(f"{self.root} is a web server, which cannot list its files: name them one by one")

    def states(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield path and state of all files under a folder, or of the one that is called so."""
        self._refuse_listing()
        for path, info in self._found(relative_parts(prefix) if prefix else ""):
            yield path, _told_state(info)

    def state(self, path: str) -> str:
        """Return the state of a file."""
        info = self._info(path)
        return _told_state(info) if info["type"] == "file" else ""

    def _refuse_reading_only(self) -> None:
        if self._scheme in READ_ONLY:
            raise ReadOnly(f"{self.root} is a web server and is only read: store in a folder or a bucket instead")

    def _send(self, path: str, pieces: Iterator[bytes], size: int, progress: Progress | None = None) -> None:
        """Send what is verified while it is read; an object appears whole at the end, or not at all."""
        address = self._address(path)
        if size <= 2 * transfer.PART:
            self._send_whole(path, address, b"".join(pieces))
            return
        if self._scheme == "s3":
            with reaching(self.uri(path), writing=True):
                transfer.upload(self._fs, address, pieces, size, progress)
            return
        digest = hashlib.md5(usedforsecurity=False)
        self._send_large(path, _noted(pieces, digest), size, digest, progress)
        self._refuse_other(path, size, digest.digest())

    def _send_large(
        self, path: str, pieces: Iterator[bytes], size: int, digest: Any, progress: Progress | None
    ) -> None:
        """Send a large file to Google or Azure; what broke off there is taken up again."""
        if self._scheme == "gs":
            notes = self._cache.folder.parent / "uploads"
            with reaching(self.uri(path), writing=True):
                upload_google.upload(self._fs, self._address(path), pieces, size, notes, progress)
            return
        upload_azure.upload(AzureBucket(self.root, self._options), path, pieces, size, digest, progress)

    def _send_whole(self, path: str, address: str, data: bytes) -> None:
        with reaching(self.uri(path), writing=True):
            if self._scheme == "s3":
                transfer.put_whole(self._fs, address, data)
                return
            self._fs.pipe_file(address, data)
        self._refuse_other(path, len(data), hashlib.md5(data, usedforsecurity=False).digest())

    def _refuse_other(self, path: str, size: int, digest: bytes) -> None:
        """Compare what the store holds with what was sent: its size, and its MD5 where the store has made one."""
        stated = hash_of_info(self._info(path)) if self.holds(path, size) else ("absent", "")
        if stated not in (None, ("md5", digest.hex())):
            if stated[0] != "absent":  # else the next save took it for the one that was wanted
                self.remove(path)
            raise Unavailable(f"{self.uri(path)} is not as it was sent: save it again")

    def abandon_uploads(self, *, before: float, dry_run: bool) -> int:
        """Give up uploads of objects to which nothing was added since a time; return how many."""
        if self._scheme != "s3":
            return 0
        bucket, _, prefix = self._top.partition("/")
        with reaching(self.root, writing=True):
            inside = f"{prefix}/objects/".lstrip("/")
            return len(list(abandon_uploads(self._fs, bucket, inside, before=before, dry_run=dry_run)))

    # -- reading through the cache ---------------------------------------------------------------------------------
    def totals(self, path: str) -> tuple[int, int | None]:
        """Return the bytes of a file or folder, and of a folder how many files it has."""
        info = self._info(path)
        if info["type"] == "file":
            return int(info["size"]), None
        found = self._sizes(relative_parts(path))
        return sum(size for _, size in found), len(found)

    def local_path(
        self, path: str, *, size: int | None = None, hash: str | None = None, progress: Progress | None = None
    ) -> Path:
        """Return a copy in the cache; objects named by their content are verified by it and never asked for again."""
        relative = relative_parts(path)
        suffix = suffix_of(relative)
        if (digest := managed_hash(relative)) is not None:
            return self._cache.fetch(
                f"content {digest}{suffix}",
                lambda t: self._fetch_either(relative, t, size, progress),
                size=size,
                hash=digest,
                suffix=suffix,
                resume=size is not None and size > 2 * transfer.PART,
            )
        info = self._info(relative)
        if info["type"] != "file":
            return self._folder_as_it_is(relative, progress)
        # another size is other content, of which the caller has more to say
        expected = hash if hash is not None and is_hash(hash) and info["size"] == size else None
        return self._cache.fetch(
            f"{self.uri(path)} {state_of(info)}",
            lambda t: self._fetch_checked(relative, t, info["size"], progress),
            size=info["size"],
            hash=expected,
            suffix=suffix,
        )

    def remote_path(self, path: str) -> RemotePath | None:
        """Return a path that reads ranges; ``None`` where the store may know none, as many web servers."""
        if self._scheme in READ_ONLY:
            return None
        return RemotePath(self._fs, self._address(path), self.uri(path), self._options)

    def known_hash(self, path: str) -> tuple[str, str] | None:
        """Return kind and text of the hash that the store has of a file or folder, if it has one."""
        relative = relative_parts(path)
        if self._scheme in READ_ONLY or managed_hash(relative) is not None:
            return None
        with reaching(self.uri(relative)):
            if self._info(relative)["type"] == "file":
                return hash_in_store(self._fs, self._scheme, self._address(relative))
            found = folder_hash(self._fs, self._address(relative))
        return ("etag-folder", found[0]) if found is not None else None

    def cached(self, path: str, size: int) -> Path | None:
        """Return the copy of an object named by its content, if it is there."""
        relative = relative_parts(path)
        digest, suffix = managed_hash(relative), suffix_of(relative)
        return None if digest is None else self._cache.find(f"content {digest}{suffix}", size, suffix=suffix)

    def _fetch_either(self, relative: str, target: Path, size: int | None, progress: Progress | None) -> None:
        """Fetch a managed object, which may be a file or a folder."""
        try:
            self._fetch(relative, target, size, progress, resume=size is not None)
        except NotFound:
            if self._scheme in READ_ONLY or not self._sizes(relative):
                raise
            for begun in (target, transfer.journal_of(target)):
                begun.unlink(missing_ok=True)
            self._fetch_folder(relative, target, progress)

    def _folder_as_it_is(self, relative: str, progress: Progress | None) -> Path:
        found = self._sizes(relative)
        if not found:
            raise NotFound(f"no file {shown(relative)} in {self.root}")
        name = f"{self.uri(relative)} {found}"
        return self._cache.fetch(name, lambda t: self._fetch_folder(relative, t, progress), suffix=suffix_of(relative))

    def _fetch(
        self,
        relative: str,
        target: Path,
        size: int | None = None,
        progress: Progress | None = None,
        *,
        resume: bool = False,
    ) -> None:
        address = self._address(relative)
        with reaching(self.uri(relative)):
            if self._scheme in READ_ONLY:  # many web servers know no ranges
                self._fs.get_file(address, str(target))
                report(progress, size or 0)
                return
            wanted = self._file_size(relative) if size is None else size
            transfer.download(self._fs, address, target, wanted, progress=progress, resume=resume)

    def _fetch_checked(self, relative: str, target: Path, size: int, progress: Progress | None) -> None:
        """Fetch a file that is not ours, and compare it with the hash that the store has of it, if it has one."""
        self._fetch(relative, target, size, progress)
        kind, digest = self.known_hash(relative) or ("", "")
        if kind in BYTES and digest_of(target, kind) != digest:
            raise Unavailable(f"{self.uri(relative)} arrives damaged, or changed meanwhile: try again")

    def _file_size(self, relative: str) -> int:
        found = self._info(relative)
        if found["type"] != "file":
            raise NotFound(f"no file at {self.uri(relative)}")
        return int(found["size"])

    def _fetch_folder(self, relative: str, target: Path, progress: Progress | None = None) -> None:
        found = self._sizes(relative)
        done, total = 0, sum(size for _, size in found)

        def fetch(file: tuple[str, int]) -> int:
            # whoever writes to a bucket chooses its names: one that climbs must make no folder outside the copy
            inside = target.joinpath(*PurePosixPath(relative_parts(file[0])).relative_to(relative).parts)
            inside.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(file[0], inside, file[1])
            return file[1]

        small, large = _by_size(found)
        with ThreadPoolExecutor(transfer.THREADS) as pool:
            for size in chain(pool.map(fetch, small), map(fetch, large)):
                done += size
                if progress:
                    progress(done, total)


def _no_bucket(root: str) -> str:
    scheme, _, rest = root.partition("://")
    what, told = _BUCKETS[scheme]
    name = rest.partition("/")[0]
    return f"{root}: there is no {what} {shown(name)}: create it, or mend the name or what names the store ({told})"


def _noted(pieces: Iterator[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def managed_hash(relative: str) -> str | None:
    """Return the content hash that names an object, or None for what lies there under a name of its own."""
    first, _, name = relative.rpartition("/")
    return name[:32] if first.startswith("objects/") and is_hash(name[:32]) else None


def _by_size(found: Iterable[tuple[str, int]]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return small files, of which many go at once, and those that go in parts, one by one."""
    small: list[tuple[str, int]] = []
    large: list[tuple[str, int]] = []
    for name, size in found:
        (large if size > 2 * transfer.PART else small).append((name, size))
    return small, large


_CHANGING = ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "last_modified", "mtime")


def state_of(info: dict[str, Any]) -> str:
    """Return what changes when a file that is not ours changes."""
    return " ".join(str(info[name]) for name in (*_CHANGING, "size") if info.get(name))


def _told_state(info: dict[str, Any]) -> str:
    """Return the same; empty where all that is told is a size, which another content may have, too."""
    return state_of(info) if any(info.get(name) for name in _CHANGING) else ""
