"""Public terms that are on this machine already, for values that a registry does not hold; the network is never asked."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse.errors import RecordNotFound
from registries.ontology.importing import Wanted, chosen
from registries.ontology.obtain import at_hand
from registries.ontology.public import PublicEntries, public_entries

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.ontology.term import Entry

__all__ = ["nearby"]

_LARGEST = 10_000_000
"""Bytes of a file, at most: the taxonomy of NCBI has 15 MB, and takes some 20 seconds and 2 GB to be read."""
_log = logging.getLogger("lakehouse")
_CHOSEN: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], tuple[Any, bool]]] = weakref.WeakKeyDictionary()
"""By instance, registry and organism: whether a source is at hand, and the state of the sources that says so."""


def nearby(registry: type[Entry], home: Instance, organism: str | None) -> Callable[[], PublicEntries] | None:
    """Return what reads the entries of the source that would be imported from; None where no file of it is at hand."""
    state = home.snapshot().state("source")
    kept, key = _CHOSEN.setdefault(home, {}), (registry.meta.table, organism or "")
    known = kept.get(key)
    if known is None or known[0][0] is not state.base or known[0][1] is not state.tail:
        known = kept[key] = ((state.base, state.tail), _at_hand(registry, home, organism))
    return partial(public_entries, registry, Wanted(organism=organism)) if known[1] else None


def _at_hand(registry: type[Entry], home: Instance, organism: str | None) -> bool:
    try:
        source = chosen(registry, home.snapshot(), Wanted(organism=organism))
    except RecordNotFound:  # no source is known for it
        return False
    file = at_hand(source)
    if file is None:
        return False
    if (size := file.stat().st_size) > _LARGEST:
        _log.info(
            "%s: %s (%.0f MB) is not read by itself, since that takes long: %s.public() reads it, import_source() and "
            "from_values() save what is needed",
            registry.meta.name,
            source,
            size / 1e6,
            registry.meta.name,
        )
        return False
    return True
