"""An instance inside somebody's own DuckDB connection, as a database of views."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import duckdb

from lakehouse.engine import Snapshot
from lakehouse.engine.macros import Macro, define
from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, InvalidName, InvalidQuery, shown
from registries.sql.contents import CONTENTS
from registries.sql.objects import further_statements, made, statements, told
from registries.sql.searching import search_macros
from registries.times import At, point

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["attach"]

_log = logging.getLogger("lakehouse")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_MARK = "_lakehouse"


def attach(
    home: Instance, connection: Any, *, name: str = "lake", at: At = None, contents: int | None = CONTENTS
) -> None:
    """Make everything that ``lh.sql`` sees a database of a DuckDB connection; see ``lh.attach``."""
    if not isinstance(connection, duckdb.DuckDBPyConnection):
        raise InputError(f"attach({shown(connection)}): a DuckDB connection is accepted, such as duckdb.connect()")
    if not _NAME.fullmatch(str(name)):
        raise InvalidName(f"name = {shown(name)}: letters, digits and _ are accepted, a letter first")
    home.settle_runs()
    snapshot = home.snapshot(point(at))
    _make_room(connection, name)
    connection.execute(f"ATTACH ':memory:' AS {quoted(name)}")
    try:
        _fill(home, connection, name, snapshot, now=at is None)
        left_out = _add_further(home, connection, name, snapshot, contents)
    except BaseException:
        connection.execute(f"DETACH {quoted(name)}")
        raise
    if left_out:
        _log.warning("left out of %s, since DuckDB alone cannot make them: %s", name, told(left_out))


def _make_room(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Detach what an earlier call attached; refuse what somebody else calls so."""
    there = connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    if name.lower() not in {one.lower() for (one,) in there}:
        return
    marked = "SELECT 1 FROM duckdb_tables() WHERE lower(database_name) = lower(?) AND table_name = ?"
    if not connection.execute(marked, [name, _MARK]).fetchall():
        raise InputError(f"the connection has a database {shown(name)} already: pass another name=")
    try:
        connection.execute(f"DETACH {quoted(name)}")
    except duckdb.Error as error:
        raise InputError(f"{shown(name)} is in use: {error}; USE another database, and attach again") from error


def _fill(home: Instance, connection: duckdb.DuckDBPyConnection, name: str, snapshot: Snapshot, *, now: bool) -> None:
    inside = f"{quoted(name)}.main."
    connection.execute(f"CREATE TABLE {inside}{_MARK} AS SELECT {snapshot.commit} AS commit")

    def source(table: str) -> str:
        found = snapshot.source(table)
        for arrow_name, rows in found.arrow.items():
            connection.register("_lakehouse_rows", rows)
            try:
                connection.execute(f"CREATE TABLE {inside}{quoted(arrow_name)} AS SELECT * FROM _lakehouse_rows")
            finally:
                connection.unregister("_lakehouse_rows")
        return found.sql

    for statement in statements(home, snapshot, source, inside=inside):
        try:
            connection.execute(statement.text)
        except duckdb.IOException as error:
            raise snapshot.missing_file(error) from error
        except duckdb.Error as error:
            raise InvalidQuery(f"the view {shown(statement.name)} cannot be made: {error}") from error
    _add_search(home, connection, name, snapshot, now=now)


def _add_search(home: Instance, connection: Any, name: str, snapshot: Snapshot, *, now: bool) -> None:
    known = {function for (function,) in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    called = " ".join(["search(", *(f"search_{table}(" for table in snapshot.tables)])
    for macro_name, macro in search_macros(home, called, snapshot, now=now, inside=name).items():
        for function in macro.functions:
            if function.name in known:
                connection.remove_function(function.name)
        define(connection, f"{quoted(name)}.main.{quoted(macro_name)}", Macro(macro, macro.functions), temporary=False)


def _add_further(home: Instance, connection: Any, name: str, snapshot: Snapshot, contents: int | None) -> list[str]:
    found = further_statements(home, snapshot, contents=contents, inside=f"{quoted(name)}.main.")
    return [one.name for one in found if not made(connection, one)]
