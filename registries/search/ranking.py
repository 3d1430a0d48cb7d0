"""How near a name is to what was asked for: from 0 to 1, the same for everybody and explainable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rapidfuzz.distance import OSA

from registries.search.folding import fold

__all__ = ["Asked"]

_SPELT, _REORDERED, _PREFIX, _MISSPELT, _WORDS = 0.995, 0.97, 0.95, 0.94, 0.92
"""The most that a name gets which differs in case or punctuation; has the words in another order; begins with what
was asked for; is misspelt; and has words that begin so or are misspelt, among others."""
_ALIKE = 0.6  # words that are less alike than this are different ones


@dataclass(frozen=True)
class Asked:
    """What is searched for.

    Examples
    --------
    >>> asked = Asked.of("T cell")
    >>> [round(asked.nearness(name), 2) for name in ("T cell", "T-Cell", "cell T", "T cells", "fat cell", "neuron")]
    [1.0, 0.99, 0.97, 0.92, 0.7, 0.0]
    """

    text: str
    """Folded."""
    raw: str = ""
    """As it was written."""
    _known: dict[str, list[float]] = field(default_factory=dict, repr=False, compare=False)
    """How much each of its words is like a word of a name; the same words come again and again."""

    @classmethod
    def of(cls, text: str) -> Asked:
        """Return a text as it is compared."""
        return cls(fold(text), text)

    @cached_property
    def words(self) -> list[str]:
        """Its words."""
        return self.text.split()

    @cached_property
    def sorted(self) -> str:
        """Its words in alphabetical order."""
        return " ".join(sorted(self.words))

    @cached_property
    def joined(self) -> str:
        """Its letters alone."""
        return "".join(self.words)

    def nearness(self, name: str) -> float:
        """Return how near a name is: 1 where they are the same, hardly less where only case or punctuation differ."""
        if name == self.raw:
            return 1.0
        if not self.text:
            return 0.0
        other = Asked.of(name)
        if other.text == self.text:
            return _SPELT
        if other.sorted == self.sorted or other.joined == self.joined:
            return _REORDERED
        alike = max(
            OSA.normalized_similarity(self.text, other.text), OSA.normalized_similarity(self.sorted, other.sorted)
        )
        found = max(_MISSPELT * alike if alike >= _ALIKE else 0.0, _WORDS * self.shared(other.words))
        if other.text.startswith(self.text):
            return max(found, _PREFIX * (0.8 + 0.2 * len(self.text) / len(other.text)))
        return found

    def shared(self, names: Sequence[str]) -> float:
        """Return how much of what was asked for is in words of a name, and how much of the name that is."""
        found = hit = 0.0
        columns = [self._compared(name) for name in names]
        for place, word in enumerate(self.words):
            alike, length = max(
                ((one[place], len(name)) for one, name in zip(columns, names, strict=True)), default=(0, 0)
            )
            found += alike * (len(word) + 1)
            hit += alike * (length + 1)
        if not found:
            return 0.0
        asked, there = sum(len(word) + 1 for word in self.words), sum(len(name) + 1 for name in names)
        return float((found / asked) ** 1.5 * (0.7 + 0.3 * min(1.0, hit / there)))

    def _compared(self, name: str) -> list[float]:
        if (known := self._known.get(name)) is None:
            known = self._known[name] = [_alike(word, name) for word in self.words]
        return known


def _alike(word: str, name: str) -> float:
    if word == name:
        return 1.0
    if len(word) > 1 and name.startswith(word):
        return 0.85 + 0.15 * len(word) / len(name)
    if len(word) < 3 or len(name) < 3:
        return 0.0
    return OSA.normalized_similarity(word, name, score_cutoff=_ALIKE) * 0.97
