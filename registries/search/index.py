"""The index of a registry: built at the first search, and advanced by change rows from then on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from lakehouse.engine import Snapshot
from lakehouse.engine.changes import Op, Segment
from lakehouse.engine.scan import quoted
from registries.search.fields import Fields
from registries.search.prose import PROSE
from registries.search.ranking import Asked
from registries.search.recent import Recent
from registries.search.shard import Found, Shard
from registries.search.trigrams import pieces_of

__all__ = ["Index"]

_WHOLE = 200_000
"""Rows of a table that are kept with all columns, so that what is found need not be read."""
_FRESH = 256
"""Rows that are looked through one by one before they become a shard of their own."""
_MERGED = 20_000
"""Rows of a shard that is not merged any more: merging takes some 50 ms for as many."""


class Index:
    """What the rows of a table are called, at a commit; safe to use from several threads.

    Rows that come later are kept apart until they are many: small shards are merged as they come, so that each row
    is indexed a few times at most.
    """

    def __init__(self, snapshot: Snapshot, fields: Fields) -> None:
        self.fields = fields
        self._lock = threading.RLock()
        self._build(snapshot)

    def after_fork(self) -> None:
        """Replace the mutex: a thread that stayed in the parent may hold it."""
        self._lock = threading.RLock()

    def _build(self, snapshot: Snapshot) -> None:
        table = self.fields.table
        state, self._schema = snapshot.state(table), snapshot.schema(table)
        self.is_whole = state.base.rows + len(state.tail.rows) + sum(f.rows for _, f in state.tail.staged) <= _WHOLE
        kept = self._schema.names if self.is_whole else self.fields.read
        columns = ", ".join(map(quoted, kept))
        rows = snapshot.arrow(f"select {columns} from {quoted(table)}", tables=[table])
        self._shards, self._fresh = [Shard(rows, self.fields)], Recent(self.fields)
        self._read = frozenset(rows.schema.names)
        self._newest: Shard | None = None
        self.commit = snapshot.commit

    def advance(self, snapshot: Snapshot) -> None:
        """Take in what was committed up to a snapshot; what is newer than it stays."""
        with self._lock:
            if self.commit >= snapshot.commit:
                return
            changes = snapshot.changes_since(self.fields.table, self.commit)
            changed = not snapshot.schema(self.fields.table).equals(self._schema)
            if changed or changes is None or any(segment.batch is None for segment in changes):
                self._build(snapshot)  # a vacuum dropped the changes, or they are so many that they lie in files
                return
            self._take(changes)
            self.commit = snapshot.commit

    def with_pending(self, segments: Sequence[Segment]) -> Index:
        """Return an index with the changes of a transaction, which nobody else sees."""
        with self._lock:
            other = object.__new__(Index)
            vars(other).update(vars(self), _lock=threading.RLock())
            other._shards, other._fresh, other._newest = [s.copy() for s in self._shards], self._fresh.copy(), None
        other._take(segments)
        return other

    def _take(self, segments: Sequence[Segment]) -> None:
        if not segments:
            return
        for segment in segments:
            assert segment.batch is not None
            uids = segment.batch.column("uid").to_pylist()
            if segment.op is not Op.INSERT:  # what is inserted was absent
                for shard in self._shards:
                    shard.gone.update(uids)
            self._fresh.replace(uids, self._rows_of(segment.batch, uids) if segment.op is not Op.DELETE else {})
        self._newest = None
        if len(self._fresh) > _FRESH:
            self._shards.append(self._shard_of_fresh())
            self._fresh.clear()
            self._merge()

    def _rows_of(self, batch: pa.RecordBatch, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
        there = [name for name in batch.schema.names if name in self._read]
        return dict(zip(uids, batch.select(there).to_pylist(), strict=True))

    def _merge(self) -> None:
        """Merge the last shards while they are of a size."""
        while len(self._shards) > 1:
            older, newer = self._shards[-2:]
            if len(older) > 2 * len(newer) or len(older) + len(newer) > _MERGED:
                return
            rows = pa.concat_tables([older.live(), newer.live()])
            self._shards[-2:] = [Shard(rows, self.fields)]

    def _shard_of_fresh(self) -> Shard:
        schema = self._shards[0].rows.schema
        rows = [{name: row.get(name) for name in schema.names} for row in self._fresh.rows.values()]
        return Shard(pa.Table.from_pylist(rows, schema), self.fields)

    def _all(self) -> list[Shard]:
        if self._fresh and self._newest is None:
            self._newest = self._shard_of_fresh()
        return [*self._shards, *([self._newest] if self._newest is not None else [])]

    def search(self, text: str, columns: Collection[str], limit: int, least: float) -> list[Found]:
        """Return the rows that are nearest to a text, the nearest first, each once.

        Descriptions are looked at where names alone do not give enough.
        """
        asked, best = Asked.of(text), dict[str, Found]()
        names = [name for name in columns if name not in self.fields.prose]
        with self._lock:
            shards = self._all()
            for shard in shards if names else ():
                for found in shard.named(asked, names, limit):
                    _keep(best, found, least)
            if sum(found.score >= PROSE for found in best.values()) < limit:
                for shard in shards:
                    for found in shard.described(asked, columns):
                        _keep(best, found, least)
        return sorted(best.values(), key=_order)

    def close(self, name: str, edits: int, columns: Collection[str]) -> list[str]:
        """Return the names that differ from one by few edits, the nearest first."""
        pieces = pieces_of(name)
        with self._lock:
            found = chain(self._fresh.close(name, edits), *(s.close(name, edits, pieces) for s in self._shards))
            near = {(away, text) for away, text, column in found if column in columns}
        return list(dict.fromkeys(text for _, text in sorted(near)))


def _keep(best: dict[str, Found], found: Found, least: float) -> None:
    known = best.get(found.uid)
    if found.score >= least and (known is None or found.score > known.score):
        best[found.uid] = found


def _order(found: Found) -> tuple[float, int, str, str]:
    return -found.score, len(found.match), found.match, found.uid
