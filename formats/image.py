"""What an image says of itself in its first bytes: format, width, height and mode, without reading a pixel.

PNG, JPEG, GIF, BMP, TIFF and WebP. At most 64 KB are read; what is not found there stays unsaid.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

__all__ = ["image_attributes"]

_HEAD = 64 << 10
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_TIFF_SIZES = {3: "H", 4: "I"}


def image_attributes(path: Path) -> dict[str, Any]:
    """Return ``image``, ``width`` and ``height`` (pixels) and ``mode`` of an image; nothing for anything else.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.gif"
    >>> _ = path.write_bytes(b"GIF89a" + bytes([10, 0, 5, 0, 0, 0, 0]))
    >>> image_attributes(path)
    {'image': 'GIF', 'width': 10, 'height': 5, 'mode': 'P'}
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for start, name, read in _KINDS:
        if head.startswith(start):
            try:
                found = read(head)
            except (struct.error, IndexError, ValueError):  # it ends too early, or lies
                found = None
            if found is None and name in ("WebP", "BMP"):  # these begin like much else
                return {}
            width, height, mode = found or (None, None, None)
            stated = {"width": width, "height": height, "mode": mode}
            return {"image": name} | {key: value for key, value in stated.items() if value is not None}
    return {}


def _png(head: bytes) -> tuple[int, int, str | None]:
    width, height, depth, colour = struct.unpack_from(">IIBB", head, 16)
    mode = _PNG_MODES.get(colour)
    return width, height, f"{mode};16" if depth == 16 and mode else mode


def _jpeg(head: bytes) -> tuple[int, int, str | None] | None:
    place = 2
    while place + 9 < len(head):
        mark, kind, length = struct.unpack_from(">BBH", head, place)
        if mark != 0xFF:
            return None
        if kind in _JPEG_FRAMES:
            height, width, parts = struct.unpack_from(">HHB", head, place + 5)
            return width, height, _JPEG_MODES.get(parts)
        place += 2 + max(length, 2)
    return None


def _gif(head: bytes) -> tuple[int, int, str]:
    return (*struct.unpack_from("<HH", head, 6), "P")


def _bmp(head: bytes) -> tuple[int, int, str | None]:
    width, height, _, bits = struct.unpack_from("<iiHH", head, 18)
    return width, abs(height), {8: "P", 24: "RGB", 32: "RGBA"}.get(bits)


def _webp(head: bytes) -> tuple[int, int, str] | None:
    if head[8:12] != b"WEBP":
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height, "RGBA" if head[20] & 0x10 else "RGB"
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, "RGBA" if bits >> 28 & 1 else "RGB"
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF, "RGB"


def _tiff(head: bytes) -> tuple[int, int, str | None] | None:
    order = "<" if head.startswith(b"II") else ">"
    (place,) = struct.unpack_from(order + "I", head, 4)
    (count,) = struct.unpack_from(order + "H", head, place)
    tags: dict[int, int] = {}
    for number in range(min(count, 100)):
        tag, kind, length = struct.unpack_from(order + "HHI", head, place + 2 + 12 * number)
        if kind in _TIFF_SIZES and length == 1:
            (tags[tag],) = struct.unpack_from(order + _TIFF_SIZES[kind], head, place + 10 + 12 * number)
    if 256 not in tags or 257 not in tags:
        return None
    return tags[256], tags[257], {1: "L", 3: "RGB", 4: "RGBA"}.get(tags.get(277, 1))


_KINDS: tuple[tuple[bytes, str, Any], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG", _png),
    (b"\xff\xd8\xff", "JPEG", _jpeg),
    (b"GIF8", "GIF", _gif),
    (b"BM", "BMP", _bmp),
    (b"RIFF", "WebP", _webp),
    (b"II*\0", "TIFF", _tiff),
    (b"MM\0*", "TIFF", _tiff),
)
