"""Where texts stand in the columns of rows that only ever become more."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from lakehouse.engine.forks import HELD

__all__ = ["TextIndex"]

_WORTH = 4
"""Look-ups in a column that scan it before it is indexed: a reader who looks once pays for no index."""
_FEW = 16


class TextIndex:
    """Positions by text, of each column that is asked for often; safe to use from many threads.

    It may cover more rows than those that it is asked with, which others have already: these are left out.

    Examples
    --------
    >>> rows, index = pa.table({"uid": ["a", "b", "a"]}), TextIndex()
    >>> [index.positions(rows, "uid", ["a"]) for _ in range(6)][-2:]
    [[0, 2], [0, 2]]
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._known: dict[str, dict[str, list[int]]] = {}
        self._covered: dict[str, int] = {}
        HELD.add(self)

    def after_fork(self) -> None:
        """Replace the mutex, and begin anew: a thread that stayed in the parent may have been at work."""
        self._lock, self._known, self._covered = threading.Lock(), {}, {}

    def positions(self, rows: pa.Table, column: str, values: Sequence[object]) -> list[int] | None:
        """Return where a column holds one of the texts, in order; None where it has no index, or they are many.

        Parameters
        ----------
        rows
            Those of before, with the same ones in front, and perhaps further ones.
        """
        if len(values) > _FEW or not all(type(value) is str for value in values):
            return None
        if not len(rows):
            return []
        with self._lock:
            known = self._known.get(column)
            if known is None:
                self._asked[column] += 1
                if self._asked[column] <= _WORTH or rows.schema.field(column).type != pa.string():
                    return None
                known = self._known[column] = {}
            self._extend(known, rows, column)
            found = [place for value in dict.fromkeys(values) for place in known.get(str(value), ())]
        return sorted(place for place in found if place < len(rows))

    def _extend(self, known: dict[str, list[int]], rows: pa.Table, column: str) -> None:
        covered = self._covered.get(column, 0)
        if covered < len(rows):
            for place, text in enumerate(rows[column].slice(covered).to_pylist(), start=covered):
                known.setdefault(text, []).append(place)
            self._covered[column] = len(rows)
