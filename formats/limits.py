"""Bounds that hold before anything is allocated.

A file of a thousand bytes can declare 80 terabytes or unpack to them.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import NoReturn

from lakehouse.errors import InvalidFile, shown

__all__ = ["GuardedGzip", "bomb_bound", "physical_memory", "refuse_bomb", "refuse_oversize"]

_MAX_RATIO = 200
"""Real tables compress 3 to 50 times; deflate itself ends at 1,032."""

_ALWAYS_ALLOWED = 256 << 20


def physical_memory() -> int | None:
    """Return this machine's memory in bytes, or ``None`` where the platform does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def refuse_oversize(path: Path, declared: int, *, hint: str = "") -> None:
    """Raise if what a file declares cannot fit into memory.

    Parameters
    ----------
    path
        The file, named in the message.
    declared
        Bytes that loading would take at least.
    hint
        What to do instead.

    Raises
    ------
    InvalidFile
        ``declared`` exceeds the memory of this machine.
    """
    memory = physical_memory()
    if memory is not None and declared > memory:
        raise InvalidFile(
            f"{shown(str(path))} declares {declared / 1e9:,.1f} GB of data and this machine has "
            f"{memory / 1e9:,.1f} GB of memory{hint and '; ' + hint}"
        )


def bomb_bound(path: Path) -> int:
    """Return how many bytes a compressed file may unpack to: 200 times its size, and 256 MB at least."""
    return max(_ALWAYS_ALLOWED, path.stat().st_size * _MAX_RATIO)


def refuse_bomb(path: Path) -> NoReturn:
    """Raise :class:`~lakehouse.errors.InvalidFile`: a file unpacks to more than :func:`bomb_bound`."""
    raise InvalidFile(
        f"{shown(str(path))} unpacks to more than {_MAX_RATIO} times its size, as a "
        "decompression bomb does: unpack it yourself if it is what you expect"
    )


class GuardedGzip(gzip.GzipFile):
    """Reads a gzip file and stops at a bomb.

    A bomb is a file that unpacks to more than 256 MB and more than 200 times its size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bound = bomb_bound(path)
        super().__init__(path, "rb")

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes, or all of them as long as they stay within the bound."""
        wanted = self._bound + 1 if size is None or size < 0 else size
        data = super().read(wanted)
        if self.tell() > self._bound:
            refuse_bomb(self._path)
        return data
