"""Values as another type, where that loses nothing; what it would lose is counted."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.engine.arrow import pc

__all__ = ["retyped", "values_lost"]


def retyped(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return values as another type, null where they cannot be that.

    A text becomes a list of the one text, a list of one text that text.

    Examples
    --------
    >>> retyped(pa.chunked_array([["1", "x", None]]), pa.int64()).to_pylist()
    [1, None, None]
    >>> retyped(pa.chunked_array([["a", None]]), pa.list_(pa.string())).to_pylist()
    [['a'], None]
    """
    if values.type == kind:
        return values
    try:
        found = values.cast(kind)
        if found.cast(values.type).equals(values):
            return found
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        pass  # not as a whole: then one by one
    return pa.chunked_array([pa.array([_one(value, values.type, kind) for value in values], kind)])


def _one(value: pa.Scalar, have: pa.DataType, kind: pa.DataType) -> object:
    if not value.is_valid:
        return None
    plain = value.as_py()
    if pa.types.is_list(kind):
        inner = retyped(pa.chunked_array([pa.array([plain], have)]), kind.value_type)[0].as_py()
        return None if inner is None else [inner]
    if pa.types.is_list(have):
        if len(plain) != 1:
            return None
        return _one(pa.scalar(plain[0], have.value_type), have.value_type, kind)
    try:
        found = value.cast(kind)
        if pa.types.is_string(have) or found.cast(have).equals(value):
            return found.as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return None


def values_lost(values: pa.ChunkedArray, kind: pa.DataType) -> int:
    """Return how many values cannot be of another type.

    Examples
    --------
    >>> values_lost(pa.chunked_array([["1", "x", None]]), pa.int64())
    1
    """
    there = int(len(values) - values.null_count)
    if pa.types.is_list(values.type):  # an empty list says nothing
        there -= pc.sum(pc.equal(pc.list_value_length(values), 0)).as_py() or 0
    found = retyped(values, kind)
    return int(there - (len(found) - found.null_count))
