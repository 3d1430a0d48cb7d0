"""Lineage in SQL: ``ancestors(uid)`` and ``descendants(uid)``, over the edges of the view ``lineage_edge``.

The uid is that of an artifact, a run, a version of a dataset, which stands for its members, or a version of a
transform, which stands for its runs.
"""

from __future__ import annotations

import re

from lakehouse.engine.macros import Macro
from registries.lineage.edges import STEP, lineage_views

__all__ = ["LINEAGE", "lineage_macros", "within"]

_MEMBER = (
    "dataset_member m JOIN dataset_all a ON a.uid = m.dataset JOIN dataset_all d ON d.base = a.base AND d.uid >= a.uid"
)
# UNION keeps each one once, so that a circle ends.
_REACHED = (
    "(start) AS TABLE WITH RECURSIVE member(uid) AS "
    f"(SELECT m.artifact FROM {_MEMBER} WHERE d.uid = start), "
    "begun(uid) AS (SELECT start UNION ALL FROM member UNION ALL SELECT uid FROM run WHERE transform = start), "
    "reached(uid, type) AS ("
    f"SELECT {{far}}, {{far}}_type FROM {STEP} WHERE {{near}} IN (FROM begun) "
    f"UNION SELECT e.{{far}}, e.{{far}}_type FROM reached r JOIN {STEP} e ON e.{{near}} = r.uid) "
    "SELECT uid, type FROM reached WHERE uid NOT IN (FROM begun) UNION ALL {further}"
)
_OF_MEMBERS = "SELECT uid, 'artifact' FROM member"
_DATASETS = (
    f"SELECT DISTINCT d.uid, 'dataset' FROM {_MEMBER} "
    "WHERE m.artifact IN (SELECT uid FROM reached UNION ALL SELECT start)"
)
LINEAGE = {
    "ancestors": Macro(_REACHED.format(near="target", far="source", further=_OF_MEMBERS)),
    "descendants": Macro(_REACHED.format(near="source", far="target", further=_DATASETS)),
}
"""What something comes from, and what came from it, datasets included: uid and type, at any distance."""
_NAMED = re.compile(rf"\b(FROM|JOIN) ({STEP}|dataset_member|dataset_all|run)\b")


def lineage_macros(query: str) -> dict[str, str]:
    """Return the macros that a statement may call, by name, after the views of edges.

    Examples
    --------
    >>> list(lineage_macros("select * from ancestors('x')"))
    ['_lineage_step', 'lineage_edge', 'ancestors', 'descendants']
    """
    text = query.lower()
    if not any(name in text for name in LINEAGE):
        return lineage_views(query)
    return {**lineage_views("lineage_edge"), **LINEAGE}


def within(macro: str, inside: str) -> str:
    """Return a macro that names its tables where they are: it looks names up where it is called.

    Examples
    --------
    >>> within("(x) AS TABLE SELECT uid FROM run", "lake.main.")
    '(x) AS TABLE SELECT uid FROM lake.main.run'
    """
    return _NAMED.sub(lambda found: f"{found[1]} {inside}{found[2]}", macro)
