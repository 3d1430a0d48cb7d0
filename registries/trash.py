"""The trash of artifacts and datasets: there they are seen no more, come back as they were, or are deleted for good."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError
from registries.record import Saved

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.record import Record

__all__ = ["destroyed", "restored", "trashed"]


def trashed(record: Record) -> None:
    """Move a saved record to the trash."""
    _mark(record, dt.datetime.now(dt.UTC))


def restored(record: Record) -> None:
    """Take a record out of the trash."""
    _mark(record, None)


def _mark(record: Record, when: dt.datetime | None) -> None:
    home = record.home_of()
    home.refuse_reading_only()
    if (record.to_row()["deleted_at"] is None) == (when is None):
        return

    def plan(txn: Transaction) -> None:
        before = record.to_row()
        row = before | {"deleted_at": when}
        txn.upsert(record.meta.table, [row], as_read=[before])
        record.settle(Saved(row), home)

    home.change([record], plan)


def destroyed(record: Record, check: Callable[[Transaction], None] | None = None) -> None:
    """Delete the row of a record with its labels, values, sets and members.

    A vacuum frees the bytes of an artifact once no retained commit refers to them; a file that was registered where it
    lies is never touched.

    Parameters
    ----------
    record
        An artifact or a dataset.
    check
        Raises where something else is against it.
    """
    home = record.home_of()
    home.refuse_reading_only()
    table, uid = record.meta.table, record.uid

    def plan(txn: Transaction) -> None:
        if txn.snapshot.get(table, uid) is None:
            raise InputError(f"{record!r} is deleted already")
        if check is not None:
            check(txn)
        for other, column in home.lake.schemas.referring_to(table):
            if other.startswith(f"{table}_") and column == table:  # what belongs to it; other references refuse
                mine: list[Any] = txn.snapshot.lookup(other, column, [uid])["uid"].to_pylist()
                if mine:
                    txn.delete(other, mine)
        txn.delete(table, [uid])
        record.forget_row()

    home.change([record], plan)
