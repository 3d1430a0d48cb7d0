"""Work on all cores of this machine: what leaves the interpreter's lock runs side by side in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["WORKERS", "side_by_side", "sort_numbers"]

T = TypeVar("T")
R = TypeVar("R")
WORKERS = min(4, os.cpu_count() or 1)
"""How many things are done at once."""
_ALONE = 100_000
"""Fewer numbers than this are sorted sooner than a thread is started."""


def side_by_side(act: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do several things at once that leave the interpreter's lock, as sorting, picking, encoding and writing do."""
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        begun: list[Future[R]] = []
        for item in items:
            try:
                begun.append(pool.submit(act, item))
            except RuntimeError:  # the interpreter is ending and begins no more threads
                break
        return [future.result() for future in begun] + [act(item) for item in items[len(begun) :]]


def sort_numbers(numbers: npt.NDArray[np.uint64]) -> None:
    """Sort in place, on as many cores as there are: each takes the numbers between two borders.

    Examples
    --------
    >>> numbers = np.array([3, 1, 2], np.uint64)
    >>> sort_numbers(numbers)
    >>> numbers.tolist()
    [1, 2, 3]
    """
    workers = min(WORKERS, len(numbers) // _ALONE)
    if workers < 2:
        numbers.sort()
        return
    sample = np.sort(numbers[:: len(numbers) // 1_000])
    parts, rest = list[npt.NDArray[np.uint64]](), numbers
    for border in sample[[len(sample) * i // workers for i in range(1, workers)]]:
        below = rest < border
        parts.append(rest[below])
        rest = rest[~below]
    parts.append(rest)
    side_by_side(np.ndarray.sort, parts)
    np.concatenate(parts, out=numbers)
