"""How this process ends: whatever is tracked still is finished then, as failed where an exception ended it."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import traceback
import weakref
from types import TracebackType
from typing import Any, Final, NoReturn, Protocol

from registries.lineage.notebook import shell
from registries.lineage.secrets import without_secrets

__all__ = ["outcome_of", "text_of", "watch"]

_LONGEST: Final = 20_000


class Ending(Protocol):
    """What is to be told when the process ends."""

    def close(self, error: BaseException | None = None) -> None:
        """Finish what is under way."""
        ...


class _Watch:
    """The hooks of this process, set once."""

    def __init__(self) -> None:
        self.told: weakref.WeakSet[Any] = weakref.WeakSet()
        self.error: BaseException | None = None
        self.set_in: int | None = None

    def set(self) -> None:
        if self.set_in == os.getpid():
            return
        first, self.set_in = self.set_in is None, os.getpid()
        if not first:  # the hooks came with the fork
            self._watch_child()
            return
        self._hook, self._exit = sys.excepthook, sys.exit
        sys.excepthook, sys.exit = self._failed, self._exited
        atexit.register(self._end)
        if (ipython := shell()) is not None:
            ipython.events.register("post_run_cell", self._cell_ended)

    def _watch_child(self) -> None:
        """Be told of the end of a forked worker: up to Python 3.12 they end without what is registered at exit."""
        finalize = getattr(sys.modules.get("multiprocessing.util"), "Finalize", None)
        if finalize is not None:
            finalize(None, self._end, exitpriority=0)

    def _failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.error = error
        self._hook(kind, error, trace)

    def _exited(self, status: Any = None, /) -> NoReturn:
        self.error = SystemExit(status)  # nothing else tells how a process ends that exits by itself
        self._exit(status)

    def _cell_ended(self, result: Any) -> None:
        self.error = result.error_before_exec or result.error_in_exec

    def _end(self) -> None:
        if self.set_in != os.getpid():
            return  # a forked child: the runs are its parent's
        for one in list(self.told):
            one.close(self.error)


_watch = _Watch()


def watch(one: Ending) -> None:
    """Let something be told when this process ends."""
    if _watch.set_in != os.getpid():
        _watch.told, _watch.error = weakref.WeakSet(), None  # what was there is the parent's
    _watch.told.add(one)
    _watch.set()


def outcome_of(error: BaseException | None) -> str:
    """Return what a run has come to: finished, failed, or aborted where somebody stopped it.

    Examples
    --------
    >>> outcome_of(None), outcome_of(ValueError()), outcome_of(KeyboardInterrupt()), outcome_of(SystemExit(0))
    ('finished', 'failed', 'aborted', 'finished')
    """
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "finished"
    return "aborted" if isinstance(error, KeyboardInterrupt | asyncio.CancelledError) else "failed"


def text_of(error: BaseException | None) -> str | None:
    """Return the traceback of an exception without secrets, its middle left out where it is long."""
    if outcome_of(error) == "finished" or error is None:
        return None
    text = str(without_secrets(_cut("".join(traceback.format_exception(error)).rstrip(), 4 * _LONGEST)))
    return _cut(text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0"), _LONGEST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}\n…\n{text[-most // 2 :]}"
