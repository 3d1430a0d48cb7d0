"""An index of the words in descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rapidfuzz import process
from rapidfuzz.distance import OSA

from registries.search.ranking import Asked

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PROSE", "Prose"]

PROSE = 0.6
"""The most that a record gets whose description has all the words."""
_ALIKE = 0.75
_SHORT = 4  # letters of a word that is taken as it is
_WORD = r"[\p{L}\p{N}+]+"


class Prose:
    """The words of texts, and which texts have each.

    Parameters
    ----------
    texts
        The descriptions; there may be nulls.

    Examples
    --------
    >>> import pyarrow as pa
    >>> prose = Prose(pa.array(["A cell that makes collagen.", None, "Of the liver."]))
    >>> prose.scores(Asked.of("colagen cell"))
    {0: 0.52734375}
    """

    def __init__(self, texts: pa.Array) -> None:
        import numpy as np
        import polars as pl

        series = pl.Series(values=texts, dtype=pl.String)
        frame = pl.DataFrame({"place": pl.int_range(len(series), eager=True, dtype=pl.UInt32), "text": series})
        words = (
            frame.lazy()
            .select("place", word=pl.col("text").str.to_lowercase().str.extract_all(_WORD))
            .explode("word")
            .drop_nulls()
            .unique()
            .group_by("word")
            .agg("place")
            .sort("word")
            .collect()
        )
        self._words: list[str] = words["word"].to_list()
        self._places = words["place"]
        self._numbers = {word: number for number, word in enumerate(self._words)}
        self._size = len(series)
        self._log = np.log1p(self._size)

    def scores(self, asked: Asked) -> dict[int, float]:
        """Return how much each text has of what is asked for, by its place; those that lack half of it are left out."""
        import numpy as np

        weights = [self._weight(word) for word in asked.words]
        if not weights:
            return {}
        found = np.zeros(self._size, np.float32)
        for word, weight in zip(asked.words, weights, strict=True):
            best = np.zeros(self._size, np.float32)
            for number, alike in self._alike(word).items():
                places = self._places[number].to_numpy()
                best[places] = np.maximum(best[places], alike)
            found += best * weight
        share = found / sum(weights)
        there = np.flatnonzero(share >= 0.5)
        return {int(place): float(PROSE * share[place] ** 2) for place in there}

    def _weight(self, word: str) -> float:
        """Return how much a word says: rare ones say more."""
        number = self._numbers.get(word)
        count = len(self._places[number]) if number is not None else 1
        return float(self._log - _log1p(count)) + 0.1

    def _alike(self, word: str) -> Mapping[int, float]:
        """Return the words that one may mean: itself and those that it begins, else those that are spelt nearly so."""
        import bisect

        first = bisect.bisect_left(self._words, word)
        last = bisect.bisect_left(self._words, word + "\U0010ffff", first)
        if last > first and (self._words[first] == word or len(word) >= _SHORT):
            begun = range(first, last if len(word) >= _SHORT else first + 1)
            return {n: 1.0 if self._words[n] == word else 0.9 for n in begun}
        if len(word) < _SHORT:
            return {}
        near: Any = process.extract(word, self._words, scorer=OSA.normalized_similarity, score_cutoff=_ALIKE, limit=20)
        return {number: float(alike) for _, alike, number in near}


def _log1p(count: int) -> float:
    import math

    return math.log1p(count)
