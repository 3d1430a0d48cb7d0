"""Validating frames: pandera's Polars backend on columns of any library, and its verdicts as faults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, shown
from validation.checks import Resolver, checks_of, fits
from validation.compile import Failure, compiled, failures
from validation.found import Found, at_rows
from validation.mixed import Mixed, of_objects, of_pandas
from validation.prepared import comparable, converted, index_as_column, ungrouped
from validation.report import MOST_ROWS, Fault
from validation.rules import Rule, Slot
from validation.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Taken", "column_faults", "frame_faults", "looked", "taken"]

_UNTYPED = ("mixed_types", "unsupported_type")


@dataclass(frozen=True, eq=False)
class Taken:
    """A frame as Polars columns, and what was found on the way.

    Attributes
    ----------
    frame
        Columns that can be told by name; those of mixed types as text.
    index
        The index of a pandas frame.
    faults
        What is wrong with columns as such.
    index_faults
        What is wrong with the index as such, which counts where there is a rule for it.
    """

    frame: pl.DataFrame
    index: pl.Series | None = None
    faults: tuple[Fault, ...] = ()
    index_faults: tuple[Fault, ...] = ()


def taken(given: Any, slot: str = "columns") -> Taken:
    """Return a pandas, Polars or Arrow frame as Polars columns.

    Raises
    ------
    InputError
        When it is none, or has columns of several levels.

    Examples
    --------
    >>> import pandas as pd
    >>> taken(pd.DataFrame({"a": [1, "x"]})).faults[0].reason
    'mixed_types'
    """
    import polars as pl

    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if isinstance(given, pl.DataFrame):
        return _of_polars(given, slot)
    if hasattr(given, "column_names"):
        return _of_arrow(given)
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return _of_pandas(given, slot)
    raise InputError(f"{shown(given)} is a {type(given).__name__}: a pandas, Polars or Arrow table is accepted")


def _of_polars(given: pl.DataFrame, slot: str) -> Taken:
    import polars as pl

    objects = [name for name, dtype in given.schema.items() if dtype == pl.Object]
    found = {name: of_objects(given[name]) for name in objects}
    faults = tuple(_mixed(mixed, slot, name) for name, (_, mixed) in found.items() if mixed is not None)
    return Taken(given.with_columns([made for made, _ in found.values()]) if found else given, None, faults)


def _of_arrow(given: Any) -> Taken:
    import polars as pl

    names = given.column_names
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"column {shown(twice[0])} is there twice: rename one")
    try:
        made: Any = pl.from_arrow(given)
    except pl.exceptions.PolarsError as error:
        kinds = ", ".join(f"{field.name} ({field.type})" for field in given.schema)
        raise InputError(
            f"a column is of a type that cannot be read: {shown(kinds, 200)}: {shown(str(error), 80)}"
        ) from None
    return Taken(made)


def _of_pandas(given: Any, slot: str) -> Taken:
    import polars as pl

    if given.columns.nlevels > 1:
        raise InputError(f"{slot} has columns of {given.columns.nlevels} levels: join them to one name each")
    columns: dict[str, pl.Series] = {}
    faults: list[Fault] = []
    for position, name in enumerate(given.columns):
        if not isinstance(name, str):
            faults.append(
                Fault("bad_column_name", slot, repr(name), "has a name that is no text", suggestion="rename it")
            )
        elif name in columns:
            faults.append(Fault("duplicate_column", slot, name, "is there twice", suggestion="rename one"))
        else:
            series = given.iloc[:, position]
            columns[name], found = _series(series, slot, name)
            faults += found
    index, of_index = None, list[Fault]()
    if given.index.nlevels > 1:
        told = f"has an index of {given.index.nlevels} levels, which is not looked at"
        faults.append(Fault("multi_index", slot, None, told, suggestion="reset_index() makes columns", is_note=True))
    else:
        index, of_index = _series(given.index.to_series().reset_index(drop=True), slot, "index")
    return Taken(pl.DataFrame(columns), index, tuple(faults), tuple(of_index))


def _series(series: Any, slot: str, name: str) -> tuple[pl.Series, list[Fault]]:
    faults = []
    series = series.reset_index(drop=True)
    if series.dtype == "category":
        unused = len(series.cat.categories) - series.cat.codes[series.cat.codes >= 0].nunique()
        if unused:
            told = f"has {unused:,} unused categor{'y' if unused == 1 else 'ies'}"
            faults.append(Fault("unused_categories", slot, name, told, count=unused, is_note=True))
    made, mixed = of_pandas(series.rename(name))
    return made, faults if mixed is None else [*faults, _mixed(mixed, slot, name)]


def _mixed(found: Mixed, slot: str, name: str) -> Fault:
    rows = found.rows[:MOST_ROWS]
    return Fault(found.reason, slot, name, found.message, len(found.rows), rows, found.examples)


# Validation


def frame_faults(slot: Slot, given: Any, resolve: Resolver, *, name: str = "columns") -> list[Fault]:
    """Return everything that is wrong with a frame, and what is worth knowing.

    Parameters
    ----------
    slot
        The rules.
    given
        A pandas, Polars or Arrow frame.
    resolve
        Finds the vocabularies that rules name.
    name
        What to call the slot.
    """
    slot, given = index_as_column(slot, given)
    part = taken(given, name)
    return [one.told(resolve) for one in looked(slot, part, resolve, name)[0]]


def looked(slot: Slot, part: Taken, resolve: Resolver, name: str) -> tuple[list[Found], pl.DataFrame]:
    """Return everything that is wrong with a frame, and its columns, converted where rules say so."""
    told = [*part.faults, *_extra(slot, part.frame, name), *_forbidden(slot, part.frame, name)]
    told += ungrouped(slot, part.frame, name)
    if not (part.frame.height or (part.index is not None and len(part.index))):  # an index may be all there is
        told.append(Fault("empty", name, None, "has no rows", is_note=True))
    mixed = {fault.column for fault in part.faults if fault.reason in _UNTYPED and fault.column}
    slot, frame, stuck = converted(slot, part.frame, mixed, name)
    slot, unlike = comparable(slot, frame, mixed, name)
    failed = _judged(_checked(slot, frame, mixed), frame, resolve, name)
    return [*map(Found, told), *stuck, *map(Found, unlike), *failed, *_of_index(slot, part, resolve, name)], frame


def _of_index(slot: Slot, part: Taken, resolve: Resolver, name: str) -> list[Found]:
    if slot.index is None or part.index is None:
        return []
    if mixed := [Found(fault) for fault in part.index_faults if fault.reason in _UNTYPED]:
        return mixed
    return _of_column(replace(slot.index, name="index"), part.index, resolve, name)


def _checked(slot: Slot, frame: pl.DataFrame, mixed: set[str]) -> Slot:
    """Return the slot without what is about columns that are not there or are mixed, which is told once as that."""
    there = set(frame.columns) - mixed
    relations = tuple(one for one in slot.relations if {one.left, one.right} <= there)
    groups = tuple(group for group in slot.unique_together if set(group) <= there)
    rules = [Rule(rule.name, nullable=True) if rule.name in mixed else rule for rule in slot.rules]
    return replace(slot, rules=rules, relations=relations, unique_together=groups, index=None, extra="allow")


def _extra(slot: Slot, frame: pl.DataFrame, name: str) -> list[Fault]:
    known = {rule.name for rule in slot.rules}
    extra = [] if slot.extra == "allow" else [column for column in frame.columns if column not in known]
    forbidden = slot.extra == "forbid"
    told = "has no rule, and others are forbidden" if forbidden else "has no rule"
    return [Fault("extra_column", name, column, told, is_note=not forbidden) for column in extra]


def _forbidden(slot: Slot, frame: pl.DataFrame, name: str) -> list[Fault]:
    found = [rule.name for rule in slot.rules if rule.forbidden and rule.name in frame.columns]
    return [Fault("forbidden_column", name, column, "must not be there", suggestion="remove it") for column in found]


def column_faults(rule: Rule, series: pl.Series, resolve: Resolver, *, name: str) -> list[Fault]:
    """Return what is wrong with one column."""
    return [one.told(resolve) for one in _of_column(rule, series, resolve, name)]


def _of_column(rule: Rule, series: pl.Series, resolve: Resolver, name: str) -> list[Found]:
    slot, frame, stuck = converted(Slot((rule,), extra="allow"), series.alias(rule.name).to_frame(), set(), name)
    return [*stuck, *_judged(slot, frame, resolve, name)]


def _judged(slot: Slot, frame: pl.DataFrame, resolve: Resolver, name: str) -> list[Found]:
    """Return what pandera finds; a column of another type than its rule's is told as that alone."""
    found: list[Found] = []
    rules = []
    for rule in slot.rules:
        if rule.name in frame.columns and not rule.forbidden:
            rule, apart = _apart(rule, frame[rule.name], resolve, name)
            found += apart
        rules.append(rule)
    slot = replace(slot, rules=rules)
    return found + [_found(one, slot, frame, name) for one in failures(compiled(slot, resolve, "polars"), frame)]


