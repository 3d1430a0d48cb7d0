"""Parts of a WHERE clause with bound parameters, and how relations in them are found beforehand.

Relations become ``in (select ...)``, so that a record is never repeated and no alias is needed. Where tables are
large, the inner selects run first: the few values that they lead to say which files have to be read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.pruning import Among, Begins, Demand
from lakehouse.engine.scan import quoted

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["ALL", "LEADING", "NONE", "SHARE", "Condition", "Step", "both", "either", "opposite", "settled"]

_FEW = 10_000
_MOST_PREFIXES = 64
SHARE = slice(4, 14)  # of the uid of what is linked to, in the uid of a link that begins with it


LEADING: set[tuple[str, str]] = set()
"""Tables and their columns with whose uids the uids of their rows begin."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step over a relation: ``column`` holds a value that is selected from the rows of ``table`` which meet ``inner``."""

    column: str
    selected: str
    table: str
    inner: Condition


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a WHERE clause.

    Attributes
    ----------
    sql
        The text, with ``?`` for each parameter.
    parameters
        The values, in order.
    tables
        Further tables that it reads, or the same one a second time.
    bounds
        What it demands of the columns themselves, so that files without such rows need not be read.
    step
        Where it is one over a relation, that.
    joint, parts
        Where it is made of others: ``and``, ``or`` or ``not``, and these.
    settle
        Where there is one, what makes a simpler condition of it once a snapshot is at hand.
    equals
        Where it says no more than that a text column holds one of some values, column and values.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    tables: frozenset[str] = frozenset()
    bounds: tuple[Demand, ...] = ()
    step: Step | None = None
    joint: str = ""
    parts: tuple[Condition, ...] = ()
    settle: Callable[[Snapshot], Condition] | None = None
    equals: tuple[str, tuple[str, ...]] | None = None

    def within(self, column: str, selected: str, table: str) -> Condition:
        """Return the condition that ``column`` holds a value selected from the rows of ``table`` that meet this one."""
        inner = f"select {quoted(selected)} from {quoted(table)} where {self.sql}"
        step = Step(column, selected, table, self)
        return Condition(f"{quoted(column)} in ({inner})", self.parameters, self.tables | {table}, step=step)

    @classmethod
    def of_values(cls, column: str, values: Sequence[str], *, leading: bool = False) -> Condition:
        """Return the condition that a column holds one of some uids.

        Parameters
        ----------
        leading
            Whether the uids of the rows themselves begin with that column's.
        """
        bounds: tuple[Demand, ...] = (Among(column, sorted(values)),)
        sql = f"{quoted(column)} in (select unnest(?::VARCHAR[]))"
        found = cls(sql, (list(values),), bounds=bounds, equals=(column, tuple(values)))
        if not leading or len(values) > _MOST_PREFIXES:
            return found
        begins = Begins("uid", sorted(value[SHARE] for value in values))
        tests = " or ".join(['("uid" >= ? and "uid" < ?)'] * len(values))
        edges = tuple(edge for prefix in begins.prefixes for edge in (prefix, prefix + "~"))
        return replace(found, sql=f"{found.sql} and ({tests})", parameters=found.parameters + edges, bounds=(begins,))


ALL = Condition("true")
"""What every row meets."""
NONE = Condition("false")
"""What no row meets."""


def both(parts: Sequence[Condition]) -> Condition:
    """Return the condition that all parts hold."""
    if len(parts) == 1:
        return parts[0]
    bounds = tuple(bound for part in parts for bound in part.bounds)
    return replace(_joined("and", parts), bounds=bounds) if parts else ALL


def either(parts: Sequence[Condition]) -> Condition:
    """Return the condition that one of the parts holds."""
    if len(parts) == 1:
        return parts[0]
    return _joined("or", parts) if parts else NONE


def opposite(part: Condition) -> Condition:
    """Return the condition that a part does not hold, be it false or unknown."""
    sql = f"({part.sql}) is not true"
    return Condition(sql, part.parameters, part.tables, joint="not", parts=(part,))


def _joined(word: str, parts: Sequence[Condition]) -> Condition:
    sql = f" {word} ".join(f"({part.sql})" for part in parts)
    parameters = tuple(value for part in parts for value in part.parameters)
    tables = frozenset().union(*(part.tables for part in parts))
    return Condition(sql, parameters, tables, joint=word, parts=tuple(parts))


def settled(snapshot: Snapshot, condition: Condition, table: str) -> Condition:
    """Return a condition on the rows of ``table`` with steps over large tables, and by values alone, taken if few."""
    if condition.settle is not None:
        return condition.settle(snapshot)
    if condition.parts:
        parts = [settled(snapshot, part, table) for part in condition.parts]
        return opposite(parts[0]) if condition.joint == "not" else {"and": both, "or": either}[condition.joint](parts)
    step = condition.step
    if step is None:
        return condition
    inner = settled(snapshot, step.inner, step.table)
    again = inner.within(step.column, step.selected, step.table)
    if not (snapshot.is_large(table) or snapshot.is_large(step.table) or _equalities(inner)):
        return again  # a look-up by values alone is had from memory, without DuckDB
    found = _found(snapshot, step, inner)
    if len(found) > _FEW:
        return again
    return Condition.of_values(step.column, found, leading=(table, step.column) in LEADING)


def _found(snapshot: Snapshot, step: Step, inner: Condition) -> list[str]:
    """Return the values that a step leads to; one more than are few, where they are many."""
    if equalities := _equalities(inner):
        column, values = equalities[-1]
        if len(equalities) == 1 and column == step.selected:
            return list(values)  # whether there is such a row matters to nobody: links refer to rows that are there
        if (rows := _rows(snapshot, step, equalities)) is not None:
            return pc.unique(rows[step.selected]).drop_null().to_pylist()  # type: ignore[no-any-return]
    selected = f"select distinct {quoted(step.selected)} from {quoted(step.table)} where {inner.sql} limit {_FEW + 1}"
    bounds = {} if step.table in inner.tables else {step.table: inner.bounds}
    tables = sorted({step.table, *inner.tables})
    listed: list[str] = (
        snapshot.arrow(selected, inner.parameters, tables, bounds=bounds).column(0).drop_null().to_pylist()
    )
    return listed


def _equalities(condition: Condition) -> list[tuple[str, tuple[str, ...]]]:
    """Return the columns and values of a condition that says no more than that text columns hold some of these."""
    parts = condition.parts if condition.joint == "and" else (condition,)
    found = [part.equals for part in parts if part.equals is not None]
    return found if len(found) == len(parts) else []


def _rows(snapshot: Snapshot, step: Step, equalities: list[tuple[str, tuple[str, ...]]]) -> pa.Table | None:
    """Return the rows in which columns hold some values, without DuckDB; None where that serves better.

    The last one is looked up, the others are compared: a label has fewer links than the feature that it goes under.
    """
    *others, (column, values) = equalities
    if snapshot.is_large(step.table):
        rows = snapshot.across(step.table, column, values, [step.selected, *(name for name, _ in others)])
    else:
        rows = snapshot.lookup(step.table, column, values)
    for name, wanted in others:
        if rows is not None:
            rows = rows.filter(pc.is_in(rows[name], value_set=pa.array(wanted, pa.string())))
    return rows
