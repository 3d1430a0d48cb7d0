"""Validating a frame that comes in batches: the verdict is that of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from validation.checks import Resolver, in_order, known_to, tolerated
from validation.found import Found, at_rows, joined
from validation.frames import looked, taken
from validation.prepared import converted, index_as_column, ungrouped
from validation.report import EXAMPLES, MOST_ROWS, Fault
from validation.rules import Rule, Slot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["batch_faults"]

Read = Callable[[], Iterable[Any]]


def batch_faults(slot: Slot, read: Read, resolve: Resolver, *, name: str = "columns") -> list[Fault]:
    """Return what is wrong with a frame that comes in batches; memory is bounded by the size of a batch.

    What is about the whole (uniqueness, how many values may be unknown) is followed by 8 bytes for each value of the
    columns that demand it.

    Parameters
    ----------
    slot
        The rules.
    read
        Returns the batches; called again where values repeat, to see which.
    resolve
        Finds the vocabularies that rules name.
    name
        What to call the slot.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"a": [1, 2, 1]})
    >>> print(batch_faults(Slot([Rule("a", unique=True)]), lambda: frame.iter_slices(2), None)[0])
    columns.a: 1 repeats [duplicate] at rows 0, 2
    """
    found: dict[tuple[str, str | None, str], Found] = {}
    across: _Across | None = None
    start = 0
    for given in read():
        asked, batch = index_as_column(slot, given)
        across = across or _Across(asked, name, resolve)
        part = taken(batch, name)
        every, frame = looked(_alone(asked), part, resolve, name)
        _gather(found, [one.moved(start) for one in (*every, *across.take(part.frame, frame, start))])
        start += part.frame.height
    if across is None:
        return []
    _gather(found, across.without_zone())
    kept = [one for one in found.values() if across.stands(one) and not (start and one.fault.reason == "empty")]
    return [
        one.told(resolve)
        for one in (*kept, *across.repeats(lambda: (index_as_column(slot, given)[1] for given in read())))
    ]


def _alone(slot: Slot) -> Slot:
    """Return the slot without what is about more than one batch."""
    rules = tuple(replace(rule, unique=False, order=None, max_unknown=None) for rule in slot.rules)
    return replace(slot, rules=rules, unique_together=())


def _gather(found: dict[tuple[str, str | None, str], Found], more: Iterable[Found]) -> None:
    for one in more:
        found[one.key] = found[one.key].with_more(one) if one.key in found else one


@dataclass(eq=False)
class _Unknown:
    """The distinct values of a column, and those that its registries do not know, as hashes."""

    rule: Rule
    distinct: list[pl.Series] = field(default_factory=list)
    unknown: list[pl.Series] = field(default_factory=list)

    def is_tolerated(self) -> bool:
        """Whether as many are unknown as may be."""
        return tolerated(self.rule, _n_unique(self.unknown), _n_unique(self.distinct))


class _Across:
    """Follows what is about more than one batch."""

    def __init__(self, slot: Slot, name: str, resolve: Resolver) -> None:
        self._slot, self._name, self._resolve = slot, name, resolve
        self._hashes: dict[tuple[str, ...], list[pl.Series]] = {}
        self._last: dict[str, pl.Series] = {}
        self._unknown: dict[str, _Unknown] = {}
        self._zoned: set[str] = set()
        self._plain: dict[str, Found] = {}

    def take(self, given: pl.DataFrame, frame: pl.DataFrame, start: int) -> list[Found]:
        """Take the next batch as it came and converted, and return what is out of order in it."""
        found = [] if start else [Found(fault) for fault in ungrouped(self._slot, frame, self._name)]
        for rule in self._slot.rules:
            if rule.name not in frame.columns or rule.forbidden:
                continue
            series = frame[rule.name]
            if rule.unique:
                self._hashes.setdefault((rule.name,), []).append(_hashes(series))
            if rule.max_unknown is not None:
                self._count(rule, series)
            if rule.order:
                found += self._follow(rule, series)
            if rule.coerce and rule.kind == "datetime":
                self._follow_zones(rule, given[rule.name], series, start)
        for group in self._slot.unique_together:
            if set(group) <= set(frame.columns):
                self._hashes.setdefault(group, []).append(_of_rows([_hashes(frame[name]) for name in group]))
        return found

    def _count(self, rule: Rule, series: pl.Series) -> None:
        items = (series.explode() if rule.many else series).drop_nulls()
        kept = self._unknown.setdefault(rule.name, _Unknown(rule))
        distinct, known = known_to(rule, items, self._resolve)
        kept.distinct.append(distinct.hash())
        kept.unknown.append(distinct.filter(~known).hash())

    def _follow(self, rule: Rule, series: pl.Series) -> list[Found]:
        import polars as pl

        last = self._last.get(rule.name, series.clear())
        behind = joined(last, series)
        if len(behind) != len(last) + len(series):  # times with and without zones, which is told as that
            last, behind = series.clear(), series
        if len(series):
            self._last[rule.name] = series.tail(1)
        bad = (~in_order(behind, rule).fill_null(value=True)).arg_true().cast(pl.Int64) - len(last)
        if not len(bad):
            return []
        return [
            at_rows(Fault("not_ordered", self._name, rule.name, f"is not {rule.order}"), bad, series.gather(bad), rule)
        ]

    def _follow_zones(self, rule: Rule, given: pl.Series, series: pl.Series, start: int) -> None:
        """Remember times of text without a zone: none is of a time where others of the file have one."""
        if series.dtype == given.dtype or not len(rows := series.is_not_null().arg_true()):
            return
        if getattr(series.dtype, "time_zone", None) is not None:
            self._zoned.add(rule.name)
            return
        fault = Fault("not_coercible", self._name, rule.name, f"cannot be converted to {rule.dtype}")
        more = at_rows(fault, rows, given.gather(rows), rule).moved(start)
        before = self._plain.get(rule.name)
        self._plain[rule.name] = more if before is None else before.with_more(more)

    def without_zone(self) -> list[Found]:
        """Return the times without a zone of columns that have some with one in other batches."""
        return [one for column, one in self._plain.items() if column in self._zoned]

    def stands(self, one: Found) -> bool:
        """Whether something that was found in a batch is a fault of the whole."""
        kept = self._unknown.get(one.fault.column or "")
        return one.fault.reason != "not_in_registry" or kept is None or not kept.is_tolerated()

    def repeats(self, read: Read) -> list[Found]:
        """Return the values, or rows, that repeat."""
        found: list[Found] = []
        repeated: dict[str, pl.Series] = {}
        for columns, parts in self._hashes.items():
            rows = _repeated(parts)
            if not len(rows):
                continue
            if columns in self._slot.unique_together:
                told = f"{' and '.join(columns)} repeat together"
                found.append(at_rows(Fault("duplicate_rows", self._name, None, told), rows))
            else:
                repeated[columns[0]] = rows
        values = _values_at(self._slot, read, repeated, self._name) if repeated else {}
        for column, rows in repeated.items():
            fault = Fault("duplicate", self._name, column, "repeats")
            found.append(at_rows(fault, rows, values[column], self._slot.rule(column)))
        return found


def _hashes(series: pl.Series) -> pl.Series:
    """Return a hash of each value, equal in all batches: these may have other numbers for categories, or other types."""
    import polars as pl

    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    made = series.hash()
    if series.dtype.is_float():
        whole = series.cast(pl.Int64, strict=False)
        made = pl.select(pl.when(whole.cast(pl.Float64) == series).then(whole.hash()).otherwise(made)).to_series()
    elif series.dtype.is_integer():
        made = series.cast(pl.Int128).hash() if series.dtype == pl.UInt64 else series.cast(pl.Int64).hash()
    return pl.select(pl.when(series.is_not_null()).then(made)).to_series().alias(series.name)


def _of_rows(columns: Sequence[pl.Series]) -> pl.Series:
    import polars as pl

    return (
        pl.DataFrame([one.alias(str(at)) for at, one in enumerate(columns)])
        .select(pl.struct(pl.all()).hash())
        .to_series()
    )


def _repeated(parts: Sequence[pl.Series]) -> pl.Series:
    import polars as pl

    hashes = pl.concat(parts)
    return (hashes.is_duplicated() & hashes.is_not_null()).arg_true()


def _n_unique(parts: Sequence[pl.Series]) -> int:
    import polars as pl

    return pl.concat(parts).n_unique() if parts else 0


def _values_at(slot: Slot, read: Read, wanted: dict[str, pl.Series], name: str) -> dict[str, pl.Series]:
    """Return distinct values at the first rows of each column, as many as are shown; reading ends with the last of them."""
    rows = {column: found.head(MOST_ROWS) for column, found in wanted.items()}
    values: dict[str, pl.Series] = {}
    start = 0
    for batch in read():
        frame = converted(slot, taken(batch, name).frame, set(), name)[1]
        for column in list(rows):
            here = rows[column].filter(rows[column] < start + frame.height)
            more = frame[column].gather(here - start)
            known = joined(values[column], more) if column in values else more
            values[column] = known.unique(maintain_order=True).head(EXAMPLES)
            rows[column] = rows[column].filter(rows[column] >= start + frame.height)
            if not len(rows[column]) or len(values[column]) == EXAMPLES:
                del rows[column]
        start += frame.height
        if not rows:
            break
    return values
