"""Finding the canonical value: exact, then case-insensitive, then synonym, then the same without regard to case."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lakehouse.errors import InputError, Unsupported, shown
from validation.columns import Values
from validation.folding import Step

if TYPE_CHECKING:
    import polars as pl

    from validation.vocabulary import Vocabulary

__all__ = ["Keep", "Resolved", "Unsettled", "check_keep", "choices", "mapping", "resolve", "standardized", "unresolved"]

Keep: TypeAlias = Literal["first", "last", False] | None

_log = logging.getLogger("lakehouse")
_MENDING: tuple[Step, ...] = ("case", "synonym", "synonym_case")
_LISTED = 10


@dataclass(frozen=True, eq=False)
class Unsettled:
    """The values of a column that are no terms as they stand.

    Attributes
    ----------
    text
        The values, or categories, of the column.
    settled
        Which of them are terms.
    """

    text: pl.Series
    settled: pl.Series

    @cached_property
    def rest(self) -> pl.Series:
        """Those that are none, as often as they are there."""
        return self.text.filter(~self.settled)

    @cached_property
    def distinct(self) -> pl.Series:
        """Each of them once, in no order; missing and empty ones aside."""
        return _distinct(self.rest)

    def replaced(self, chosen: pl.DataFrame) -> pl.Series:
        """Return the text with ``out`` in place of each ``value`` that was chosen."""
        import polars as pl

        found = pl.DataFrame({"value": self.rest, "at": (~self.settled).arg_true()}).join(chosen, on="value")
        return self.text.clone().scatter(found["at"], found["out"])


class Resolved:
    """What distinct values stand for.

    Attributes
    ----------
    found : pl.DataFrame
        ``value``, ``first``, ``last``, ``n`` (how many distinct things it stands for) and ``step``, for every value
        that is not the canonical one but stands for something.
    """

    def __init__(self, found: pl.DataFrame) -> None:
        self.found = found

    def chosen(self, keep: Keep) -> pl.DataFrame:
        """Return ``value`` and ``out`` of those that stand for one thing, or for several where ``keep`` picks one."""
        import polars as pl

        single = self.found.filter(pl.col("n") == 1) if keep not in ("first", "last") else self.found
        return single.select("value", out="last" if keep == "last" else "first")

    @property
    def ambiguous(self) -> pl.DataFrame:
        """``value`` and ``step`` of those that stand for several things."""
        import polars as pl

        return self.found.filter(pl.col("n") > 1).select("value", "step")


def resolve(
    vocabulary: Vocabulary, values: pl.Series, field: str, output: str, steps: Sequence[Step] = _MENDING
) -> Resolved:
    """Look distinct values up, step by step; each is settled by the first step that knows it.

    Where ``output`` is ``field``, the values are none of its own: those need no looking up.
    """
    import polars as pl

    rest = values
    parts = []
    if output != field:
        steps = ("exact", *steps)
    for step in steps:
        if not len(rest):
            break
        hits = pl.DataFrame({"value": rest, "key": vocabulary.keys(step, rest)})
        hits = hits.join(vocabulary.table(step, field, output), on="key", how="inner")
        if hits.height:
            parts.append(hits.select("value", "first", "last", "n", step=pl.lit(step)))
            rest = rest.filter(~rest.is_in(hits["value"].implode()))
        if step == "exact":  # a term that lacks what is asked for is that term all the same
            rest = rest.filter(~vocabulary.valid(rest, field=field))
    schema = {"value": pl.String, "first": pl.String, "last": pl.String, "n": pl.UInt32, "step": pl.String}
    # in one piece: Polars joins with what lies in several at half the speed
    return Resolved(pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=schema))


def standardized(
    vocabulary: Vocabulary,
    column: Values,
    field: str,
    output: str,
    keep: Keep,
    *,
    mapper: bool = False,
    steps: Sequence[Step] = _MENDING,
) -> Any:
    """Return a column in its container with canonical values; see ``Vocabulary.standardize``."""
    unsettled = vocabulary.unsettled(column, field) if output == field else None
    distinct = _distinct(column.text) if unsettled is None else vocabulary.unknown(column, field)
    chosen, listed = choices(vocabulary, distinct, field, output, keep, steps)
    if mapper:
        return mapping(chosen, listed, keep)
    text = _replaced(column.text, unsettled, chosen) if chosen.height else column.text
    made = column.rebuild(text)
    return _with_lists(made, column, listed) if keep is False and listed else made


def choices(
    vocabulary: Vocabulary, distinct: pl.Series, field: str, output: str, keep: Keep, steps: Sequence[Step] = _MENDING
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Return ``value`` and ``out`` of what is chosen, and all that each ambiguous value stands for, which is logged."""
    found = resolve(vocabulary, distinct, field, output, steps)
    listed = _all(vocabulary, found, field, output) if keep is None or keep is False else {}
    if listed and keep is None:
        _say_ambiguous(vocabulary, listed)
    return found.chosen(keep), listed


