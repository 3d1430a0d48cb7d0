"""What a column's values have to be beside their type: bounds, choices, patterns and lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, shown
from validation.rules import Rule

if TYPE_CHECKING:
    from registries.column import Column

__all__ = ["broken_by", "check_value", "check_values", "rule_of"]

_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_DTYPES = {"str": "str", "int": "int", "float": "float", "bool": "bool", "datetime": "datetime", "date": "date"}


def rule_of(column: Column[Any]) -> Rule:
    """Return a column's limits as a rule.

    Raises
    ------
    InputError
        When the limits contradict one another, or the column's default breaks them.
    """
    rule = Rule(column.name, _DTYPES.get(getattr(column.python, "__name__", ""), "any"), **column.limits)
    if rule.regex is not None:
        try:
            pc.match_substring_regex(pa.array([""]), rule.regex)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"column {column.name!r}: the regex {shown(rule.regex)} is none of RE2, which knows no look-ahead and "
                f"no back-reference: {error}"
            ) from None
    default = column.initial
    has_default = isinstance(default, str | int | float | bool | list) or hasattr(default, "isoformat")
    if has_default and (why := broken_by(rule, default)):
        raise InputError(f"column {column.name!r}: its own default {shown(default)} breaks its rule, as it is {why}")
    return rule


def broken_by(rule: Rule, value: Any) -> str:
    """Return how a value breaks a rule; empty where it does not.

    Examples
    --------
    >>> broken_by(Rule("depth", "float", ge=0), -1.0), broken_by(Rule("depth", "float", ge=0), 1.0)
    ('not at least 0', '')
    """
    for bound, words in _BOUNDS.items():
        limit = getattr(rule, bound)
        if limit is not None and not _holds(bound, value, limit):
            return f"not {words} {limit}"
    if rule.isin is not None and value not in rule.isin:
        return "none of " + ", ".join(map(shown, rule.isin[:10]))
    if rule.regex is not None and not _matches(rule.regex, value):
        return f"no match of {shown(rule.regex)}"
    if rule.min_length is not None and len(value) < rule.min_length:
        return f"shorter than {rule.min_length}"
    if rule.max_length is not None and len(value) > rule.max_length:
        return f"longer than {rule.max_length}"
    return ""


def _holds(bound: str, value: Any, limit: Any) -> bool:
    found = {"ge": value >= limit, "gt": value > limit, "le": value <= limit, "lt": value < limit}[bound]
    return bool(found)


def _matches(regex: str, value: str) -> bool:
    """Whether a whole text matches, in a time that grows with its length alone."""
    return bool(pc.match_substring_regex(pa.array([value], pa.string()), f"^(?:{regex})$")[0].as_py())


def check_value(rule: Rule, value: Any, where: str) -> None:
    """Raise ``InputError`` for a value that breaks a rule."""
    if why := broken_by(rule, value):
        raise InputError(f"{where} = {shown(value)} is {why}")


def check_values(rule: Rule, values: pa.ChunkedArray, where: str) -> None:
    """Raise ``InputError`` for the first value of a column that breaks a rule; missing ones break none."""
    for value in values.to_pylist() if pa.types.is_nested(values.type) else pc.unique(values).to_pylist():
        if value is not None:
            check_value(rule, value, where)
