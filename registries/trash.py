"""The trash of artifacts: moved there they are seen no more, come back as they were, or are deleted for good."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError
from registries.record import Saved

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.stored import Stored

__all__ = ["destroyed", "restored", "trashed"]

_log = logging.getLogger("lakehouse")


def trashed(artifact: Stored) -> None:
    """Move a saved artifact to the trash."""
    _mark(artifact, dt.datetime.now(dt.UTC))


def restored(artifact: Stored) -> None:
    """Take an artifact out of the trash."""
    _mark(artifact, None)


def _mark(artifact: Stored, when: dt.datetime | None) -> None:
    home = artifact.home_of()
    home.refuse_reading_only()
    if (artifact.deleted_at is None) == (when is None):
        return

    def plan(txn: Transaction) -> None:
        before = artifact.to_row()
        row = before | {"deleted_at": when}
        txn.upsert(artifact.meta.table, [row], as_read=[before])
        artifact.settle(Saved(row), home)

    home.change([artifact], plan)


def destroyed(artifact: Stored) -> None:
    """Delete the row of an artifact with its labels, values and sets.

    A vacuum frees the bytes once no retained commit refers to them; a file that was registered where it lies is
    never touched.
    """
    home = artifact.home_of()
    home.refuse_reading_only()
    table, uid = artifact.meta.table, artifact.uid

    def plan(txn: Transaction) -> None:
        if txn.snapshot.get(table, uid) is None:
            raise InputError(f"{artifact!r} is deleted already")
        for other, column in home.lake.schemas.referring_to(table):
            if other.startswith(f"{table}_") and column == table:  # what belongs to it; other references refuse
                mine: list[Any] = txn.snapshot.lookup(other, column, [uid])["uid"].to_pylist()
                if mine:
                    txn.delete(other, mine)
        txn.delete(table, [uid])
        artifact.forget_row()

    home.change([artifact], plan)
