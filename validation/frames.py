"""Validating frames: pandera's Polars backend on columns of any library, and its verdicts as faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, shown
from validation.checks import Resolver, checks_of
from validation.columns import values_of
from validation.compile import Failure, compiled, failures
from validation.mixed import Mixed, of_objects, of_pandas
from validation.prepared import comparable, converted
from validation.report import EXAMPLES, MOST_ROWS, Fault, example
from validation.rules import Rule, Slot
from validation.standardize import resolve as resolved
from validation.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Taken", "batch_faults", "column_faults", "frame_faults", "taken"]

_SUGGESTED = 3
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
    made: Any = pl.from_arrow(given)
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
    part = taken(given, name)
    found = [*part.faults, *_extra(slot, part.frame, name), *_forbidden(slot, part.frame, name)]
    if not (part.frame.height or (part.index is not None and len(part.index))):  # an index may be all there is
        found.append(Fault("empty", name, None, "has no rows", is_note=True))
    mixed = {fault.column for fault in part.faults if fault.reason in _UNTYPED and fault.column}
    slot, frame, stuck = converted(slot, part.frame, mixed, name)
    slot, unlike = comparable(slot, frame, mixed, name)
    found += [*stuck, *unlike]
    schema = compiled(_checked(slot, frame, mixed), resolve, "polars")
    found += [_fault(failure, slot, frame, resolve, name) for failure in failures(schema, frame)]
    if slot.index is not None and part.index is not None:
        found += part.index_faults
        if any(fault.reason in _UNTYPED for fault in part.index_faults):
            return found
        found += column_faults(replace(slot.index, name="index"), part.index, resolve, name=name)
    return found


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
    slot, frame, stuck = converted(Slot((rule,), extra="allow"), series.alias(rule.name).to_frame(), set(), name)
    schema = compiled(slot, resolve, "polars")
    return stuck + [_fault(failure, slot, frame, resolve, name) for failure in failures(schema, frame)]


def _fault(failure: Failure, slot: Slot, frame: pl.DataFrame, resolve: Resolver, name: str) -> Fault:
    column = failure.column if failure.column in frame.columns else None
    rule = slot.rule(failure.column or "")
    flags = failure.flags
    if flags is None or len(flags) != frame.height or failure.reason in ("wrong_dtype", "missing_column"):
        examples = (str(frame[column].dtype),) if column is not None and failure.reason == "wrong_dtype" else ()
        told = failure.message + (f", but {examples[0]}" if examples else "")
        hint = _near_column(failure, slot, frame) if failure.reason == "missing_column" else None
        return Fault(failure.reason, name, failure.column, told, examples=examples, suggestion=hint)
    rows = (~flags.fill_null(value=True)).arg_true()
    values = frame[column].gather(rows).unique(maintain_order=True) if column is not None else None
    examples = tuple(values.head(EXAMPLES).to_list()) if values is not None else ()
    hint = _hint(rule, values, resolve) if failure.reason == "not_in_registry" and rule and values is not None else None
    first = tuple(rows.head(MOST_ROWS).to_list())
    if examples and failure.reason != "null":
        failure = replace(failure, message=f"{', '.join(map(example, examples))} {failure.message}")
    return Fault(failure.reason, name, failure.column, failure.message, len(rows), first, examples, hint)


def _near_column(failure: Failure, slot: Slot, frame: pl.DataFrame) -> str | None:
    known = {rule.name for rule in slot.rules}
    free = Vocabulary([column for column in frame.columns if column not in known])
    near = free.suggest(failure.column or "", limit=1)
    return f"is it {near[0]!r}?" if near else None


def _hint(rule: Rule, values: pl.Series, resolve: Resolver) -> str | None:
    """Return what values that are in no registry may mean."""
    text = values_of(values).text.drop_nulls().unique(maintain_order=True) if not rule.many else None
    if text is None or not len(text):
        return None
    for registry in rule.registries:
        vocabulary = resolve(registry, rule)
        field = vocabulary.checked_field(rule.field)
        known = resolved(vocabulary, text, field, field).chosen(None)
        if known.height:
            first = known.row(0)
            return f"standardize() makes {shown(first[0], 40)} {shown(first[1], 40)}" + (
                f" and mends {known.height - 1:,} more" if known.height > 1 else ""
            )
        for value in text.head(_SUGGESTED).to_list():
            near = vocabulary.suggest(value, field=field, limit=1)
            if near:
                return f"for {shown(value, 40)} did you mean {near[0]!r}?"
    return f"correct them, or add_new_from({rule.name!r}) saves them"


# In pieces


def batch_faults(slot: Slot, batches: Iterable[Any], resolve: Resolver, *, name: str = "columns") -> list[Fault]:
    """Return what is wrong with a frame that comes in batches; memory is bounded by the size of a batch.

    Uniqueness and order are followed across batches by 8 bytes for each value of the columns that demand it.
    """
    alone = replace(slot, rules=tuple(replace(rule, unique=False, order=None) for rule in slot.rules))
    found: dict[tuple[str, str | None, str], Fault] = {}
    across = _Across([rule for rule in slot.rules if rule.unique or rule.order], slot.unique_together)
    start = 0
    for batch in batches:
        part = taken(batch, name)
        for fault in frame_faults(replace(alone, unique_together=()), part.frame, resolve, name=name):
            _gather(found, fault, start)
        across.take(converted(slot, part.frame, set(), name)[1])
        start += part.frame.height
    if start:
        found = {key: fault for key, fault in found.items() if fault.reason != "empty"}
    return [*found.values(), *across.faults(name)]


def _gather(found: dict[tuple[str, str | None, str], Fault], fault: Fault, start: int) -> None:
    key = fault.reason, fault.column, fault.message.rpartition(" is ")[2] if fault.rows else ""
    moved = tuple(row + start for row in fault.rows)
    before = found.get(key)
    if before is None:
        found[key] = replace(fault, rows=moved)
    elif fault.rows:
        rows = (before.rows + moved)[:MOST_ROWS]
        found[key] = replace(before, count=before.count + fault.count, rows=rows)


class _Across:
    """Follows what must hold between rows of different batches."""

    def __init__(self, rules: Sequence[Rule], groups: Sequence[tuple[str, ...]] = ()) -> None:
        self._rules, self._groups = rules, groups
        self._together: dict[tuple[str, ...], list[pl.Series]] = {}
        self._hashes: dict[str, list[pl.Series]] = {}
        self._last: dict[str, Any] = {}
        self._disordered: dict[str, list[int]] = {}
        self._start = 0

    def take(self, frame: pl.DataFrame) -> None:
        """Take the next batch."""
        import polars as pl

        for rule in self._rules:
            if rule.name not in frame.columns:
                continue
            series = frame[rule.name]
            if rule.unique:
                hashes = pl.select(pl.when(series.is_not_null()).then(series.hash())).to_series()
                self._hashes.setdefault(rule.name, []).append(hashes)
            if rule.order:
                self._follow(rule, series)
        for group in self._groups:
            if set(group) <= set(frame.columns):
                rows = frame.select(pl.struct(*group).hash()).to_series()
                self._together.setdefault(group, []).append(rows)
        self._start += frame.height

    def _follow(self, rule: Rule, series: pl.Series) -> None:
        import polars as pl

        before = pl.Series([self._last.get(rule.name)], dtype=series.dtype)
        joined = pl.concat([before.alias(series.name), series])
        flags = next(c for c in checks_of(replace(rule, dtype="any"), _none) if c.reason == "not_ordered").flags(joined)
        assert isinstance(flags, pl.Series)
        bad = (~flags.fill_null(value=True)).arg_true()
        self._disordered.setdefault(rule.name, []).extend(row - 1 + self._start for row in bad.to_list())
        if len(series):
            self._last[rule.name] = series[-1]

    def faults(self, name: str) -> list[Fault]:
        """Return what was found in all."""
        import polars as pl

        found = []
        for column, parts in self._hashes.items():
            hashes = pl.concat(parts)
            rows = (hashes.is_duplicated() & hashes.is_not_null()).arg_true()
            if len(rows):
                first = tuple(rows.head(MOST_ROWS).to_list())
                found.append(Fault("duplicate", name, column, "repeats", len(rows), first))
        for group, parts in self._together.items():
            rows = pl.concat(parts).is_duplicated().arg_true()
            if len(rows):
                told, first = f"{' and '.join(group)} repeat together", tuple(rows.head(MOST_ROWS).to_list())
                found.append(Fault("duplicate_rows", name, None, told, len(rows), first))
        for column, late in self._disordered.items():
            if late:
                found.append(Fault("not_ordered", name, column, "is not in order", len(late), tuple(late[:MOST_ROWS])))
        return found


def _none(registry: str, rule: Rule) -> Vocabulary:
    raise InputError(f"rule {shown(rule.name)} names {registry}")
