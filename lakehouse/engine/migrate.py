"""Changing tables for good: columns added by metadata alone, everything else by writing all rows anew in one commit.

What is committed stays as it is: a snapshot from before shows the rows as they were, with the columns they had.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import ChangeRow, Session
from lakehouse.engine.changes import DataFile, Op, encode_files, encode_rows
from lakehouse.engine.datafile import read_rows, sorted_by_uid, write_files
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import table_folder
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.state import TableState
from lakehouse.engine.table import TableSpec, TableVersion
from lakehouse.engine.unique import claim_of, joined, record
from lakehouse.errors import Busy, Duplicate, InputError, ReadOnly, ReferenceMissing, shown

if TYPE_CHECKING:
    from lakehouse.engine.lake import Lake

__all__ = ["TableChange", "migrate", "parts_of"]

Rewrite = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class TableChange:
    """What becomes of one table.

    Attributes
    ----------
    spec
        Its declaration from now on.
    rewrite
        Makes new rows, with the columns of ``spec`` and the same uids, of old ones; None where nullable columns are
        added, or only what else is declared changes.
    """

    spec: TableSpec
    rewrite: Rewrite | None = None


@dataclass
class _Prepared:
    change: TableChange
    version: int
    """The schema version that it will be."""
    rows: list[ChangeRow] = field(default_factory=list)
    claimed: list[pa.Table] = field(default_factory=list)
    """uid and the columns of new unique groups, of all rows."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Unique groups whose values have to be claimed."""
    dropped: tuple[tuple[str, ...], ...] = ()


def migrate(lake: Lake, changes: Sequence[TableChange], *, message: str) -> int:
    """Make all changes in one commit, and return its id; others go on saving until then, and plan again after it.

    Raises
    ------
    Duplicate, ReferenceMissing
        When rows that are there break a rule that is new.
    Busy
        When others kept changing the tables that are written anew.
    """
    if lake.read_only:
        raise ReadOnly(f"{lake.root} is open for reading only")
    if lake.at_once is not None:
        lake.at_once.before()
    for _ in range(lake.options.attempts):
        if (done := _attempt(lake, changes, message)) is not None:
            with lake.catalog.read() as session:
                lake.schemas.refresh(session)
            if lake.at_once is not None:
                lake.at_once.after(done)
            return done
    raise Busy(f"other writers kept changing {', '.join(c.spec.name for c in changes)}: try again")


def _attempt(lake: Lake, changes: Sequence[TableChange], message: str) -> int | None:
    """Return the commit, or None where somebody came in between."""
    began = time.time_ns() // 1000
    with lake.catalog.read() as session:
        lake.schemas.refresh(session)
        head, known = session.head(), lake.schemas.known_commit
        began = max(began, session.meta().swept_before)
    base = lake.at_commit(head)
    changes = [change for change in changes if change.rewrite is not None or lake.schemas.differs(change.spec)]
    if not changes:
        return head
    prepared = [_prepared(lake, base, change, began) for change in changes]
    reach("commit.checked")
    with lake.catalog.locked() as session:
        if session.meta().schema_commit > known or began < session.meta().swept_before:
            return None
        if any(_moved(lake, session, one, head) for one in prepared):
            return None
        rows = [row for one in prepared for row in one.rows]
        now = time.time_ns() // 1000
        commit = session.append(os.urandom(16).hex(), now, lake.user, lake.committer.running(), message, rows)
        for one in prepared:
            session.add_schema(TableVersion(one.change.spec, one.version, commit, renews=_renews(one)))
            _claim(session, one)
    return commit


def _renews(one: _Prepared) -> bool:
    return one.change.rewrite is not None and one.version > 1


def _moved(lake: Lake, session: Session, one: _Prepared, head: int) -> bool:
    if one.change.rewrite is None or session.head() == head or one.version == 1:
        return False
    name = one.change.spec.name
    return bool(session.segments(name, head, session.head(), lake.schemas.versions(name)))


def _prepared(lake: Lake, base: Snapshot, change: TableChange, began: int) -> _Prepared:
    name = change.spec.name
    if name not in lake.schemas.names():
        return _Prepared(change, 1)
    current = lake.schemas.current(name)
    if change.rewrite is None:
        return _Prepared(TableChange(change.spec.after(current.spec)), current.version + 1)
    groups, dropped = _regrouped(current.spec, change.spec)
    one = _Prepared(change, current.version + 1, groups=groups, dropped=dropped)
    _write(lake, base, one, began)
    for group in groups:
        _refuse_repeated(one, group)
    _refuse_missing(base, current.spec, one)
    return one


