"""Undoing one commit by another, where nothing that came later depends on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import CommitInfo
from lakehouse.engine.history import History
from lakehouse.engine.moments import At, resolved
from lakehouse.engine.requirements import RowsUntouched
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.transaction import Transaction
from lakehouse.errors import ChangedSinceRead, Conflict, Expired, InputError, shown

__all__ = ["Reversal"]

_FEW = 3


@dataclass(frozen=True)
class Reversal:
    """A plan that takes one commit back: what it inserted goes, what it replaced or deleted is as it was.

    Parameters
    ----------
    history
        The changes of the lake.
    head
        Any snapshot of it.
    commit
        The commit to take back.
    kept
        Tables whose inserted rows stay.
    """

    history: History
    head: Snapshot
    commit: CommitInfo
    kept: Collection[str] = ()

    @classmethod
    def of(cls, history: History, head: Snapshot, at: At, kept: Collection[str]) -> Reversal:
        """Return the reversal of the commit that a point in history means."""
        with history.catalog.read() as session:
            info = session.commit(resolved(session, at))
        if info is None:
            raise InputError("commit 0 is the empty lake: there is nothing to take back")
        return cls(history, head, info, kept)

    @property
    def message(self) -> str:
        """The message of the commit that takes it back, where none is given."""
        return f"revert of commit {self.commit.id}" + (f": {self.commit.message}" if self.commit.message else "")

    def run(self, txn: Transaction) -> Transaction:
        """Run the plan in a transaction and return that."""
        txn.run(self.plan)
        return txn

    def plan(self, txn: Transaction) -> None:
        """Put the reversal into a transaction.

        Raises
        ------
        ChangedSinceRead
            When a row that the commit touched was changed since.
        """
        txn.reads_from = min(txn.reads_from, self.commit.id - 1)
        try:
            for table in self.history.schemas.names():
                for part in self._changes(table, self.commit.id - 1, self.commit.id):
                    if table in self.kept:
                        part = part.filter(pc.not_equal(part["op"], "insert"))
                    if part.num_rows:
                        self._refuse_renewed(table)
                        self._undo(txn, table, part)
        except Expired as error:
            raise error.final() from None  # what a vacuum took does not come back
        if not any(txn.log.values()):
            raise InputError(f"commit {self.commit.id} changed no rows that could be taken back")

    def _refuse_renewed(self, table: str) -> None:
        """Raise if the table's columns were changed since: the values of before may not fit them."""
        later = [v.since for v in self.history.schemas.versions(table) if v.renews and v.since > self.commit.id]
        if later:
            raise ChangedSinceRead(
                f"the columns of {table} were migrated in commit {later[0]}: read what was before with "
                f"at={self.commit.id - 1}, and save that"
            ).final()

    def told(self, error: Conflict) -> Conflict:
        """Return a conflict that says what it stands in the way of."""
        if isinstance(error, Expired) or not error.args:
            return error
        mended = type(error)(f"commit {self.commit.id} cannot be reverted: {error}")
        return mended if error.transient else mended.final()

    def _undo(self, txn: Transaction, table: str, part: pa.Table) -> None:
        uids = part["uid"].to_pylist()
        schema = txn.base.schema(table)
        after = _rows(part["after"], schema)
        self._refuse_changed(table, uids, after, txn.base.lookup(table, "uid", uids))  # each row once
        txn.require(RowsUntouched(table, frozenset(uids)))
        before = _rows(part["before"], schema)
        txn.delete(table, part.filter(pc.equal(part["op"], "insert"))["uid"].to_pylist())
        updated = before.filter(pc.is_in(before["uid"], part.filter(pc.equal(part["op"], "update"))["uid"]))
        deleted = before.filter(pc.is_in(before["uid"], part.filter(pc.equal(part["op"], "delete"))["uid"]))
        if len(updated):
            txn.upsert(table, updated)
        if len(deleted):
            txn.insert(table, deleted)

    def _refuse_changed(self, table: str, uids: list[str], left: pa.Table, now: pa.Table) -> None:
        """Raise if a row is not as the commit left it, naming the commits that changed it."""
        changed = sorted(_different(left, now))
        if not changed:
            return
        later = self._later(table, frozenset(changed))
        named = ", ".join(map(str, later[:_FEW])) + (", …" if len(later) > _FEW else "")
        rows = ", ".join(map(shown, changed[:_FEW])) + (", …" if len(changed) > _FEW else "")
        step = f"revert {'commit' if len(later) == 1 else 'commits'} {named} first, the newest before the others"
        raise ChangedSinceRead(f"{table} {rows} changed since, in {named}: {step}").final()

    def _later(self, table: str, uids: frozenset[str]) -> list[int]:
        wanted = pa.array(uids, pa.string())
        parts = self._changes(table, self.commit.id, None)
        found = [part.filter(pc.is_in(part["uid"], wanted))["commit"].to_pylist() for part in parts]
        return sorted({commit for commits in found for commit in commits})

    def _changes(self, table: str, since: int, until: int | None) -> Iterator[pa.Table]:
        return self.history.changes(self.head, since, until, table).batches()


def _rows(structs: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """Return the rows that are not null, with the columns of a schema that may be younger."""
    flat = structs.combine_chunks()
    flat = flat.filter(flat.is_valid())
    have = {flat.type.field(i).name for i in range(flat.type.num_fields)}
    columns = [flat.field(item.name) if item.name in have else pa.nulls(len(flat), item.type) for item in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _different(left: pa.Table, right: pa.Table) -> set[str]:
    """Return the uids whose rows are not the same on both sides; NaN equals itself."""
    found = set(left["uid"].to_pylist()) ^ set(right["uid"].to_pylist())
    left, right = (_ordered(side, found) for side in (left, right))
    differs = np.zeros(len(left), dtype=bool)
    for name in left.schema.names:
        if not left[name].equals(right[name]):
            differs |= np.fromiter(_unequal(left[name].to_pylist(), right[name].to_pylist()), bool, len(left))
    return found | set(left["uid"].filter(pa.array(differs)).to_pylist())


def _ordered(rows: pa.Table, without: Collection[str]) -> pa.Table:
    """Return rows by uid, without some of them."""
    if without:
        rows = rows.filter(pc.invert(pc.is_in(rows["uid"], pa.array(without, pa.string()))))
    return rows.take(pc.sort_indices(rows["uid"])).combine_chunks()


def _unequal(left: list[object], right: list[object]) -> Iterator[bool]:
    for a, b in zip(left, right, strict=True):
        yield a != b and repr(a) != repr(b)  # NaN, also inside lists
