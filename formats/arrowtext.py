"""A quick look at columns of texts: Arrow decodes each text by itself, which takes longer than reading it."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["is_sound_ascii"]


def is_sound_ascii(column: pa.Array) -> bool:
    """Tell whether a column holds texts without nulls, all of them ASCII, whose offsets grow within their buffer.

    Of any other, ``column.validate(full=True)`` has to say whether it is sound.

    Examples
    --------
    >>> is_sound_ascii(pa.array(["a", "bc"])), is_sound_ascii(pa.array(["\u00fc"])), is_sound_ascii(pa.array([1]))
    (True, False, False)
    """
    wide = pa.types.is_large_string(column.type)
    if not (wide or pa.types.is_string(column.type)) or not len(column):
        return False
    nulls, offsets, data = column.buffers()
    if nulls is not None or offsets is None or data is None:
        return False
    import numpy as np

    dtype = np.dtype("<i8" if wide else "<i4")
    if offsets.size < (column.offset + len(column) + 1) * dtype.itemsize:
        return False
    places = np.frombuffer(offsets, dtype, len(column) + 1, column.offset * dtype.itemsize)
    if places[0] < 0 or places[-1] > data.size or (places[1:] < places[:-1]).any():
        return False
    texts = np.frombuffer(data, "u1")[places[0] : places[-1]]
    return not texts.size or bool(texts.max() < 128)
