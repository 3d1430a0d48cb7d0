"""Rows that came since an index was built, a few at most, and what they are called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import OSA

from registries.search.fields import Fields
from registries.search.folding import fold

__all__ = ["Recent", "is_as_long"]

_PUNCTUATION = 6  # characters by which a name may be longer that folding takes away


def is_as_long(name: str, other: str, edits: int) -> bool:
    """Whether two names differ in length by no more than edits and some punctuation make up.

    Examples
    --------
    >>> is_as_long("T cell", "T-cells", 1), is_as_long("T cell", "T cell, CD8-positive", 1)
    (True, False)
    """
    return abs(len(other) - len(name)) <= edits + _PUNCTUATION


class Recent:
    """Rows by uid; their names are compared one by one, which needs no index of them.

    Parameters
    ----------
    fields
        What is searched.
    """

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.rows: dict[str, Mapping[str, Any]] = {}
        self._names: list[tuple[str, str]] = []
        self._folded: list[str] = []

    def __len__(self) -> int:
        return len(self.rows)

    def copy(self) -> Recent:
        """Return the same rows, to which others may be added."""
        other = Recent(self._fields)
        other.rows, other._names, other._folded = dict(self.rows), list(self._names), list(self._folded)
        return other

    def replace(self, gone: Collection[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Forget rows that were changed or deleted, and take others in."""
        here = self.rows.keys() & gone
        for uid in here:
            del self.rows[uid]
        self.rows.update(rows)
        if here:
            self._names, self._folded = [], []
        for row in (self.rows if here else rows).values():
            named = self._named(row)
            self._names += named
            self._folded += [fold(text) for text, _ in named]

    def clear(self) -> None:
        """Forget all of them: they are a shard of their own now."""
        self.rows, self._names, self._folded = {}, [], []

    def _named(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the names of a row that is not in the trash, each with its column."""
        if "deleted_at" in self._fields.marks and row.get("deleted_at") is not None:
            return []
        names = [(row.get(column), column) for column in self._fields.names]
        lists = [(text, column) for column in self._fields.lists for text in row.get(column) or ()]
        return [(text, column) for text, column in (*names, *lists) if text is not None]

    def close(self, name: str, edits: int) -> Iterator[tuple[int, str, str]]:
        """Yield names that differ by few edits, case and punctuation aside: the edits, the name and its column."""
        found = process.extract(fold(name), self._folded, scorer=OSA.distance, score_cutoff=edits, limit=None)
        for _, away, place in found:
            text, column = self._names[place]
            if is_as_long(name, text, edits):
                yield int(away), text, column