def _regrouped(old: TableSpec, new: TableSpec) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Return the unique groups to be claimed, and those whose claims go: a changed type may change the values' text."""
    kept = {
        group
        for group in new.unique
        if group in old.unique and all(old.schema.field(c).type == new.schema.field(c).type for c in group)
    }
    return tuple(g for g in new.unique if g not in kept), tuple(g for g in old.unique if g not in kept)


# -- rows --------------------------------------------------------------------------------------------------------------
def parts_of(state: TableState) -> Iterator[pa.Table]:
    """Yield all rows of a table, a data file at a time."""
    hidden = state.tail.hidden_after(-1) if len(state.tail.hidden) else None
    for file in state.base.files:
        yield _visible(state, file, hidden)
    for position, file in state.tail.staged:
        yield _visible(state, file, state.tail.hidden_after(position) if len(state.tail.hidden) else None)
    if len(state.tail.rows):
        yield sorted_by_uid(state.tail.rows)


def _visible(state: TableState, file: DataFile, hidden: pa.Array | None) -> pa.Table:
    rows = read_rows(state.base.folder, file, state.table.schema)
    return rows if hidden is None else rows.filter(pc.invert(pc.is_in(rows["uid"], hidden)))


def _write(lake: Lake, base: Snapshot, one: _Prepared, began: int) -> None:
    """Make the segments that hold all rows: small parts together in the catalog, large ones in staged files."""
    spec, rewrite = one.change.spec, one.change.rewrite
    assert rewrite is not None
    options, folder = lake.options, table_folder(lake.folder, spec.name)
    version = TableVersion(spec, one.version, 0)
    small: list[pa.Table] = []
    wanted = list(dict.fromkeys(c for group in (*one.groups, *((r,) for r in spec.references)) for c in group))
    for part in parts_of(base.state(spec.name)):
        rows = _fitting(spec, rewrite(part), part)
        one.claimed.append(rows.select(["uid", *(c for c in wanted if c != "uid")]))
        if sum(map(len, small)) + len(rows) <= options.bulk_rows and rows.nbytes <= options.bulk_bytes:
            small.append(rows)
            continue
        files = write_files(folder, rows, version, options, stem=f"s-{began}")
        one.rows.append(ChangeRow(spec.name, Op.INSERT, one.version, len(rows), encode_files(files), staged=True))
    if small:
        together = sorted_by_uid(pa.concat_tables(small))
        batches = [b for b in together.combine_chunks().to_batches() if b.num_rows]
        one.rows += [ChangeRow(spec.name, Op.INSERT, one.version, b.num_rows, encode_rows(b)) for b in batches]


def _fitting(spec: TableSpec, rows: pa.Table, before: pa.Table) -> pa.Table:
    if rows.schema.names != spec.schema.names or not rows["uid"].equals(before["uid"]):
        raise InputError(f"{spec.name}: rows that are written anew need the columns {spec.schema.names} and their uids")
    for item in spec.schema:
        if not item.nullable and rows[item.name].null_count:
            raise InputError(
                f"{spec.name}.{item.name} has no value in {rows[item.name].null_count:,} rows: give a default"
            )
    return rows.cast(spec.schema)


# -- rules that are new ------------------------------------------------------------------------------------------------
def _all(one: _Prepared, columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([one.change.spec.schema.field(c) for c in columns])
    return pa.concat_tables([part.select(columns) for part in one.claimed] or [schema.empty_table()])


def _refuse_repeated(one: _Prepared, group: tuple[str, ...]) -> None:
    values = joined(_all(one, group), group).drop_null()
    counted = pc.value_counts(values)
    twice = counted.filter(pc.greater(counted.field("counts"), 1))
    if len(twice):
        texts = ", ".join(shown(value) for value in twice.field("values")[:5].to_pylist())
        raise Duplicate(
            f"{one.change.spec.name}.{','.join(group)} cannot become unique: {len(twice):,} values occur more than once, "
            f"such as {texts}; merge or rename these records first"
        ).final()


def _refuse_missing(base: Snapshot, old: TableSpec, one: _Prepared) -> None:
    spec = one.change.spec
    for column, target in spec.references.items():
        if old.references.get(column) == target or not (wanted := pc.unique(_all(one, [column])[column]).drop_null()):
            continue
        if missing := base.missing(target, wanted):
            raise ReferenceMissing(f"{spec.name}.{column} refers to {shown(missing[0])}, which {target} lacks").final()


def _claim(session: Session, one: _Prepared) -> None:
    spec = one.change.spec
    for group in one.dropped:
        session.forget_claims(spec.name, ",".join(group))
    for group in one.groups:
        record(session, [claim_of(spec, group, _all(one, ["uid", *group]), None)])
