"""Lineage in SQL: ``ancestors(uid)`` and ``descendants(uid)``, over the edges of the view ``lineage_edge``."""

from __future__ import annotations

from lakehouse.engine.macros import Macro
from registries.lineage.edges import lineage_views

__all__ = ["LINEAGE", "lineage_macros"]

# UNION keeps each one once, so that a circle ends.
_REACHED = (
    "(start) AS TABLE WITH RECURSIVE reached(uid, type) AS ("
    "SELECT {far}, {far}_type FROM lineage_edge WHERE {near} = start "
    "UNION SELECT e.{far}, e.{far}_type FROM reached r JOIN lineage_edge e ON e.{near} = r.uid) "
    "SELECT uid, type FROM reached"
)
LINEAGE = {
    "ancestors": Macro(_REACHED.format(near="target", far="source")),
    "descendants": Macro(_REACHED.format(near="source", far="target")),
}
"""What an artifact or a run comes from, and what came from it: uid and type, at any distance."""


def lineage_macros(query: str) -> dict[str, str]:
    """Return the macros that a statement may call, by name, after the view of edges.

    Examples
    --------
    >>> list(lineage_macros("select * from ancestors('x')"))
    ['lineage_edge', 'ancestors', 'descendants']
    """
    text = query.lower()
    if not any(name in text for name in LINEAGE):
        return lineage_views(query)
    return {**lineage_views("lineage_edge"), **LINEAGE}
