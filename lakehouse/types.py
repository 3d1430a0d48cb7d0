"""Small types that several storeys share."""

from __future__ import annotations

import os
from typing import Protocol, TypeAlias

__all__ = ["Progress", "StrPath"]

StrPath: TypeAlias = str | os.PathLike[str]
"""A path in a local file system, as the standard library takes it."""


class Progress(Protocol):
    """What is called now and then while something long runs.

    It is called from the thread that does the work, so it should return quickly; what it raises ends the work.

    Examples
    --------
    >>> seen = []
    >>> def note(done: int, total: int | None) -> None:
    ...     seen.append((done, total))
    >>> callback: Progress = note
    >>> callback(512, 1024)
    >>> seen
    [(512, 1024)]
    """

    def __call__(self, done: int, total: int | None) -> None:
        """Report that ``done`` units (bytes or rows) of ``total`` are done; ``None`` where the total is unknown."""
