"""A transaction: changes and requirements as values, relative to the snapshot it was planned on."""

from __future__ import annotations

import os
import time
import uuid
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
from lakehouse.errors import InputError, LakehouseError, UnknownField, did_you_mean, shown

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
        self.client_txn, self.message = client_txn or uuid.uuid4().hex, message
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
        schema = self._schemas.written(table).schema
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        if isinstance(rows, pa.Table):
            batches: list[pa.RecordBatch] = _conformed(table, rows, schema).combine_chunks().to_batches()
            return batches
        return [_encoded(table, rows, schema)]

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


def _encoded(table: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return rows as a batch, naming the column and the value that do not fit."""
    try:
        batch = pa.RecordBatch.from_arrays(
            [
                _array([row.get(name) for row in rows], field.type)
                for name, field in zip(schema.names, schema, strict=True)
            ],
            schema=schema,
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError, UnicodeEncodeError) as error:
        raise _misfit(table, rows, schema, error) from error
    known = schema.names
    for row in rows:
        if len(row) > len(known) or not row.keys() <= set(known):
            unknown = min(row.keys() - set(known))
            raise UnknownField(f"{table} has no column {shown(unknown)}{did_you_mean(unknown, known)}")
    _refuse_nulls(table, batch)
    return batch


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return an array; Arrow would cut 1.5 down to 1 in silence."""
    for value in values:
        if isinstance(value, float) and not _takes(kind, value):
            raise ValueError(value)
    return pa.array(values, kind)


def _takes(kind: pa.DataType, value: float) -> bool:
    if pa.types.is_integer(kind):
        return value.is_integer()
    return not pa.types.is_temporal(kind)


def _misfit(table: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema, error: Exception) -> InputError:
    for row in rows:
        for item in schema:
            try:
                _array([row.get(item.name)], item.type)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError, UnicodeEncodeError):
                return InputError(f"{table}.{item.name} takes {item.type}, not {shown(row.get(item.name))}")
    return InputError(f"{table}: {error}")


def _conformed(table: str, rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of ``schema`` in its order."""
    for name in rows.schema.names:
        if name not in schema.names:
            raise UnknownField(f"{table} has no column {shown(name)}{did_you_mean(name, schema.names)}")
    columns = []
    for item in schema:
        if item.name not in rows.schema.names:
            columns.append(pa.chunked_array([pa.nulls(len(rows), item.type)]))
            continue
        column = rows[item.name]
        try:
            columns.append(column if column.type == item.type else column.cast(item.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"{table}.{item.name} takes {item.type}, not {column.type}: {error}") from error
    conformed = pa.Table.from_arrays(columns, schema=schema)
    _refuse_nulls(table, conformed)
    return conformed


def _refuse_nulls(table: str, rows: pa.Table | pa.RecordBatch) -> None:
    """Raise for a null that the table's Parquet files could not hold."""
    for item, column in zip(rows.schema, rows.columns, strict=True):
        if not item.nullable and column.null_count:
            raise InputError(f"{table}: a row has no {item.name}, which must not be null")
