"""Writing to an instance: saves as plans, transactions, and what is undone with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.engine import Transaction
from lakehouse.errors import Duplicate, InputError, shown
from registries.names import check_message
from registries.record import Record

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Writer"]

T = TypeVar("T")
R = TypeVar("R", bound=Record)
_States = list[tuple[Record, dict[str, Any]]]


class _Thread(threading.local):
    """What one thread has under way."""

    def __init__(self) -> None:
        self.depth = 0
        self.ensured: set[str] = set()
        self.undo: _States = []


class Writer:
    """Saves the records of one instance; safe to use from many threads.

    Parameters
    ----------
    home
        The instance.
    """

    def __init__(self, home: Instance) -> None:
        self._home = home
        self._known: set[str] = set()
        self._thread = _Thread()

    def save(self, records: Iterable[R]) -> list[R]:
        """Save records in one commit, all or none, and return them."""
        found = _records(records)
        for record in found:
            record.prepare(self._home)
        before = [(record, record.state()) for record in found]
        try:
            if len(found) != 1 or self._thread.depth or not self._insert(before):
                self.run(lambda txn: self._plan(txn, before))
        except BaseException:
            _undo(before)
            raise
        if self._thread.depth:
            self._thread.undo += before
        else:
            _release(before)
        return found  # type: ignore[return-value]

    def _plan(self, txn: Transaction, before: _States, *, look: bool = True) -> None:
        for record, state in before:  # a plan may run again, on a newer snapshot
            record.restore(state)
        for record, _ in before:
            record.settle(record.plan_save(txn, self._home, look=look), self._home)

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

    def run(self, plan: Callable[[Transaction], T]) -> T:
        """Run a plan in a transaction, or in the one that is open."""
        self._home.refuse_reading_only()
        thread = self._thread

        def planned(txn: Transaction) -> T:
            thread.ensured = set()
            return plan(txn)

        result = self._home.lake.run(planned)
        if not thread.depth:  # inside an open transaction the rows may still be rolled back
            self._known |= thread.ensured
        return result

    @contextmanager
    def transaction(self, message: str = "") -> Iterator[Transaction]:
        """Make one commit of everything that is saved inside; an exception takes all of it back."""
        self._home.refuse_reading_only()
        check_message(message)
        thread = self._thread
        mark = len(thread.undo)
        thread.depth += 1
        try:
            with self._home.lake.transaction(message=message) as txn:
                yield txn
        except BaseException:
            _undo(thread.undo[mark:])
            del thread.undo[mark:]
            raise
        finally:
            thread.depth -= 1
            if not thread.depth:
                _release(thread.undo)
                thread.undo = []

    def is_new(self, table: str, uid: str, txn: Transaction) -> bool:
        """Return whether a row that every save needs is still to be made; once committed it is not looked for again."""
        if table in self._known or table in self._thread.ensured:
            return False
        self._thread.ensured.add(table)
        return txn.snapshot.get(table, uid) is None


def _records(given: Any) -> list[Record]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(f"save({shown(given)}): a list of records is accepted")
    return [_record(record) for record in given]


def _record(record: Any) -> Record:
    if not isinstance(record, Record):
        raise InputError(f"save([...{shown(record)}...]): records are accepted, not a {type(record).__name__}")
    return record


def _undo(states: _States) -> None:
    for record, state in reversed(states):
        record.restore(state)


def _release(states: _States) -> None:
    for record, _ in states:
        record.release()
