"""How spellings are compared without regard to case."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Step", "folded"]

Step: TypeAlias = Literal["exact", "case", "synonym", "synonym_case"]
"""How a value was recognised, in the order in which it is tried."""


def folded(text: pl.Series) -> pl.Series:
    """Return text as it is compared without regard to case: case-folded, in Unicode normal form C.

    Examples
    --------
    >>> import polars as pl
    >>> folded(pl.Series(["CD8A", "STRASSE", "straße"])).to_list()
    ['cd8a', 'strasse', 'strasse']
    """
    import polars as pl

    # casefold() is lower() for ASCII, where the library's is a hundred times faster
    wide = text.str.len_bytes() != text.str.len_chars()
    plain = text.str.to_lowercase()
    if not wide.any():
        return plain
    names = text.filter(wide).to_list()
    return plain.scatter(wide.arg_true(), pl.Series([_fold(name) for name in names], dtype=pl.String))


def _fold(name: str) -> str:
    # İ and its like fold to several characters that compose again
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
