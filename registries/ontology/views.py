"""The hierarchies of registries in SQL: ``cell_type_parent`` and ``cell_type_ancestor``, and so for each registry of terms."""

from __future__ import annotations

from registries.binding import REGISTRIES

__all__ = ["hierarchy_views"]

_PARENT = "select uid, unnest(parent_uids) as parent, unnest(parent_relations) as relation from {table}"
# UNION keeps each pair once, so that a circle ends; a distance would make its pairs differ for ever.
_ANCESTOR = (
    "with recursive above(uid, ancestor) as (select uid, unnest(parent_uids) from {table} "
    "union select a.uid, unnest(t.parent_uids) from above a join {table} t on t.uid = a.ancestor) "
    "select uid, ancestor from above"
)


def hierarchy_views(query: str) -> dict[str, str]:
    """Return the views that a statement may mean, by name: (uid, parent, relation), and (uid, ancestor) at any distance.

    Examples
    --------
    >>> list(hierarchy_views("select * from cell_type_parent"))
    ['cell_type_parent']
    """
    text = query.lower()
    found = {}
    for table, registry in REGISTRIES.items():
        if "parent_uids" in registry.meta.columns:
            for name, statement in ((f"{table}_parent", _PARENT), (f"{table}_ancestor", _ANCESTOR)):
                if name in text:
                    found[name] = statement.format(table=table)
    return found
