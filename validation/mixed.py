"""Columns of Python objects as Polars columns, and which values of them are of another type than the rest.

Libraries convert some mixes without a word, and change values by that: a time without a zone becomes one in UTC beside
one that has a zone, a date swallows the hours of the times after it, and numbers become times.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.columns import is_missing, values_of

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Mixed", "of_objects", "of_pandas"]

_PLAIN = ("string", "boolean", "integer", "floating", "mixed-integer-float", "empty", "bytes")
"""What pandas calls columns of one type that it tells for certain."""
_EXAMPLES = 5
_FAMILIES: tuple[tuple[Any, str], ...] = (
    ((bool, np.bool_), "bool"),
    (str, "str"),
    (bytes, "bytes"),
    ((complex, np.complexfloating), "complex"),
    ((dt.timedelta, np.timedelta64), "timedelta"),
    ((int, float, Decimal, np.number), "number"),
    (np.datetime64, "datetime without a zone"),
    (dt.date, "date"),
    ((list, tuple, np.ndarray), "list"),
    (dict, "dict"),
)


@dataclass(frozen=True)
class Mixed:
    """Why a column cannot be taken as one of a single type.

    Attributes
    ----------
    reason
        ``mixed_types``, or ``unsupported_type`` where it is of one that rules do not know.
    message
        In words.
    rows
        Positions of the values that are of another type than the rest; where there is text, of those that are none.
    examples
        Some of these.
    """

    reason: str
    message: str
    rows: tuple[int, ...]
    examples: tuple[Any, ...]


def of_pandas(series: Any) -> tuple[pl.Series, Mixed | None]:
    """Return a pandas column as a Polars one; only the text of one that is mixed, and why.

    Examples
    --------
    >>> import pandas as pd
    >>> of_pandas(pd.Series([dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]))[1].message
    'has values of several types: datetime with a zone, datetime without a zone'
    """
    import pandas as pd
    import polars as pl

    if isinstance(series.dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
    values = series.cat.categories if isinstance(series.dtype, pd.CategoricalDtype) else series
    if values.dtype.kind == "O" and pd.api.types.infer_dtype(values, skipna=True) not in _PLAIN:
        kinds = _kinds(values)
        if len(kinds) > 1:
            return _mixed(list(series), series.name)
    try:
        made: Any = pl.from_pandas(series.reset_index(drop=True), nan_to_null=True)
        return made, None
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return _mixed(list(series), series.name)
    except Exception as error:  # of pyarrow, whose errors share no base with those above on all versions
        if type(error).__module__.partition(".")[0] != "pyarrow":
            raise
        return _mixed(list(series), series.name)


def of_objects(series: pl.Series) -> tuple[pl.Series, Mixed | None]:
    """Return a Polars column of Python objects as one of the type that they are; see :func:`of_pandas`.

    Examples
    --------
    >>> import polars as pl
    >>> of_objects(pl.Series([1, 2], dtype=pl.Object))[0].dtype
    Int64
    """
    import polars as pl

    values = series.to_list()
    if len(_kinds(values)) > 1:
        return _mixed(values, series.name)
    try:
        made = pl.Series(series.name, values, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return _mixed(values, series.name)
    return _mixed(values, series.name) if made.dtype == pl.Object else (made, None)


def _mixed(values: list[Any], name: object) -> tuple[pl.Series, Mixed]:
    """Return the text in values, and which of them are of another type than the rest."""
    taken, kinds = values_of(values), dict(sorted(_kinds(values).items()))
    usual = "str" if "str" in kinds else max(kinds, key=lambda kind: len(kinds[kind]))
    rows = sorted(row for kind, own in kinds.items() if kind != usual or len(kinds) == 1 for row in own)
    examples = tuple(values[row] for row in rows[:_EXAMPLES])
    types = sorted({type(values[row]).__name__ for row in rows})
    if len(kinds) > 1 or len(types) > 1:
        reason, told = "mixed_types", f"has values of several types: {', '.join(kinds if len(kinds) > 1 else types)}"
    else:
        reason, told = "unsupported_type", f"has values that make no column of one type: {', '.join(types)}"
    return taken.text.alias(str(name)), Mixed(reason, told, tuple(rows), examples)


def _kinds(values: Iterable[Any]) -> dict[str, list[int]]:
    """Return the positions of values by what kind they are; missing ones aside."""
    found: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        if not is_missing(value):
            found.setdefault(_kind(value), []).append(row)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return "datetime without a zone" if value.tzinfo is None else "datetime with a zone"
    return next((kind for types, kind in _FAMILIES if isinstance(value, types)), type(value).__name__)
