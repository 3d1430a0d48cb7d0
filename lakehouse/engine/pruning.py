"""Which data files a query can do without: lowest and highest values per file, and bounds held against them."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from lakehouse.engine.changes import DataFile

__all__ = ["Among", "Begins", "Bound", "Demand", "Keep", "Stage", "Within", "best_first", "statistics_of", "within"]

_ORDERED = ("INT32", "INT64")
"""How Parquet holds whole numbers, dates and times; decimals fall out by their type in Python."""
Keep = Callable[[DataFile], bool]
"""Whether a file has to be read."""
_STEPS = (4, 32, 256)


@dataclass(frozen=True)
class Bound:
    """That a query asks for rows whose column lies between two values, both inclusive; None leaves a side open.

    A row without a value does not meet a bound.

    Examples
    --------
    >>> Bound("size", low=10).admits([1, 9]), Bound("size", low=10).admits([1, 10])
    (False, True)
    """

    column: str
    low: Any = None
    high: Any = None

    def admits(self, values: Sequence[Any]) -> bool:
        """Whether one of the values from a lowest to a highest may lie within."""
        lowest, highest = values
        try:
            above = self.low is None or encoded(self.low) <= highest
            return bool(above and (self.high is None or encoded(self.high) >= lowest))
        except TypeError:  # a number against a text: whoever runs the query says so
            return True


@dataclass(frozen=True)
class Among:
    """That a query asks for rows whose column holds one of some texts.

    Examples
    --------
    >>> Among("uid", ["b", "f"]).admits(["c", "e"]), Among("uid", ["b", "f"]).admits(["c", "f"])
    (False, True)
    """

    column: str
    wanted: Sequence[str]
    """In order."""

    def admits(self, values: Sequence[Any]) -> bool:
        """Whether one of the texts lies between a lowest and a highest."""
        first = bisect_left(self.wanted, values[0])
        return first < len(self.wanted) and self.wanted[first] <= values[1]


@dataclass(frozen=True)
class Begins:
    """That a query asks for rows whose column begins with one of some texts of one length.

    Examples
    --------
    >>> Begins("uid", ["ab"]).admits(["aa9", "ab0"]), Begins("uid", ["ab"]).admits(["ac0", "ad0"])
    (True, False)
    """

    column: str
    prefixes: Sequence[str]
    """In order."""

    def admits(self, values: Sequence[Any]) -> bool:
        """Whether a text that begins so may lie between a lowest and a highest."""
        if not self.prefixes:
            return False
        length = len(self.prefixes[0])
        first = bisect_left(self.prefixes, values[0][:length])
        return first < len(self.prefixes) and self.prefixes[first] <= values[1]


Demand = Bound | Among | Begins
"""What a query demands of a column."""


def encoded(value: Any) -> Any:
    """Return a value as Delta's statistics hold it: texts of one width have the order of the times they stand for.

    Examples
    --------
    >>> encoded(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), encoded(7)
    ('2026-01-01T00:00:00.000000Z', 7)
    """
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return value.isoformat(timespec="microseconds")
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return value.isoformat() if isinstance(value, dt.date) else value


def statistics_of(footer: pq.FileMetaData) -> dict[str, list[int | str]]:
    """Return lowest and highest value of columns with a useful order, from a Parquet footer; ``uid`` stands apart."""
    found: dict[str, list[int | str]] = {}
    for position in range(footer.num_columns):
        column = footer.schema.column(position)
        if column.physical_type not in _ORDERED:
            continue
        values = [value for group in range(footer.num_row_groups) for value in _extremes(footer, group, position)]
        if values and all(type(value) in (int, str) for value in values):
            found[column.path] = [min(values), max(values)]
    return found


def _extremes(footer: pq.FileMetaData, group: int, position: int) -> Iterator[Any]:
    """Yield the lowest and highest value of a column chunk, nothing when all are null, None when unknown."""
    chunk = footer.row_group(group).column(position)
    statistics = chunk.statistics
    if statistics is not None and statistics.null_count == chunk.num_values:
        return
    if statistics is None or not statistics.has_min_max:
        yield None
        return
    try:
        yield from (encoded(statistics.min), encoded(statistics.max))
    except (OverflowError, ValueError):  # a time beyond what Python counts
        yield None


# -- choosing ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Within:
    """Which files may have rows that meet all bounds."""

    bounds: tuple[Demand, ...]

    def __call__(self, file: DataFile) -> bool:
        """Whether a file has to be read."""
        known = ((bound, values_of(file, bound.column)) for bound in self.bounds)
        return all(values is None or bound.admits(values) for bound, values in known)

    @property
    def uids(self) -> Sequence[str] | None:
        """The uids one of which every row has; None where other rows may meet the bounds, too."""
        found = [bound.wanted for bound in self.bounds if isinstance(bound, Among) and bound.column == "uid"]
        return min(found, key=len, default=None)


def within(bounds: Iterable[Demand]) -> Within:
    """Return which files may have rows that meet all bounds."""
    return Within(tuple(bounds))


def values_of(file: DataFile, column: str) -> Sequence[Any] | None:
    """Return a file's lowest and highest value of a column, None when they are not known."""
    return (file.low, file.high) if column == "uid" else file.stats.get(column)


@dataclass(frozen=True)
class Stage:
    """Files to look for the first rows of an order in, and the best value that may stand in the others."""

    keep: Keep
    rest: Any
    descending: bool

    def settles(self, last: Any) -> bool:
        """Whether a row with this value comes before all rows of the other files."""
        if last is None:
            return False
        return bool(encoded(last) > self.rest if self.descending else encoded(last) < self.rest)


def best_first(files: Sequence[DataFile], column: str, *, descending: bool) -> Iterator[Stage]:
    """Yield growing sets of files, those with the best values of a column first, short of all of them.

    Files whose values are not known belong to every set. Rows without a value come last in any order.
    """
    known = [(values[descending], file.path) for file in files if (values := values_of(file, column)) is not None]
    known.sort(reverse=descending)
    for step in _STEPS:
        if step >= len(known):
            break
        left = frozenset(path for _, path in known[step:])
        yield Stage(lambda file, left=left: file.path not in left, known[step][0], descending)  # type: ignore[misc]
