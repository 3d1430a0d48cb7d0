"""A transaction: changes and requirements as values, relative to the snapshot it was planned on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa

from lakehouse.engine.changes import Op, Segment, no_file
from lakehouse.engine.pending import Collected, Pending
from lakehouse.engine.requirements import KeysAbsent, Requirement, RowsAsRead
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import KEYS
from lakehouse.engine.view import Reads, TrackedView, TransactionView
from lakehouse.errors import LakehouseError

__all__ = ["Rows", "Transaction"]

T = TypeVar("T")
Rows: TypeAlias = Sequence[Mapping[str, Any]] | pa.Table | pa.RecordBatch
"""Rows as dicts or as Arrow; columns that are not given are null."""


@dataclass(frozen=True)
class _Mark:
    """Where a savepoint stood."""

    lengths: dict[str, int]
    requirements: int
    plans: int
    planned: bool


class Transaction:
    """Collects changes; nothing is visible to others before the commit, all of it at once after it.

    Within itself it reads its own writes (:attr:`snapshot`).

    Parameters
    ----------
    base
        The snapshot that it is planned on.
    schemas
        The tables.
    swept_before
        When (microseconds) the newest sweep began that was known as it began itself.
    client_txn
        A name under which the caller may retry after a lost reply: the same name commits once.
    message
        Kept with the commit.
    serializable
        Whether what it reads has to be the same still when it is committed.
    """

    def __init__(
        self,
        base: Snapshot,
        schemas: Schemas,
        swept_before: int,
        *,
        client_txn: str | None = None,
        message: str = "",
        serializable: bool = False,
    ) -> None:
        self.base, self._schemas, self._swept = base, schemas, swept_before
        self.schema_commit = min(schemas.known_commit, base.commit)
        """The schema change that the rows are encoded for."""
        self.client_txn, self.message = client_txn or os.urandom(16).hex(), message
        self.untried = client_txn is None
        """Whether nobody can have committed it: its name is its own, and no attempt was made."""
        self.log: dict[str, list[Segment]] = {}
        """The segments so far, by table, in order."""
        self.requirements: list[Requirement] = []
        self.plans: list[Callable[[Transaction], object]] = []
        """What to run again when the commit meets a conflict."""
        self._planned = True
        self.process = os.getpid()
        """Where it was begun."""
        self.reads_from = base.commit
        """The oldest commit that it takes rows from; what these name must not have been swept by its commit."""
        self.state, self.began = "open", time.monotonic()
        self.outcome = -1
        """The commit that it became; one without changes: that it was planned on."""
        self.stores_since: int | None = None
        """When (microseconds) the first file was stored that rows of this transaction refer to."""
        self._planning = 0
        self._written: dict[str, tuple[int, set[object]]] = {}
        self.reads = Reads(lambda: self._planning > 0) if serializable else None
        """What it has read; None where that does not matter."""
        self.snapshot = TrackedView(base, self.log, self.reads) if self.reads else TransactionView(base, self.log)

    def __repr__(self) -> str:
        changes = {table: sum(s.rows for s in log) for table, log in self.log.items()}
        return f"Transaction(base={self.base.commit}, {self.state}, rows={changes})"

    @property
    def replayable(self) -> bool:
        """Whether every change, and every read that counts, was made by a plan."""
        return self._planned and (self.reads is None or self.reads.repeatable)

    def storing(self) -> None:
        """Be told that a file is about to be stored, or found stored, which rows of this transaction will refer to.

        A vacuum deletes files that were stored long ago and that no row refers to; a commit that comes too late for
        it is refused, and planning again stores the file again.
        """
        if self.stores_since is None:
            self.stores_since = max(time.time_ns() // 1000, self._swept)  # the clock may have been set back since

    # -- changes ---------------------------------------------------------------------------------------------------
    def insert(self, table: str, rows: Rows, *, fresh: bool = False) -> None:
        """Add rows whose uids must be absent.

        Parameters
        ----------
        fresh
            The uids were made at random a moment ago: do not look for them.
        """
        if (collected := self._collected(table, rows)) is not None:
            (collected.fresh if fresh else collected.inserts).extend(collected.add(rows))
            return
        batches = self._batches(table, rows)
        if not fresh:
            uids = frozenset(uid for batch in batches for uid in batch.column("uid").to_pylist())
            self.require(KeysAbsent(table, uids - self._own(table)))
        self._add(table, Op.INSERT, batches)

    def upsert(self, table: str, rows: Rows, *, as_read: Iterable[Mapping[str, Any]] | None = None) -> None:
        """Replace or add rows.

        Parameters
        ----------
        as_read
            The rows as they were read; if they are different now, or touched before the commit, it is refused.
        """
        if as_read is not None and (collected := self._collected(table, rows)) is not None:
            collected.upserts.extend(collected.add(rows))
            collected.as_read.extend(as_read)
            return
        self._write_pending(table)
        batches = self._batches(table, rows)
        if as_read is not None:
            own = self._own(table)
            expected = {row["uid"]: row for row in as_read if row["uid"] not in own}
            self.require(RowsAsRead(table, expected))
        self._add(table, Op.UPSERT, batches)

    def delete(self, table: str, uids: Iterable[str]) -> None:
        """Remove rows; refused while another row refers to one of them."""
        self._write_pending(table)
        keys = pa.array(dict.fromkeys(uids), pa.string())
        self._schemas.versions(table)
        self._add(table, Op.DELETE, [pa.RecordBatch.from_arrays([keys], schema=KEYS)])

    def require(self, requirement: Requirement) -> None:
        """Demand that something holds when the transaction is committed."""
        self._check_open()
        self._planned = self._planned and self._planning > 0
        self.requirements.append(requirement)

    def _add(self, table: str, op: Op, batches: list[pa.RecordBatch]) -> None:
        self._check_open()
        self._planned = self._planned and self._planning > 0
        version = self._schemas.current(table).version
        log = self.log.setdefault(table, [])
        log += [Segment(0, op, version, batch) for batch in batches if batch.num_rows]

    def _batches(self, table: str, rows: Rows) -> list[pa.RecordBatch]:
        encoder = self._schemas.written(table).encoder
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        if isinstance(rows, pa.Table):
            batches: list[pa.RecordBatch] = encoder.table(rows).combine_chunks().to_batches()
            return batches
        return [encoder.batch(rows)]

    def _own(self, table: str) -> set[object]:
        """Return the uids that this transaction itself wrote."""
        log = self.log.get(table, [])
        done, own = self._written.get(table) or (0, set[object]())
        for segment in log[done:]:
            own |= segment.values("uid", no_file)
        self._written[table] = len(log), own
        return own

    # -- rows that are collected -----------------------------------------------------------------------------------
    @contextmanager
    def collecting(self, expected: Mapping[tuple[str, str], Sequence[object]]) -> Iterator[None]:
        """Write the rows that the block inserts and replaces one by one together, at its end or once they are needed.

        Look-ups by text see them; whatever else reads their table has them written first.

        Parameters
        ----------
        expected
            By table and column: texts that the block will look up, which is done for all of them at once.
        """
        if self.reads is not None or self.snapshot.pending is not None:  # what each look-up read is noted there
            yield
            return
        self.snapshot.pending = Pending(expected)
        self.snapshot.write_pending = self._write_pending
        try:
            yield
            self._write_all_pending()
        finally:
            self.snapshot.pending = None

    def _collected(self, table: str, rows: Rows) -> Collected | None:
        """Return where rows are to be collected; None where they are to be written at once."""
        pending = self.snapshot.pending
        if pending is None:
            return None
        if isinstance(rows, pa.Table | pa.RecordBatch) or not pending.takes(table, rows):
            self._write_pending(table)
            return None
        self._check_open()
        return pending.of(table)

    def _write_all_pending(self) -> None:
        for table in list(self.snapshot.pending.tables) if self.snapshot.pending is not None else ():
            self._write_pending(table)

    def _write_pending(self, table: str) -> None:
        pending = self.snapshot.pending
        collected = pending.take(table) if pending is not None else None
        if collected is None:
            return
        self.snapshot.pending = None  # so that they are written now
        try:
            for uids, fresh in ((collected.fresh, True), (collected.inserts, False)):
                if uids:
                    self.insert(table, [collected.rows[uid] for uid in uids], fresh=fresh)
            if collected.upserts:
                rows = [collected.rows[uid] for uid in collected.upserts]
                self.upsert(table, rows, as_read=collected.as_read)
        finally:
            self.snapshot.pending = pending

    # -- plans and savepoints ------------------------------------------------------------------------------------
    def run(self, plan: Callable[[Transaction], T]) -> T:
        """Run a plan inside a savepoint and remember it for a replay."""
        with self.savepoint():
            self._planning += 1
            try:
                result = plan(self)
            finally:
                self._planning -= 1
        if not self._planning:
            self.plans.append(plan)
        return result

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did to this transaction if it raises."""
        self._check_open()
        self._write_all_pending()
        mark = _Mark(
            {t: len(log) for t, log in self.log.items()}, len(self.requirements), len(self.plans), self._planned
        )
        try:
            yield
        except BaseException:
            for table, log in self.log.items():
                del log[mark.lengths.get(table, 0) :]
            del self.requirements[mark.requirements :]
            del self.plans[mark.plans :]
            self._planned = mark.planned
            self._written.clear()
            if self.snapshot.pending is not None:
                self.snapshot.pending.tables.clear()
            self.snapshot.reset()
            raise

    def _check_open(self) -> None:
        if self.state != "open":
            raise LakehouseError(f"this transaction is {self.state}: begin a new one")
