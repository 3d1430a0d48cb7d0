"""One execution of a transform."""

from __future__ import annotations

import datetime as dt

from registries.column import Column, Reference, column, reference
from registries.record import Record

__all__ = ["Run"]


class Run(Record):
    """One execution of a transform; records saved by it refer to it.

    Examples
    --------
    >>> Run(transform="0GhJ9zM3xUq7vWbT0000").outcome is None
    True
    """

    transform: Reference[str] = reference("transform", doc="What was executed.")
    started_at: Column[dt.datetime | None] = column(doc="When it began, UTC.", default=None)
    finished_at: Column[dt.datetime | None] = column(doc="When it ended, UTC.", default=None)
    outcome: Column[str | None] = column(doc="finished, failed or aborted; null while it runs.", default=None)
    host: Column[str | None] = column(doc="Name of the machine.", default=None)
