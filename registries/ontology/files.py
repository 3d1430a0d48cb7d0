"""Reading source files as a stream: unpacked as they are read, and never whole in memory."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import InvalidFile, RecordNotFound, shown

__all__ = ["LONGEST_LINE", "chunks", "lines", "reading", "texts"]

LONGEST_LINE = 16 << 20
"""Characters of a line, at most: longer ones are no text."""
_CHUNK = 1 << 20
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


def chunks(path: Path, size: int = _CHUNK) -> Iterator[bytes]:
    """Yield the bytes of a file, unpacked where they are gzip, zstd or bzip2."""
    with reading(path), pa.OSFile(os.fsencode(path)) as plain:
        start = plain.read(4)
        plain.seek(0)
        codec = next((codec for magic, codec in _MAGIC.items() if start.startswith(magic)), None)
        stream = plain if codec is None else pa.CompressedInputStream(plain, codec)
        while data := stream.read(size):
            yield data


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be read, or is not what it should be."""
    try:
        yield
    except FileNotFoundError as error:
        raise RecordNotFound(f"there is no file {shown(str(path))}") from error
    except (OSError, EOFError) as error:
        raise InvalidFile(f"{shown(str(path))} cannot be read, or is cut off: {error}") from error


def texts(path: Path) -> Iterator[str]:
    """Yield a file's text, decoded as UTF-8; bytes that are not become U+FFFD, and a byte order mark is dropped."""
    decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
    for data in chunks(path):
        if text := decode(data):
            yield text
    if text := decode(b"", final=True):
        yield text


def lines(path: Path) -> Iterator[str]:
    r"""Yield a file's lines without their ends, be these ``\n`` or ``\r\n``."""
    rest = ""
    for text in texts(path):
        parts = (rest + text).split("\n")
        rest = parts.pop()
        if len(rest) > LONGEST_LINE:
            raise InvalidFile(f"{shown(str(path))} has a line of more than {LONGEST_LINE:,} characters: it is no table")
        for line in parts:
            yield line.removesuffix("\r")
    if rest:
        yield rest.removesuffix("\r")
