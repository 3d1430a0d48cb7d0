"""Folders of a lake in a bucket, and on any storage that is only read."""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from formats.bucket import Bucket
from formats.buckets import bucket_at
from formats.cache import Cache
from formats.hashing import hash_bytes, is_hash
from formats.remote import RemoteOptions
from formats.storage import Storage
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Draft
from lakehouse.errors import Abandoned, Diverged, NotFound, ReadOnly

__all__ = ["BucketFolder", "PublishedFolder"]

_TRIES = 5


@dataclass(frozen=True)
class BucketFolder:
    """A folder in a bucket: an object is durable, and visible, once its put is acknowledged.

    Data files carry their content hash in their name, by which copies in the cache are verified.
    """

    bucket: Bucket
    cache: Cache

    @classmethod
    def at(cls, root: str, options: RemoteOptions | None = None) -> BucketFolder:
        """Return the folder that a URL names."""
        return cls(bucket_at(root, options), Cache())

    def __str__(self) -> str:
        return self.bucket.root

    @property
    def place(self) -> str:
        """Its URL."""
        return self.bucket.root

    @property
    def uri(self) -> str:
        """Its URL."""
        return self.bucket.root

    def delta_options(self) -> dict[str, str] | None:
        """Return what delta-rs needs, with the credentials of this moment."""
        return self.bucket.options.object_store(self.place.partition("://")[0])

    def below(self, *names: str) -> BucketFolder:
        """Return a folder inside this one."""
        return BucketFolder(self.bucket.below(*names), self.cache)

    def create(self, stem: str, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Encode a file, then put it; a copy goes to the cache, since it is likely to be read soon."""
        sink = io.BytesIO()
        write(sink)
        data = sink.getvalue()
        name = f"{stem}-{secrets.token_hex(8)}.{hash_bytes(data)}.parquet"
        reach("file.before_fsync")
        self.bucket.put(name, data)
        self.cache.add(self._copy_name(name), data, suffix=".parquet")
        return name, len(data)

    def make(self) -> None:
        """Do nothing: a bucket has no folders."""

    def sync(self, *names: str, up: int = 0) -> None:
        """Do nothing: what was put is durable."""

    def draft(self, name: str, data: bytes) -> Draft:
        """Keep the new content until it is put."""
        return _BucketDraft(self.bucket, name, data)

    def read(self, name: str) -> bytes:
        """Return an object's bytes."""
        try:
            return self.bucket.get(name)[0]
        except NotFound as error:
            raise FileNotFoundError(self.bucket.uri(name)) from error

    def path(self, name: str, size: int | None = None) -> Path:
        """Return a copy in the cache, verified by size and hash."""
        try:
            return self.cache.fetch(
                self._copy_name(name),
                lambda target: self.bucket.fetch(name, target),
                size=size,
                hash=_hash_in(name),
                suffix=".parquet",
            )
        except NotFound as error:
            raise FileNotFoundError(self.bucket.uri(name)) from error

    def _copy_name(self, name: str) -> str:
        return f"data {name}"  # it holds a random number and a hash: the same wherever it lies

    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""
        return self.bucket.size(name)

    def names(self, after: str = "") -> list[str]:
        """Return the names of the objects that sort after a text, sorted."""
        return self.bucket.names(after)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        self.bucket.remove(name)

    def sweep_unfinished(self, before: float) -> None:
        """Do nothing: an object appears whole or not at all."""


@dataclass(frozen=True)
class _BucketDraft:
    bucket: Bucket
    name: str
    data: bytes

    def put(self, unless: Callable[[bytes], bool]) -> None:
        """Replace what is there by compare-and-set, unless it is newer."""
        for _ in range(_TRIES):
            try:
                found, tag = self.bucket.get(self.name)
            except NotFound:
                if self.bucket.put_if(self.name, self.data, None):
                    return
                continue
            if unless(found):
                raise Diverged(
                    f"{self.bucket.uri(self.name)} is newer than this catalog, so another one wrote it (or this one was "
                    "restored from an older backup); it was left as it is"
                )
            if self.bucket.put_if(self.name, self.data, tag):
                return
        raise Abandoned(f"{self.bucket.uri(self.name)} keeps changing: another catalog writes it")

    def discard(self) -> None: ...


@dataclass(frozen=True)
class PublishedFolder:
    """A folder of any storage that is read from its ``head.json``: nothing is listed and nothing written."""

    storage: Storage
    cache: Cache
    prefix: str = ""

    def __str__(self) -> str:
        return self.uri

    @property
    def place(self) -> str:
        """Its URL."""
        return self.uri

    @property
    def uri(self) -> str:
        """Its URL."""
        return f"{self.storage.root}/{self.prefix}".rstrip("/")

    def delta_options(self) -> dict[str, str] | None:
        """Return None: delta-rs is not asked."""
        return None

    def below(self, *names: str) -> PublishedFolder:
        """Return a folder inside this one."""
        return PublishedFolder(self.storage, self.cache, "/".join([*filter(None, [self.prefix]), *names]))

    def read(self, name: str) -> bytes:
        """Return a file's bytes as they are now."""
        try:
            with self.storage.open(self._inside(name)) as file:
                return file.read()
        except NotFound as error:
            raise FileNotFoundError(self.storage.uri(self._inside(name))) from error

    def path(self, name: str, size: int | None = None) -> Path:
        """Return a copy in the cache, verified by size and, where its name has one, by hash."""
        digest = _hash_in(name)
        known = f"data {name}" if digest else f"{self.storage.uri(self._inside(name))} {size}"
        try:
            return self.cache.fetch(
                known, lambda target: self._copy(name, target), size=size, hash=digest, suffix=".parquet"
            )
        except NotFound as error:
            raise FileNotFoundError(self.storage.uri(self._inside(name))) from error

    def _copy(self, name: str, target: Path) -> None:
        with self.storage.open(self._inside(name)) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink)

    def _inside(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None when there is none."""
        try:
            return self.storage.size(self._inside(name))
        except NotFound:
            return None

    def names(self, after: str = "") -> list[str]:
        """Return nothing: a reader lists no folders."""
        return []

    def _refuse(self) -> ReadOnly:
        return ReadOnly(f"{self} is open for reading only")

    def create(self, stem: str, write: Callable[[BinaryIO], None]) -> tuple[str, int]:
        """Refuse."""
        raise self._refuse()

    def make(self) -> None:
        """Refuse."""
        raise self._refuse()

    def sync(self, *names: str, up: int = 0) -> None:
        """Refuse."""
        raise self._refuse()

    def draft(self, name: str, data: bytes) -> Draft:
        """Refuse."""
        raise self._refuse()

    def remove(self, name: str) -> None:
        """Refuse."""
        raise self._refuse()

    def sweep_unfinished(self, before: float) -> None:
        """Refuse."""
        raise self._refuse()


def _hash_in(name: str) -> str | None:
    """Return the content hash that a data file carries in its name."""
    parts = name.split(".")
    return parts[-2] if len(parts) > 2 and is_hash(parts[-2]) else None
