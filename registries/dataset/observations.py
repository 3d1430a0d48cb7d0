"""Observations of several files as one frame of pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from lakehouse.errors import InputError, shown
from registries.dataset.annotations import UID
from registries.dataset.filtering import unified

__all__ = ["framed", "refuse_twice", "together", "unique_names"]


def framed(table: pa.Table) -> Any:
    """Return a table as pandas; whole numbers and truth values with gaps stay what they are."""
    found = table.to_pandas()
    for field in table.schema:
        if field.type in _nullable() and table[field.name].null_count:
            found[field.name] = _with_gaps(table[field.name])
    return found


@cache
def _nullable() -> Mapping[pa.DataType, Any]:
    import pandas as pd

    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    found = {
        pa.type_for_alias(name): pd.api.types.pandas_dtype(name.replace("i", "I").replace("u", "U")) for name in names
    }
    return found | {pa.bool_(): pd.BooleanDtype()}


def _with_gaps(column: pa.ChunkedArray) -> Any:
    return column.to_pandas(types_mapper=_nullable().get)


def together(frames: Sequence[Any], *, join: str = "outer") -> Any:
    """Return obs of several files one below the other; text becomes categories, categories those of all.

    Names that come twice get their artifact's uid behind them.

    Parameters
    ----------
    frames
        Each with a column of the artifact's uid.
    join
        ``outer`` keeps the columns of any, ``inner`` those of all.
    """
    import pandas as pd

    if not frames:
        return pd.DataFrame()
    if join == "inner":
        shared = set(frames[0].columns).intersection(*(frame.columns for frame in frames))
        frames = [frame[[name for name in frame.columns if name in shared]] for frame in frames]
    table = unified([pa.Table.from_pandas(frame, preserve_index=False) for frame in frames])
    found = table.to_pandas()
    for field in table.schema:
        kinds = [frame[field.name].dtype for frame in frames if field.name in frame.columns]
        found[field.name] = _typed(table[field.name], found[field.name], kinds)
    uids = found[UID].astype(str).tolist()
    found.index = unique_names([str(name) for frame in frames for name in frame.index], uids)
    return found


def _typed(column: pa.ChunkedArray, made: Any, kinds: Sequence[Any]) -> Any:
    """Return a column with the type that anndata would give it, but that text becomes categories."""
    import pandas as pd

    if all(isinstance(kind, pd.CategoricalDtype) for kind in kinds):
        same = all(kind == kinds[0] for kind in kinds)
        every = dict.fromkeys(name for kind in kinds for name in kind.categories)
        return made.astype(kinds[0] if same else pd.CategoricalDtype(list(every)))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return made.astype("category")
    if column.null_count and column.type in _nullable():
        is_nullable = any(pd.api.types.is_extension_array_dtype(kind) for kind in kinds)
        return _with_gaps(column) if is_nullable or pa.types.is_boolean(column.type) else made
    return made


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


def refuse_twice(names: Sequence[str], member: str) -> None:
    """Raise for a member that has two variables of one name: variables are joined by their names.

    Raises
    ------
    InputError
        It names the first.
    """
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise InputError(
            f"{member} has the variable {shown(twice)} twice, and variables are joined by name: "
            "save it with adata.var_names_make_unique() as its next version"
        )
