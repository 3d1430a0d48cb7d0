"""From a transaction's log to what is committed: net changes, implied requirements, unique claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.changes import Op, Segment
from lakehouse.engine.datafile import sorted_by_uid, uid_order
from lakehouse.engine.requirements import Requirement, RowsExist, Unreferenced
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import KEYS, TableVersion
from lakehouse.engine.transaction import Transaction
from lakehouse.engine.unique import Claim, bulk_requirements, claim_of, merged, untouched
from lakehouse.errors import Duplicate, ReferenceMissing, shown

__all__ = ["NetChange", "claims", "implied", "net_changes"]


@dataclass(frozen=True)
class NetChange:
    """What a transaction does to a table in the end: each key once."""

    table: TableVersion
    op: Op
    rows: pa.Table
    order: pa.Array | None = None
    """The positions that sort the rows by uid; None when they are sorted."""


def net_changes(txn: Transaction, schemas: Schemas) -> list[NetChange]:
    """Return the net effect of the log, table by table: deletes, then upserts, then inserts."""
    changes: list[NetChange] = []
    for table, log in txn.log.items():
        if log:
            changes += _net(schemas.current(table), log)
    return changes


def _net(table: TableVersion, log: list[Segment]) -> list[NetChange]:
    batches = [s.batch for s in log if s.batch is not None and s.op is not Op.DELETE]
    if len(log) == 1 and log[0].batch is not None and log[0].rows == 1:
        only = log[0]
        return [NetChange(table, only.op, pa.Table.from_batches([log[0].batch]))]
    if all(s.op is Op.INSERT for s in log):
        rows = pa.Table.from_batches(batches, table.schema).combine_chunks()
        order, twice = uid_order(rows["uid"])
        if twice is not None:
            raise Duplicate(f"{table.name}: {shown(twice)} occurs twice in one transaction").final()
        return [NetChange(table, Op.INSERT, rows, order)]
    final = _last_word(table.name, log)
    rows = pa.Table.from_batches(batches, table.schema)
    changes = []
    if gone := sorted(key for key, (op, _) in final.items() if op is Op.DELETE):
        changes.append(NetChange(table, Op.DELETE, pa.table([pa.array(gone, pa.string())], schema=KEYS)))
    for op in (Op.UPSERT, Op.INSERT):
        positions = pa.array([position for kind, position in final.values() if kind is op], pa.int64())
        changes += [NetChange(table, op, sorted_by_uid(rows.take(positions)))] if len(positions) else []
    return changes


def _last_word(table: str, log: list[Segment]) -> dict[str, tuple[Op, int]]:
    """Return per key what it comes to, and where its row stands among all rows of the log."""
    final: dict[str, tuple[Op, int]] = {}
    position = 0
    for segment in log:
        assert segment.batch is not None
        for key in segment.batch.column("uid").to_pylist():
            before = final.get(key, (None, 0))[0]
            if segment.op is Op.DELETE:
                if before is Op.INSERT:
                    del final[key]
                else:
                    final[key] = Op.DELETE, 0
                continue
            if segment.op is Op.INSERT and before in (Op.INSERT, Op.UPSERT):
                raise Duplicate(f"{table}: {shown(key)} occurs twice in one transaction")
            stays = before is Op.INSERT or (before is None and segment.op is Op.INSERT)
            final[key] = (Op.INSERT if stays else Op.UPSERT), position
            position += 1
    return final


def implied(changes: list[NetChange], schemas: Schemas) -> list[Requirement]:
    """Return what declared references demand: targets exist, what is deleted is not referred to.

    Raises
    ------
    ReferenceMissing
        When the transaction itself deletes what it refers to: neither snapshot nor later commits show that.
    """
    written = _keys([c for c in changes if c.op is not Op.DELETE])
    deleted = _keys([c for c in changes if c.op is Op.DELETE])
    demands: list[Requirement] = []
    for change in changes:
        if change.op is not Op.DELETE:
            demands += _targets(change, written, deleted)
            continue
        gone = frozenset(change.rows["uid"].to_pylist())
        for table, column in schemas.referring_to(change.table.name):
            own = [keys[table].to_pylist() for keys in (written, deleted) if table in keys]
            demands.append(Unreferenced(table, column, gone, frozenset().union(*own)))
    return demands


def _keys(changes: list[NetChange]) -> dict[str, pa.Array]:
    """Return the keys of changes, by table."""
    chunks: dict[str, list[pa.Array]] = {}
    for change in changes:
        chunks.setdefault(change.table.name, []).extend(change.rows["uid"].chunks)
    return {table: _whole(pa.chunked_array(found, pa.string())) for table, found in chunks.items()}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    """Return the distinct values that are not null."""
    if len(column) == 1:  # most commits are of one row, and pay for every call of Arrow
        return column.chunk(0).drop_null() if column.null_count else column.chunk(0)
    return pc.unique(column).drop_null()


def _targets(change: NetChange, written: Mapping[str, pa.Array], deleted: Mapping[str, pa.Array]) -> list[Requirement]:
    demands: list[Requirement] = []
    for column, target in change.table.spec.references.items():
        if not len(wanted := _distinct(change.rows[column])):
            continue
        if target in deleted and len(lost := wanted.filter(pc.is_in(wanted, deleted[target]))):
            msg = f"{change.table.name}.{column} refers to {shown(lost[0].as_py())}, which this transaction deletes"
            raise ReferenceMissing(f"{msg} from {target}: keep it, or refer to something else")
        if target in written:
            wanted = wanted.filter(pc.invert(pc.is_in(wanted, written[target])))
        if len(wanted):
            demands.append(RowsExist(target, frozenset(wanted.to_pylist())))
    return demands


def claims(changes: list[NetChange], base: Snapshot) -> tuple[list[Claim], list[Requirement]]:
    """Return the unique values that change hands, and what has to hold for it."""
    found: list[Claim] = []
    demands: list[Requirement] = []
    for change in changes:
        spec = change.table.spec
        if not spec.unique:
            continue
        before = None
        if change.op is not Op.INSERT:
            uids = change.rows["uid"].to_pylist()
            before = base.lookup(spec.name, "uid", uids)
            demands.append(untouched(spec.name, uids))
        rows = pa.Table.from_batches([], change.table.schema) if change.op is Op.DELETE else change.rows
        found += [claim_of(spec, group, rows, before) for group in spec.unique]
    found = merged(found)
    return found, demands + bulk_requirements(found)
