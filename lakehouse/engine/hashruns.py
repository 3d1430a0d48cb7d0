"""The hashes that bulk inserts leave of their unique values: runs of sorted blocks, merged when they are many.

A run is cut at the borders of ``2**bits`` equal buckets, so many that a block is a page or less; a probe for one value
then reads one page of each run. ``(1 << bits) | bucket`` numbers the blocks of all runs in one column.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lakehouse.engine.catalog import Catalog, Session
from lakehouse.engine.texthashes import Hashes

__all__ = ["blocks_of", "known", "merge_runs"]

_PER_BLOCK = 400
_LEAST, _MOST = 8, 22
"""Bounds of ``bits``; no block spans several slices of a merge."""
_STEP = 256  # blocks that are read at once


def _bits(count: int) -> int:
    """Return how many bits number the buckets of a run, so that a block is about a page."""
    return min(max((count // _PER_BLOCK).bit_length(), _LEAST), _MOST)


def blocks_of(hashes: Hashes, bits: int | None = None) -> list[tuple[int, bytes]]:
    """Return sorted hashes cut at the bucket borders, with the number of each block.

    Examples
    --------
    >>> [number for number, _ in blocks_of(np.array([1, 2, 2**63], np.uint64))]
    [256, 384]
    """
    bits = bits or _bits(len(hashes))
    buckets = (hashes >> np.uint64(64 - bits)).astype(np.int64)
    starts = np.flatnonzero(np.r_[len(hashes) > 0, buckets[1:] != buckets[:-1]])
    ends = [*starts[1:], len(hashes)]
    return [
        ((1 << bits) | int(buckets[s]), hashes[s:e].astype("<u8").tobytes()) for s, e in zip(starts, ends, strict=True)
    ]


def known(session: Session, table: str, group: str, ranked: Hashes) -> npt.NDArray[np.bool_]:
    """Return which of the (sorted) hashes are in one of the runs."""
    hit = np.zeros(len(ranked), dtype=bool)
    for bits in session.filter_depths(table, group):
        for first, last in _spans(ranked, bits):
            bodies = session.filter_blocks(table, group, (1 << bits) | first, (1 << bits) | last)
            if not bodies:
                continue
            found = np.frombuffer(b"".join(bodies), "<u8")
            positions = np.minimum(np.searchsorted(ranked, found), len(ranked) - 1)
            hit[positions[ranked[positions] == found]] = True
    if (ranked[1:] == ranked[:-1]).any():  # only the first of equal ones was found
        hit = hit[np.searchsorted(ranked, ranked)]
    return hit


def _spans(ranked: Hashes, bits: int) -> Iterator[tuple[int, int]]:
    """Yield the buckets that have to be read, first and last, at most ``_STEP`` of them at once."""
    buckets = np.unique(ranked >> np.uint64(64 - bits)).astype(np.int64)
    if len(buckets) < (1 << bits) // 8:
        yield from ((int(bucket), int(bucket)) for bucket in buckets)
        return
    yield from ((first, first + _STEP - 1) for first in range(0, 1 << bits, _STEP))


def merge_runs(catalog: Catalog, epoch: int, table: str, group: str, *, least: int) -> bool:
    """Make one run of all when there are ``least`` or more, a slice at a time; return whether it was done.

    Every slice is a locked session of its own, some milliseconds long: writers go on in between, and a process that
    dies leaves some slices merged and others not, which is as good.
    """
    with catalog.read() as session:
        depths = session.filter_depths(table, group)
        runs = sum(len(session.filter_blocks(table, group, 1 << bits, 1 << bits)) for bits in depths)
        bits = _bits(session.filter_bytes(table, group) // 8)
    if runs < least:
        return False
    for slice_ in range(1 << _LEAST):
        with catalog.locked(epoch) as session:
            _merge_slice(session, table, group, slice_, bits)
    return True


def _merge_slice(session: Session, table: str, group: str, slice_: int, bits: int) -> None:
    bodies: list[bytes] = []
    for deep in session.filter_depths(table, group):
        below = deep - _LEAST
        first = (1 << deep) | (slice_ << below)
        last = first + (1 << below) - 1
        bodies += session.filter_blocks(table, group, first, last)
        session.drop_filter(table, group, first, last)
    if bodies:
        session.add_filter(table, group, blocks_of(np.unique(np.frombuffer(b"".join(bodies), "<u8")), bits))
