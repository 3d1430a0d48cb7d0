"""Realistic queries for terms, always the same: exact, synonym, one and two typos, swapped words, prefix."""

from __future__ import annotations

import bisect
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = ("exact", "synonym", "typo", "two typos", "swapped", "prefix")
_NEIGHBOURS = {"a": "s", "s": "d", "e": "r", "r": "t", "i": "o", "o": "p", "n": "m", "m": "n", "l": "k", "t": "y"}


@dataclass(frozen=True)
class Term:
    uid: str
    name: str
    synonyms: Sequence[str] = ()
    obsolete: bool = False


@dataclass
class Tally:
    """How often the right term came first, and among five."""

    asked: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    five: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    def ask(self, queries: Sequence[tuple[str, str, str]], search: Callable[[str], Any]) -> None:
        for kind, text, uid in queries:
            found = [record.uid for record in search(text)]
            self.asked[kind] += 1
            self.first[kind] += found[:1] == [uid]
            self.five[kind] += uid in found[:5]
            if uid not in found[:5]:
                self.missed.append(f"{kind}: {text!r}")

    def share(self, of: Counter[str]) -> float:
        return of.total() / self.asked.total()


def queries(terms: Sequence[Term], each: int, seed: int = 8) -> list[tuple[str, str, str]]:
    """Return (kind, text, uid of the right term): only texts that mean one term, for whoever reads them."""
    rng = random.Random(seed)
    owners: dict[str, set[str]] = {}
    for term in terms:
        for name in (term.name, *term.synonyms):
            owners.setdefault(name.casefold(), set()).add(term.uid)
    names = sorted(owners)
    live = [t for t in terms if not t.obsolete and len(t.name) >= 6 and len(owners[t.name.casefold()]) == 1]
    makers: dict[str, Callable[[Term], str | None]] = {
        "exact": lambda t: rng.choice([t.name, t.name.lower(), t.name.upper()]),
        "synonym": lambda t: next((s for s in sorted(t.synonyms) if len(owners[s.casefold()]) == 1), None),
        "typo": lambda t: _misspelt(rng, t.name),
        "two typos": lambda t: _misspelt(rng, _misspelt(rng, t.name)) if len(t.name) >= 9 else None,
        "swapped": lambda t: _swapped(rng, t.name),
        "prefix": lambda t: _prefix(t, names, owners),
    }
    return [found for kind in KINDS for found in _some(rng, live, kind, makers[kind], owners, each)]


def _some(
    rng: random.Random,
    live: Sequence[Term],
    kind: str,
    make: Callable[[Term], str | None],
    owners: dict[str, set[str]],
    each: int,
) -> Iterator[tuple[str, str, str]]:
    left = each
    for term in rng.sample(live, len(live)):
        text = make(term) if left else None
        if text and (kind in ("exact", "synonym") or text.casefold() not in owners):
            left -= 1
            yield kind, text, term.uid


def _misspelt(rng: random.Random, name: str | None) -> str | None:
    places = [i for m in re.finditer(r"[A-Za-z]{4,}", name or "") for i in range(m.start() + 1, m.end())]
    if not name or not places:
        return None
    i, kind = rng.choice(places), rng.choice(["drop", "double", "swap", "replace", "insert"])
    if kind == "drop":
        return name[:i] + name[i + 1 :]
    if kind == "swap" and i + 1 in places:
        return name[:i] + name[i + 1] + name[i] + name[i + 2 :]
    if kind == "replace":
        return name[:i] + _NEIGHBOURS.get(name[i].lower(), "x") + name[i + 1 :]
    return name[:i] + (name[i] if kind == "double" else rng.choice("aeinrst")) + name[i:]


def _swapped(rng: random.Random, name: str) -> str | None:
    words = name.split(" ")
    if not 2 <= len(words) <= 4:
        return None
    cut = rng.randrange(1, len(words))
    return " ".join(words[cut:] + words[:cut])


def _prefix(term: Term, names: Sequence[str], owners: dict[str, set[str]]) -> str | None:
    """Return the shortest beginning, from 60% of the name on, that no other term has."""
    name = term.name.casefold()
    for length in range(max(4, len(name) * 3 // 5), len(name)):
        first = bisect.bisect_left(names, name[:length])
        last = bisect.bisect_left(names, name[:length] + "\U0010ffff")
        if set().union(*(owners[one] for one in names[first:last])) == {term.uid} and name[length - 1] != " ":
            return term.name[:length]
    return None
