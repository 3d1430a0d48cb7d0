"""Inferring rules from a frame: a starting point to edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validation.frames import taken
from validation.rules import Rule, Slot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["inferred"]

_FEW = 50
_LEAST_ROWS = 10


def inferred(given: Any, *, values: bool = True) -> Slot:
    """Return the rules that a frame meets: dtypes, whether values are missing or repeat, and what there are if few.

    Parameters
    ----------
    given
        A pandas, Polars or Arrow frame.
    values
        Whether text columns of few distinct values admit these only.

    Examples
    --------
    >>> import polars as pl
    >>> slot = inferred(pl.DataFrame({"age": [31, None]}))
    >>> slot.rules[0].dtype, slot.rules[0].nullable
    ('int', True)
    """
    frame = taken(given).frame
    return Slot(tuple(_rule(frame[name], values=values) for name in frame.columns))


def _rule(series: pl.Series, *, values: bool) -> Rule:
    import polars as pl

    dtype: Any = series.dtype
    many = isinstance(dtype, pl.List | pl.Array)
    kind = _kind(dtype.inner if many else dtype)
    seen = None
    if values and kind in ("str", "cat") and not many and len(series) >= _LEAST_ROWS:
        distinct = series.drop_nulls().unique().cast(pl.String).sort()
        if 0 < len(distinct) <= min(_FEW, len(series) // 2):
            seen = tuple(distinct.to_list())
    missing = series.null_count() > 0 or (dtype.is_float() and bool(series.is_nan().any()))
    return Rule(series.name, f"list[{kind}]" if many else kind, nullable=missing or not len(series), isin=seen)


def _kind(dtype: Any) -> str:
    import polars as pl

    if isinstance(dtype, pl.Categorical | pl.Enum):
        return "cat"
    for kind, matches in {
        "int": dtype.is_integer,
        "float": dtype.is_float,
        "str": lambda: dtype == pl.String,
        "bool": lambda: dtype == pl.Boolean,
        "date": lambda: dtype == pl.Date,
        "datetime": lambda: isinstance(dtype, pl.Datetime),
    }.items():
        if matches():
            return kind
    return "any"
