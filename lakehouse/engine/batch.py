"""Batches: many small saves, gathered in groups that are one commit each."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from lakehouse.engine.options import Options
from lakehouse.engine.transaction import Transaction
from lakehouse.errors import Conflict, InputError, LakehouseError, OutcomeUnknown, Unavailable, shown

__all__ = ["Batch", "Settled"]

T = TypeVar("T")
Plan: TypeAlias = Callable[[Transaction], object]
Settled: TypeAlias = Callable[[Plan, Exception | None], None]
"""Is told of a plan that is committed (None) or given up (the error)."""


class _Writing(Protocol):
    """What a batch needs of a lake."""

    options: Options

    def begin(self, *, message: str = "") -> Transaction: ...
    def commit(self, txn: Transaction) -> int: ...
    def joined(self, txn: Transaction) -> AbstractContextManager[None]: ...


@dataclass
class _Group:
    """Saves that are to be one commit."""

    txn: Transaction | None = None
    """What they were planned in; None when they have to be planned anew."""
    units: list[list[Plan]] = field(default_factory=list)
    """The plans of each save."""
    attempts: int = 0
    began: float = field(default_factory=time.monotonic)


class Batch:
    """The saves of one ``with lake.batch()``, in one thread; see ``Lake.batch`` for what it promises.

    The groups that wait are a list to work off, so that whatever interrupts a commit leaves it as it was: a
    transaction that is committed again under its name returns its first outcome.
    """

    def __init__(self, writing: _Writing, *, every: int, seconds: float, message: str, settled: Settled | None) -> None:
        _check(every, seconds)
        self._writing, self._every, self._seconds, self._message = writing, every, seconds, message
        self._settled: Settled = settled or _nobody
        self._open: _Group | None = None
        self._waiting: list[_Group] = []
        self._lost: list[Exception] = []
        self._failed: Exception | None = None
        self._saving = False
        self._pid = os.getpid()

    @property
    def gathering(self) -> Transaction | None:
        """The transaction of the group that is being gathered, if there is one."""
        return self._open.txn if self._open is not None else None

    # -- saving ----------------------------------------------------------------------------------------------------
    def run(self, plan: Callable[[Transaction], T]) -> T:
        """Run a plan as one save."""
        with self.unit() as txn, self._writing.joined(txn):
            return txn.run(plan)

    @contextmanager
    def unit(self) -> Iterator[Transaction]:
        """Make one save of what the block does; its exception takes that back and nothing else."""
        self._raise()
        if self._waiting:  # their commit failed, and what comes now may build on them
            self._work_off()
        group = self._open = self._open or _Group(self._writing.begin(message=self._message))
        txn = group.txn
        assert txn is not None
        mark, self._saving = len(txn.plans), True
        try:
            with txn.savepoint():
                yield txn
        except BaseException:
            self._open = group if group.units else None
            raise
        finally:
            self._saving = False
        group.units.append(txn.plans[mark:])
        if not txn.replayable:
            self._commit_unrepeatable(group)
        elif len(group.units) >= self._every or time.monotonic() - group.began >= self._seconds:
            try:
                self._commit()
            except LakehouseError as error:  # this save is not to blame: the next one says so
                self._failed = error

    def flush(self) -> None:
        """Commit what was saved so far; it is durable on return.

        Raises
        ------
        InputError
            Inside a transaction, half of which would be durable.
        Conflict
            When a save could not be carried out after another writer's; the others are committed.
        """
        if self._saving:
            raise InputError("flush() inside a transaction would commit half of it: flush the batch after its block")
        self._commit()
        self._raise()

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Commit what is left when the block ends, also by an exception; a forked child leaves it to its parent."""
        try:
            yield
        except BaseException as error:
            if self._pid == os.getpid():
                self._commit_beside(error)
            raise
        if self._pid == os.getpid():
            self.flush()

    # -- committing ------------------------------------------------------------------------------------------------
    def _commit(self) -> None:
        if self._open is not None:
            self._waiting.append(self._open)
            self._open = None
        self._work_off()

    def _commit_beside(self, error: BaseException) -> None:
        """Commit while another exception is under way, which stays the one that is raised."""
        try:
            self.flush()
        except LakehouseError as late:
            error.add_note(f"beside this, saves of the batch were not committed: {late}")

    def _commit_unrepeatable(self, group: _Group) -> None:
        """Commit a group at once whose last save made changes by hand: only its own failure is raised by it.

        A save that was refused is not part of the group any more; one whose outcome is unknown waits to be asked for
        again, and nothing more is added to its transaction.
        """
        assert group.txn is not None
        self._open = None
        self._waiting.append(group)
        try:
            self._writing.commit(group.txn)
        except OutcomeUnknown:
            raise
        except LakehouseError as error:
            self._waiting[-1] = _Group(units=group.units[:-1])
            if isinstance(error, Conflict):
                self._work_off()
            raise
        self._waiting.pop()
        self._tell(group.units, None)

    def _work_off(self) -> None:
        """Commit what waits, in order."""
        while self._waiting:
            group = self._waiting[0]
            try:
                if group.txn is None:
                    self._plan(group)
                assert group.txn is not None
                self._writing.commit(group.txn)
            except Conflict as error:
                self._waiting[:1] = self._after(group, error)
            else:
                self._waiting.pop(0)
                self._tell(group.units, None)

    def _plan(self, group: _Group) -> None:
        """Plan a group anew; a save that cannot be is given up."""
        txn = self._writing.begin(message=self._message)
        with self._writing.joined(txn):
            for unit in list(group.units):
                try:
                    with txn.savepoint():
                        for plan in unit:
                            txn.run(plan)
                except Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001  it is raised by the next save
                    group.units.remove(unit)
                    self._give_up(unit, error)
        group.txn = txn

    def _after(self, group: _Group, error: Conflict) -> list[_Group]:
        """Return what comes of a group that met a conflict: the same anew, its halves, or nothing."""
        units, half = group.units, len(group.units) // 2
        if error.transient and group.attempts < self._writing.options.attempts:
            time.sleep(random.uniform(0, min(0.0005 * 2**group.attempts, 0.05)) if group.attempts else 0)
            return [_Group(units=units, attempts=group.attempts + 1)]
        if len(units) > 1:
            return [_Group(units=units[:half]), _Group(units=units[half:])]
        self._give_up(units[0], error)
        return []

    def _give_up(self, unit: list[Plan], error: Exception) -> None:
        self._lost.append(error)
        self._tell([unit], error)

    def _tell(self, units: list[list[Plan]], error: Exception | None) -> None:
        for unit in units:
            for plan in unit:
                self._settled(plan, error)

    def _raise(self) -> None:
        """Raise what befell earlier saves, once."""
        failed, self._failed = self._failed, None
        lost, self._lost = self._lost, []
        if lost:
            note = "An earlier save of the batch was given up because of this; those around it are committed."
            others = "".join(f"\nSo was another: {error}" for error in lost[1:4])
            more = f"\nAnd {len(lost) - 4} more." if len(lost) > 4 else ""
            lost[0].add_note(note + others + more)
            raise lost[0]
        if failed is not None:
            failed.add_note("Earlier saves of the batch are not committed yet; the end of the batch tries again.")
            raise failed


def _nobody(plan: Plan, error: Exception | None) -> None:
    """Stand for one who wants to be told."""


def _check(every: object, seconds: object) -> None:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise InputError(f"every={shown(every)}: a whole number of saves from 1 is accepted")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds >= 0:
        raise InputError(f"seconds={shown(seconds)}: a number of seconds from 0 is accepted")
