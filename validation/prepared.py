"""What is done with a frame before its rules are checked: columns are converted, relations looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from validation.coercion import coerced
from validation.found import Found, at_rows
from validation.report import Fault
from validation.rules import Relation, Rule, Slot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["comparable", "converted", "index_as_column", "ungrouped"]


def index_as_column(slot: Slot, given: Any) -> tuple[Slot, Any]:
    """Return an Arrow table of pandas with its index where rules look for it, and the slot with a rule for it.

    Files keep an index as a column, which has no rule of its own: it is not told as one that nobody expects.

    Examples
    --------
    >>> import pandas as pd
    >>> import pyarrow as pa
    >>> slot = Slot([], index=Rule("index", "str"))
    >>> slot, table = index_as_column(slot, pa.table(pd.DataFrame({"a": [1]}, index=["x"])))
    >>> table.column_names, slot.rules[0].name
    (['a', 'index'], 'index')
    """
    if not hasattr(given, "column_names"):
        return slot, given
    kept = (given.schema.pandas_metadata or {}).get("index_columns", [])
    names = [name for name in kept if isinstance(name, str) and name in given.column_names and not slot.rule(name)]
    if not names:
        return slot, given
    if slot.index is None or len(names) > 1 or slot.rule("index") or "index" in {*given.column_names} - {*names}:
        return slot, given.drop_columns(names)
    rule = replace(slot.index, name="index", required=False)
    renamed = given.rename_columns(["index" if name in names else name for name in given.column_names])
    return replace(slot, rules=(*slot.rules, rule), index=None), renamed


def converted(slot: Slot, frame: pl.DataFrame, mixed: set[str], name: str) -> tuple[Slot, pl.DataFrame, list[Found]]:
    """Return the frame with columns converted, rules that ask for no more of that, and what could not be converted.

    Examples
    --------
    >>> import polars as pl
    >>> slot = Slot([Rule("age", "int", coerce=True)])
    >>> _, frame, faults = converted(slot, pl.DataFrame({"age": ["31", "x"]}), set(), "columns")
    >>> frame["age"].to_list(), faults[0].told(None).message
    ([31, None], "'x' cannot be converted to int")
    """
    faults: list[Found] = []
    rules = []
    for rule in slot.rules:
        if rule.coerce and rule.name in frame.columns and rule.name not in mixed:
            before = frame[rule.name]
            made = coerced(before, rule)
            rows = (made.is_null() & before.is_not_null()).arg_true()
            if len(rows):
                faults += _stuck(rule, before, rows, name)
                rule = replace(rule, nullable=True)  # these were told, and are null from here on
            frame = frame.with_columns(made.alias(rule.name))
        rules.append(replace(rule, coerce=False))
    return replace(slot, rules=rules), frame, faults


def _stuck(rule: Rule, values: pl.Series, rows: pl.Series, name: str) -> list[Found]:
    fault = Fault("not_coercible", name, rule.name, f"cannot be converted to {rule.dtype}")
    found = [at_rows(fault, rows, values.gather(rows), rule)]
    empty = values.is_null().arg_true()
    if len(empty) and not rule.nullable:
        found.append(at_rows(Fault("null", name, rule.name, "is missing"), empty))
    return found


def comparable(slot: Slot, frame: pl.DataFrame, mixed: set[str], name: str) -> tuple[Slot, list[Fault]]:
    """Return the slot without relations of columns that cannot be compared, or are not there; these are told.

    Examples
    --------
    >>> import polars as pl
    >>> from validation.rules import Relation
    >>> slot = Slot([], relations=[Relation("a", "<", "b")])
    >>> comparable(slot, pl.DataFrame({"a": ["x"], "b": [1]}), set(), "columns")[1][0].message
    'a < b cannot be told: they are String and Int64'
    """
    faults, kept = [], []
    for one in slot.relations:
        absent = [side for side in (one.left, one.right) if side not in frame.columns]
        faults += [
            Fault("missing_column", name, side, f"is missing, and is needed for {one}")
            for side in absent
            if slot.rule(side) is None
        ]
        if absent or mixed.intersection((one.left, one.right)) or frame.height in _nulls(frame, one):
            continue
        kinds = frame[one.left].dtype, frame[one.right].dtype
        if _alike(*kinds):
            kept.append(one)
        else:
            faults.append(
                Fault("not_comparable", name, None, f"{one} cannot be told: they are {kinds[0]} and {kinds[1]}")
            )
    return replace(slot, relations=kept), faults


def ungrouped(slot: Slot, frame: pl.DataFrame, name: str) -> list[Fault]:
    """Return the columns of groups that are not there, and have no rule that tells it.

    Examples
    --------
    >>> import polars as pl
    >>> slot = Slot([], unique_together=[("a", "b")])
    >>> ungrouped(slot, pl.DataFrame({"a": [1]}), "columns")[0].message
    'is missing, and is needed for a and b together'
    """
    return [
        Fault("missing_column", name, side, f"is missing, and is needed for {' and '.join(group)} together")
        for group in slot.unique_together
        for side in group
        if side not in frame.columns and slot.rule(side) is None
    ]


def _nulls(frame: pl.DataFrame, relation: Relation) -> tuple[int, int]:
    return frame[relation.left].null_count(), frame[relation.right].null_count()


def _alike(left: Any, right: Any) -> bool:
    import polars as pl

    if isinstance(left, pl.Datetime) and isinstance(right, pl.Datetime):
        return (left.time_zone is None) == (right.time_zone is None)
    text = (pl.String, pl.Categorical, pl.Enum)
    both = (left.is_numeric() and right.is_numeric()) or (isinstance(left, text) and isinstance(right, text))
    return both or left == right or pl.Null in (left, right) or (left.is_temporal() and right.is_temporal())
