"""Lists and tuples of values, compared in Python: turning them into columns and back would take longer."""

from __future__ import annotations

from itertools import filterfalse
from typing import TYPE_CHECKING, Any

from validation.standardize import Keep, choices, mapping

if TYPE_CHECKING:
    import polars as pl

    from validation.vocabulary import Vocabulary

__all__ = ["LARGE", "listed_standard", "listed_valid", "unlike"]

LARGE = 500_000
"""Terms of a vocabulary above which no set of them is kept: that of a million takes 0.2 GB."""


def listed_valid(vocabulary: Vocabulary, values: Any, field: str) -> Any:
    """Return which values are terms; None where they are better compared as a column, or some have no hash.

    Examples
    --------
    >>> from validation.vocabulary import Vocabulary
    >>> listed_valid(Vocabulary(["a"]), ("a", 1, None), "name")
    (True, False, False)
    """
    if not _is_plain(vocabulary, values):
        return None
    known = vocabulary.spellings(field)
    try:
        flags = list(map(known.__contains__, values))
        _check_text(filterfalse(known.__contains__, values))
    except (TypeError, UnicodeEncodeError):
        return None
    return flags if type(values) is list else tuple(flags)


def listed_standard(
    vocabulary: Vocabulary, values: Any, field: str, output: str, keep: Keep, *, mapper: bool
) -> tuple[Any] | None:
    """Return canonical values, in a tuple of one; None where they are better standardized as a column."""
    text = unlike(vocabulary, values, field if output == field else None)
    if text is None:
        return None
    chosen, listed = choices(vocabulary, text, field, output, keep)
    pairs = mapping(chosen, listed, keep)
    if mapper:
        return (pairs,)
    return (type(values)(map(pairs.get, values, values) if pairs else values),)


def unlike(vocabulary: Vocabulary, values: Any, field: str | None) -> pl.Series | None:
    """Return the distinct text that is no value of a field, all of it where none is given; None as above."""
    import polars as pl

    if not _is_plain(vocabulary, values):
        return None
    known = vocabulary.spellings(field) if field is not None else frozenset[str]()
    try:
        rest = dict.fromkeys(filterfalse(known.__contains__, values))
        return pl.Series([value for value in rest if isinstance(value, str) and value], dtype=pl.String)
    except (TypeError, UnicodeEncodeError):
        return None


def _is_plain(vocabulary: Vocabulary, values: Any) -> bool:
    return type(values) in (list, tuple) and len(vocabulary) <= LARGE


def _check_text(values: Any) -> None:
    """Raise UnicodeEncodeError where a text holds half a surrogate pair: what a column is made of is checked for it."""
    "".join([value for value in values if isinstance(value, str)]).encode()
