"""What is known of files once they were read: of one, and of many as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa

from registries.curated import Collected

__all__ = ["Columns", "Finding", "Findings", "array_of", "weight_of"]

Columns: TypeAlias = tuple[Sequence[Any], ...]
"""The fields of findings, one sequence for each: what a worker hands back, as it is packed many times faster so."""


class Finding(NamedTuple):
    """What is known of a file once it was read; where ``reason`` is given, what is wrong with it.

    Attributes
    ----------
    mtime, ctime
        Times in nanoseconds; None of a folder, and of what lies in a bucket.
    stored
        Path in the storage that the bytes were copied to.
    """

    hash: str = ""
    size: int = 0
    suffix: str = ""
    format: str = "blob"
    kind: str = "blob"
    hash_kind: str = "blake3"
    n_rows: int | None = None
    n_files: int | None = None
    mtime: int | None = None
    ctime: int | None = None
    stored: str | None = None
    collected: Collected | None = None
    reason: str | None = None
    message: str | None = None


_COLLECTED = Finding._fields.index("collected")


class Findings:
    """Findings of many files, a list for each field.

    Examples
    --------
    >>> found = Findings.of([Finding("aa", 1), Finding("bb", 2)])
    >>> found.size, found[1].hash, len(found.take([1]))
    ([1, 2], 'bb', 1)
    """

    __slots__ = Finding._fields
    hash: list[str]
    size: list[int]
    suffix: list[str]
    format: list[str]
    kind: list[str]
    hash_kind: list[str]
    n_rows: list[int | None]
    n_files: list[int | None]
    mtime: list[int | None]
    ctime: list[int | None]
    stored: list[str | None]
    collected: list[Collected | None]
    reason: list[str | None]
    message: list[str | None]

    def __init__(self, columns: Columns = ()) -> None:
        given = columns or ((),) * len(Finding._fields)
        for name, column in zip(Finding._fields, given, strict=True):
            setattr(self, name, list(column))

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Findings:
        """Return findings as columns."""
        return cls(tuple(zip(*findings, strict=True)))

    def __len__(self) -> int:
        return len(self.hash)

    def __getitem__(self, row: int) -> Finding:
        return Finding(*(getattr(self, name)[row] for name in Finding._fields))

    def extend(self, columns: Columns) -> None:
        """Take further ones in."""
        for name, column in zip(Finding._fields, columns, strict=True):
            getattr(self, name).extend(column)

    def append(self, one: Finding) -> None:
        """Take one in."""
        for name, value in zip(Finding._fields, one, strict=True):
            getattr(self, name).append(value)

    def take(self, rows: Sequence[int]) -> Findings:
        """Return some of them."""
        return Findings(tuple([column[row] for row in rows] for column in self.columns()))

    def columns(self) -> Columns:
        """Return the lists, one for each field."""
        return tuple(getattr(self, name) for name in Finding._fields)


def array_of(values: Sequence[Any] | pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values as an Arrow array, in a fraction of the time where all of them are one and the same, or they are one.

    Examples
    --------
    >>> array_of([".csv", ".csv"], pa.string()).to_pylist(), array_of([None, 1], pa.int64()).null_count
    (['.csv', '.csv'], 1)
    """
    if isinstance(values, pa.Array):
        return values
    if values and values[0] == values[-1] and values.count(values[0]) == len(values):
        return pa.repeat(pa.scalar(values[0], kind), len(values))
    return pa.array(values, kind)


def weight_of(columns: Columns) -> int:
    """Return how many names a schema collected in files.

    Examples
    --------
    >>> weight_of(Findings.of([Finding(collected={"columns": ({"donor": ["D1", "D2"]}, ["a"])})]).columns())
    3
    """
    parts = [part for collected in columns[_COLLECTED] if collected for part in collected.values()]
    return sum(len(index) + sum(map(len, found.values())) for found, index in parts)
