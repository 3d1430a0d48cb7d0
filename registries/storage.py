"""Where bytes lie."""

from __future__ import annotations

from registries.column import Column, column
from registries.record import Record

__all__ = ["Storage"]


class Storage(Record, natural=("root",)):
    """A root under which artifacts lie."""

    root: Column[str] = column(
        doc="Folder or URL; relative to the instance where it lies inside, so that a moved instance stays whole.",
        unique=True,
    )
    kind: Column[str] = column(doc="Protocol: file, memory, s3, ...", default="file")
    description: Column[str | None] = column(doc="What is kept there.", default=None)
