"""Observations of several files as one frame of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from registries.dataset.annotations import UID
from registries.dataset.filtering import unified

__all__ = ["together", "unique_names"]


def together(frames: Sequence[Any]) -> Any:
    """Return obs of several files one below the other, with the columns of all; text becomes categories.

    Names that come twice get their artifact's uid behind them.
    """
    import pandas as pd

    if not frames:
        return pd.DataFrame()
    table = unified([pa.Table.from_pandas(frame, preserve_index=False) for frame in frames])
    found = table.to_pandas()
    for field in table.schema:
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            found[field.name] = found[field.name].astype("category")
    uids = found[UID].astype(str).tolist()
    found.index = unique_names([str(name) for frame in frames for name in frame.index], uids)
    return found


def unique_names(names: Sequence[str], uids: Sequence[str]) -> list[str]:
    """Return names of which those that come twice have a uid behind them.

    Examples
    --------
    >>> unique_names(["a", "b", "a"], ["x", "x", "y"])
    ['a-x', 'b', 'a-y']
    """
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return [name if seen[name] == 1 else f"{name}-{uid}" for name, uid in zip(names, uids, strict=True)]
