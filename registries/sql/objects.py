"""Everything that SQL sees of an instance, as statements for another DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from lakehouse.engine import Snapshot
from lakehouse.engine.macros import Macro
from lakehouse.engine.mentioned import TABLE
from lakehouse.engine.scan import literal, quoted
from lakehouse.errors import InvalidQuery, shown
from registries.binding import REGISTRIES
from registries.documented import COLUMNS, column_table
from registries.ontology.views import hierarchy_views
from registries.sql.contents import plain_contents
from registries.sql.lineage import lineage_macros, within
from registries.sql.plainsearch import plain_search
from registries.sql.running import is_admitted
from registries.sql.saved import all_saved_views
from registries.views import named_tables, views

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Statement", "further_statements", "made", "search_statements", "statements", "told"]

_ALL = "artifact_annotated artifact_label run_label transform_label lineage_edge ancestors"


@dataclass(frozen=True)
class Statement:
    """A statement that makes something, and what that is called.

    Attributes
    ----------
    name
        As messages call it.
    text
        Nothing for what DuckDB alone cannot have.
    optional
        Whether it is left out where it cannot be made: a content, or a view that a user wrote.
    """

    name: str
    text: str
    optional: bool = False


def statements(
    home: Instance, snapshot: Snapshot, source: Callable[[str], str], *, inside: str = ""
) -> Iterator[Statement]:
    """Yield what makes views of all tables, convenience views, macros and comments.

    Parameters
    ----------
    source
        Gives a table as SQL.
    inside
        What stands before names, such as ``"lake".main.``; nothing for the database that is open.
    """
    seen = _seen(home, snapshot)
    for table in snapshot.tables:
        name = f"{TABLE}{table}" if table in seen else table
        yield Statement(name, f"CREATE VIEW {inside}{quoted(name)} AS {source(table)}")
    yield _columns(snapshot, inside)
    for name, sql in seen.items():
        if isinstance(sql, Macro):
            yield Statement(name, f"CREATE MACRO {inside}{quoted(name)}{within(sql, inside)}")
        else:
            yield Statement(name, f"CREATE VIEW {inside}{quoted(name)} AS {sql}")
    yield from _comments(snapshot, inside)


def search_statements(home: Instance, snapshot: Snapshot) -> Iterator[Statement]:
    """Yield the macros of searches, in SQL alone, for the database that is open."""
    for name, text in plain_search(home, snapshot):
        yield Statement(name, f"CREATE MACRO {quoted(name)}{text}")


def further_statements(
    home: Instance, snapshot: Snapshot, *, contents: int | None, inside: str = ""
) -> Iterator[Statement]:
    """Yield views of contents, and the views that users saved, each after what it may name."""
    schema = f"{inside.removesuffix('main.')}content"
    yield Statement("content", f"CREATE SCHEMA {schema}")
    there = set[tuple[str, str]]()
    for key, sql in plain_contents(home, snapshot, contents):
        there |= {("content", key)} if sql else set()
        text = sql and f"CREATE VIEW {schema}.{quoted(key)} AS {sql}"
        yield Statement(f"content.{quoted(key)}", text, optional=True)
    for name, sql in all_saved_views(snapshot).items():
        can_be = named_tables(sql) <= there and is_admitted(home, snapshot, sql)
        text = f"CREATE VIEW {inside}{quoted(name)} AS {sql.strip().rstrip(';')}"
        yield Statement(name, text if can_be else "", optional=True)


def made(connection: duckdb.DuckDBPyConnection, statement: Statement) -> bool:
    """Run a statement; False where it is optional and cannot be run.

    Raises
    ------
    InvalidQuery
        When one that is not optional fails.
    """
    if not statement.text:
        return False
    try:
        connection.execute(statement.text)
    except duckdb.Error as error:
        if statement.optional:
            return False
        raise InvalidQuery(f"the view {shown(statement.name)} cannot be made: {error}") from error
    return True


def told(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _seen(home: Instance, snapshot: Snapshot) -> dict[str, str]:
    trees = [t for t, registry in REGISTRIES.items() if home.has(t) and "parent_uids" in registry.meta.columns]
    wanted = " ".join(
        f"{table}_{what}" for table in trees if table in snapshot.tables for what in ("parent", "ancestor")
    )
    query = f"{_ALL} {wanted}"
    return {**views(snapshot, query), **hierarchy_views(wanted), **lineage_macros(query)}


def _columns(snapshot: Snapshot, inside: str) -> Statement:
    rows = column_table(snapshot.tables)
    values = ", ".join(f"({', '.join(map(_value, row.values()))})" for row in rows.to_pylist())
    names = ", ".join(map(quoted, rows.column_names))
    return Statement(COLUMNS, f"CREATE TABLE {inside}{COLUMNS} AS SELECT * FROM (VALUES {values}) v({names})")


def _value(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value).lower() if isinstance(value, bool) else literal(str(value))


def _comments(snapshot: Snapshot, inside: str) -> Iterable[Statement]:
    for table in snapshot.tables:
        if table in REGISTRIES:
            meta, name = REGISTRIES[table].meta, f"{inside}{quoted(table)}"
            yield Statement(table, f"COMMENT ON VIEW {name} IS {literal(meta.comment)}")
            known = set(snapshot.schema(table).names)
            for column in meta.columns.values():
                if column.name in known:
                    yield Statement(table, f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.doc)}")
