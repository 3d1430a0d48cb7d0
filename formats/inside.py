"""Opening a file below a folder so that no link leads out of it, not even one that appears while we look."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

from lakehouse.errors import InvalidKey, shown

__all__ = ["open_inside"]


def open_inside(root: Path, inside: PurePath) -> int:
    """Open a path that was just resolved, refusing a link that somebody put in its way since.

    Parameters
    ----------
    root
        A folder without links on the way to it.
    inside
        A path relative to it, without links.

    Returns
    -------
    int
        A descriptor to read from.

    Raises
    ------
    InvalidKey
        It is not a regular file.
    OSError
        A link is in the way, or nothing is there.
    """
    if os.open not in os.supports_dir_fd:
        return os.open(root / inside, os.O_RDONLY)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in inside.parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        # without O_NONBLOCK a named pipe would wait for its writer for ever
        fd = os.open(inside.parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidKey(f"{shown(str(root / inside))} is not a regular file")
    return fd
