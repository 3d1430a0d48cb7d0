"""What a rule asks of values: functions from a Polars column to one flag for each row; missing values pass.

The same functions stand behind every backend, so that pandas, Polars and Arrow give the same verdicts.
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse.errors import InputError, shown
from validation.columns import values_of
from validation.report import example
from validation.rules import Rule
from validation.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Check", "Resolver", "checks_of", "fits", "in_order", "known_to", "tolerated"]

Flags: TypeAlias = "pl.Series | bool"
Resolver: TypeAlias = Callable[[str, Rule], Vocabulary]
"""Takes a registry as a dtype names it, and the rule; returns the vocabulary to look in."""

_BOUNDS = {"ge": (operator.ge, "at least"), "gt": (operator.gt, "more than")}
_BOUNDS |= {"le": (operator.le, "at most"), "lt": (operator.lt, "less than")}


@dataclass(frozen=True)
class Check:
    """One thing that a rule asks.

    Attributes
    ----------
    reason
        The code of the fault.
    message
        What is wrong with values that fail.
    flags
        Tells for each value whether it passes; or for the whole column.
    """

    reason: str
    message: str
    flags: Callable[[pl.Series], Flags]


def checks_of(rule: Rule, resolve: Resolver) -> list[Check]:
    """Return everything that a rule asks of the values of its column; whether they may be missing aside.

    Raises
    ------
    UnknownField, InputError
        When it names a registry that there is not, or a regular expression that cannot be run.
    """
    found = [Check("wrong_dtype", f"is not of dtype {rule.dtype}", lambda s: fits(s, rule))]
    found += [_on_items(rule, one) for one in (*_bounds(rule), *_texts(rule), *_members(rule, resolve))]
    return [*found, *_lengths(rule), *_sequence(rule)]


def fits(series: pl.Series, rule: Rule) -> bool:
    """Return whether the type of a column is what a rule asks for; one of nulls only always is."""
    import polars as pl

    dtype: Any = series.dtype
    if series.null_count() == len(series):
        return True
    if rule.many or rule.kind == "vector":
        if not isinstance(dtype, pl.List | pl.Array):
            return False
        dtype = dtype.inner
        if rule.kind == "vector":
            return bool(dtype.is_numeric())
    return _fits(dtype, rule.kind)


def _fits(dtype: Any, kind: str) -> bool:
    import polars as pl

    tests: dict[str, Callable[[], bool]] = {
        "int": dtype.is_integer,
        "float": dtype.is_float,
        "number": dtype.is_numeric,
        "str": lambda: isinstance(dtype, pl.String | pl.Categorical | pl.Enum),
        "cat": lambda: isinstance(dtype, pl.String | pl.Categorical | pl.Enum),
        "bool": lambda: dtype == pl.Boolean,
        "date": lambda: dtype == pl.Date,
        "datetime": lambda: isinstance(dtype, pl.Datetime),
    }
    return tests[kind]() if kind in tests else True


def _bounds(rule: Rule) -> list[Check]:
    found = []
    for name, (compare, words) in _BOUNDS.items():
        bound = getattr(rule, name)
        if bound is not None:
            unit = f" {rule.unit}" if rule.unit else ""

            def flags(s: pl.Series, compare: Any = compare, bound: Any = bound) -> pl.Series:
                made: pl.Series = compare(_in_utc(s), _zoned(bound, s))
                return made

            found.append(Check("out_of_range", f"is not {words} {bound}{unit}", flags))
    return found


def _in_utc(series: pl.Series) -> pl.Series:
    """Return times with a zone in UTC: Polars compares those of one zone only."""
    aware = getattr(series.dtype, "time_zone", None) not in (None, "UTC")
    return series.dt.convert_time_zone("UTC") if aware else series


def _zoned(bound: Any, series: pl.Series) -> Any:
    """Return a bound with a zone where the column has one, and without one where it has none; both are in UTC then."""
    if not isinstance(bound, dt.datetime):
        return bound
    aware = getattr(series.dtype, "time_zone", None) is not None
    if bound.tzinfo is None:
        return bound.replace(tzinfo=dt.UTC) if aware else bound
    found = bound.astimezone(dt.UTC)
    return found if aware else found.replace(tzinfo=None)


def _texts(rule: Rule) -> list[Check]:
    import polars as pl

    found = []
    if rule.isin is not None:
        wanted = list(rule.isin)
        listed = ", ".join(map(example, wanted[:6])) + (", …" if len(wanted) > 6 else "")
        found.append(
            Check("not_allowed", f"is not one of {listed}", lambda s: _in_utc(s).is_in([_zoned(v, s) for v in wanted]))
        )
    if rule.regex is not None:
        pattern = rf"\A(?:{rule.regex})\z"
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.PolarsError as error:
            raise InputError(f"rule {shown(rule.name)}: regex {shown(rule.regex)} cannot be run: {error}") from None
        found.append(Check("no_match", f"does not match {rule.regex!r}", lambda s: s.str.contains(pattern)))
    if not rule.many and (rule.min_length is not None or rule.max_length is not None):
        found.append(Check("wrong_length", _length_words(rule), lambda s: _between(s.str.len_chars(), rule)))
    return [Check(test.reason, test.message, _by_category(test.flags)) for test in found]


def _by_category(flags: Any) -> Any:
    """Let a test of text look at each category once."""
    import polars as pl

    def looked(series: pl.Series) -> pl.Series:
        if not isinstance(series.dtype, pl.Categorical | pl.Enum):
            return flags(series)  # type: ignore[no-any-return]
        values = values_of(series)
        return values.spread(flags(values.text).fill_null(value=True)) | series.is_null()

    return looked


def _members(rule: Rule, resolve: Resolver) -> list[Check]:
    if not rule.registries:
        return []
    known = [resolve(name, rule) for name in rule.registries]
    where = " or ".join(dict.fromkeys(vocabulary.name for vocabulary in known))

    def flags(series: pl.Series) -> pl.Series:
        values = values_of(series)
        found = _known(rule, values.text, known)
        if rule.max_unknown is not None and not found.all():
            unknown = values.text.filter(~found).n_unique()
            found = found | tolerated(rule, unknown, values.text.drop_nulls().n_unique())
        return values.spread(found) | series.is_null()

    return [Check("not_in_registry", f"is not in {where}", flags)]


def _known(rule: Rule, text: pl.Series, vocabularies: Sequence[Vocabulary]) -> pl.Series:
    flags = text.is_null() | text.is_in(list(rule.terms))
    for vocabulary in vocabularies:
        flags = flags | vocabulary.valid(text, field=rule.field)
    return flags


def known_to(rule: Rule, values: pl.Series, resolve: Resolver) -> tuple[pl.Series, pl.Series]:
    """Return the distinct texts among values, and which of them the registries of a rule know."""
    text = values_of(values).text.drop_nulls().unique(maintain_order=True)
    return text, _known(rule, text, [resolve(name, rule) for name in rule.registries])


def tolerated(rule: Rule, unknown: int, distinct: int) -> bool:
    """Return whether as many distinct values may be unknown, of as many.

    Examples
    --------
    >>> rule = Rule("cell_type", "cat[CellType]", max_unknown=0.1)
    >>> tolerated(rule, 1, 10), tolerated(rule, 2, 10)
    (True, False)
    """
    most = rule.max_unknown
    return most is not None and unknown <= (most * distinct if most < 1 else most)


def _on_items(rule: Rule, test: Check) -> Check:
    """Let a test of a value look at the items of lists; a list passes when all of its items do."""
    if not rule.many:
        return test
    import polars as pl

    def flags(series: pl.Series) -> pl.Series:
        rows = pl.Series(range(len(series)), dtype=pl.Int64)
        items = pl.DataFrame({"row": rows, "item": series}).explode("item")
        passed = test.flags(items["item"])
        bad = items["row"].filter(~passed.fill_null(value=True)) if isinstance(passed, pl.Series) else rows
        return ~rows.is_in(bad.unique().implode())

    return Check(test.reason, test.message, flags)


def _lengths(rule: Rule) -> list[Check]:
    import polars as pl

    def width(series: pl.Series) -> pl.Series:
        return series.arr.len() if isinstance(series.dtype, pl.Array) else series.list.len()

    if rule.kind == "vector":
        wanted = int(rule.dtype.partition("[")[2].rstrip("]"))
        return [Check("wrong_length", f"does not have {wanted} numbers", lambda s: width(s) == wanted)]
    if rule.many and (rule.min_length is not None or rule.max_length is not None):
        return [Check("wrong_length", _length_words(rule), lambda s: _between(width(s), rule))]
    return []


def _length_words(rule: Rule) -> str:
    noun = "items" if rule.many else "characters"
    low = f"at least {rule.min_length}" if rule.min_length is not None else ""
    high = f"at most {rule.max_length}" if rule.max_length is not None else ""
    return f"does not have {' and '.join(part for part in (low, high) if part)} {noun}"


def _between(lengths: pl.Series, rule: Rule) -> pl.Series:
    flags = lengths >= (rule.min_length or 0)
    return flags if rule.max_length is None else flags & (lengths <= rule.max_length)


def _sequence(rule: Rule) -> list[Check]:
    found = []
    if rule.unique:
        found.append(Check("duplicate", "repeats", lambda s: ~s.is_duplicated() | s.is_null()))
    if rule.order is not None:
        found.append(Check("not_ordered", f"is not {rule.order}", lambda s: in_order(s, rule)))
    return found


def in_order(series: pl.Series, rule: Rule) -> pl.Series:
    """Return which values come after the one before them, as a rule has it; null beside a missing one."""
    compare = operator.ge if rule.order == "increasing" else operator.le
    made: pl.Series = compare(series, series.shift(1))
    return made
