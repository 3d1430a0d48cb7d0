"""Changes as values: the ordered segments of a commit, and the data files that some of them name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import pyarrow as pa

from lakehouse.errors import IntegrityError

__all__ = ["DataFile", "Op", "ReadColumn", "Segment", "decode", "encode_files", "encode_rows", "no_file"]


ReadColumn = Callable[["DataFile", str], pa.ChunkedArray]
"""Fetches a column of a staged file."""


def no_file(file: DataFile, column: str) -> pa.ChunkedArray:
    """Stand for reading staged files where there can be none."""
    raise AssertionError(f"nothing is staged here, yet {column} of {file.path} was asked for")


class Op(StrEnum):
    """What a segment does."""

    INSERT = "insert"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True)
class DataFile:
    """An immutable Parquet file of a table, sorted by uid."""

    path: str
    """Relative to the table's folder."""
    size: int
    """Bytes."""
    rows: int
    low: str
    """The lowest uid, inclusive."""
    high: str
    """The highest uid, inclusive."""
    schema: int
    """The table's schema version when it was written."""
    stats: Mapping[str, Sequence[int | str]] = field(default_factory=dict, repr=False, compare=False)
    """Lowest and highest value, inclusive, of columns that have a useful order; as Delta writes them in JSON."""


@dataclass(frozen=True)
class Segment:
    """One step of a commit on one table: rows (of a delete: keys), in a batch or in staged files."""

    commit: int
    op: Op
    schema: int
    """The schema version that the rows were written with."""
    batch: pa.RecordBatch | None = None
    files: tuple[DataFile, ...] = ()
    _sets: dict[str, frozenset[object]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """How many rows or keys it holds."""
        return self.batch.num_rows if self.batch is not None else sum(f.rows for f in self.files)

    def keys(self, read: ReadColumn) -> pa.Array:
        """Return its keys; ``read`` fetches those of staged files."""
        if self.batch is not None:
            return self.batch.column("uid")
        chunks = [chunk for file in self.files for chunk in read(file, "uid").chunks]
        return pa.concat_arrays(chunks) if chunks else pa.array([], pa.string())

    def values(self, column: str, read: ReadColumn) -> frozenset[object]:
        """Return the distinct values of a column; ``read`` fetches it from a staged file."""
        if (known := self._sets.get(column)) is None:
            if self.batch is not None:
                present = column in self.batch.schema.names
                known = frozenset(self.batch.column(column).to_pylist()) if present else frozenset()
            else:
                known = frozenset(v for f in self.files for v in read(f, column).to_pylist())
            self._sets[column] = known
        return known


def encode_rows(batch: pa.RecordBatch) -> bytes:
    """Return a bare batch message; the schema is kept once, by the catalog."""
    return bytes(batch.serialize())


def encode_files(files: list[DataFile]) -> bytes:
    """Return the names and bounds of staged files."""
    return json.dumps([asdict(f) for f in files]).encode()


def decode(commit: int, op: str, version: int, body: bytes, schema: pa.Schema | None) -> Segment:
    """Return the segment that a catalog row holds; ``schema`` is that of its batch, None when it names files."""
    kind = Op(op)
    try:
        if schema is None:
            return Segment(commit, kind, version, files=tuple(DataFile(**f) for f in json.loads(body)))
        return Segment(commit, kind, version, pa.ipc.read_record_batch(pa.py_buffer(body), schema))
    except (OSError, ValueError, TypeError) as error:  # ArrowInvalid is a ValueError
        msg = f"the changes of commit {commit} in the catalog are damaged ({error}): restore it from a backup"
        raise IntegrityError(msg) from error
