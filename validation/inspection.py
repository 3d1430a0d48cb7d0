"""What ``inspect`` returns: what is valid among values, what is not, why, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse.errors import shown
from validation.columns import Values
from validation.standardize import Resolved, resolve

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from validation.vocabulary import Vocabulary

__all__ = ["Inspection"]

_EXAMPLES = 10
_SUGGESTED = 10
"""For how many unknown values near terms are looked for; each costs a comparison with every term."""


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """What is and is not valid among values; unique ones are in the order in which they came first, or of their categories.

    Attributes
    ----------
    n
        How many values there are.
    n_unique
        How many distinct ones, empty ones aside.
    n_empty
        How many are None, NaN or the empty text.
    n_duplicates
        How many repeat an earlier one, empty ones aside.
    n_other
        How many distinct ones are no text, such as numbers.
    """

    n: int
    n_unique: int
    n_empty: int
    n_duplicates: int
    n_other: int
    field: str
    _vocabulary: Vocabulary
    _column: Values
    _valid: pl.Series
    _distinct: pl.DataFrame

    @classmethod
    def of(cls, vocabulary: Vocabulary, column: Values, valid: pl.Series, field: str) -> Inspection:
        """Return what a column of values comes to."""
        import polars as pl

        counts = column.counts()
        frame = pl.DataFrame({"value": column.text, "valid": valid, "n": counts})
        frame = frame.filter(pl.col("n") > 0, pl.col("value").is_not_null(), pl.col("value") != "")
        distinct = frame.select("value", "valid").unique(subset="value", keep="first", maintain_order=True)
        other = _distinct_other(column)
        n_other = int(sum(counts[at] for at in column.other)) if column.other else 0
        filled = int(frame["n"].sum() or 0) + n_other
        n_unique = distinct.height + len(other)
        return cls(
            n=len(column),
            n_unique=n_unique,
            n_empty=len(column) - filled,
            n_duplicates=filled - n_unique,
            n_other=len(other),
            field=field,
            _vocabulary=vocabulary,
            _column=column,
            _valid=valid,
            _distinct=distinct,
        )

    # What is valid

    @cached_property
    def validated(self) -> list[str]:
        """The distinct values that are terms."""
        return self._distinct.filter(self._distinct["valid"])["value"].to_list()

    @cached_property
    def non_validated(self) -> list[Any]:
        """The distinct values that are not, including those that are no text."""
        return [*self._bad.to_list(), *_distinct_other(self._column)]

    @property
    def n_validated(self) -> int:
        """How many distinct values are terms."""
        return int(self._distinct["valid"].sum())

    @property
    def n_non_validated(self) -> int:
        """How many distinct values are not."""
        return self.n_unique - self.n_validated

    @property
    def frac_validated(self) -> float:
        """The fraction of distinct values that are terms; 1 where there are none at all."""
        return self.n_validated / self.n_unique if self.n_unique else 1.0

    @property
    def is_valid(self) -> bool:
        """Whether every value that is not empty is a term."""
        return self.n_non_validated == 0

    def __bool__(self) -> bool:
        return self.is_valid

    # Why not, and what next

    @property
    def _bad(self) -> pl.Series:
        return self._distinct.filter(~self._distinct["valid"])["value"]

    @cached_property
    def _resolved(self) -> Resolved:
        return resolve(self._vocabulary, self._bad, self.field, self.field)

    @cached_property
    def synonyms(self) -> dict[str, str]:
        """What ``standardize`` would put in place of values: the mapper of synonyms and other spellings."""
        return dict(self._resolved.chosen(None).iter_rows())

    @cached_property
    def ambiguous(self) -> dict[str, list[str]]:
        """The values that several terms answer to, with these."""
        return {value: self._terms(value, step) for value, step in self._resolved.ambiguous.iter_rows()}

    def _terms(self, value: str, step: Any) -> list[str]:
        import polars as pl

        key = self._vocabulary.keys(step, pl.Series([value]))[0]
        return self._vocabulary.all_of(step, self.field, self.field, [key])[key]

    @cached_property
    def unknown(self) -> list[str]:
        """The distinct values that no term answers to."""
        known = self._resolved.found["value"].implode()
        return self._bad.filter(~self._bad.is_in(known)).to_list()

    @cached_property
    def suggestions(self) -> dict[str, list[str]]:
        """Near terms of the first 10 unknown values that have any."""
        near = {value: self._vocabulary.suggest(value, field=self.field) for value in self.unknown[:_SUGGESTED]}
        return {value: names for value, names in near.items() if names}

    @property
    def next_steps(self) -> list[str]:
        """What to do about what is not valid."""
        steps = []
        if self.synonyms:
            steps.append(f"standardize() mends {_count(len(self.synonyms), 'spelling')}")
        if self.ambiguous:
            steps.append(f"choose a term for {_count(len(self.ambiguous), 'ambiguous value')}, or pass keep=")
        if self.unknown:
            steps.append(
                f"correct {_count(len(self.unknown), 'unknown value')}, or add them to {self._vocabulary.name}"
            )
        if self.n_other:
            steps.append(f"turn {_count(self.n_other, 'value')} that are no text into text")
        return steps

    # As a frame

    def pl(self) -> pl.DataFrame:
        """Return values and ``__validated__`` in input order, as a Polars DataFrame."""
        import polars as pl

        flags = self._column.spread(self._valid)
        return pl.DataFrame({self.field: _spelled(self._column), "__validated__": flags})

    def df(self) -> pd.DataFrame:
        """Return values and ``__validated__`` in input order, as a pandas DataFrame."""
        return self.pl().to_pandas()

    def __repr__(self) -> str:
        what, share = f"{self._vocabulary.name}.{self.field}", f"{self.frac_validated:.1%}"
        lines = [
            f"{what}: {self.n_validated:,} of {self.n_unique:,} distinct values are valid ({share})",
            f"  {self.n:,} values, {self.n_empty:,} empty, {self.n_duplicates:,} duplicates",
        ]
        lines += self._example_lines()
        lines += [f"  next: {step}" for step in self.next_steps]
        return "\n".join(lines)

    def _example_lines(self) -> list[str]:
        lines = [f"  {shown(a, 40)} is known as {shown(b, 40)}" for a, b in list(self.synonyms.items())[:_EXAMPLES]]
        for value, names in list(self.ambiguous.items())[:_EXAMPLES]:
            lines.append(f"  {shown(value, 40)} is ambiguous: {', '.join(names[:4])}")
        for value in self.unknown[:_EXAMPLES]:
            near = self.suggestions.get(value)
            lines.append(f"  {shown(value, 40)} is unknown" + (f"; did you mean {near[0]!r}?" if near else ""))
        return lines


def _distinct_other(column: Values) -> list[Any]:
    """Return the distinct values that are no text; those without a hash are told apart by how they print."""
    found: dict[Any, Any] = {}
    for at, value in column.other.items():
        if column.codes is None or (column.codes == at).any():
            found.setdefault((type(value).__name__, repr(value)), value)
    return list(found.values())


def _spelled(column: Values) -> pl.Series:
    """Return the values as text in input order; those that are no text as they print."""
    import polars as pl

    text = column.text
    if column.other:
        at = list(column.other)
        text = text.clone().scatter(at, pl.Series([str(value) for value in column.other.values()]))
    if column.codes is None:
        return text
    codes = pl.Series(column.codes)
    return text.gather(codes.set(codes < 0, None))


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
