"""Measuring two things in turn, and the rows of the table that comes of it."""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Limit", "Row", "Sample", "Side", "alternate", "at_most", "ms", "scratch"]

Side = Callable[[int], Callable[[], object]]
"""Prepares round ``i`` unmeasured, and returns what is measured."""


@dataclass(frozen=True)
class Sample:
    """Durations of one side, in seconds."""

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third."""
        if len(self.times) < 2:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.times, n=4, method="inclusive")
        return first, third


@dataclass(frozen=True)
class Limit:
    """A bound on a row's value or on its ratio to the floor, inclusive."""

    of: str
    """``value`` or ``ratio``."""
    bound: float
    least: bool = False
    """Whether the bound is a minimum."""

    def __str__(self) -> str:
        sign, times = ("≥" if self.least else "≤"), ("×" if self.of == "ratio" else "")
        return f"{sign} {self.bound:g}{times}"

    def holds(self, row: Row) -> bool:
        found = row.value if self.of == "value" else row.ratio
        if found is None:
            raise ValueError(f"{row.name}: a limit on the ratio needs a floor")
        return found >= self.bound if self.least else found <= self.bound


@dataclass(frozen=True)
class Row:
    """One figure.

    Parameters
    ----------
    value, unit
        What was measured; medians of the alternating rounds.
    floor, against
        The same of the bare tool, and which one it is.
    limits
        What must be reached; empty for what is only told.
    """

    group: str
    name: str
    value: float
    unit: str
    floor: float | None = None
    against: str = ""
    limits: tuple[Limit, ...] = ()
    quartiles: tuple[float, float] | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over floor."""
        return self.value / self.floor if self.floor else None

    @property
    def verdict(self) -> str:
        """``reached``, ``missed``, or empty without limits."""
        if not self.limits:
            return ""
        return "reached" if all(limit.holds(self) for limit in self.limits) else "missed"


def ms(
    group: str,
    name: str,
    sample: Sample,
    floor: Sample | None = None,
    against: str = "",
    *limits: Limit,
    note: str = "",
) -> Row:
    """Return a row of two samples, in milliseconds."""
    quartiles = sample.quartiles[0] * 1e3, sample.quartiles[1] * 1e3
    bare = floor.median * 1e3 if floor else None
    return Row(group, name, sample.median * 1e3, "ms", bare, against, limits, quartiles, note)


def at_most(ratio: float | None = None, *, value: float | None = None) -> Limit:
    """Return an upper limit on the ratio, or on the value."""
    return Limit("value", value) if value is not None else Limit("ratio", ratio or 0.0)


def _timed(act: Callable[[], object]) -> float:
    """Return how long a call took, in seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def alternate(sides: Mapping[str, Side], *, rounds: int, warm: int = 1, settle: bool = False) -> dict[str, Sample]:
    """Measure all sides in turn (A B A B), so that whatever disturbs the machine disturbs them alike.

    Parameters
    ----------
    warm
        Rounds that come first and are not counted.
    settle
        Write all dirty pages out before each measurement: a side that forces its files to the disk would else pay
        for what the other side left to the system.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    for turn in range(rounds + warm):
        for name, side in sides.items():
            act = side(turn)
            if settle:
                os.sync()
            took = _timed(act)
            if turn >= warm:
                times[name].append(took)
    return {name: Sample(tuple(found)) for name, found in times.items()}


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield an empty folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
