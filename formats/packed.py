"""Compressed text: gzip and zstd, read so that a bomb stops early and written so that equal texts are equal bytes."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from formats.limits import GuardedGzip, bomb_bound, refuse_bomb

__all__ = ["is_packed", "open_unpacked", "packing"]


def is_packed(suffix: str) -> bool:
    """Tell whether a suffix says that the file is compressed.

    Examples
    --------
    >>> is_packed(".csv.gz"), is_packed(".csv.zst"), is_packed(".csv")
    (True, True, False)
    """
    return suffix.endswith((".gz", ".zst"))


def open_unpacked(path: Path, suffix: str) -> BinaryIO:
    """Open a file for reading its unpacked bytes.

    Raises
    ------
    InvalidFile
        While it is read: it unpacks to more than 256 MB and more than 200 times its size.
    """
    if suffix.endswith(".gz"):
        return GuardedGzip(path)  # type: ignore[return-value]
    return io.BufferedReader(_Zstd(path)) if suffix.endswith(".zst") else path.open("rb")


@contextmanager
def packing(sink: BinaryIO, suffix: str) -> Iterator[Any]:
    """Yield what to write plain bytes into."""
    if suffix.endswith(".gz"):
        # no time and no name in the header: equal frames give equal bytes
        with gzip.GzipFile(fileobj=sink, filename="", mode="wb", mtime=0) as packed:
            yield packed
    elif suffix.endswith(".zst"):
        import pyarrow as pa

        # closing the stream would close the sink, which the caller may still read
        with pa.CompressedOutputStream(pa.PythonFile(_Unclosed(sink), "w"), "zstd") as stream:
            yield stream
    else:
        yield sink


class _Unclosed(io.RawIOBase):
    """Passes writes on, and keeps the sink open."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._sink.write(data)


class _Zstd(io.RawIOBase):
    """Reads a zstd file and stops at a bomb."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._path, self._done, self._bound = path, 0, bomb_bound(path)
        self._stream = pa.CompressedInputStream(pa.OSFile(os.fsencode(path)), "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._done += len(data)
        if self._done > self._bound:
            refuse_bomb(self._path)
        buffer[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        return self._done

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
