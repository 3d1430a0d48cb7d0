"""A process that looks at files once more, while this one goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, TypeAlias

from registries.ingest import looking
from registries.ingest.looking import written_to

__all__ = ["Lookout", "Times"]

_MANY = 8_000
"""Files from which on another process is asked."""
Times: TypeAlias = tuple[list[str], list[int], list[int], list[int]]
"""Paths of files with the size, the time of change and the time of the entry of each, as they were read."""


class Lookout:
    """Looks at files once more: many in a process of its own, which starts at the first ask and ends with the block.

    Examples
    --------
    >>> with Lookout() as lookout:
    ...     rows = lookout.ask((["/no/such/file"], [1], [1], [1]))
    ...     rows()
    [0]
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._number, self._is_owed = 0, False
        self._refused = bool(getattr(sys, "frozen", False)) or not sys.executable  # there is no interpreter to start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, times: Times) -> Callable[[], list[int]]:
        """Begin to look, and return what gives the rows of the files that are gone or were written to.

        An answer that nobody came back for is passed over when the next ask begins: a plan may be run again.
        """
        self._number += 1
        if len(times[0]) < _MANY or not self._asked(times):
            return lambda: written_to(*times)
        number = self._number
        return lambda: self._told(times, number)

    def _asked(self, times: Times) -> bool:
        try:
            if self._process is None and not self._refused:
                self._process = _started()
            if self._process is None:
                return False
            if self._is_owed and self._answer() is None:
                raise BrokenPipeError
            looking.ask(_pipe(self._process.stdin), *times)
            self._is_owed = True
        except (
            OSError,
            ValueError,
            OverflowError,
        ):  # it cannot be started, or is dead; or what is asked cannot be sent
            self._end()
            return False
        return True

    def _told(self, times: Times, number: int) -> list[int]:
        """Return the answer to the ask of a number; where there is none, or no longer, look here."""
        if number == self._number and self._is_owed:
            if (rows := self._answer()) is not None:
                return rows
            self._end()
        return written_to(*times)

    def _answer(self) -> list[int] | None:
        """Return the answer that is owed; None where it died."""
        self._is_owed = False
        with suppress(OSError):
            return None if self._process is None else looking.told(_pipe(self._process.stdout))
        return None

    def _end(self) -> None:
        process, self._process, self._refused = self._process, None, True
        if process is not None:
            process.kill()  # it has nothing to lose
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    _pipe(pipe).close()
            process.wait()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", looking.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # an interruption at the terminal is for the one who asks
    )


def _pipe(pipe: Any) -> Any:
    assert pipe is not None
    return pipe
