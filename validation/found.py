"""Faults before they are told: with the values that they are about, so that those of several batches become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakehouse.errors import shown
from validation.checks import Resolver, known_to
from validation.columns import values_of
from validation.report import EXAMPLES, MOST_ROWS, Fault, example
from validation.rules import Rule
from validation.standardize import resolve as resolved

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Found", "at_rows", "joined"]

_SUGGESTED = 3
_HINTED = 100_000
"""Distinct unknown values of a file that are looked at for what they may mean."""


@dataclass(frozen=True, eq=False)
class Found:
    """Something that is wrong.

    Attributes
    ----------
    fault
        What is; its message does not have the values.
    values
        The distinct values that it is about, in the order in which they came first.
    rule
        The rule that they break.
    """

    fault: Fault
    values: pl.Series | None = None
    rule: Rule | None = None

    @property
    def key(self) -> tuple[str, str | None, str]:
        """What tells it from others."""
        message = self.fault.message
        if self.fault.reason in ("wrong_dtype", "not_comparable"):  # each batch may have been made another type
            message = message.partition(" cannot be told")[0] if self.fault.column is None else ""
        return self.fault.reason, self.fault.column, message

    def told(self, resolve: Resolver) -> Fault:
        """Return the fault in words: with examples, and with what to do where values are in no registry."""
        if self.values is None or self.fault.reason == "null":
            return self.fault
        values, hint = self.values, self.fault.suggestion
        if self.fault.reason == "not_in_registry" and self.rule is not None:
            values = _unknown_items(self.rule, values, resolve) if self.rule.many else values
            hint = _hint(self.rule, values, resolve)
        examples = tuple(values.head(EXAMPLES).to_list())
        message = f"{', '.join(map(example, examples))} {self.fault.message}"
        return replace(self.fault, message=message, examples=examples, suggestion=hint)

    def moved(self, start: int) -> Found:
        """Return it with rows counted from the beginning of the file."""
        rows = tuple(row + start for row in self.fault.rows)
        return Found(replace(self.fault, rows=rows), self._few(self.values), self.rule)

    def with_more(self, other: Found) -> Found:
        """Return it with what a later batch has of the same."""
        if not other.fault.rows:
            return self
        rows = tuple(sorted(self.fault.rows + other.fault.rows)[:MOST_ROWS])
        fault = replace(self.fault, count=self.fault.count + other.fault.count, rows=rows)
        both = None if self.values is None or other.values is None else joined(self.values, other.values)
        return Found(fault, self._few(both if both is None else both.unique(maintain_order=True)), self.rule)

    def _few(self, values: pl.Series | None) -> pl.Series | None:
        """Return as many values as are needed: memory is bounded."""
        return None if values is None else values.head(_HINTED if self.fault.reason == "not_in_registry" else EXAMPLES)


def at_rows(fault: Fault, rows: pl.Series, values: pl.Series | None = None, rule: Rule | None = None) -> Found:
    """Return what is wrong at some rows of a column."""
    fault = replace(fault, count=len(rows), rows=tuple(rows.head(MOST_ROWS).to_list()))
    return Found(fault, None if values is None else values.unique(maintain_order=True), rule)


def joined(before: pl.Series, more: pl.Series) -> pl.Series:
    """Return one column behind another, of which conversion batch by batch may have made another type.

    Where the types have nothing in common, the first one alone.

    Examples
    --------
    >>> import polars as pl
    >>> joined(pl.Series([1]), pl.Series([2.5])).to_list()
    [1.0, 2.5]
    """
    import polars as pl

    for one, other in ((before, more), (more, before)):
        if one.null_count() == len(one) and one.dtype != other.dtype:  # it was not converted
            nulls = pl.Series([None], dtype=other.dtype).new_from_index(0, len(one))
            return pl.concat([nulls, other] if one is before else [other, nulls]).alias(before.name)
    frames = [one.alias("v").to_frame() for one in (before, more)]
    try:
        return pl.concat(frames, how="vertical_relaxed").to_series().alias(before.name)
    except pl.exceptions.PolarsError:
        return before


def _unknown_items(rule: Rule, lists: pl.Series, resolve: Resolver) -> pl.Series:
    """Return the items of lists that the registries do not know."""
    text, known = known_to(rule, lists.explode(), resolve)
    unknown = text.filter(~known)
    return unknown if len(unknown) else lists


def _hint(rule: Rule, values: pl.Series, resolve: Resolver) -> str | None:
    """Return what values that are in no registry may mean."""
    text = values_of(values).text.drop_nulls().unique(maintain_order=True)
    if not len(text):
        return None
    hints: list[str] = []
    for registry in rule.registries:
        vocabulary = resolve(registry, rule)
        field = vocabulary.checked_field(rule.field)
        known = resolved(vocabulary, text, field, field)
        mended = known.chosen(None)
        if mended.height and not hints:
            first = mended.row(0)
            more = f" and mends {mended.height - 1:,} more" if mended.height > 1 else ""
            hints.append(f"standardize() makes {shown(first[0], 40)} {shown(first[1], 40)}{more}")
        text = text.filter(~text.is_in(known.found["value"].implode()))
        for value in text.head(_SUGGESTED).to_list():
            near = vocabulary.suggest(value, field=field, limit=1)
            if near:
                return "; ".join([*hints, f"for {shown(value, 40)} did you mean {near[0]!r}?"])
    if rule.field is not None:  # of which alone no record can be made
        hints = hints or [f"correct them, or save records with that {rule.field}"]
    return "; ".join(hints) or f"correct them, or add_new_from({rule.name!r}) saves them"