def _apart(rule: Rule, series: pl.Series, resolve: Resolver, name: str) -> tuple[Rule, list[Found]]:
    """Return what is left of a rule for pandera, and what was found without it: it lists values as text."""
    import polars as pl

    found = []
    if not fits(series, rule):
        told = f"is not of dtype {rule.dtype}, but {series.dtype}"
        found.append(Found(Fault("wrong_dtype", name, rule.name, told, examples=(str(series.dtype),))))
        rule = Rule(rule.name, nullable=rule.nullable)
    elif series.null_count() == len(series):
        rule = Rule(rule.name, nullable=rule.nullable)
    if not isinstance(series.dtype, pl.Duration | pl.BaseExtension):
        return rule, found
    if series.null_count() and not rule.nullable:
        found.append(at_rows(Fault("null", name, rule.name, "is missing"), series.is_null().arg_true()))
    for one in checks_of(rule, resolve):
        flags = one.flags(series)
        if not isinstance(flags, bool) and len(rows := (~flags.fill_null(value=True)).arg_true()):
            found.append(at_rows(Fault(one.reason, name, rule.name, one.message), rows, series.gather(rows), rule))
    return Rule(rule.name, nullable=True), found


def _found(failure: Failure, slot: Slot, frame: pl.DataFrame, name: str) -> Found:
    column = failure.column if failure.column in frame.columns else None
    flags = failure.flags
    if flags is None or len(flags) != frame.height or failure.reason == "missing_column":
        hint = _near_column(failure, slot, frame) if failure.reason == "missing_column" else None
        return Found(Fault(failure.reason, name, failure.column, failure.message, suggestion=hint))
    rows = (~flags.fill_null(value=True)).arg_true()
    fault = Fault(failure.reason, name, failure.column, failure.message)
    values = None if column is None else frame[column].gather(rows)
    return at_rows(fault, rows, values, slot.rule(failure.column or ""))


def _near_column(failure: Failure, slot: Slot, frame: pl.DataFrame) -> str | None:
    known = {rule.name for rule in slot.rules}
    free = Vocabulary([column for column in frame.columns if column not in known])
    near = free.suggest(failure.column or "", limit=1)
    return f"is it {near[0]!r}?" if near else None
