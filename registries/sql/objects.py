"""Everything that SQL sees of an instance, as statements for another DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.engine import Snapshot
from lakehouse.engine.macros import Macro
from lakehouse.engine.mentioned import TABLE
from lakehouse.engine.scan import literal, quoted
from registries.binding import REGISTRIES
from registries.documented import COLUMNS, column_table
from registries.ontology.views import hierarchy_views
from registries.sql.lineage import lineage_macros
from registries.sql.saved import all_saved_views
from registries.views import named_tables, views

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Statement", "statements"]

_ALL = "artifact_annotated artifact_label run_label transform_label lineage_edge ancestors"


@dataclass(frozen=True)
class Statement:
    """A statement that makes something, and what that is called."""

    name: str
    text: str
    saved: bool = False
    """Whether a user wrote it."""


def statements(
    home: Instance, snapshot: Snapshot, source: Callable[[str], str], *, inside: str = ""
) -> Iterator[Statement]:
    """Yield what makes views of all tables, convenience and saved views, macros and comments.

    Saved views over contents of artifacts are left out: these have no names outside.

    Parameters
    ----------
    source
        Gives a table as SQL.
    inside
        What stands before names, such as ``"lake".``; nothing for the database that is open.
    """
    shown = _seen(home, snapshot)
    for table in snapshot.tables:
        name = f"{TABLE}{table}" if table in shown else table
        yield Statement(name, f"CREATE VIEW {inside}{quoted(name)} AS {source(table)}")
    yield _columns(snapshot, inside)
    for name, sql in shown.items():
        if isinstance(sql, Macro):
            text = sql.replace("lineage_edge", f"{inside}lineage_edge")  # a macro looks names up where it is called
            yield Statement(name, f"CREATE MACRO {inside}{quoted(name)}{text}")
        else:
            yield Statement(name, f"CREATE VIEW {inside}{quoted(name)} AS {sql}")
    for name, sql in all_saved_views(snapshot).items():
        if not named_tables(sql):
            yield Statement(name, f"CREATE VIEW {inside}{quoted(name)} AS {sql.strip().rstrip(';')}", saved=True)
    yield from _comments(snapshot, inside)


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
