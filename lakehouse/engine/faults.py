"""Named places where a process may die or stall, so that tests can make it do so.

Every place calls :func:`reach` with its name. In production that is one comparison; a test installs a hook that
kills, stalls or raises. Names that start with ``lock.`` are passed while the head lock is held.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["POINTS", "install", "reach"]

POINTS = frozenset(
    {
        "commit.planned",
        "commit.staged",
        "commit.checked",
        "commit.done",
        "lock.taken",
        "lock.mid_append",
        "lock.before_commit",
        "file.before_fsync",
        "publish.leased",
        "publish.created",
        "publish.before_delta",
        "publish.after_delta",
        "publish.log_synced",
        "publish.ratified",
        "publish.before_head",
        "lock.head_replaced",
        "compact.leased",
        "compact.written",
        "compact.intended",
        "compact.after_delta",
        "compact.log_synced",
        "compact.ratified",
        "recover.classified",
        "recover.synced",
        "recover.adopted",
        "vacuum.leased",
        "vacuum.horizon",
        "vacuum.unlink",
        "restore.realigned",
        "restore.before_put",
        "restore.put",
    }
)
"""Every fault point of the engine."""

_hook: Callable[[str], None] | None = None


def reach(name: str) -> None:
    """Pass a fault point."""
    if _hook is not None:
        _hook(name)


def install(hook: Callable[[str], None] | None) -> None:
    """Call ``hook`` with the name of every fault point that is passed; ``None`` removes it."""
    global _hook
    _hook = hook
