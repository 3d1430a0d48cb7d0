"""The instance that a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse import api
from lakehouse.cli.screen import Screen
from registries.instance import Instance

__all__ = ["moment", "opened"]


@contextmanager
def opened(
    screen: Screen, root: str | os.PathLike[str] | None = None, *, read_only: bool = False
) -> Iterator[Instance]:
    """Open an instance for the time of a command: a named one, else what ``--instance`` or the surroundings name."""
    instance = api.connect(screen.options.instance if root is None else root, read_only=read_only)
    try:
        yield instance
    finally:
        api.disconnect()


def moment(text: str | None) -> int | str | None:
    """Return what ``--at`` and its like mean: a commit's number, or else a time or the name of a tag.

    Examples
    --------
    >>> moment("7"), moment("2026-01-31"), moment("paper-v1")
    (7, '2026-01-31', 'paper-v1')
    """
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else text
