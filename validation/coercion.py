"""Coercion: values as another dtype, where nothing is lost by that; text of files becomes numbers, flags and times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from validation.checks import fits
from validation.mixed import of_objects, of_pandas
from validation.rules import Rule

if TYPE_CHECKING:
    import polars as pl

__all__ = ["coerced", "coerced_column"]

_NUMBERS, _DAYS = ("int", "float", "number", "bool"), ("date", "datetime")
_ZONED = r"\d(?:Z|[+-]\d\d:?\d\d)$"
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


def coerced(series: pl.Series, rule: Rule) -> pl.Series:
    """Return values as the dtype that a rule asks for; those that cannot be, or would lose something, are null.

    Dates and times are read as ISO 8601 has them; those with a zone become UTC.

    Examples
    --------
    >>> import polars as pl
    >>> coerced(pl.Series(["1", "2.5", "x"]), Rule("age", "int", coerce=True)).to_list()
    [1, None, None]
    >>> coerced(pl.Series([1.0, 2.5]), Rule("age", "int", coerce=True)).to_list()
    [1, None]
    """
    import polars as pl

    convert = _CONVERTERS.get(rule.kind)
    if convert is None or rule.many or fits(series, rule):
        return series
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    if series.dtype.is_temporal() if rule.kind in _NUMBERS else series.dtype.is_numeric() and rule.kind in _DAYS:
        return _nothing(series)
    try:
        return convert(series.str.strip_chars() if series.dtype == pl.String else series)
    except pl.exceptions.PolarsError:  # of types between which there is no conversion at all
        return _nothing(series)


def _nothing(series: pl.Series) -> pl.Series:
    import polars as pl

    return pl.Series(series.name, [None], dtype=pl.Null).new_from_index(0, len(series))


def coerced_column(values: Any, rule: Rule) -> Any:
    """Return a column of pandas, Polars or Arrow as the dtype that a rule asks for, as what it came in.

    None where it is of that dtype already, or where a value would be lost.

    Examples
    --------
    >>> import pandas as pd
    >>> coerced_column(pd.Series(["1", None]), Rule("age", "int", coerce=True)).dtype
    Int64Dtype()
    """
    import polars as pl

    if isinstance(values, pl.Series):
        series, mixed = of_objects(values) if values.dtype == pl.Object else (values, None)
        return _whole(series, rule) if mixed is None else None
    if not hasattr(values, "iloc"):
        made = _whole(cast(Any, pl.from_arrow(values)), rule)
        return None if made is None else made.to_arrow()
    series, mixed = of_pandas(values)
    if mixed is not None:
        return None
    made = _whole(series, rule)
    if made is None:
        return None
    nullable = {"int": "Int64", "bool": "boolean"}.get(rule.kind) if made.null_count() else None
    found = made.to_pandas() if nullable is None else made.to_pandas(use_pyarrow_extension_array=True).astype(nullable)
    return found.set_axis(values.index)


def _whole(series: pl.Series, rule: Rule) -> pl.Series | None:
    made = coerced(series, rule)
    return None if made is series or (made.is_null() & series.is_not_null()).any() else made


def _where(made: pl.Series, kept: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.when(kept).then(made)).to_series().alias(made.name)


def _to_int(series: pl.Series) -> pl.Series:
    import polars as pl

    made = series.cast(pl.Int64, strict=False)
    return _where(made, made.cast(pl.Float64) == series) if series.dtype.is_float() else made


def _to_float(series: pl.Series) -> pl.Series:
    import polars as pl

    made = series.cast(pl.Float64, strict=False)
    return _where(made, made.cast(pl.Int64, strict=False) == series) if series.dtype.is_integer() else made


def _to_number(series: pl.Series) -> pl.Series:
    import polars as pl

    whole = _to_int(series)
    return whole if (whole.is_not_null() | series.is_null()).all() else series.cast(pl.Float64, strict=False)


def _to_text(series: pl.Series) -> pl.Series:
    import polars as pl

    return series.cast(pl.String)


def _to_bool(series: pl.Series) -> pl.Series:
    import polars as pl

    text = series.str.to_lowercase() if series.dtype == pl.String else series.cast(pl.Float64).cast(pl.String)
    flags: dict[str, bool] = (
        {"true": True, "false": False} if series.dtype == pl.String else {"1.0": True, "0.0": False}
    )
    return text.replace_strict(flags, default=None, return_dtype=pl.Boolean)


def _to_date(series: pl.Series) -> pl.Series:
    import polars as pl

    if series.dtype == pl.String:
        return series.str.to_date("%Y-%m-%d", strict=False)
    made = series.cast(pl.Date)
    return _where(made, made.cast(series.dtype) == series)


def _to_datetime(series: pl.Series) -> pl.Series:
    import polars as pl

    if series.dtype == pl.Date:
        return series.cast(pl.Datetime("us"))
    if series.str.contains(_ZONED).any():
        return series.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    found = series.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    for form in _TIMES:
        found = found.fill_null(series.str.to_datetime(form, time_unit="us", strict=False))
    return found


_CONVERTERS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "int": _to_int,
    "float": _to_float,
    "number": _to_number,
    "str": _to_text,
    "cat": _to_text,
    "bool": _to_bool,
    "date": _to_date,
    "datetime": _to_datetime,
}
