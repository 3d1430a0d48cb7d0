"""Which tables and views a statement may mean, told by the words in it: more than it names, never fewer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

__all__ = ["TABLE", "mentioned"]

TABLE = "_table_"
"""Stands before the name of a table in whose place a view stands."""
_WORD = re.compile(r"\w+")
_OF_THE_CATALOG = ("duckdb_", "pragma_", "sqlite_", "pg_", "information_schema", "show", "query")
"""What begins the names of everything that lists tables, or takes their names out of values."""


def mentioned(query: str, tables: Collection[str], views: Mapping[str, str]) -> frozenset[str]:
    """Return those of the tables and views that a statement may mean, directly or through views.

    A name of ASCII letters stands in a statement as it is, or it is not named: so it is looked for among the words,
    without parsing. A word in a comment, or a column of that name, counts too, which does no harm.

    Examples
    --------
    >>> views = {"loud": "select upper(name) from label", "artifact": "select * from _table_artifact"}
    >>> sorted(mentioned("FROM Loud", ["label", "run", "artifact"], views))
    ['label', 'loud']
    >>> sorted(mentioned('select * from "artifact"', ["label", "run", "artifact"], views))
    ['artifact']
    >>> sorted(mentioned("select * from duckdb_tables()", ["label"], views))
    ['artifact', 'label', 'loud']
    """
    names = {name.lower(): name for name in (*tables, *views)}
    found: set[str] = set()
    waiting = [query]
    while waiting:
        for word in _words(waiting.pop()):
            if word.startswith(_OF_THE_CATALOG):
                return frozenset(names.values())
            name = names.get(word.removeprefix(TABLE))
            if name is not None and name not in found:
                found.add(name)
                waiting += [views[name]] if name in views else []
    return frozenset(found)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
