"""Requirements of a transaction as values: checked at its planning snapshot, and again against what came since."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from lakehouse.engine.changes import Op, ReadColumn, Segment
from lakehouse.engine.snapshot import Snapshot
from lakehouse.errors import ChangedSinceRead, Duplicate, ReferenceMissing, StillReferenced, shown

__all__ = [
    "KeysAbsent",
    "LookupUntouched",
    "Requirement",
    "RowsAsRead",
    "RowsExist",
    "RowsUntouched",
    "TableUntouched",
    "Unreferenced",
    "merged",
]


class Requirement(Protocol):
    """What must hold for a transaction to be committed."""

    @property
    def table(self) -> str:
        """The table that it looks at."""
        ...

    def check(self, snapshot: Snapshot) -> None:
        """Raise a ``Conflict`` if it does not hold at the planning snapshot."""
        ...

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise a ``Conflict`` if a segment committed since then breaks it."""
        ...


def merged(requirements: Iterable[Requirement]) -> list[Requirement]:
    """Return requirements with those of one kind on one table as one: a transaction of many saves has many.

    Examples
    --------
    >>> merged([RowsExist("label", frozenset("a")), RowsExist("label", frozenset("b"))])[0].uids == {"a", "b"}
    True
    """
    sets: dict[tuple[type, str], set[str]] = {}
    lookups: dict[tuple[str, str], tuple[set[Any], set[str]]] = {}
    others: list[Requirement] = []
    for requirement in requirements:
        if isinstance(requirement, KeysAbsent | RowsExist | RowsUntouched):
            sets.setdefault((type(requirement), requirement.table), set()).update(requirement.uids)
        elif isinstance(requirement, LookupUntouched):
            values, found = lookups.setdefault((requirement.table, requirement.column), (set(), set()))
            values.update(requirement.values)
            found.update(requirement.found)
        else:
            others.append(requirement)
    others += [
        LookupUntouched(*where, frozenset(values), frozenset(found)) for where, (values, found) in lookups.items()
    ]
    return [kind(table, frozenset(uids)) for (kind, table), uids in sets.items()] + others


def _some(values: frozenset[Any] | set[Any] | list[Any]) -> str:
    listed = sorted(map(str, values))[:3]
    return ", ".join(map(shown, listed)) + (", …" if len(values) > 3 else "")


@dataclass(frozen=True)
class KeysAbsent:
    """No row with one of these uids."""

    table: str
    uids: frozenset[str]

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``Duplicate`` for uids that are there."""
        if found := snapshot.lookup(self.table, "uid", list(self.uids))["uid"].to_pylist():
            raise Duplicate(f"{self.table} has {_some(found)} already: change the row instead")

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``Duplicate`` for uids that were added."""
        if segment.op is not Op.DELETE and (hit := segment.values("uid", read) & self.uids):
            raise Duplicate(f"{self.table}: {_some(hit)} was added meanwhile")


@dataclass(frozen=True)
class RowsExist:
    """There is a row with each of these uids."""

    table: str
    uids: frozenset[str]

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``ReferenceMissing`` for uids that are not there."""
        if absent := snapshot.missing(self.table, pa.array([*self.uids], pa.string())):
            raise ReferenceMissing(f"{self.table} has no {_some(absent)}: save what is referred to first")

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``ReferenceMissing`` for uids that were deleted."""
        if segment.op is Op.DELETE and (hit := segment.values("uid", read) & self.uids):
            raise ReferenceMissing(f"{self.table}: {_some(hit)} was deleted meanwhile")


@dataclass(frozen=True)
class RowsAsRead:
    """Rows are still as they were read, compared by value; any touch since planning breaks it."""

    table: str
    rows: Mapping[str, Mapping[str, Any]]
    """The row as read, by uid; columns that are not named are not compared."""

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``ChangedSinceRead`` for rows that differ."""
        now = {row["uid"]: row for row in snapshot.lookup(self.table, "uid", list(self.rows)).to_pylist()}
        for uid, read in self.rows.items():
            if (row := now.get(uid)) is None:
                raise ChangedSinceRead(f"{self.table} {shown(uid)} was deleted since it was read")
            if changed := [c for c, value in read.items() if not _same(row.get(c), value)]:
                raise ChangedSinceRead(
                    f"{self.table} {shown(uid)}: {_some(changed)} changed since it was read: get it again"
                )

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``ChangedSinceRead`` for rows that were touched."""
        _refuse_touch(self.table, segment.values("uid", read) & self.rows.keys())


@dataclass(frozen=True)
class RowsUntouched:
    """Nothing was done to these rows since planning."""

    table: str
    uids: frozenset[str]

    def check(self, snapshot: Snapshot) -> None:
        """Hold by definition."""

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``ChangedSinceRead`` for rows that were touched."""
        _refuse_touch(self.table, segment.values("uid", read) & self.uids)


@dataclass(frozen=True)
class Unreferenced:
    """No row of a table refers to one of these uids, what the transaction itself deletes or replaces aside."""

    table: str
    column: str
    uids: frozenset[str]
    dropped: frozenset[str] = frozenset()
    """Rows of ``table`` that the transaction itself deletes or replaces."""

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``StillReferenced`` for references that are there."""
        found = snapshot.lookup(self.table, self.column, list(self.uids))
        for row, target in zip(found["uid"].to_pylist(), found[self.column].to_pylist(), strict=True):
            if row not in self.dropped:
                raise StillReferenced(
                    f"{shown(target)} is still referred to by {self.table}.{self.column} of {shown(row)}: "
                    "remove that reference first"
                )

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``StillReferenced`` for references that were made."""
        if segment.op is not Op.DELETE and (hit := segment.values(self.column, read) & self.uids):
            raise StillReferenced(f"{self.table}.{self.column} refers to {_some(hit)} since a moment ago")


@dataclass(frozen=True)
class TableUntouched:
    """Nothing was committed to a table since it was read (the serialisable mode)."""

    table: str

    def check(self, snapshot: Snapshot) -> None:
        """Hold by definition."""

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``ChangedSinceRead`` for any change."""
        raise ChangedSinceRead(f"{self.table} changed since it was read (commit {segment.commit})")


@dataclass(frozen=True)
class LookupUntouched:
    """A look-up would find the same rows, unchanged (the serialisable mode, and what has no name to be unique)."""

    table: str
    column: str
    values: frozenset[Any]
    found: frozenset[str]

    def check(self, snapshot: Snapshot) -> None:
        """Hold by definition."""

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``ChangedSinceRead`` for rows that were found, or would be found now."""
        _refuse_touch(self.table, segment.values("uid", read) & self.found)
        if segment.op is not Op.DELETE and (hit := segment.values(self.column, read) & self.values):
            raise ChangedSinceRead(f"{self.table}: a row with {self.column} {_some(hit)} was written meanwhile")


def _refuse_touch(table: str, hit: frozenset[Any] | set[Any]) -> None:
    if hit:
        raise ChangedSinceRead(f"{table}: {_some(hit)} changed meanwhile")


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right):
        return True
    return left == right
