"""What became of files: of one, and of many as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import pyarrow as pa

__all__ = ["BAD", "Outcome", "Outcomes", "plain_text"]

BAD = ("failed", "quarantined")
"""Outcomes of what was not ingested as it was meant."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    outcome
        ``new``, ``new version``, ``unchanged``, ``failed``, ``quarantined``, ``waiting`` or ``vanished`` (moved to the
        trash).
    reason
        Why, where it is not one of the first three: a code such as ``unreadable``.
    """

    path: str
    key: str
    outcome: str
    uid: str | None = None
    hash: str | None = None
    size: int | None = None
    reason: str | None = None
    message: str | None = None


_NAMES = Outcome.__slots__


class Outcomes(Sequence[Outcome]):
    """Outcomes of many files: columns, of which an :class:`Outcome` is made where one is looked at.

    Examples
    --------
    >>> found = Outcomes([Outcome("a.csv", "a.csv", "new")])
    >>> found.extend({"path": ["b.csv"], "key": ["b.csv"], "outcome": ["failed"], "reason": ["changed"]})
    >>> len(found), found[1].reason, found.counts()
    (2, 'changed', {'new': 1, 'failed': 1})
    """

    __slots__ = ("_columns",)

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in _NAMES}
        for one in outcomes:
            self.append(one)

    def append(self, one: Outcome) -> None:
        """Take one in."""
        for name, column in self._columns.items():
            column.append(getattr(one, name))

    def extend(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Take many in, as columns by the names of their fields; fields that are left out are empty."""
        count = len(columns["path"])
        for name, column in self._columns.items():
            column.extend(columns.get(name) or [None] * count)

    def column(self, name: str) -> list[Any]:
        """Return the values of one field."""
        return self._columns[name]

    def counts(self) -> dict[str, int]:
        """Return how many files had each outcome."""
        return dict(Counter(self._columns["outcome"]))

    def failures(self) -> list[Outcome]:
        """Return what was not ingested as it was meant."""
        return [self[row] for row, outcome in enumerate(self._columns["outcome"]) if outcome in BAD]

    def arrow(self) -> pa.Table:
        """Return them as an Arrow table."""
        schema = pa.schema([(name, pa.int64() if name == "size" else pa.string()) for name in _NAMES])
        return pa.table([_array(column, schema.field(name).type) for name, column in self._columns.items()], schema)

    @overload
    def __getitem__(self, row: int) -> Outcome: ...
    @overload
    def __getitem__(self, row: slice) -> list[Outcome]: ...
    def __getitem__(self, row: int | slice) -> Outcome | list[Outcome]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        return Outcome(*(column[row] for column in self._columns.values()))

    def __iter__(self) -> Iterator[Outcome]:
        return map(Outcome, *self._columns.values())

    def __len__(self) -> int:
        return len(self._columns["path"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"Outcomes({self.counts()})"


def _array(column: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(column, kind)
    except UnicodeEncodeError:
        return pa.array([plain_text(value) for value in column], kind)


def plain_text(value: Any) -> Any:
    """Return text that any reader takes: a name that is not UTF-8 shows its bytes as escapes."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value
