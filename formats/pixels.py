"""The pixels of an image: as a NumPy array, or as an array store in zarr, which is read in parts.

Needs Pillow (``pip install pillow``). Axes are ``y`` and ``x``, then ``c`` for colours; where a file holds several images
of one size, such as the layers of a TIFF, ``z`` comes first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from formats.base import reading
from formats.limits import refuse_oversize
from lakehouse.errors import InvalidFile, MissingExtra, shown

__all__ = ["ImageFile", "load_pixels", "write_pixels"]

_CHUNK = 512
"""Pixels of the side of a chunk."""
_DEEP = {"I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32", "1": "bool"}


@dataclass(frozen=True)
class ImageFile:
    """A local image whose pixels are to be stored as an array.

    Examples
    --------
    >>> ImageFile(Path("scan.tif"))
    ImageFile(path=PosixPath('scan.tif'))
    """

    path: Path


def load_pixels(path: Path) -> Any:
    """Return all pixels as an array.

    Raises
    ------
    InvalidFile
        It is no image, a damaged one, or one that declares more than fits into memory.
    """
    import numpy as np

    with _opened(path) as image:
        shape, dtype, _ = _layout(image, path)
        refuse_oversize(path, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        frames = [_pixels(image, number) for number in range(_frames(image))]
        return frames[0] if len(frames) == 1 else np.stack(frames)


def write_pixels(path: Path, target: Path) -> None:
    """Write the pixels to a new array in zarr, one image after the other, in chunks of 512 by 512.

    Raises
    ------
    InvalidFile
        It is no image or a damaged one.
    """
    import zarr

    with _opened(path) as image:
        shape, dtype, names = _layout(image, path)
        chunks = tuple(
            min(length, _CHUNK) if name in "yx" else (length if name == "c" else 1)
            for length, name in zip(shape, names, strict=True)
        )
        array: Any = zarr.create_array(
            target,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            dimension_names=names,
            zarr_format=3,
            attributes={"image": str(image.format), "mode": image.mode},
        )
        for number in range(_frames(image)):
            array[(number, ...) if names[0] == "z" else ...] = _pixels(image, number)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    pillow = _pillow()
    # what an image declares is bounded by the memory of this machine, see refuse_oversize
    with reading(path, "an image"), warnings.catch_warnings():
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        with pillow.open(path) as image:
            yield image


def _pillow() -> Any:
    try:
        return import_module("PIL.Image")
    except ImportError as error:
        raise MissingExtra("reading pixels needs Pillow, which is not installed: pip install pillow") from error


def _frames(image: Any) -> int:
    return int(getattr(image, "n_frames", 1))


def _layout(image: Any, path: Path) -> tuple[tuple[int, ...], str, tuple[str, ...]]:
    """Return shape, type and names of the axes."""
    width, height = image.size
    bands = len(image.getbands()) if image.mode != "P" else 3
    frames = _frames(image)
    if frames > 1:
        _refuse_mixed(image, path)
    shape = (*((frames,) if frames > 1 else ()), height, width, *((bands,) if bands > 1 else ()))
    names = (*("z" if frames > 1 else ""), "y", "x", *("c" if bands > 1 else ""))
    return shape, _DEEP.get(image.mode, "uint8"), names


def _refuse_mixed(image: Any, path: Path) -> None:
    first = image.size, image.mode
    for number in range(_frames(image)):
        image.seek(number)
        if (image.size, image.mode) != first:
            raise InvalidFile(f"{shown(str(path))} holds images of several sizes or kinds: store them one by one")
    image.seek(0)


def _pixels(image: Any, number: int) -> Any:
    import numpy as np

    if _frames(image) > 1:
        image.seek(number)
    # a palette's numbers mean nothing without it
    return np.asarray(image.convert("RGB") if image.mode == "P" else image)
