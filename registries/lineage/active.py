"""Which run is under way: in a thread or task, in this process, or in the program that started it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["VARIABLE", "Active", "around", "begin", "current", "end", "inside", "outside", "pop", "push", "tracked"]

VARIABLE: Final = "LAKEHOUSE_RUN"
"""Variable of the environment by which a program tells those that it starts which run they belong to."""


@dataclass(eq=False)
class Active:
    """A run that is under way.

    Attributes
    ----------
    home
        Its instance.
    uid
        Its uid.
    parent
        What it is a part of.
    loose
        Whether its row is still to be committed.
    placed
        Whether its parent is the one of its thread or task; else it was taken from elsewhere in the process.
    alive
        Whether it is still under way.
    passed
        Whether data came from the run around it.
    joined
        Whether its row stands in a transaction that is open.
    reads
        The uids of the artifacts that it read.
    row
        Its row as it is now; empty where somebody else keeps it.
    before
        What the environment said before it began.
    """

    home: Instance
    uid: str
    parent: Active | None = None
    loose: bool = False
    placed: bool = True
    alive: bool = True
    passed: bool = False
    joined: bool = False
    reads: set[str] = field(default_factory=set)
    row: dict[str, Any] = field(default_factory=dict)
    before: str | None = None

    def chain(self) -> Iterator[Active]:
        """Yield the run and those around it."""
        found: Active | None = self
        while found is not None:
            yield found
            found = found.parent


class _Nothing:
    """Stands in a context for no run at all, whatever the process is about."""


_context: ContextVar[Active | _Nothing | None] = ContextVar("lakehouse_run", default=None)
# Replaced in one step: a lock might be held by another thread when a process forks.
_tracked: list[Active] = []
_open: dict[int, Active] = {}


def current(home: Instance) -> Active | None:
    """Return the run that what is saved and read now belongs to."""
    found = _context.get()
    if isinstance(found, _Nothing):
        return None
    if found is not None and found.alive and found.home is home:
        return found
    return tracked(home)


def tracked(home: Instance) -> Active | None:
    """Return the run of the whole process, or of the program that started it."""
    for one in reversed(_tracked):
        if one.home is home and one.alive:
            return one
    uid = os.environ.get(VARIABLE)
    return _of_environment(home, uid) if uid else None


def _of_environment(home: Instance, uid: str) -> Active | None:
    told = home.tracking.told
    if uid not in told:
        told[uid] = None  # what is asked below asks for the run, too
        row = home.snapshot().get("run", uid)
        told[uid] = Active(home, uid) if row is not None else None
    return told[uid]


def around(home: Instance) -> tuple[Active | None, bool]:
    """Return the run that a step which begins now is a part of, and whether its own thread or task says so.

    A thread that was started without a context takes the one run that was begun with one; where there are several,
    what they are all parts of.
    """
    found = _context.get()
    if isinstance(found, Active) and found.alive and found.home is home:
        return found, True
    begun = [one for one in list(_open.values()) if one.home is home and one.placed and one.alive]
    inner = {id(one.parent) for one in begun}
    leaves = [one for one in begun if id(one) not in inner]
    if len(leaves) == 1:
        return leaves[0], False
    if leaves:
        shared = [one for one in leaves[0].chain() if all(one in leaf.chain() for leaf in leaves[1:])]
        if shared:
            return shared[0], False
    return tracked(home), True


@contextmanager
def inside(active: Active) -> Iterator[Active]:
    """Let what the block saves and reads belong to a run."""
    token = _context.set(active)
    try:
        yield active
    finally:
        _context.reset(token)


@contextmanager
def outside() -> Iterator[None]:
    """Let what the block saves belong to no run."""
    token = _context.set(_Nothing())
    try:
        yield
    finally:
        _context.reset(token)


def begin(active: Active) -> None:
    """Let threads without a context find a run that was begun in one."""
    _open[id(active)] = active


def end(active: Active) -> None:
    """Be told that a run has ended."""
    active.alive = False
    _open.pop(id(active), None)


def push(active: Active) -> None:
    """Let what follows belong to a run: in this thread or task, and from the main thread in the whole process.

    The programs that it starts are told, too. Other threads than the main one speak for themselves alone.
    """
    _context.set(active)
    if threading.current_thread() is threading.main_thread():
        active.before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = active.uid
        _tracked.append(active)


def pop(active: Active) -> None:
    """End what :func:`push` began."""
    end(active)
    if _context.get() is active:
        _context.set(active.parent if active.parent is not None and active.parent.alive else None)
    if active in _tracked:
        _tracked.remove(active)
    if os.environ.get(VARIABLE) == active.uid:
        if active.before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = active.before
