"""Values of features: checked against the type, and kept in the column that the type has."""

from __future__ import annotations

import datetime as dt
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lakehouse.errors import InputError, shown
from registries.column import to_utc
from registries.dtype import DType
from registries.names import check_text

__all__ = ["COLUMNS", "check_value", "column_of", "read_value"]

COLUMNS: Mapping[str, str] = {
    "int": "whole",
    "float": "number",
    "str": "text",
    "bool": "truth",
    "date": "day",
    "datetime": "moment",
    "json": "json",
    "vector": "vector",
}
"""The column that holds values of each kind."""
_BIGGEST = 2**63


def column_of(dtype: DType) -> str:
    """Return the column in which single values of a type are kept.

    Examples
    --------
    >>> from registries.dtypes import parse_dtype
    >>> column_of(parse_dtype("list[float]"))
    'number'
    """
    return COLUMNS[dtype.kind]


def check_value(dtype: DType, value: object, where: str) -> list[Any]:
    """Return a value as it is kept: one entry, or for a list as many as it has.

    Raises
    ------
    InputError
        When it is no value of that type, naming the value and the type.

    Examples
    --------
    >>> from registries.dtypes import parse_dtype
    >>> check_value(parse_dtype("float"), 21, "temperature")
    [21.0]
    """
    if dtype.many:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise _misfit(dtype, value, where)
        return [_checked(dtype, item, where) for item in value]
    return [_checked(dtype, value, where)]


def _checked(dtype: DType, value: object, where: str) -> Any:
    try:
        kept = _CHECKS[dtype.kind](value)
    except OverflowError:
        kept = None
    if kept is None or (dtype.length is not None and len(kept) != dtype.length):
        raise _misfit(dtype, value, where)
    return check_text(kept, where) if isinstance(kept, str) else kept


def _misfit(dtype: DType, value: object, where: str) -> InputError:
    hint = f" of {len(value)}" if dtype.length is not None and isinstance(value, Sequence) else ""
    return InputError(f"{where} = {shown(value)} is a {type(value).__name__}{hint}: its dtype is {str(dtype)!r}")


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return None
    return int(value) if -_BIGGEST <= int(value) < _BIGGEST else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _text(value: object) -> str | None:
    return str.__str__(value) if isinstance(value, str) else None


def _truth(value: object) -> bool | None:
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return None


def _day(value: object) -> dt.date | None:
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else None


def _moment(value: object) -> dt.datetime | None:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    return to_utc(value) if isinstance(value, dt.datetime) and value.tzinfo is not None else None


def _json(value: object) -> str | None:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _vector(value: Any) -> list[float] | None:
    listed: object = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        return None
    found = [_number(item) for item in listed]
    return None if None in found else [number for number in found if number is not None]


_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "int": _whole,
    "float": _number,
    "str": _text,
    "bool": _truth,
    "date": _day,
    "datetime": _moment,
    "json": _json,
    "vector": _vector,
}


def read_value(dtype: DType, row: Mapping[str, Any]) -> Any:
    """Return the value that a row holds."""
    kept = row[column_of(dtype)]
    return json.loads(kept) if dtype.kind == "json" else kept
