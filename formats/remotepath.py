"""Files and folders of a store under the names that ``pathlib`` has for local ones, read in ranges.

What a format does with a path alone, ``path.open("rb")``, ``path / name``, ``path.exists()``, works with these as well,
and fetches no more than it reads.
"""

from __future__ import annotations

import datetime as dt
import io
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from formats.remote import RemoteOptions, reaching
from formats.storehash import hash_of_info
from lakehouse.errors import NotFound, Unavailable

if TYPE_CHECKING:
    import pyarrow.fs as pafs

__all__ = ["RangedFile", "RemotePath", "dataset_place", "is_remote_path"]

_BLOCK = 128 << 10
"""Bytes of a block: small reads fetch and keep whole ones."""
_KEPT = 64


class RangedFile(io.RawIOBase):
    """A file of a store; each read is a request for what is read, small ones for a block that is kept.

    Parameters
    ----------
    fs
        A file system of fsspec.
    address
        What it calls the file.
    size
        Bytes of the file.
    uri
        For messages.
    """

    fetched: int
    """Bytes that were asked for so far."""

    def __init__(self, fs: Any, address: str, size: int, uri: str) -> None:
        self._fs, self._address, self._size, self._uri = fs, address, size, uri
        self._at = self.fetched = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Say that it is read."""
        return True

    def seekable(self) -> bool:
        """Say that it has places."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer takes and the file has."""
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._size)
        length = max(0, end - self._at)
        if length:
            view[:length] = self._between(self._at, end)
            self._at = end
        return length

    def _between(self, start: int, end: int) -> bytes:
        if end - start > _BLOCK:
            return self._fetched(start, end)
        first, last = start // _BLOCK, (end - 1) // _BLOCK
        data = b"".join(self._block(number) for number in range(first, last + 1))
        return data[start - first * _BLOCK : end - first * _BLOCK]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._fetched(number * _BLOCK, min((number + 1) * _BLOCK, self._size))
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetched(self, start: int, end: int) -> bytes:
        with reaching(self._uri):
            data = bytes(self._fs.cat_file(self._address, start=start, end=end))
        if len(data) != end - start:
            raise Unavailable(f"{self._uri} arrives cut off: {len(data):,} of {end - start:,} bytes; try again")
        self.fetched += len(data)
        return data


@dataclass(frozen=True)
class RemotePath:
    """A file or folder of a store.

    Parameters
    ----------
    fs
        A file system of fsspec.
    address
        What it calls the file or folder.
    uri
        The URL.
    options
        How the store is reached.
    """

    fs: Any = field(repr=False, compare=False)
    address: str = field(repr=False, compare=False)
    uri: str
    options: RemoteOptions = field(repr=False, compare=False, default_factory=RemoteOptions)

    @property
    def scheme(self) -> str:
        """The protocol, such as ``s3``."""
        return self.uri.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part."""
        return self.uri.rpartition("/")[2]

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self.fs, f"{self.address}/{name}", f"{self.uri}/{name}", self.options)

    @cached_property
    def _info(self) -> dict[str, Any] | None:
        try:
            with reaching(self.uri):
                found: dict[str, Any] = self.fs.info(self.address)
                return found
        except NotFound:
            return None

    def exists(self) -> bool:
        """Tell whether it is there."""
        return self._info is not None

    def is_file(self) -> bool:
        """Tell whether it is a file."""
        return self._info is not None and self._info["type"] == "file"

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""
        return self._info is not None and self._info["type"] != "file"

    @property
    def size(self) -> int:
        """Bytes of the file; raises ``NotFound``."""
        if self._info is None:
            raise NotFound(f"no file at {self.uri}")
        return int(self._info["size"] or 0)

    @property
    def stated_hash(self) -> tuple[str, str] | None:
        """Kind and text of the hash that comes with what the store tells of the file, if one does."""
        return hash_of_info(self._info) if self.is_file() and self._info is not None else None

    @property
    def modified(self) -> dt.datetime | None:
        """When the store says that it was written."""
        known = (self._info or {}).get
        found = known("LastModified") or known("last_modified") or known("mtime")
        return found if isinstance(found, dt.datetime) else None

    def stat(self) -> _Status:
        """Return what is known of the file; raises ``NotFound``."""
        return _Status(self.size)

    def open(self, mode: str = "rb") -> RangedFile:
        """Open it for reading; raises ``NotFound``."""
        if mode != "rb":
            raise io.UnsupportedOperation(mode)
        return RangedFile(self.fs, self.address, self.size, self.uri)

    def read_bytes(self) -> bytes:
        """Return all bytes; raises ``NotFound``."""
        with reaching(self.uri):
            return bytes(self.fs.cat_file(self.address))

    def folders(self) -> Iterator[str]:
        """Yield the names of the folders inside."""
        with reaching(self.uri):
            found = self.fs.ls(self.address, detail=True)
        for inner in found:
            if inner["type"] != "file":
                yield inner["name"].rstrip("/").rpartition("/")[2]

    def as_path(self) -> Path:
        """Return this for what is written for ``pathlib``; formats say by ``reads_remote`` that they keep to its part."""
        return cast("Path", self)


@dataclass(frozen=True)
class _Status:
    st_size: int


def is_remote_path(path: object) -> bool:
    """Tell whether a path is one of these."""
    return isinstance(path, RemotePath)


def dataset_place(path: Path) -> tuple[str, pafs.FileSystem]:
    """Return what Arrow's datasets call a file, and the file system that they find it in."""
    import pyarrow.fs as pafs

    found: Any = path
    if not isinstance(found, RemotePath):
        # a file system of its own: otherwise a name such as 'a:b.parquet' is taken for a URL
        return str(path), pafs.LocalFileSystem()
    return found.address, pafs.PyFileSystem(_handler(found))


def _handler(path: RemotePath) -> Any:
    import pyarrow as pa
    import pyarrow.fs as pafs

    uri = path.uri

    class Ranges(pafs.FSSpecHandler):  # type: ignore[misc]
        """Opens files that fetch what is read; those of fsspec fetch megabytes ahead."""

        def open_input_file(self, path: str) -> Any:
            opened = RangedFile(self.fs, path, self.fs.info(path)["size"], uri)
            return pa.PythonFile(opened, mode="r")

        open_input_stream = open_input_file

    return Ranges(path.fs)
