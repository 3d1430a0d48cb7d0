"""The tail: what was committed to a table since the publication that a reader starts from, folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import matching, pc, picked
from lakehouse.engine.changes import DataFile, Op, ReadColumn, Segment, no_file
from lakehouse.engine.textindex import TextIndex

__all__ = ["HIDDEN", "Tail", "widened"]

HIDDEN = pa.schema([("uid", pa.string()), ("pos", pa.int64())])
"""Keys that a segment at a position replaced or deleted; a key may stand there more than once."""
_MANY_CHUNKS = 64


def widened(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a younger schema, nulls where it has none of that name and type."""
    if batch.schema.equals(schema):
        return batch
    there = {item.name: item.type for item in schema}
    have = {item.name for item in batch.schema if there.get(item.name) == item.type}
    columns = [batch.column(item.name) if item.name in have else pa.nulls(batch.num_rows, item.type) for item in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class Tail:
    """Folded segments of one table; a value that :meth:`advance` carries on.

    Segments are counted from 0; the published base stands before the first of them.
    """

    rows: pa.Table
    """Live rows that were inserted or replaced in the tail."""
    hidden: pa.Table
    """Keys and the positions at which they were replaced or deleted (schema ``HIDDEN``)."""
    staged: tuple[tuple[int, DataFile], ...] = ()
    """Staged files and the position at which they came."""
    length: int = 0
    """How many segments were folded."""
    index: TextIndex = field(default_factory=TextIndex, repr=False, compare=False)
    """Of :attr:`rows`; a tail with further rows goes on with that of the one before it, as commits are in one order."""

    @classmethod
    def empty(cls, schema: pa.Schema) -> Tail:
        """Return the tail without segments."""
        return cls(pa.Table.from_batches([], schema), pa.Table.from_batches([], HIDDEN))

    def widen(self, schema: pa.Schema) -> Tail:
        """Return this tail with the columns of a younger schema."""
        if self.rows.schema.equals(schema):
            return self
        batches = [widened(batch, schema) for batch in self.rows.to_batches()]
        return replace(self, rows=pa.Table.from_batches(batches, schema), index=TextIndex())

    def branched(self) -> Tail:
        """Return the same for one who goes on with what others do not see, and whose rows stand elsewhere then."""
        return replace(self, index=TextIndex())

    def advance(self, segments: Sequence[Segment], read: ReadColumn = no_file) -> Tail:
        """Fold further segments, in order; ``read`` fetches the keys of staged files that replace or delete rows.

        Inserts hide nothing: their key was absent, or a delete before them hides it.
        """
        if not segments:
            return self
        live: dict[str, int] = {}
        gone: list[tuple[int, pa.Array]] = []
        staged, batches, count = list(self.staged), list[pa.RecordBatch](), 0
        for position, segment in enumerate(segments, start=self.length):
            if segment.op is not Op.INSERT:
                gone.append((position, segment.keys(read)))
                _drop(live, gone[-1][1])
            if segment.op is Op.DELETE:
                continue
            if segment.batch is None:
                staged += [(position, file) for file in segment.files]
                continue
            batches.append(widened(segment.batch, self.rows.schema))
            keys = segment.batch.column("uid").to_pylist()
            live.update(zip(keys, range(count, count + len(keys)), strict=True))
            count += len(keys)
        rows = self._merged(batches, live, count, [keys for _, keys in gone])
        index = self.index if not gone else TextIndex()
        return Tail(rows, self._hide(gone), tuple(staged), self.length + len(segments), index)

    def _merged(
        self, batches: list[pa.RecordBatch], live: dict[str, int], count: int, gone: list[pa.Array]
    ) -> pa.Table:
        old = self.rows
        if gone and len(old):
            old = old.filter(pc.invert(pc.is_in(old["uid"], pa.concat_arrays(gone))))
        new = pa.Table.from_batches(batches, self.rows.schema)
        if len(live) < count:
            new = new.take(pa.array(sorted(live.values()), pa.int64()))
        rows = pa.concat_tables([old, new]) if len(new) else old
        return rows.combine_chunks() if rows["uid"].num_chunks > _MANY_CHUNKS else rows

    def _hide(self, gone: list[tuple[int, pa.Array]]) -> pa.Table:
        if not gone:
            return self.hidden
        uids = pa.concat_arrays([keys for _, keys in gone])
        positions = np.repeat([position for position, _ in gone], [len(keys) for _, keys in gone])
        new = pa.table([uids, pa.array(positions, pa.int64())], schema=HIDDEN)
        both = pa.concat_tables([self.hidden, new])
        return both.combine_chunks() if both["uid"].num_chunks > _MANY_CHUNKS else both

    def lookup(self, column: str, values: Sequence[object]) -> pa.Table:
        """Return the rows whose column holds one of the values."""
        positions = self.index.positions(self.rows, column, values)
        return matching(self.rows, column, values) if positions is None else picked(self.rows, positions)

    def holds(self, uid: str) -> bool:
        """Whether a live row is among :attr:`rows`."""
        positions = self.index.positions(self.rows, "uid", [uid])
        if positions is None:
            return len(self.rows) > 0 and pc.index(self.rows["uid"], uid).as_py() >= 0
        return bool(positions)

    def hidden_after(self, position: int) -> pa.Array:
        """Return the keys hidden after a position (-1: all), for what came at that position."""
        kept = self.hidden if position < 0 else self.hidden.filter(pc.greater(self.hidden["pos"], position))
        return pc.unique(kept["uid"])


def _drop(live: dict[str, int], keys: pa.Array) -> None:
    """Forget keys; whichever side is smaller is gone through."""
    if len(keys) <= len(live):
        for key in keys.to_pylist():
            live.pop(key, None)
    elif live:
        here = pa.array(live, pa.string())
        for key in here.filter(pc.is_in(here, keys)).to_pylist():
            del live[key]
