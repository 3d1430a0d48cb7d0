"""Search among 100,000 names with 150,000 synonyms, and the check for close names at a save."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl

from benchmarks.harness import Row, Sample, alternate, at_most, ms, scratch
from registries import Instance

__all__ = ["run"]

_MANY = 100_000
_SYNONYMS = 150_000
_ASKED = 40
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "xa",
    "chi",
    "phe",
    "tro",
    "gly",
    "myo",
    "neu",
    "cyt",
    "blas",
    "derm",
    "oste",
]


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder:
        names = _fill(folder)
        yield from _searched(folder, names)
        yield from _saved(folder)


def _names(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.choice((2, 3, 3, 4)))) for _ in range(6_000)})
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(rng.choices(words, k=rng.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(found)


def _fill(folder: Path) -> list[str]:
    texts = _names(_MANY + _SYNONYMS, 8)
    names, others = texts[:_MANY], texts[_MANY:]
    synonyms = [others[i::_MANY] for i in range(_MANY)]
    with Instance.create(folder / "lake", user="bench") as lake:
        lake.CellType.upsert_df(pl.DataFrame({"name": names, "synonyms": synonyms}))
        lake.ULabel.upsert_df(pl.DataFrame({"name": names, "synonyms": synonyms}))
        lake.flush()
    return names


def _queries(names: list[str]) -> list[str]:
    """Return names as people type them: exact, with one or two letters wrong, words swapped, the beginning."""
    rng, found = random.Random(9), []
    for number, name in enumerate(rng.sample([name for name in names if len(name) > 8], _ASKED)):
        place = rng.randrange(1, len(name) - 2)
        wrong = name[:place] + name[place + 1 :]
        twice = wrong[: len(wrong) // 2] + "e" + wrong[len(wrong) // 2 :]
        swapped = " ".join(reversed(name.split()))
        found.append((name, wrong, twice, swapped, name[: len(name) * 2 // 3])[number % 5])
    return found


def _searched(folder: Path, names: list[str]) -> Iterator[Row]:
    from rapidfuzz import fuzz, process

    firsts = []
    for _ in range(3):
        with Instance.open(folder / "lake", user="bench") as lake:
            began = time.perf_counter()
            lake.CellType.search("cyto blasderm")
            firsts.append(time.perf_counter() - began)
    yield ms("search", "the first after opening", Sample(tuple(firsts)), None, "", at_most(value=1_000))
    asked = _queries(names)
    with Instance.open(folder / "lake", user="bench") as lake:
        lake.CellType.search("warm")
        rows = lake.CellType.filter().arrow().select(["name", "synonyms"]).to_pylist()
        texts = [text for row in rows for text in (row["name"], *row["synonyms"])]
        found = alternate(
            {
                "ours": lambda turn: lambda: lake.CellType.search(asked[turn % _ASKED]),
                "scan": lambda turn: lambda: process.extract(asked[turn % _ASKED], texts, scorer=fuzz.ratio, limit=20),
            },
            rounds=_ASKED,
            warm=2,
        )
        again = _after_saves(lake, asked)
    limit = at_most(value=40)
    yield ms("search", "among 250,000 names, typos and all", found["ours"], found["scan"], "a fuzzy ratio", limit)
    yield ms("search", "the same, a commit before each", again, None, "", limit)


def _after_saves(lake: Instance, asked: list[str]) -> Sample:
    times = []
    for number, text in enumerate(asked):
        lake.CellType(name=f"new {number} {text}", ontology_id=f"X:{number}").save()
        began = time.perf_counter()
        lake.CellType.search(text)
        times.append(time.perf_counter() - began)
    return Sample(tuple(times))


def _saved(folder: Path) -> Iterator[Row]:
    fresh = iter(_names(1_000, 10))
    with Instance.open(folder / "lake", user="bench") as lake:
        cold = []
        for _ in range(5):
            name = next(fresh)
            began = time.perf_counter()
            lake.ULabel(name=name + " a").save()
            cold.append(time.perf_counter() - began)
        lake.ULabel.search("warm")
        found = alternate(
            {
                "ours": lambda _: partial(lake.ULabel(name=f"{next(fresh)} b").save),
                "bare": lambda _: partial(lake.ULabel(name=f"{next(fresh)} c").save, near=False),
            },
            rounds=100,
            warm=5,
        )
    extra = Sample(tuple(a - b for a, b in zip(found["ours"].times, found["bare"].times, strict=True)))
    yield ms("search", "a save with the check for close names", found["ours"], found["bare"], "without it")
    yield ms("search", "the check alone", extra, None, "", at_most(value=3))
    yield ms("search", "a save before the registry was searched", Sample(tuple(cold)))
