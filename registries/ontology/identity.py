"""What identifies entries of public sources everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from lakehouse.ids import ALPHABET, STEM, UID, derived_uid

__all__ = ["CLEAR", "RELATIONS", "SCOPES", "entry_uid", "entry_uids"]

_HALF = 62 ** (STEM // 2)

SCOPES = ("EXACT", "NARROW", "BROAD", "RELATED", "PREVIOUS")
"""What a synonym may be to its term; ``PREVIOUS`` is for names that a gene once had."""
CLEAR = ("EXACT", "PREVIOUS")
"""The scopes of synonyms that may stand for the entry itself."""
RELATIONS = ("is_a", "part_of", "parent")
"""What a parent may be to its term; ``parent`` where the source does not tell kinds and parts apart."""


def entry_uid(registry: str, *identity: str) -> str:
    """Return the uid of a public entry, which is the same in every instance.

    Examples
    --------
    >>> entry_uid("CellType", "CL:0000084")
    'QsTGvz1GZuSOzWQh0000'
    """
    return derived_uid(registry, *identity)


def entry_uids(registry: str, identifiers: Sequence[str], *more: str) -> pa.Array:
    """Return what :func:`entry_uid` does for many identifiers, in a third of the time; ``more`` follows each of them.

    Examples
    --------
    >>> entry_uids("CellType", ["CL:0000084"]).to_pylist()
    ['QsTGvz1GZuSOzWQh0000']
    """
    import numpy as np

    begun = blake2b(digest_size=16, person=b"lakehouse")
    begun.update(_counted(registry))
    after = b"".join(map(_counted, more))
    high, low = np.empty(len(identifiers), np.int64), np.empty(len(identifiers), np.int64)
    for place, text in enumerate(identifiers):
        state = begun.copy()
        state.update(_counted(text) + after)
        upper, low[place] = divmod(int.from_bytes(state.digest()), _HALF)
        high[place] = upper % _HALF
    characters = np.full((len(identifiers), UID), ord("0"), np.uint8)
    _spell(high, characters[:, : STEM // 2])
    _spell(low, characters[:, STEM // 2 : STEM])
    offsets = np.arange(0, UID * (len(identifiers) + 1), UID, dtype=np.int32)
    return pa.StringArray.from_buffers(len(identifiers), pa.py_buffer(offsets), pa.py_buffer(characters.tobytes()))


def _spell(numbers: Any, characters: Any) -> None:
    """Write numbers as base62 digits into the columns of an array."""
    import numpy as np

    alphabet = np.frombuffer(ALPHABET.encode(), np.uint8)
    for column in reversed(range(characters.shape[1])):
        numbers, digits = np.divmod(numbers, 62)
        characters[:, column] = alphabet[digits]


def _counted(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(8) + data
