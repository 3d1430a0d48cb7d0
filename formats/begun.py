"""What was begun in a store and can be gone on with: kept on this machine, for this user alone.

Who knows the address of an upload can go on with it, as with a key: it is written to no log and no message.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Begun"]

_FORGOTTEN = 7 * 86_400.0
"""Seconds after which stores forget."""

if sys.platform == "win32":  # pragma: no cover - no Windows machine in CI

    def _is_free(_fd: int) -> bool:
        return True

else:
    import fcntl

    def _is_free(fd: int) -> bool:
        """Take the lock of a file, which ends with the process that holds it; False when another has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


class Begun:
    """A note of one thing that was begun, which one process at a time goes on with; the others begin anew.

    A folder that cannot be written is no reason to fail: then nothing is noted.

    Parameters
    ----------
    folder
        Where notes are kept; made when it is needed.
    name
        What was begun.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Begun(folder, "gs://bucket/x") as begun:
    ...     begun.note("https://...")
    >>> with Begun(folder, "gs://bucket/x") as begun:
    ...     begun.read()
    'https://...'
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / hashlib.blake2b(os.fsencode(name), digest_size=20).hexdigest()
        self._fd: int | None = None

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            if _is_free(fd):
                self._fd = fd
            else:
                os.close(fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def read(self) -> str:
        """Return what was noted; empty where nothing was."""
        if self._fd is None:
            return ""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return os.read(self._fd, 1 << 16).decode("utf-8", "replace")

    def note(self, text: str) -> None:
        """Note something in place of what was noted."""
        if self._fd is not None:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
                os.lseek(self._fd, 0, os.SEEK_SET)
                os.write(self._fd, text.encode())

    def ended(self) -> None:
        """Forget it: it ended, or was given up."""
        if self._fd is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for found in self._path.parent.iterdir():
            with suppress(FileNotFoundError):  # another process does the same
                if found.stat().st_mtime < time.time() - _FORGOTTEN:
                    found.unlink()
