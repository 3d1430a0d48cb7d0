"""What a statement of SQL names, found by DuckDB's own parser; the statement is not run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from lakehouse.errors import InvalidQuery, shown

__all__ = ["columns_in", "parsed", "tables_in"]

_ALL = frozenset({"STAR", "SHOW_REF", "POSITIONAL_REFERENCE", "PIVOT", "NATURAL"})
"""Parts of a statement that mean columns without naming them."""


def parsed(query: str) -> Any:
    """Return the tree of a statement, or ``None`` for one that cannot be parsed: whoever runs it says why.

    Raises
    ------
    InvalidQuery
        It is no text, or nested too deeply.
    """
    if not query.isascii() and any("\ud800" <= character <= "\udfff" for character in query):
        raise InvalidQuery(f"the statement holds half a surrogate pair, which is no text: {shown(query)}")
    connection = duckdb.connect()
    try:
        text = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()[0][0]
        return json.loads(text)
    except RecursionError:
        raise InvalidQuery(f"the statement is nested too deeply: {shown(query)}") from None
    except duckdb.Error:
        return None
    finally:
        connection.close()


def tables_in(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield schema, in lower case, and name of each table that a tree names."""
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE":
            yield str(node.get("schema_name", "")).lower(), str(node["table_name"])


def columns_in(tree: Any) -> frozenset[str] | None:
    """Return, in lower case, names among which are those of all columns that a statement needs of its tables.

    Returns
    -------
    frozenset of str or None
        ``None`` where it may need columns that it does not name, as ``select *`` does.

    Examples
    --------
    >>> "age" in columns_in(parsed("select max(t.Age) from t")), columns_in(parsed("from t"))
    (True, None)
    """
    names, tables = set[str](), set[str]()
    for node in _nodes(tree):
        if _ALL.intersection((node.get("type"), node.get("class"), node.get("ref_type"))):
            return None
        if node.get("column_name_alias"):  # t(a, b) names columns by their place
            return None
        tables |= {str(node[key]).lower() for key in ("alias", "table_name") if node.get(key) and "table_name" in node}
        names |= {str(name).lower() for name in (*node.get("column_names", ()), *node.get("using_columns", ()))}
    # a table's own name in the place of a column is a whole row; a schema's or table's before a column is harmless
    alone = {str(node["column_names"][-1]).lower() for node in _nodes(tree) if node.get("column_names")}
    return None if alone & tables else frozenset(names)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            yield node
