"""Forking without tearing the catalog: what is made ready before a fork, and what a forked child must not do.

SQLite keeps its file locks in a table per process. A child that inherits open connections inherits that table too, but
none of the locks: it believes that it holds them, the parent's close then takes the write-ahead log away from under
it, and what it commits is lost (seen). So every connection is closed before a fork, when no thread is inside SQLite;
parent and child open new ones when they need them.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import Protocol, Self

__all__ = ["GATE", "HELD", "Gate", "can_publish"]


class _Closable(Protocol):
    def drop_connections(self) -> None:
        """Close every connection that is not in use; the next question opens a new one."""
        ...


class _Relockable(Protocol):
    def after_fork(self) -> None:
        """Replace mutexes: a thread that stayed in the parent may hold them."""
        ...


class Gate:
    """Passed by every thread that uses a catalog; a fork waits until all are out, and keeps others from entering."""

    def __init__(self) -> None:
        self.catalogs: weakref.WeakSet[_Closable] = weakref.WeakSet()
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child does: the threads that were inside stayed in the parent."""
        self._changed = threading.Condition()
        self._inside, self._forking = 0, False
        self._local = threading.local()

    def passed(self) -> Self:
        """Return what is inside for the length of a block; nested blocks are free."""
        return self

    def __enter__(self) -> None:
        depth = getattr(self._local, "depth", 0)
        if not depth:
            with self._changed:
                while self._forking:
                    self._changed.wait()
                self._inside += 1
        self._local.depth = depth + 1

    def __exit__(self, *error: object) -> None:
        depth = getattr(self._local, "depth", 0) - 1  # below zero: in a child that was forked in here, which began anew
        self._local.depth = max(depth, 0)
        if not depth:
            with self._changed:
                self._inside -= 1
                if self._forking:
                    self._changed.notify_all()

    def close(self) -> None:
        """Wait until no other thread is inside, then close all connections."""
        own = 1 if getattr(self._local, "depth", 0) else 0
        with self._changed:
            while self._forking:
                self._changed.wait()
            self._forking = True
            while self._inside > own:
                self._changed.wait()
        for catalog in list(self.catalogs):
            catalog.drop_connections()

    def reopen(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._forking = False
            self._changed.notify_all()


GATE = Gate()
HELD: weakref.WeakSet[_Relockable] = weakref.WeakSet()
"""What has mutexes to be replaced in a forked child."""
_unfit = False


def _in_child() -> None:
    global _unfit
    _unfit = _unfit or "deltalake" in sys.modules
    GATE.reset()
    for item in list(HELD):
        item.after_fork()


def can_publish() -> bool:
    """Whether deltalake works in this process; its threads do not survive a fork, and it panics then."""
    return not _unfit


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=GATE.close, after_in_parent=GATE.reopen, after_in_child=_in_child)
