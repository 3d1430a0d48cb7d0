"""What was changed, commit by commit: each touched row with the values that it had before and after.

The catalog's change rows hold what a row became; what it was is folded from the state below them, window by window,
so that neither one bulk commit nor a long range has to fit into memory unless it is asked for at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import Catalog, CommitInfo, Session
from lakehouse.engine.changes import Op, Segment
from lakehouse.engine.moments import At, resolved
from lakehouse.engine.scan import Source
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.state import StateCache
from lakehouse.engine.tail import widened
from lakehouse.errors import DataLoss, Expired, InputError, UnknownField, did_you_mean, shown

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Changes", "History"]

_ROWS, _BYTES, _COMMITS = 100_000, 64_000_000, 1_000
"""What a window holds at most, unless its one commit is larger."""
_TEXTS = pa.dictionary(pa.int32(), pa.string())
"""A message of 100,000 characters may stand at a million rows: each text is kept once."""


class History:
    """Reads the changes of one lake."""

    def __init__(self, catalog: Catalog, schemas: Schemas, states: StateCache) -> None:
        self.catalog, self.schemas, self.states = catalog, schemas, states

    def changes(self, head: Snapshot, since: At, until: At, table: str | None) -> Changes:
        """Return the changes after one point in history and up to another; see ``Lake.changes``.

        Parameters
        ----------
        head
            Any snapshot of the lake; those that are needed are made from it.
        """
        with self.catalog.read() as session:
            self.schemas.refresh(session)
            upto = resolved(session, until)
            oldest = session.meta().oldest_readable
            above = min(oldest, upto) if since is None else resolved(session, since)
            _refuse_expired(session, above)
        if above > upto:
            raise InputError(f"since={shown(since)} is commit {above}, later than commit {upto}: turn them round")
        names = self.schemas.names()
        if table is not None and table not in names:
            raise UnknownField(f"no table {shown(table)}{did_you_mean(str(table), names)}")
        return Changes(self, head.moved_to(upto), above, names if table is None else [table], one=table is not None)

    def windows(self, above: int, upto: int) -> Iterator[list[CommitInfo]]:
        """Yield the commits of a range, the oldest first, in groups whose changes fit into memory together."""
        group: list[CommitInfo] = []
        rows = size = 0
        while above < upto:
            with self.catalog.read() as session:
                found = session.commits_after(above, upto, _COMMITS)
            if not found:  # a restored or rebuilt catalog goes on after a gap
                break
            for info, n, length in found:
                if group and (rows + n > _ROWS or size + length > _BYTES or len(group) == _COMMITS):
                    yield group
                    group, rows, size = [], 0, 0
                group.append(info)
                rows, size = rows + n, size + length
            above = found[-1][0].id
        if group:
            yield group


def _refuse_expired(session: Session, above: int) -> None:
    if above < (oldest := session.meta().oldest_readable):
        raise Expired(f"the changes since commit {above} are no longer kept: the oldest to ask since is {oldest}")


@dataclass(frozen=True)
class _Piece:
    """Rows that one commit wrote (of a delete: keys, all else null)."""

    commit: int
    op: Op
    rows: pa.Table


@dataclass(frozen=True)
class Changes:
    """The rows that a range of commits changed; nothing is read until one of the ends is called.

    The ends are ``arrow``, ``pl`` (Polars), ``df`` (pandas) and, for more than fits into memory, ``batches``. Their
    columns:

    ==========  =====================================================================================================
    commit      the commit's id
    at          its time, UTC
    user        who committed
    run         the run that it belongs to, if any
    message     its message
    table       the table
    op          ``insert``, ``update`` or ``delete``, by what was there before
    uid         the row
    before      its values before that commit, null for an insert
    after       its values after it, null for a delete
    ==========  =====================================================================================================

    ``before`` and ``after`` are structs of all columns where one table was asked for, and JSON text where all were.
    A column that was added later, or had another type, is null before. A row that a commit wrote without changing it is an update too.
    """

    history: History
    end: Snapshot
    since: int
    """The commit after which changes count."""
    tables: list[str]
    one: bool
    """Whether one table was asked for."""

    @property
    def until(self) -> int:
        """The last commit that counts."""
        return self.end.commit

    def __repr__(self) -> str:
        return f"<Changes of {', '.join(self.tables)} in ({self.since}, {self.until}]>"

    # -- ends ------------------------------------------------------------------------------------------------------
    def batches(self) -> Iterator[pa.Table]:
        """Yield the changes piece by piece: table by table, by commit and uid within each.

        Cost: the changed rows are read once, and per some 100,000 of them those among them that were replaced are
        looked up in the table as it was before, in one scan.

        Raises
        ------
        Expired
            When a vacuum took what was still to be read.
        """
        for name in self.tables:
            for rows in _TableChanges(self, name).batches():
                yield rows if self.one else self._as_json(rows)

    def arrow(self) -> pa.Table:
        """Return all changes as a pyarrow Table, by commit, table and uid."""
        parts = list(self.batches())
        kind = self._struct(self.tables[0]) if self.one else pa.string()
        found = pa.concat_tables([pa.Table.from_batches([], _schema(kind)), *parts])
        order = pc.sort_indices(found, sort_keys=[(name, "ascending") for name in ("commit", "table", "uid")])
        return found.take(order)

    def pl(self) -> pl.DataFrame:
        """Return all changes as a Polars DataFrame."""
        import polars

        frame = polars.from_arrow(self.arrow())
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def df(self) -> pd.DataFrame:
        """Return all changes as a pandas DataFrame; ``before`` and ``after`` are dicts or JSON text."""
        return self.arrow().to_pandas()

    # -- inside ----------------------------------------------------------------------------------------------------
    def _struct(self, table: str) -> pa.StructType:
        return pa.struct([item.with_nullable(nullable=True) for item in self.end.schema(table)])

    def _as_json(self, rows: pa.Table) -> pa.Table:
        sides = ", ".join(
            f"CASE WHEN {side} IS NOT NULL THEN to_json({side})::VARCHAR END AS {side}" for side in ("before", "after")
        )
        source = Source("SELECT * FROM _changed_rows", {"_changed_rows": rows.select(["before", "after"])})
        texts = self.end.scanner.run({"changed": source}, f"SELECT {sides} FROM changed").cast(_SIDES)
        for side in ("before", "after"):
            rows = rows.set_column(rows.schema.get_field_index(side), side, texts[side])
        return rows


def _schema(kind: pa.DataType) -> pa.Schema:
    names = {"commit": pa.int64(), "at": pa.timestamp("us", "UTC"), "user": pa.string(), "run": pa.string()}
    names |= {"message": _TEXTS, "table": pa.string(), "op": pa.string(), "uid": pa.string()}
    return pa.schema([*names.items(), ("before", kind), ("after", kind)])


_SIDES = pa.schema([("before", pa.string()), ("after", pa.string())])


@dataclass(frozen=True)
class _TableChanges:
    """The changes of one table."""

    asked: Changes
    table: str

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's columns at the end of the range; older rows have nulls where they lack one."""
        return pa.schema([item.with_nullable(nullable=True) for item in self.asked.end.schema(self.table)])

    def batches(self) -> Iterator[pa.Table]:
        """Yield the changes, by commit and uid."""
        for window in self.asked.history.windows(self.asked.since, self.asked.until):
            below = window[0].id - 1
            start = self.asked.end.moved_to(below)
            try:
                # a commit touches a row once: a large one, alone in its window, is taken piece by piece
                pieces = self._pieces(below, window[-1].id)
                for group in ([piece] for piece in pieces) if len(window) == 1 else ([*pieces],):
                    if group:
                        yield self._told(window, *self._folded(start, group))
            except DataLoss as error:
                raise start.missing_file(error) from error

    def _pieces(self, above: int, upto: int) -> Iterator[_Piece]:
        versions = self.asked.history.schemas.versions(self.table)
        with self.asked.history.catalog.read() as session:
            _refuse_expired(session, above)
            segments = session.segments(self.table, above, upto, versions)
        renewals = {v.since for v in versions if v.renews}  # which change how rows are kept, not what they say
        for segment in (s for s in segments if s.commit not in renewals):
            for rows in self._rows(segment, next(v.schema for v in versions if v.version == segment.schema)):
                yield _Piece(segment.commit, segment.op, rows)

    def _rows(self, segment: Segment, written: pa.Schema) -> Iterator[pa.Table]:
        if segment.batch is not None:
            yield self._told_alike([segment.batch])
        for file in segment.files:
            rows = self.asked.history.states.rows(self.table, file, written)
            yield self._told_alike(rows.combine_chunks().to_batches())

    def _told_alike(self, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        return pa.Table.from_batches([widened(batch, self.schema) for batch in batches], self.schema)

    def _before(self, start: Snapshot, pieces: list[_Piece]) -> pa.Table:
        """Return the rows at the window's start that its pieces replace or delete; inserts replace nothing."""
        keys = [piece.rows["uid"].combine_chunks() for piece in pieces if piece.op is not Op.INSERT]
        if not keys:
            return pa.Table.from_batches([], self.schema)
        found = start.lookup(self.table, "uid", pc.unique(pa.concat_arrays(keys)).to_pylist())
        return self._told_alike(found.to_batches())

    def _folded(self, start: Snapshot, pieces: list[_Piece]) -> tuple[pa.Table, _Ints, _Ints, _Ints]:
        """Return all rows, and per change its commit and the positions of the rows before and after (-1: none)."""
        before = self._before(start, pieces)
        rows = pa.concat_tables([before, *(piece.rows for piece in pieces)]).combine_chunks()
        commits = np.repeat([0, *(p.commit for p in pieces)], [len(before), *(len(p.rows) for p in pieces)])
        gone = np.repeat([False, *(p.op is Op.DELETE for p in pieces)], [len(before), *(len(p.rows) for p in pieces)])
        order = pc.sort_indices(rows["uid"]).to_numpy().astype(np.int64)  # stable: a row's states stay in order
        uids = rows["uid"].take(pa.array(order))
        same = np.r_[False, pc.equal(uids.slice(1), uids.slice(0, len(uids) - 1)).to_numpy()]
        last = np.where(same, np.r_[-1, order[:-1]], -1)
        last[(last >= 0) & gone[last]] = -1
        now = np.where(gone[order], -1, order)
        kept = np.flatnonzero((order >= len(before)) & ((last >= 0) | (now >= 0)))
        kept = kept[np.argsort(commits[order[kept]], kind="stable")]
        return rows, commits[order[kept]], last[kept], now[kept]

    def _told(self, window: list[CommitInfo], rows: pa.Table, commits: _Ints, last: _Ints, now: _Ints) -> pa.Table:
        at = pa.array(np.searchsorted([info.id for info in window], commits), pa.int32())
        ops = pa.array(["insert", "delete", "update"]).take(pa.array(np.where(last < 0, 0, np.where(now < 0, 1, 2))))
        columns = {
            "commit": pa.array(commits, pa.int64()),
            "at": pa.array([info.at for info in window], pa.timestamp("us", "UTC")).take(at),
            "user": pa.array([info.user for info in window], pa.string()).take(at),
            "run": pa.array([info.run for info in window], pa.string()).take(at),
            "message": pa.array([info.message for info in window], pa.string()).dictionary_encode().take(at),
            "table": pa.repeat(self.table, len(commits)),
            "op": ops,
            "uid": rows["uid"].take(pa.array(np.where(now < 0, last, now))),
            "before": _picked(rows, last),
            "after": _picked(rows, now),
        }
        return pa.table(columns, schema=_schema(pa.struct(list(self.schema))))


_Ints = npt.NDArray[np.int64]


def _picked(rows: pa.Table, positions: _Ints) -> pa.StructArray:
    """Return rows as structs, null at a position of -1."""
    absent = positions < 0
    picked = rows.take(pa.array(positions, mask=absent))
    columns = [column.combine_chunks() for column in picked.columns]
    return pa.StructArray.from_arrays(columns, fields=list(rows.schema), mask=pa.array(absent))
