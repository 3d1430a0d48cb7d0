"""From a transaction's log to what is committed: net changes, implied requirements, unique claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.changes import Op, Segment
from lakehouse.engine.datafile import sorted_by_uid
from lakehouse.engine.requirements import Requirement, RowsExist, RowsUntouched, Unreferenced
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import KEYS, TableSpec, TableVersion
from lakehouse.engine.transaction import Transaction
from lakehouse.errors import Duplicate, shown

__all__ = ["Claim", "NetChange", "claims", "implied", "net_changes"]

_SEPARATOR = "\x1f"


@dataclass(frozen=True)
class NetChange:
    """What a transaction does to a table in the end: each key once, rows sorted by uid."""

    table: TableVersion
    op: Op
    rows: pa.Table


@dataclass(frozen=True)
class Claim:
    """Unique values that a commit gives up and takes, as (value, uid), taken ones sorted by value."""

    table: str
    group: str
    released: list[tuple[str, str]] = field(default_factory=list)
    taken: list[tuple[str, str]] = field(default_factory=list)


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
        rows = sorted_by_uid(pa.Table.from_batches(batches, table.schema))
        _refuse_repeats(table.name, rows["uid"])
        return [NetChange(table, Op.INSERT, rows)]
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


def _refuse_repeats(table: str, uids: pa.ChunkedArray) -> None:
    """Raise for a key that occurs twice; ``uids`` are sorted."""
    if len(uids) < 2:
        return
    same = pc.equal(uids.slice(0, len(uids) - 1), uids.slice(1))
    if pc.any(same).as_py():
        twice = uids.slice(1).filter(same)[0].as_py()
        raise Duplicate(f"{table}: {shown(twice)} occurs twice in one transaction").final()


def implied(changes: list[NetChange], schemas: Schemas) -> list[Requirement]:
    """Return what declared references demand: targets exist, what is deleted is not referred to."""
    written = {c.table.name: c.rows["uid"] for c in changes if c.op is not Op.DELETE}
    deleted = {c.table.name: frozenset(c.rows["uid"].to_pylist()) for c in changes if c.op is Op.DELETE}
    demands: list[Requirement] = []
    for change in changes:
        if change.op is not Op.DELETE:
            demands += _targets(change, written)
            continue
        for table, column in schemas.referring_to(change.table.name):
            demands.append(Unreferenced(table, column, deleted[change.table.name], deleted.get(table, frozenset())))
    return demands


def _targets(change: NetChange, written: Mapping[str, pa.ChunkedArray]) -> list[Requirement]:
    demands: list[Requirement] = []
    for column, target in change.table.spec.references.items():
        wanted = pc.unique(change.rows[column]).drop_null()
        if len(wanted) and target in written:
            wanted = wanted.filter(pc.invert(pc.is_in(wanted, written[target].combine_chunks())))
        if len(wanted):
            demands.append(RowsExist(target, frozenset(wanted.to_pylist())))
    return demands


def claims(changes: list[NetChange], base: Snapshot) -> tuple[list[Claim], list[Requirement]]:
    """Return the unique values that change hands, and that the rows they were read from stay untouched."""
    found: list[Claim] = []
    demands: list[Requirement] = []
    for change in changes:
        spec = change.table.spec
        if not spec.unique:
            continue
        if change.op is Op.INSERT:
            found += [Claim(spec.name, ",".join(group), [], _pairs(change.rows, group)) for group in spec.unique]
            continue
        uids = change.rows["uid"].to_pylist()
        before = base.lookup(spec.name, "uid", uids)
        demands.append(RowsUntouched(spec.name, frozenset(uids)))
        found += [_moved(spec, group, before, change) for group in spec.unique]
    return found, demands


def _moved(spec: TableSpec, group: tuple[str, ...], before: pa.Table, change: NetChange) -> Claim:
    old = _pairs(before, group)
    new = [] if change.op is Op.DELETE else _pairs(change.rows, group)
    kept = set(old) & set(new)
    return Claim(spec.name, ",".join(group), [p for p in old if p not in kept], [p for p in new if p not in kept])


def _pairs(rows: pa.Table, group: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (value, uid) of rows whose group holds no null, sorted by value."""
    if len(rows) == 1:
        row = rows.slice(0, 1)
        parts = [row[c][0].as_py() for c in group]
        return [] if None in parts else [(_SEPARATOR.join(map(str, parts)), row["uid"][0].as_py())]
    columns = [rows[c].cast(pa.string()) for c in group]
    joined = columns[0] if len(group) == 1 else pc.binary_join_element_wise(*columns, _SEPARATOR)
    pairs = pa.table({"v": joined, "u": rows["uid"]})
    pairs = pairs.filter(pc.is_valid(pairs["v"]))
    pairs = pairs.take(pc.sort_indices(pairs["v"]))
    return list(zip(pairs["v"].to_pylist(), pairs["u"].to_pylist(), strict=True))