def mapping(chosen: pl.DataFrame, listed: dict[str, list[str]], keep: Keep) -> dict[str, Any]:
    """Return what each value that changes becomes."""
    changed = chosen.filter(chosen["value"] != chosen["out"])
    pairs: dict[str, Any] = dict(zip(changed["value"].to_list(), changed["out"].to_list(), strict=True))
    return pairs | (listed if keep is False else {})


def _distinct(text: pl.Series) -> pl.Series:
    found = text.unique().drop_nulls()
    return found.filter(found != "")


def _replaced(text: pl.Series, unsettled: Unsettled | None, chosen: pl.DataFrame) -> pl.Series:
    """Return text with what was chosen in place of the values that are not settled."""
    import polars as pl

    if unsettled is not None:
        return unsettled.replaced(chosen)
    joined = pl.DataFrame({"value": text}).join(chosen, on="value", how="left", maintain_order="left")
    return joined.select(pl.coalesce("out", "value")).to_series().alias(text.name)


def _all(vocabulary: Vocabulary, found: Resolved, field: str, output: str) -> dict[str, list[str]]:
    """Return everything that each ambiguous value stands for."""
    listed: dict[str, list[str]] = {}
    for (step,), group in found.ambiguous.group_by("step", maintain_order=True):
        values = group["value"]
        keys = vocabulary.keys(step, values)
        everything = vocabulary.all_of(step, field, output, keys.to_list())
        listed |= {value: everything[key] for value, key in zip(values.to_list(), keys.to_list(), strict=True)}
    return listed


def _say_ambiguous(vocabulary: Vocabulary, listed: dict[str, list[str]]) -> None:
    examples = [f"{shown(value, 60)} ({', '.join(names[:4])})" for value, names in list(listed.items())[:_LISTED]]
    more = f" and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
    _log.warning(
        "%s: %s ambiguous and left as they are: %s%s; keep='first' or 'last' picks one",
        vocabulary.name,
        "1 value is" if len(listed) == 1 else f"{len(listed):,} values are",
        "; ".join(examples),
        more,
    )


def _with_lists(made: Any, column: Values, listed: dict[str, list[str]]) -> Any:
    """Put lists of all terms in the place of ambiguous values, where the container can hold them."""
    values = made.tolist() if hasattr(made, "tolist") else made
    if column.codes is not None or not isinstance(values, list | tuple) or type(made).__module__.startswith("p"):
        raise Unsupported(
            "keep=False puts lists in place of ambiguous values, which a column of text or categories cannot hold: "
            "pass a list or NumPy array of objects, or ask for return_mapper=True"
        )
    kept = [listed.get(value, value) if isinstance(value, str) else value for value in values]
    return type(made)(kept) if isinstance(made, list | tuple) else _as_objects(kept)


def _as_objects(values: list[Any]) -> Any:
    import numpy as np

    made = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):  # one by one: NumPy would make lists of equal length a second dimension
        made[i] = value
    return made


def unresolved(vocabulary: Vocabulary, value: str, field: str) -> list[str]:
    """Return all terms that a value may stand for."""
    import polars as pl

    found: dict[str, None] = {}
    steps: tuple[Step, ...] = ("exact", *_MENDING)
    for step in steps:
        key = vocabulary.keys(step, pl.Series([value]))[0]
        everything = vocabulary.all_of(step, field, field, [key])
        found.update(dict.fromkeys(everything.get(key, [])))
    return list(found)


def check_keep(keep: object) -> Keep:
    """Return ``keep``, or say which there are.

    Examples
    --------
    >>> check_keep("first")
    'first'
    """
    if keep is None or keep is False or keep in ("first", "last"):
        return keep
    raise InputError(f"keep = {shown(keep)}: None, 'first', 'last' or False is accepted")
