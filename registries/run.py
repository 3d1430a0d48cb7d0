"""One execution of a transform."""

from __future__ import annotations

import datetime as dt

from registries.annotate import Labels
from registries.column import Column, Reference, column, reference
from registries.features import Features
from registries.label import ULabel
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

    @property
    def labels(self) -> Labels:
        """The labels that it carries."""
        return Labels(self)

    @property
    def ulabels(self) -> Labels:
        """The universal labels that it carries."""
        return Labels(self, ULabel)

    @property
    def features(self) -> Features:
        """The values of features, such as parameters."""
        return Features(self)
