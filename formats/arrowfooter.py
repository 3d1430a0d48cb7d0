"""Counting the rows of an Arrow file from its footer, without reading a batch.

Arrow's own ``count_rows`` reads all bodies. The layout is that of ``format/File.fbs`` and ``Message.fbs`` in the
specification of Arrow: flatbuffers, of which a few fields are followed here, each within bounds.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["count_rows"]

_TAIL = 10
"""Bytes behind the footer: its length and ``ARROW1``."""

_MOST_FOOTER = 16 << 20
_MOST_BATCHES = 10_000
_MOST_HEADER = 1 << 20
_BLOCK = struct.Struct("<qi4xq")
_BATCHES, _HEADER, _LENGTH = 3, 2, 0
"""Positions of Footer.recordBatches, Message.header and RecordBatch.length in their tables."""


def count_rows(path: Path) -> int | None:
    """Return the rows of an Arrow file, or ``None`` where it has more than 10,000 batches.

    Reads the footer and the header of each batch: some hundred bytes each.

    Raises
    ------
    ValueError, struct.error
        Something points out of bounds.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(size - _TAIL)
        (length,) = struct.unpack("<i", file.read(4))
        if not 0 < length <= min(_MOST_FOOTER, size - _TAIL):
            raise ValueError(f"its footer claims {length} bytes")
        file.seek(size - _TAIL - length)
        blocks = _blocks(file.read(length))
        if len(blocks) > _MOST_BATCHES:
            return None
        return sum(_rows(file, offset, header) for offset, header, _ in blocks)


def _blocks(footer: bytes) -> list[tuple[int, int, int]]:
    vector = _followed(footer, _root(footer), _BATCHES)
    if vector is None:
        return []
    (count,) = struct.unpack_from("<I", footer, vector)
    if count * _BLOCK.size > len(footer):
        raise ValueError(f"its footer claims {count} batches")
    return [_BLOCK.unpack_from(footer, vector + 4 + number * _BLOCK.size) for number in range(count)]


def _rows(file: BinaryIO, offset: int, length: int) -> int:
    if offset < 0 or not 0 < length <= _MOST_HEADER:
        raise ValueError(f"a batch's header claims {length} bytes at {offset}")
    file.seek(offset)
    message = file.read(length)
    start = 8 if message.startswith(b"\xff\xff\xff\xff") else 4  # the mark came with Arrow 0.15
    message = message[start:]
    batch = _followed(message, _root(message), _HEADER)
    if batch is None:
        raise ValueError("a batch has no header")
    place = _field(message, batch, _LENGTH)
    return 0 if place is None else int(struct.unpack_from("<q", message, place)[0])


def _root(buffer: bytes) -> int:
    return int(struct.unpack_from("<I", buffer, 0)[0])


def _field(buffer: bytes, table: int, position: int) -> int | None:
    """Return where a field of a table lies, or ``None`` if it was left out."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if vtable < 0:
        raise ValueError("a table points out of its buffer")
    (size,) = struct.unpack_from("<H", buffer, vtable)
    slot = 4 + 2 * position
    offset = struct.unpack_from("<H", buffer, vtable + slot)[0] if slot < size else 0
    return table + offset if offset else None


def _followed(buffer: bytes, table: int, position: int) -> int | None:
    place = _field(buffer, table, position)
    return None if place is None else place + int(struct.unpack_from("<I", buffer, place)[0])
