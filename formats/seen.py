"""What a stat tells of a file or folder: enough to know that nobody wrote to it since."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from formats.folders import files_in

__all__ = ["Seen", "seen", "seen_file"]


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a file or folder at one moment."""

    n_files: int
    """1 for a file; 0 where there is nothing."""

    size: int
    """Bytes of all files."""

    youngest: int
    """When one was written to, renamed, or changed in its rights last: nanoseconds since 1970."""


def seen_file(found: os.stat_result) -> Seen:
    """Return the state that a stat of a file tells; a time that was set by hand does not hide when that was."""
    return Seen(1, found.st_size, max(found.st_mtime_ns, found.st_ctime_ns))


def seen(path: Path) -> Seen:
    """Return the state of a file or folder, at the price of one stat per file.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a")
    >>> before, _ = seen(path), path.write_bytes(b"1")
    >>> before.n_files, seen(path).size
    (0, 1)
    """
    try:
        found = os.stat(path)  # noqa: PTH116  the one stat that reading costs
    except FileNotFoundError:
        return Seen(0, 0, 0)
    if not stat.S_ISDIR(found.st_mode):
        return seen_file(found)
    states = [seen_file(one) for _, one in files_in(Path(os.path.realpath(path)))]
    return Seen(len(states), sum(one.size for one in states), max((one.youngest for one in states), default=0))
