"""Files and folders that are to become artifacts: their paths and keys, and the little that is said of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Entries", "Note", "Source", "picked"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Note:
    """What a manifest says of a file beside its path and key.

    Attributes
    ----------
    features
        Values by the name of a feature.
    labels
        Names.
    """

    description: str | None = None
    features: Mapping[str, Any] | None = None
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Entries:
    """What is to be ingested, as columns: a hundred thousand files are two lists and no objects.

    Attributes
    ----------
    paths
        Where they lie: absolute paths, or URLs.
    keys
        Of the artifacts.
    notes
        By place: what is said of those that anything is said of.
    faults
        By place: what is wrong with an entry itself, a reason and a message.
    states
        By place: what a bucket says of those that lie in one, and that changes when they do.
    """

    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: dict[int, Note] = field(default_factory=dict)
    faults: dict[int, tuple[str, str]] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)


def picked(values: list[T], places: Sequence[int]) -> list[T]:
    """Return the values at some places; those of a range are cut out.

    Examples
    --------
    >>> picked(["a", "b", "c"], range(1, 3)), picked(["a", "b", "c"], [2, 0])
    (['b', 'c'], ['c', 'a'])
    """
    if isinstance(places, range):
        return values[places.start : places.stop : places.step]
    return [values[place] for place in places]


@dataclass(frozen=True)
class Source:
    """Where entries come from.

    Attributes
    ----------
    name
        By which it is known again.
    entries
        What was found.
    folder
        The folder, where it is one: what vanishes from it is known.
    """

    name: str
    entries: Entries
    folder: Path | None = None
