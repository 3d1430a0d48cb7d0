"""Which instance a registry speaks to, and which registries there are.

The current instance is one per process, not per thread or context: a worker thread that was started after
``lh.connect`` must see what its parent connected to, which a context variable would not give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.errors import InstanceNotFound, UnknownField, did_you_mean

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["REGISTRIES", "current", "current_or_none", "registry_of", "set_current"]

REGISTRIES: dict[str, type[Record]] = {}
"""Every declared registry by the name of its table, in the order of declaration."""

# A list of none or one, replaced in one step: a lock might be held by another thread when a process forks.
_current: list[Instance] = []


def current_or_none() -> Instance | None:
    """Return the instance that ``lh.Artifact`` and its like speak to, or None."""
    return next(iter(_current), None)


def current() -> Instance:
    """Return the instance that ``lh.Artifact`` and its like speak to.

    Raises
    ------
    InstanceNotFound
        When none is connected.
    """
    found = current_or_none()
    if found is None:
        raise InstanceNotFound(
            "no instance is connected: lh.init('./mylake') makes one, lh.connect('./mylake') opens one that exists, and "
            "lh.connect() the nearest one (LAKEHOUSE_INSTANCE, or that of this folder)"
        )
    return found


def set_current(instance: Instance | None) -> Instance | None:
    """Make an instance the current one, and return the one before it."""
    before = current_or_none()
    _current[:] = [] if instance is None else [instance]
    return before


def registry_of(table: str) -> type[Record]:
    """Return the registry whose rows are kept in ``table``."""
    try:
        return REGISTRIES[table]
    except KeyError:
        raise UnknownField(f"no registry is called {table!r}{did_you_mean(table, REGISTRIES)}") from None
