"""Changes as values: the ordered segments of a commit, and the data files that some of them name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import pyarrow as pa

__all__ = ["DataFile", "Op", "Segment", "decode", "encode_files", "encode_rows"]


class Op(StrEnum):
    """What a segment does."""

    INSERT = "insert"
    UPSERT = "upsert"
    DELETE = "delete"
    FILES = "files"
    """Rows inserted as staged Parquet files."""


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


@dataclass(frozen=True)
class Segment:
    """One step of a commit on one table: rows, keys (of a delete) or staged files."""

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

    def values(self, column: str, read: Callable[[DataFile, str], pa.ChunkedArray]) -> frozenset[object]:
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


def decode(commit: int, op: str, version: int, body: bytes, schema: pa.Schema) -> Segment:
    """Return the segment that a catalog row holds; ``schema`` is that of the rows (or the keys of a delete)."""
    kind = Op(op)
    if kind is Op.FILES:
        return Segment(commit, kind, version, files=tuple(DataFile(**f) for f in json.loads(body)))
    return Segment(commit, kind, version, pa.ipc.read_record_batch(pa.py_buffer(body), schema))
