"""64-bit hashes of texts, the same in every process and version: what bulk inserts remember of their unique values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.engine.parallel import WORKERS, side_by_side

__all__ = ["Hashes", "hash_texts"]

Hashes = npt.NDArray[np.uint64]
_Ints = npt.NDArray[np.int64]
_HASHED_BYTES = 512
_AT_ONCE = 65_536
"""Texts that are hashed together, few enough for what they need to stay in the processor's cache."""
_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def hash_texts(values: pa.Array) -> Hashes:
    """Return a hash of each text, from its length and first 512 bytes.

    Words of eight bytes are mixed as in SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Texts that collide cost a
    look-up, so speed counts for more than strength: a million names take some 20 ms.

    Examples
    --------
    >>> hash_texts(pa.array(["a", "b", "a"])).tolist().index(hash_texts(pa.array(["b"]))[0])
    1
    """
    out = np.empty(len(values), np.uint64)
    if not len(values):
        return out
    ends = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    letters = np.frombuffer(values.buffers()[2] or b"", np.uint8)[ends[0] : ends[-1]]
    words = np.ndarray(len(letters) + 1, "<u8", np.concatenate([letters, np.zeros(8, np.uint8)]), strides=(1,))

    def part(first: int) -> None:
        here = ends[first : first + _AT_ONCE + 1].astype(np.int64) - ends[0]
        out[first : first + _AT_ONCE] = _hashed(words, here[:-1], np.diff(here))

    starts = range(0, len(values), _AT_ONCE)
    if len(starts) < WORKERS:
        for first in starts:
            part(first)
    else:
        side_by_side(part, starts)
    return out


def _hashed(words: Hashes, starts: _Ints, lengths: _Ints) -> Hashes:
    """Return the hashes of texts that begin at these bytes."""
    hashes: Hashes = lengths.astype(np.uint64) * _GOLDEN
    live: _Ints | None = None  # all of them, as long as all go on
    for offset in range(0, _HASHED_BYTES, 8):
        if live is not None or lengths.min() <= offset:
            live = np.flatnonzero(lengths > offset)
            if not len(live):
                break
        rest = (lengths if live is None else lengths[live]) - offset
        mixed = words[(starts if live is None else starts[live]) + offset]
        if rest.min() < 8:
            spare = np.uint64(64) - (np.minimum(rest, 8) << 3).astype(np.uint64)
            mixed = (mixed << spare) >> spare
        mixed = _mix(mixed ^ (hashes if live is None else hashes[live]))
        if live is None:
            hashes = mixed
        else:
            hashes[live] = mixed
    return hashes


def _mix(numbers: Hashes) -> Hashes:
    numbers *= _FIRST
    numbers ^= numbers >> np.uint64(29)
    numbers *= _SECOND
    numbers ^= numbers >> np.uint64(32)
    return numbers
