"""Writing to an instance: saves as plans, transactions, and what is undone with them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from lakehouse.engine import Batch, Transaction
from lakehouse.errors import Duplicate, InputError, ReferenceMissing, shown
from registries.bulk import is_uniform, plan_one_by_one, plan_records
from registries.lineage.recorder import Pending
from registries.names import check_message
from registries.record import Record

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Writer"]

T = TypeVar("T")
R = TypeVar("R", bound=Record)
_MANY = 1_000
_States: TypeAlias = list[tuple[Record, dict[str, Any]]]


class _Thread(threading.local):
    """What one thread has under way."""

    def __init__(self) -> None:
        self.depth = 0
        self.ensured: set[str] = set()
        self.undo: _States = []
        self.batch: dict[Any, _Gathered] | None = None


@dataclass
class _Gathered:
    """What has to happen once a save of a batch is committed, or given up."""

    before: _States


class Writer:
    """Saves the records of one instance; safe to use from many threads.

    Parameters
    ----------
    home
        The instance.
    """

    def __init__(self, home: Instance) -> None:
        self._home = home
        self._known: dict[str, int] = {}
        self._thread = _Thread()

    def save(self, records: Iterable[R]) -> list[R]:
        """Save records in one commit, all or none, and return them."""
        found: list[R] = _records(records)
        with uncollected(many=len(found) >= _MANY):
            return self._save(found)

    def _save(self, found: list[R]) -> list[R]:
        for record in found:
            record.prepare(self._home)
        before: _States = [(record, record.state()) for record in found]
        try:
            joins = self._thread.depth or self._thread.batch is not None  # what is taken shows in the end only
            if len(found) != 1 or joins or not self._insert(before):
                self.run(lambda txn: self._plan(txn, before), before)
        except BaseException:
            _undo(before)
            raise
        if self._thread.depth:
            self._thread.undo += before
        elif self._thread.batch is None:
            _release(before)
        return found

    def _plan(self, txn: Transaction, before: _States, *, look: bool = True) -> None:
        for record, state in before:  # a plan may run again, on a newer snapshot
            record.go_back(state)
        for group in _by_registry([record for record, _ in before]):
            if is_uniform(group):
                plan_records(txn, self._home, group)
            elif len(group) == 1:
                group[0].settle(group[0].plan_save(txn, self._home, look=look), self._home)
            else:
                plan_one_by_one(txn, self._home, group)

    def _insert(self, before: _States) -> bool:
        """Insert a record that is probably new without looking for it first, which saves a third of the time.

        Returns
        -------
        bool
            False when its name is taken, or it is not of that kind: nothing was done.
        """
        if not before[0][0].is_probably_new:
            return False
        try:
            self.run(lambda txn: self._plan(txn, before, look=False))
        except Duplicate:
            return False
        return True

    def change(self, records: Iterable[Record], plan: Callable[[Transaction], object]) -> None:
        """Run a plan that takes rows over into records; they are as before when it runs again or is undone."""
        before = [(record, record.state()) for record in records]

        def planned(txn: Transaction) -> None:
            _undo(before)
            plan(txn)

        try:
            self.run(planned, before)
        except BaseException:
            _undo(before)
            raise
        if self._thread.depth:
            self._thread.undo += before

    def run(self, plan: Callable[[Transaction], T], before: _States | None = None) -> T:
        """Run a plan in a transaction, or in the one that is open."""
        self._home.refuse_reading_only()
        tracking = self._home.tracking
        pending = None if self._home.gathers else tracking.recorder.take()
        if pending is None:
            return self._run(plan, before)
        try:
            result = self._run(plan, before, pending)
        except ReferenceMissing:  # it may be about what runs left behind, which waits then
            return self._run(plan, before)
        tracking.recorder.settle(pending)
        return result

    @property
    def is_open(self) -> bool:
        """Whether this thread has a transaction or a batch open."""
        return self._thread.depth > 0 or self._thread.batch is not None

    def _run(self, plan: Callable[[Transaction], T], before: _States | None, pending: Pending | None = None) -> T:
        thread, context, tracking = self._thread, copy_context(), self._home.tracking
        gathered, began = _Gathered(before or []), False

        def planned(txn: Transaction) -> T:
            nonlocal began
            again, began = began, True
            thread.ensured = set()
            if pending is not None:  # what a run read becomes durable with what it makes of it
                pending.write(txn, self._home)
            else:
                tracking.recorder.ensure(txn, context.run(lambda: tracking.current))
            return context.run(plan, txn) if again else plan(txn)  # also in the run that was under way then

        if thread.batch is None:
            result = self._home.lake.run(planned)
        else:
            result = self._gather(thread.batch, planned, gathered)
        return result

    def _gather(self, batch: dict[Any, _Gathered], plan: Callable[[Transaction], T], gathered: _Gathered) -> T:
        batch[plan] = gathered
        try:
            return self._home.lake.run(plan)
        except BaseException:
            batch.pop(plan, None)
            raise

    @contextmanager
    def transaction(self, message: str = "", *, serializable: bool = False) -> Iterator[Transaction]:
        """Make one commit of everything that is saved inside; an exception takes all of it back."""
        self._home.refuse_reading_only()
        check_message(message)
        thread = self._thread
        mark = len(thread.undo)
        thread.depth += 1
        try:
            with self._home.lake.transaction(message=message, serializable=serializable) as txn:
                yield txn
        except BaseException:
            _undo(thread.undo[mark:])
            del thread.undo[mark:]
            raise
        finally:
            thread.depth -= 1
            if not thread.depth:
                if thread.batch is None:
                    _release(thread.undo)
                thread.undo = []

    @contextmanager
    def batch(self, *, every: int, seconds: float, message: str) -> Iterator[Batch]:
        """Gather the saves inside in groups, each of them one commit."""
        self._home.refuse_reading_only()
        check_message(message)
        thread = self._thread
        outer = thread.batch
        thread.batch = {} if outer is None else outer
        try:
            with self._home.lake.batch(every=every, seconds=seconds, message=message, settled=self._settled) as batch:
                yield batch
        finally:
            thread.batch = outer

    def _settled(self, plan: object, error: Exception | None) -> None:
        """Let go of what a committed save needed, or take back what a lost one did to its records."""
        gathered = (self._thread.batch or {}).pop(plan, None)
        if gathered is None:
            return
        if error is None:
            _release(gathered.before)
        else:
            _undo(gathered.before)

    def is_new(self, table: str, uid: str, txn: Transaction) -> bool:
        """Return whether a row that every save needs is still to be made; once seen committed it is not looked for again.

        Only from the commit on at which it was seen: a transaction may have begun before another thread made it.
        """
        began, seen = txn.base.commit, self._known.get(table)
        if table in self._thread.ensured or (seen is not None and began >= seen):
            return False
        if txn.base.get(table, uid) is not None:
            self._known[table] = began
            return False
        self._thread.ensured.add(table)
        return txn.snapshot.get(table, uid) is None


@contextmanager
def uncollected(*, many: bool) -> Iterator[None]:
    """Put off the search for cycles while many objects come to be that have none: it would go through them over and over."""
    was = many and gc.isenabled()
    if was:
        gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _by_registry(records: list[Record]) -> list[list[Record]]:
    """Return records by registry: what they refer to is saved already, so that their order across these is free."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.meta.table, []).append(record)
    return list(groups.values())


def _records(given: Any) -> list[Any]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(f"save({shown(given)}): a list of records is accepted")
    return [_record(record) for record in given]


def _record(record: Any) -> Record:
    if not isinstance(record, Record):
        raise InputError(f"save([...{shown(record)}...]): records are accepted, not a {type(record).__name__}")
    return record


def _undo(states: _States) -> None:
    for record, state in reversed(states):
        record.go_back(state)


def _release(states: _States) -> None:
    for record, _ in states:
        record.release()
