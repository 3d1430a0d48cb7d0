"""Running users' SQL: what it sees, and what it read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.engine import Snapshot
from lakehouse.engine.sql import TableName
from lakehouse.errors import InputError, LakehouseError, shown
from registries.documented import COLUMNS, column_table
from registries.names import check_text
from registries.ontology.views import hierarchy_views
from registries.query import Query
from registries.sql.answer import Answer
from registries.sql.lineage import lineage_macros
from registries.sql.saved import saved_views
from registries.sql.searching import search_macros
from registries.times import At, point
from registries.views import NamedContent, content_tables, views

if TYPE_CHECKING:
    import duckdb

    from registries.instance import Instance

__all__ = ["is_admitted", "run_sql", "seen"]


def run_sql(
    home: Instance,
    query: str,
    params: list[Any] | dict[str, Any] | None = None,
    *,
    at: At = None,
    tables: Mapping[str, Any] | None = None,
) -> Answer:
    """Run one SELECT; see ``lh.sql``."""
    if not isinstance(query, str):
        raise InputError(f"sql({shown(query)}): a statement is text")
    _check_given(params, tables)
    moment = point(at)
    home.settle_runs()
    snapshot = home.snapshot(moment)
    found, contents = _asked(home, snapshot, query, params, tables or {}, now=moment is None)
    read = list({content.artifact.uid: content.artifact for content in contents}.values())
    for artifact in read:
        home.note_read(artifact)
    return Answer(found, home, query, snapshot.commit, read)


def is_admitted(home: Instance, snapshot: Snapshot, query: str) -> bool:
    """Whether a query is one that the instance answers: others must not reach connections that are not locked."""
    try:
        _asked(home, snapshot, query, None, {}, now=True)
    except LakehouseError:
        return False
    return True


def _asked(
    home: Instance, snapshot: Snapshot, query: str, params: Any, tables: Mapping[str, Any], *, now: bool
) -> tuple[duckdb.DuckDBPyRelation, list[NamedContent]]:
    """Return the relation of a query, and the contents that it names."""
    saved = saved_views(snapshot, query)
    whole = "\n".join((query, *saved.values()))
    contents = {
        name: content
        for text in (query, *saved.values())
        for name, content in content_tables(home, snapshot, text).items()
    }
    given: dict[TableName, Any] = {name: content.table for name, content in contents.items()}
    if COLUMNS in whole.lower():
        given[COLUMNS] = column_table(snapshot.tables)
    for name, table in tables.items():
        given[name] = table.arrow() if isinstance(table, Query) else getattr(table, "relation", table)
    shows = {**seen(home, snapshot, whole, now=now), **saved}
    when = None if snapshot.moves else snapshot.commit  # contents, views and tables are of one commit
    return home.lake.sql(query, params, at=when, tables=given, views=shows), list(contents.values())


def seen(home: Instance, snapshot: Snapshot, query: str, *, now: bool) -> dict[str, str]:
    """Return the views and macros that a statement may mean, each after those that it names itself."""
    return {
        **views(snapshot, query),
        **hierarchy_views(query),
        **lineage_macros(query),
        **search_macros(home, query, snapshot, now=now),
    }


def _check_given(params: object, tables: object) -> None:
    if params is not None and not isinstance(params, list | tuple | Mapping):
        raise InputError(f"params = {shown(params)}: a list for ? or a dict for $name is accepted")
    if tables is None:
        return
    if not isinstance(tables, Mapping):
        raise InputError(f"tables = {shown(tables)}: a dict of data by name is accepted")
    for name in tables:
        if not isinstance(name, str) or not name:
            raise InputError(f"tables[{shown(name)}]: a name is text of at least one character")
        check_text(name, "tables")
