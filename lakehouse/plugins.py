"""Plug-ins: what installed packages add under the entry-point groups of this one.

A package offers a format or a registry by naming it in its metadata::

    [project.entry-points."lakehouse.formats"]
    loom = "my_package.loom:LoomFormat"

Nothing of a plug-in is imported until it is asked for by name. Installed metadata is read once per process.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from lakehouse.errors import ConfigurationError, did_you_mean, shown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["FORMATS", "GROUPS", "REGISTRIES", "forget", "load", "load_all", "names"]

FORMATS: Final = "lakehouse.formats"
"""The group of format classes."""

REGISTRIES: Final = "lakehouse.registries"
"""The group of registry classes."""

GROUPS: Final = (FORMATS, REGISTRIES)
"""All groups that are looked at."""


def names(group: str) -> tuple[str, ...]:
    """Return the names that installed packages offer under ``group``, sorted.

    Raises
    ------
    ConfigurationError
        There is no such group.

    Examples
    --------
    >>> "nobody offers this" in names(FORMATS)
    False
    """
    return tuple(sorted(_table(group)))


def load(group: str, name: str) -> object:
    """Import the plug-in ``name`` of ``group`` and return what it offers.

    Raises
    ------
    ConfigurationError
        No package offers that name, several do, or the one that does cannot be imported; the message names the
        plug-in and its package.
    """
    offers = _table(group).get(name, ())
    if len(offers) == 1:
        return _import(offers[0])
    if not offers:
        raise ConfigurationError(
            f"no installed package offers {shown(name)} under {group!r}{did_you_mean(name, names(group))}"
        )
    packages = " and ".join(sorted(_package(offer) for offer in offers))
    raise ConfigurationError(f"{packages} both offer {name!r} under {group!r}: uninstall all but one of them")


def load_all(group: str) -> dict[str, object]:
    """Import every plug-in of ``group`` and return what they offer, by name.

    Raises
    ------
    ConfigurationError
        As :func:`load` does; a plug-in that is broken is never passed over.

    Examples
    --------
    >>> load_all(REGISTRIES)
    {}
    """
    return {name: load(group, name) for name in names(group)}


def forget() -> None:
    """Read the installed metadata anew at the next call, for instance after a package was installed."""
    _table.cache_clear()


@cache
def _table(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    if group not in GROUPS:
        raise ConfigurationError(f"{shown(group)} is not a group of plug-ins{did_you_mean(group, GROUPS)}")
    from importlib.metadata import entry_points  # 15 ms of standard library that most processes never need

    table: dict[str, tuple[EntryPoint, ...]] = {}
    for offer in entry_points(group=group):
        known = table.get(offer.name, ())
        # A package that is installed twice (say in a user folder, too) offers the same thing twice.
        if not any(other.value == offer.value and _package(other) == _package(offer) for other in known):
            table[offer.name] = (*known, offer)
    return table


def _package(offer: EntryPoint) -> str:
    return f"{offer.dist.name} {offer.dist.version}" if offer.dist else "an unknown package"


def _import(offer: EntryPoint) -> object:
    loaded: object
    try:
        loaded = offer.load()
    except Exception as error:  # anything may go wrong while foreign code is imported
        raise ConfigurationError(
            f"the plug-in {offer.name!r} ({offer.value}) of {_package(offer)} cannot be imported: "
            f"{type(error).__name__}: {error}; update or uninstall that package"
        ) from error
    return loaded
