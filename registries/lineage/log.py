"""What a run writes to the screen, copied to a file beside."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from registries.lineage.secrets import without_secrets

__all__ = ["ScreenLog"]

_MOST: Final = 20_000_000  # bytes


class _Tee(io.TextIOBase):
    """Writes to two streams; asks the first one for everything else."""

    def __init__(self, screen: Any, log: ScreenLog) -> None:
        self._screen, self._log = screen, log

    def write(self, text: str, /) -> int:
        self._log.add(text)
        written: int = self._screen.write(text)
        return written

    def flush(self) -> None:
        self._screen.flush()

    def isatty(self) -> bool:
        return bool(self._screen.isatty())

    def fileno(self) -> int:
        number: int = self._screen.fileno()
        return number

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the screen."""
        return str(self._screen.encoding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._screen, name)


class ScreenLog:
    """Copies standard output and standard error of this process from now on, without secrets."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="lakehouse-", suffix=".log")
        self.path = Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")
        self._size, self._pid = 0, os.getpid()
        self._screens = sys.stdout, sys.stderr
        self._tees = _Tee(sys.stdout, self), _Tee(sys.stderr, self)
        sys.stdout, sys.stderr = self._tees

    def add(self, text: str) -> None:
        """Keep a text, up to 20 MB in all; what a forked child says is not ours."""
        if self._pid != os.getpid() or self._file.closed or self._size > _MOST:
            return
        self._size += len(text)
        self._file.write(str(without_secrets(text)))
        if self._size > _MOST:
            self._file.write("\n… what came after the first 20 MB was not kept\n")

    def end(self) -> bytes:
        """Give the streams back where they are still ours, and return what was written."""
        if sys.stdout is self._tees[0]:
            sys.stdout = self._screens[0]
        if sys.stderr is self._tees[1]:
            sys.stderr = self._screens[1]
        self._file.close()
        found = self.path.read_bytes()
        self.path.unlink()
        return found
