"""Labels of observations: columns of obs as codes with categories, or as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from registries.dataset.filtering import unified

if TYPE_CHECKING:
    from registries.dataset.sources import Source

__all__ = ["Labels", "read_labels"]


@dataclass(frozen=True)
class Labels:
    """Columns of all observations, in their order.

    Attributes
    ----------
    values
        By column: codes, numbers or texts.
    categories
        By column that holds codes: what they stand for; -1 is a missing value.
    """

    values: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    categories: dict[str, list[str]] = field(default_factory=dict)

    def at(self, which: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Return the values at some places."""
        return {name: values[which] for name, values in self.values.items()}


def read_labels(
    sources: Sequence[Source],
    rows: Sequence[np.ndarray[Any, Any]],
    wanted: Sequence[str],
    *,
    encode: bool | Sequence[str],
) -> Labels:
    """Return columns of obs, labels and values for some rows of each file.

    Raises
    ------
    UnknownField
        When no file has a column.
    """
    if not isinstance(encode, bool) and (extra := [name for name in encode if name not in wanted]):
        raise InputError(f"encode = {shown(extra[0])}: it encodes what obs= names, which are {', '.join(wanted)}")
    if not wanted:
        return Labels()
    table = unified([_part(one, own, wanted) for one, own in zip(sources, rows, strict=True)])
    found = Labels()
    for name in wanted:
        if name not in table.column_names:
            raise UnknownField(f"no member has a column {shown(name)} in obs{_near(sources, name)}")
        column = table[name].combine_chunks()
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if (encode is True and text) or (not isinstance(encode, bool) and name in encode):
            found.values[name], found.categories[name] = _encoded(column)
        else:
            found.values[name] = np.asarray(column.to_numpy(zero_copy_only=False))
    return found


def _near(sources: Sequence[Source], name: str) -> str:
    return did_you_mean(name, {*sources[0].obs(None).column_names, *sources[0].same})


def _part(one: Source, rows: np.ndarray[Any, Any], wanted: Sequence[str]) -> pa.Table:
    table = one.obs(frozenset(name.lower() for name in wanted)).take(pa.array(rows))
    columns = {name: table[name] for name in table.column_names if name in wanted}
    for name in wanted:
        if name not in columns and name in one.same:
            columns[name] = pa.repeat(pa.scalar(one.same[name]), len(rows))
    return pa.table(columns) if columns else pa.table({"_": pa.nulls(len(rows))})


def _encoded(column: pa.Array) -> tuple[np.ndarray[Any, Any], list[str]]:
    names = pc.unique(column).drop_null()
    names = names.take(pc.sort_indices(names))
    codes = pc.fill_null(pc.index_in(column, names), -1)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64), [str(name) for name in names.to_pylist()]
