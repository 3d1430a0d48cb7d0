"""An index of the three-letter pieces of names: finds those that share many with a text, however it is misspelt."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from registries.search.folding import fold, plain_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Trigrams", "pieces_of"]

_LETTERS = 40
_CODES = _LETTERS**3
_EDGE = 0
"""Stands for the beginning or end of a word."""


class Trigrams:
    """The pieces of texts: three letters in a row within a word, whose edges count as letters.

    Words do not know their neighbours, so that their order does not matter. Pieces are kept as numbers: for each of
    the 64,000 that there may be, the places of the texts that have it.

    Parameters
    ----------
    texts
        The names, without nulls.

    Examples
    --------
    >>> index = Trigrams(pa.array(["fibroblast", "T cell", "B cell"]))
    >>> index.nearest("fibrblast", 2).tolist(), index.nearest("cell T", 2).tolist()
    ([0], [1, 2])
    """

    def __init__(self, texts: pa.Array) -> None:
        import numpy as np

        codes, owners = _pieces(plain_texts(texts))
        order = np.argsort(codes, kind="stable")  # of 16 bits: sorted by counting, in linear time
        codes, owners = codes[order], owners[order]
        once = np.ones(len(codes), bool)
        once[1:] = (codes[1:] != codes[:-1]) | (owners[1:] != owners[:-1])
        codes, self._owners = codes[once], owners[once]
        self._starts = np.zeros(_CODES + 1, np.int64)
        np.cumsum(np.bincount(codes, minlength=_CODES), out=self._starts[1:])
        self._size = len(texts)
        self._weigh(codes)

    def _weigh(self, codes: Any) -> None:
        """Let rare pieces weigh more than common ones, and add up those of each text."""
        import numpy as np

        counts = np.diff(self._starts)
        self._weights = np.log1p(self._size / np.maximum(counts, 1)).astype(np.float32)
        self._sums = np.bincount(self._owners, self._weights[codes], minlength=self._size).astype(np.float32)

    def __len__(self) -> int:
        return self._size

    def nearest(self, text: str, most: int) -> NDArray[np.intp]:
        """Return the places of the texts that share most with one: those like it as a whole, and those that contain it."""
        import numpy as np

        asked = pieces_of(text)
        shared = np.zeros(self._size, np.float32)
        for code in asked:
            shared[self._places(code)] += self._weights[code]
        whole = float(self._weights[asked].sum()) if len(asked) else 0.0
        there = np.flatnonzero(shared)
        if len(there) <= most:
            return there
        found = shared[there]
        alike = found / (whole + self._sums[there] - found)
        inside = found / whole + 1e-3 * alike
        half = most // 2
        return there[np.union1d(np.argpartition(-alike, half)[:half], np.argpartition(-inside, half)[:half])]

    def nearly(self, pieces: Any, edits: int, most: int) -> NDArray[np.intp]:
        """Return places among which are those that differ from a text by few edits; cheaper than :meth:`nearest`.

        An edit spoils three pieces at most, so of any ``3 * edits + 1`` pieces one is left: the rarest are looked at.

        Parameters
        ----------
        pieces
            Of the text, see :func:`pieces_of`.
        """
        import numpy as np

        order = np.argsort(self._starts[pieces + 1] - self._starts[pieces], kind="stable")
        rarest = pieces[order][: 3 * edits + 1]
        found, counts = np.unique(np.concatenate([self._places(code) for code in rarest] or [[]]), return_counts=True)
        if len(found) > most:
            found = found[np.argpartition(-counts, most)[:most]]
        return found.astype(np.intp)

    def _places(self, code: int) -> Any:
        return self._owners[self._starts[code] : self._starts[code + 1]]


def pieces_of(text: str) -> Any:
    """Return the pieces of one text as numbers, each once, in order."""
    import numpy as np

    codes, _ = _pieces(pa.array([fold(text)]))
    return np.unique(codes)


def _pieces(texts: pa.Array) -> tuple[Any, Any]:
    """Return the pieces of texts as numbers, and the place of each one's text."""
    import numpy as np

    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    letters = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    between = np.ones(len(letters) + len(texts) + 2, bool)
    between[1 + offsets[:-1] - offsets[0] + np.arange(len(texts))] = False  # an edge before each text
    between[[0, -1]] = False
    spaced = np.zeros(len(between), np.uint16)
    spaced[between] = _letter_codes()[letters]
    middle = spaced[1:-1] != _EDGE
    codes = spaced[:-2] * np.uint16(_LETTERS**2)
    codes += spaced[1:-1] * np.uint16(_LETTERS)
    codes += spaced[2:]
    owners = np.repeat(np.arange(len(texts), dtype=np.uint32), lengths + 1)
    return codes[middle], owners[middle]


@cache
def _letter_codes() -> Any:
    """Return the number of each byte: letters without case, digits, plus; bytes beyond ASCII share the rest."""
    import numpy as np

    codes = np.zeros(256, np.uint16)
    for number, letters in enumerate("abcdefghijklmnopqrstuvwxyz0123456789+", start=1):
        for letter in (letters, letters.upper()):
            codes[ord(letter)] = number
    codes[128:] = 38 + np.arange(128) % 2
    return codes
