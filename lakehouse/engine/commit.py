"""The commit protocol: plan, stage, lock, re-check, append (DESIGN: the catalog is the log's head)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lakehouse.engine.catalog import Catalog, ChangeRow, Session
from lakehouse.engine.changes import Segment, encode_files, encode_rows
from lakehouse.engine.datafile import write_files
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.options import Options
from lakehouse.engine.plan import NetChange, claims, implied, net_changes
from lakehouse.engine.requirements import Requirement, merged
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.state import StateCache
from lakehouse.engine.transaction import Transaction
from lakehouse.engine.unique import Claim, is_final, take
from lakehouse.errors import Conflict, DataLoss, Disconnected, Duplicate, Expired, SchemaChanged

__all__ = ["Committer"]

_RECONNECTIONS = 3
"""How often a commit is tried again whose connection was lost before it was made."""
_SHORT = 0.005
"""Planning that took no longer, in seconds, is re-checked under the lock alone: there is next to nothing to check."""


class _Restage(Exception):
    """Staged files may have been swept: stage them again, as begun at ``swept_before`` or later."""

    def __init__(self, swept_before: int) -> None:
        super().__init__(swept_before)
        self.swept_before = swept_before


@dataclass(frozen=True)
class _Prepared:
    """A planned transaction, ready for the lock."""

    txn: Transaction
    changes: list[NetChange]
    requirements: list[Requirement]
    claims: list[Claim]


class Committer:
    """Commits transactions of one lake.

    Parameters
    ----------
    user
        Stamped on every commit, with what ``running()`` says in the thread that commits.
    """

    def __init__(
        self, root: Folder, catalog: Catalog, schemas: Schemas, states: StateCache, options: Options, user: str
    ) -> None:
        self._root, self._catalog, self._schemas, self._states = root, catalog, schemas, states
        self._options = options
        self.user = user
        self.running: Callable[[], str | None] = _no_run

    def commit(self, txn: Transaction) -> int:
        """Commit and return the commit's id; the first one's, if it is a retry.

        A transaction without changes returns the commit that it was planned on.

        Raises
        ------
        Conflict
            Some requirement does not hold; ``error.transient`` says whether planning again may help.
        """
        try:
            return self._commit(txn)
        except Conflict:
            with self._catalog.read() as session:  # the conflict may be our own first attempt
                done = session.outcome(txn.client_txn)
            if done is None:
                raise
            return done

    def _commit(self, txn: Transaction) -> int:
        if (prepared := self._prepare(txn)) is None:
            return txn.base.commit
        reach("commit.planned")
        checked, not_before, again = txn.base.commit, 0, _RECONNECTIONS
        while True:
            began, rows = self._stage(prepared.changes, not_before)
            reach("commit.staged")
            if prepared.requirements and time.monotonic() - txn.began > _SHORT:
                with self._catalog.read() as session:
                    checked = self._recheck(session, prepared, checked)  # most of it outside the lock
            reach("commit.checked")
            try:
                with self._catalog.locked() as session:
                    done = None if txn.untried else session.outcome(txn.client_txn)
                    txn.untried = False
                    if done is None:
                        self._admit(session, prepared, checked, began)
                        self._claim(session, prepared)
                        done = session.append(
                            txn.client_txn, time.time_ns() // 1000, self.user, self.running(), txn.message, rows
                        )
            except _Restage as restage:
                not_before = restage.swept_before
                continue
            except Disconnected:  # certainly not committed, and what was planned still holds if the re-check says so
                if (again := again - 1) < 0:
                    raise
                continue
            reach("commit.done")
            return done

    # -- outside the lock ------------------------------------------------------------------------------------------
    def _prepare(self, txn: Transaction) -> _Prepared | None:
        """Work out the net changes and check the requirements on the planning snapshot."""
        if not any(txn.log.values()):
            return None
        if txn.schema_commit != self._schemas.known_commit:
            raise SchemaChanged("a table's columns changed meanwhile: plan again")
        try:
            changes = net_changes(txn, self._schemas)
            taken, demands = claims(changes, txn.base)
            read = txn.reads.requirements() if txn.reads else []
            requirements = merged([*txn.requirements, *read, *implied(changes, self._schemas), *demands])
            for requirement in requirements:
                requirement.check(txn.base)
        except Conflict as error:
            if isinstance(error, Expired):
                raise
            raise error.final() from None
        return _Prepared(txn, changes, requirements, taken)

    def _stage(self, changes: Sequence[NetChange], not_before: int) -> tuple[int, list[ChangeRow]]:
        """Encode small changes; write bulk ones to files whose names tell when staging began.

        A clock that was set back since the last sweep would never reach ``swept_before``: hence ``not_before``.
        """
        began, out = max(time.time_ns() // 1000, not_before), []
        for change in changes:
            name, version, rows = change.table.name, change.table.version, change.rows
            bulk = len(rows) > self._options.bulk_rows or (len(rows) > 1 and rows.nbytes > self._options.bulk_bytes)
            if bulk:
                folder = table_folder(self._root, name)
                files = write_files(folder, rows, change.table, self._options, stem=f"s-{began}", order=change.order)
                out.append(ChangeRow(name, change.op, version, len(rows), encode_files(files), staged=True))
                continue
            rows = rows if change.order is None else rows.take(change.order)
            batches = rows.to_batches() if len(rows) == 1 else rows.combine_chunks().to_batches()
            out += [ChangeRow(name, change.op, version, b.num_rows, encode_rows(b)) for b in batches]
        return began, out

    def _recheck(self, session: Session, prepared: _Prepared, above: int) -> int:
        """Hold the requirements against the changes in (above, head]; returns the head."""
        head = session.head()
        if head <= above:
            return above
        self._refuse_other_schema(session, prepared)  # segments of a younger schema cannot be read with the old one
        for table in {r.table for r in prepared.requirements}:
            segments = session.segments(table, above, head, self._schemas.versions(table))
            for requirement in prepared.requirements:
                if requirement.table == table:
                    self._hold(session, prepared, requirement, segments)
        return head

    @staticmethod
    def _refuse_other_schema(session: Session, prepared: _Prepared) -> None:
        if session.meta().schema_commit != prepared.txn.schema_commit:
            raise SchemaChanged("a table's columns changed meanwhile: plan again")

    def _hold(self, session: Session, prepared: _Prepared, requirement: Requirement, segments: list[Segment]) -> None:
        try:
            for segment in segments:
                requirement.recheck(segment, partial(self._states.column, requirement.table))
        except DataLoss as error:  # a staged file may be gone only if the planning snapshot has expired
            if prepared.txn.base.commit < session.meta().oldest_readable:
                raise Expired(f"commit {prepared.txn.base.commit} is no longer readable: plan again") from error
            raise

    # -- under the lock --------------------------------------------------------------------------------------------
    def _admit(self, session: Session, prepared: _Prepared, checked: int, began: int) -> None:
        """Still readable, not swept, same schemas, and the requirements hold up to this very commit."""
        meta = session.meta()
        if prepared.txn.reads_from < meta.oldest_readable:
            raise Expired(f"commit {prepared.txn.reads_from} is no longer readable: plan again")
        self._refuse_other_schema(session, prepared)
        if began < meta.swept_before:
            raise _Restage(meta.swept_before)
        stores = prepared.txn.stores_since
        if stores is not None and stores < meta.swept_before:
            raise Expired("files that this transaction stored may have been swept meanwhile: plan again")
        if prepared.requirements:
            self._recheck(session, prepared, checked)

    def _claim(self, session: Session, prepared: _Prepared) -> None:
        """Take unique values; planning again helps only if their holder came after the planning snapshot."""
        base = prepared.txn.base
        try:
            take(session, prepared.claims, base.moved_to(session.head()))
        except Duplicate as error:
            if any(is_final(claim, base) for claim in prepared.claims):
                raise error.final() from None
            raise


def _no_run() -> str | None:
    return None
