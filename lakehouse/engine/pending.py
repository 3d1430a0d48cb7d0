"""Rows that a transaction collects one by one and writes together: many small batches would each be looked through."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Collected", "Look", "Pending"]

Look = Callable[[Sequence[object]], list[dict[str, Any]]]
"""Returns the rows that lie below what is collected: whose column holds one of some values."""


@dataclass
class Collected:
    """What was collected for one table."""

    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The rows as they are to be, by uid."""
    fresh: list[str] = field(default_factory=list)
    """Of these, what is inserted without looking for it."""
    inserts: list[str] = field(default_factory=list)
    upserts: list[str] = field(default_factory=list)
    as_read: list[Mapping[str, Any]] = field(default_factory=list)
    _index: dict[str, dict[object, list[str]]] = field(default_factory=dict)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Take rows in; return their uids."""
        for row in rows:
            self.rows[row["uid"]] = row
            for column, index in self._index.items():
                index.setdefault(row.get(column), []).append(row["uid"])
        return [row["uid"] for row in rows]

    def matching(self, column: str, value: object) -> list[Mapping[str, Any]]:
        """Return the rows whose column holds a value."""
        if (index := self._index.get(column)) is None:
            index = self._index[column] = {}
            for uid, row in self.rows.items():
                index.setdefault(row.get(column), []).append(uid)
        uids = dict.fromkeys(index.get(value, ()))  # a row that was replaced may stand under its older value too
        return [self.rows[uid] for uid in uids if self.rows[uid].get(column) == value]


class Pending:
    """What a transaction has collected, and the rows below it that are going to be looked for.

    Parameters
    ----------
    expected
        By table and column: values that will be looked up. They are all looked up at once, at the first of them.
    """

    def __init__(self, expected: Mapping[tuple[str, str], Sequence[object]]) -> None:
        self._expected = dict(expected)
        self._known: dict[tuple[str, str], dict[object, list[dict[str, Any]]]] = {}
        self.tables: dict[str, Collected] = {}

    def of(self, table: str) -> Collected:
        """Return what is collected for a table."""
        if (collected := self.tables.get(table)) is None:
            collected = self.tables[table] = Collected()
        return collected

    def takes(self, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether rows can be collected: each once, with a uid."""
        return all(isinstance(row.get("uid"), str) and row["uid"] not in self.of(table).rows for row in rows)

    def take(self, table: str) -> Collected | None:
        """Return what was collected for a table, to be written now; nothing is remembered of the table."""
        for key in [key for key in (*self._expected, *self._known) if key[0] == table]:
            self._expected.pop(key, None)
            self._known.pop(key, None)
        return self.tables.pop(table, None)

    def find(self, table: str, column: str, values: Sequence[object], look: Look) -> list[Mapping[str, Any]]:
        """Return the rows whose column holds one of the values, with what was collected."""
        collected = self.of(table)
        below = [row for row in self._below(table, column, values, look) if row["uid"] not in collected.rows]
        return [*below, *(row for value in dict.fromkeys(values) for row in collected.matching(column, value))]

    def _below(self, table: str, column: str, values: Sequence[object], look: Look) -> list[dict[str, Any]]:
        key = table, column
        if key in self._expected:
            asked = list(dict.fromkeys(self._expected.pop(key)))
            known: dict[object, list[dict[str, Any]]] = {value: [] for value in asked}
            for row in look(asked):
                known[row[column]].append(row)
            self._known[key] = known
        there = self._known.get(key)
        if there is None or any(value not in there for value in values):
            return look(values)
        return [row for value in dict.fromkeys(values) for row in there[value]]
