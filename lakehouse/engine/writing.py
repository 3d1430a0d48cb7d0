"""Changing a lake: transactions, plans that are run again after conflicts, batches and reverts.

Each thread has its own: what a block saves and reads joins the transaction that the block opened in that thread.
"""

from __future__ import annotations

import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lakehouse.engine.at_once import AtOnce
from lakehouse.engine.background import BackgroundPublisher
from lakehouse.engine.batch import Batch, Settled
from lakehouse.engine.catalog import Catalog
from lakehouse.engine.commit import Committer
from lakehouse.engine.history import History
from lakehouse.engine.moments import At
from lakehouse.engine.options import Options
from lakehouse.engine.revert import Reversal
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.transaction import Transaction
from lakehouse.errors import Busy, Conflict, InputError, LakehouseError, ReadOnly

__all__ = ["Writing"]

T = TypeVar("T")
_MOST_RECENT = 8


class Writing(ABC):
    """The acts by which a lake changes."""

    root: Path | str
    options: Options
    read_only: bool
    catalog: Catalog
    schemas: Schemas
    committer: Committer
    history: History
    at_once: AtOnce | None
    _background: BackgroundPublisher

    def __init__(self) -> None:
        self._local, self._pid = threading.local(), os.getpid()
        # what the last transaction read, the next one mostly reads too: then it is had in one session of the catalog
        self._recent: tuple[str, ...] = ()

    @abstractmethod
    def at_commit(self, commit: int) -> Snapshot:
        """Return all tables at a commit that is known to exist."""

    def begin(self, *, client_txn: str | None = None, message: str = "", serializable: bool = False) -> Transaction:
        """Begin a transaction on the head; hand it to :meth:`commit`. See :meth:`transaction` for ``serializable``."""
        if self.read_only:
            raise ReadOnly(f"{self.root} is open for reading only: open it without read_only=True")
        with self.catalog.read(brief=True) as session:
            self.schemas.refresh(session)
            base = self.at_commit(session.head())
            base.fetch(session, self._recent)
            swept = session.meta().swept_before
        return Transaction(base, self.schemas, swept, client_txn=client_txn, message=message, serializable=serializable)

    def commit(self, txn: Transaction) -> int:
        """Commit a transaction and return the commit's id; a retry with the same ``client_txn`` returns the first's."""
        if txn.state == "rolled back":
            raise LakehouseError("this transaction is rolled back: begin a new one")
        if txn.process != os.getpid():  # both would commit under one name, and one of them lose what it added
            raise LakehouseError("this transaction was begun before the process was forked: it is the parent's")
        if self.at_once is not None:
            self.at_once.before()
        done = self.committer.commit(txn)
        txn.state, txn.outcome = "committed", done
        self._recent = txn.base.asked[:_MOST_RECENT]
        if self.at_once is not None:
            self.at_once.after(done)
        self._background.poke()
        return done

    def run(self, plan: Callable[[Transaction], T], *, message: str = "", serializable: bool = False) -> T:
        """Plan and commit; after a conflict plan again on a newer snapshot.

        Parameters
        ----------
        plan
            Gets a transaction, reads and changes through it, and may be called several times. Inside
            ``with lake.transaction()`` it joins that one.
        serializable
            Whether everything that it reads must be the same still when it is committed.

        Raises
        ------
        Conflict
            When planning again cannot help.
        """
        if (txn := self._open_transaction()) is not None:
            _refuse_weaker(txn, serializable=serializable)
            return txn.run(plan)
        if (batch := self._open_batch()) is not None:
            if not serializable:
                return batch.run(plan)
            batch.flush()
        return self._attempt(lambda fresh: fresh.run(plan), message, serializable=serializable)

    def _attempt(self, body: Callable[[Transaction], T], message: str, *, serializable: bool = False) -> T:
        for attempt in range(self.options.attempts):
            txn = self.begin(message=message, serializable=serializable)
            try:
                with self.joined(txn):
                    result = body(txn)
                self.commit(txn)
            except Conflict as error:
                if not error.transient:
                    raise
                time.sleep(random.uniform(0, min(0.0005 * 2**attempt, 0.05)))
                continue
            return result
        raise Busy(f"gave up after {self.options.attempts} conflicts with other writers: try again")

    @contextmanager
    def transaction(self, message: str = "", *, serializable: bool = False) -> Iterator[Transaction]:
        """Commit all that the block does as one; nested blocks are savepoints.

        On a conflict at the end, what was done through :meth:`run` is planned again; other reads of the block are not
        repeated. Inside a batch the block is one of its saves: all or nothing, but durable with its group only; in the
        serialisable mode it is a commit of its own there too.

        Parameters
        ----------
        serializable
            Whether everything that the block reads (rows looked up, tables queried, also through :meth:`sql`) must be
            the same still when it is committed: then all blocks in this mode are as if one had run after the other.
            Without it two blocks may each read what the other one changes (write skew). A block that read outside
            :meth:`run` is not planned again after such a conflict.

        Raises
        ------
        ChangedSinceRead
            In the serialisable mode: what was read has changed since.
        """
        if (outer := self._open_transaction()) is not None:
            _refuse_weaker(outer, serializable=serializable)
            with outer.savepoint():
                yield outer
            return
        if (batch := self._open_batch()) is not None:
            if not serializable:
                with batch.unit() as unit, self.joined(unit):
                    yield unit
                return
            batch.flush()
        txn = self.begin(message=message, serializable=serializable)
        try:
            with self.joined(txn):
                yield txn
        except BaseException:
            txn.state = "rolled back"
            raise
        try:
            self.commit(txn)
        except Conflict as error:
            txn.state = "rolled back"
            if not (error.transient and txn.replayable):
                raise
            plans = list(txn.plans)
            self._attempt(lambda fresh: [fresh.run(plan) for plan in plans], message, serializable=serializable)
            txn.state = "committed"

    @contextmanager
    def joined(self, txn: Transaction) -> Iterator[None]:
        """Let what the block saves and reads be of this transaction."""
        self._local.txn = txn
        try:
            yield
        finally:
            self._local.txn = None

    def _open_transaction(self) -> Transaction | None:
        if self._pid != os.getpid():  # a fork inside a transaction does not inherit it
            self._local, self._pid = threading.local(), os.getpid()
        txn: Transaction | None = getattr(self._local, "txn", None)
        return txn

    def _open_batch(self) -> Batch | None:
        batch: Batch | None = getattr(self._local, "batch", None) if self._pid == os.getpid() else None
        return batch

    def seen_transaction(self) -> Transaction | None:
        """Return the transaction whose writes this thread sees: the open one, or the one that a batch gathers."""
        if (txn := self._open_transaction()) is not None:
            return txn
        batch = self._open_batch()
        return batch.gathering if batch is not None else None

    # -- batches and reverts ---------------------------------------------------------------------------------------
    @contextmanager
    def batch(
        self, *, every: int = 100, seconds: float = 1.0, message: str = "", settled: Settled | None = None
    ) -> Iterator[Batch]:
        """Gather the saves of the block in groups, each of them one commit; for loops of many small saves.

        A save (a :meth:`run`, or a ``with lake.transaction()``) is planned at once and seen by the reads of this
        thread. It is durable, and seen by others, with the commit of its group: after ``every`` saves, with the first
        save that ends ``seconds`` after the group began, on ``batch.flush()``, and when the block ends, also by an
        exception. Each save is all or nothing: one that raises leaves nothing, those before it are committed. A crash
        leaves whole groups, and so the first saves of the block, up to some one. When another writer came in between,
        the saves are planned again; one that cannot be carried out then is left out without the others, and its error
        is raised by the save after it or at the end of the block.

        A transaction, by contrast, is one commit of all its saves or of none.

        Parameters
        ----------
        every
            Saves in a group.
        seconds
            The age of a group, looked at after each save, at which it is committed.
        message
            Kept with each commit; those of transactions inside are not.
        settled
            Is told of each plan once it is committed (with None), or given up (with the error).

        Raises
        ------
        InputError
            Inside a transaction, which is one commit.
        """
        if self._open_transaction() is not None:
            raise InputError("a batch makes several commits, and the transaction around it is one: leave that first")
        if (outer := self._open_batch()) is not None:
            yield outer
            outer.flush()
            return
        batch = self._local.batch = Batch(self, every=every, seconds=seconds, message=message, settled=settled)
        try:
            with batch.ending():
                yield batch
        finally:
            self._local.batch = None

    def flush_batch(self) -> None:
        """Commit what a batch of this thread holds, if there is one."""
        if (batch := self._open_batch()) is not None:
            batch.flush()

    def revert(self, at: At, *, message: str = "", kept: Collection[str] = ()) -> int:
        """Undo one commit by another, and return that one's id; a revert can be reverted.

        Parameters
        ----------
        at
            The commit to undo.
        message
            Kept with the new commit; default: which commit it undoes.
        kept
            Tables whose inserted rows stay.

        Raises
        ------
        Conflict
            When something later depends on it: a row that it touched was changed since (``ChangedSinceRead``), is
            referred to (``StillReferenced``), refers to what is gone (``ReferenceMissing``), or its unique value or
            key is taken by another (``Duplicate``).
        Expired
            When its changes are no longer retained.
        """
        if self._open_transaction() is not None:
            raise InputError("a revert is a commit of its own: leave the transaction first")
        self.flush_batch()
        reversal = Reversal.of(self.history, self.at_commit(0), at, kept)
        try:
            return self._attempt(reversal.run, message or reversal.message).outcome
        except Conflict as error:
            raise reversal.told(error) from error


def _refuse_weaker(outer: Transaction, *, serializable: bool) -> None:
    if serializable and outer.reads is None:
        raise InputError("the transaction around this one is not serialisable: ask for it there")
