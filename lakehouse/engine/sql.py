"""SQL for users: each snapshot in a DuckDB of its own, locked down to the instance's files."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb

from lakehouse.engine.forks import HELD
from lakehouse.engine.macros import Macro, define
from lakehouse.engine.mentioned import TABLE, mentioned
from lakehouse.engine.moments import refuse_expired
from lakehouse.engine.scan import Source, literal, quoted
from lakehouse.engine.snapshot import Snapshot
from lakehouse.errors import InvalidQuery, shown

__all__ = ["TableName", "Unchecked", "UserSql"]

TableName = str | tuple[str, str]
"""A name, or a schema and a name."""
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?", re.IGNORECASE)
_COMMENTS = re.compile(r"comment|duckdb_columns", re.IGNORECASE)
_LONGEST = 2_000  # characters of an error of DuckDB that are shown


class Unchecked(str):
    """SQL of a view that somebody wrote: one SELECT is admitted, and it reaches no further than a query does."""

    __slots__ = ()


class UserSql:
    """Runs users' SQL; a database that nobody uses any more serves the next query on the same commit."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a relation may be collected, and give back, while its thread is in here
        self._idle: list[_Idle] = []
        self._made: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        HELD.add(self)

    def after_fork(self) -> None:
        """Put databases aside whose threads stayed in the parent: even to close one would end the child."""
        self._lock = threading.RLock()
        _inherited.extend(self._made)
        self._made, self._idle = weakref.WeakSet(), []

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for item in idle:
            item.connection.close()

    def run(
        self,
        snapshot: Snapshot,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        tables: Mapping[TableName, Any] | None = None,
        views: Mapping[str, str] | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Run one SELECT over all tables of a snapshot.

        Parameters
        ----------
        snapshot
            What the tables show; the relation that is returned goes on showing it.
        query
            One SELECT (or EXPLAIN); ``?`` and ``$name`` are bound to ``params``. What is asked of the relation
            afterwards sees the tables that are named here.
        tables
            The caller's own data by name: pandas, Polars (also lazy), Arrow tables, datasets, DuckDB relations.
        views
            Further views, as SQL over the tables, and table macros (``Macro``), each after what it names. One with the
            name of a table stands in its place; the table itself is ``_table_`` and the name then.

        Raises
        ------
        InvalidQuery
            For more than one statement, a statement that is no SELECT, a syntax error, an unknown table, or an access
            to files or the network.
        """
        snapshot = snapshot.for_query(query, views or {})
        commented = _COMMENTS.search(str(query)) is not None
        wanted = _Wanted(snapshot, tables or {}, views or {}, frozenset(), commented)
        try:
            return self._run(wanted.naming(query), query, params)
        except InvalidQuery as error:  # what the whole catalog has may be meant, or help the message
            if not isinstance(error.__cause__, duckdb.CatalogException):
                raise
        return self._run(wanted.whole(), query, params)

    def _run(
        self, wanted: _Wanted, query: str, params: Sequence[Any] | Mapping[str, Any] | None
    ) -> duckdb.DuckDBPyRelation:
        key = self._key(wanted.snapshot) if not (wanted.given or wanted.snapshot.moves) else None
        idle = self._take(key, wanted) or self._new(key, wanted)
        _refuse_other_statements(idle.connection, query, params)
        try:
            relation = idle.connection.sql(query, params=params)
        except duckdb.Error as error:
            raise _explained(error) from error
        if key is not None:
            weakref.finalize(relation, self._give_back, idle).atexit = False
        return relation

    def _key(self, snapshot: Snapshot) -> _Key:
        """Return what a database shows; a vacuum may have taken files from the older ones."""
        with snapshot.session() as session:
            refuse_expired(session, snapshot.commit)  # a tag that kept it may have been dropped
            return snapshot.commit, session.meta().oldest_readable

    def _new(self, key: _Key | None, wanted: _Wanted) -> _Idle:
        connection = _prepared(wanted)
        self._made.add(connection)
        return _Idle(key, wanted, connection, self._made)

    def _take(self, key: _Key | None, wanted: _Wanted) -> _Idle | None:
        with self._lock:
            for item in self._idle:
                if item.key == key and item.holds.covers(wanted) and time.monotonic() - item.made < _FRESH:
                    self._idle.remove(item)
                    return item if _is_free(item.connection) else None
        return None

    def _give_back(self, item: _Idle) -> None:
        with self._lock:
            if item.made_here is self._made:  # else a relation of the parent's ends in a forked child
                self._idle = [item, *self._idle][:_MOST_IDLE]


_Key = tuple[int, int]
_FRESH = 600.0
"""Seconds for which a database is used again."""
_MOST_IDLE = 2
_inherited: list[duckdb.DuckDBPyConnection] = []


@dataclass(frozen=True)
class _Wanted:
    """What a database has to show: of all tables and views, those that are named, with what these name themselves."""

    snapshot: Snapshot
    given: Mapping[TableName, Any]
    views: Mapping[str, str]
    names: frozenset[str]
    commented: bool
    """Whether the comments of columns may be asked for; to set them all takes half a second."""

    def naming(self, query: str) -> _Wanted:
        """Return this for one statement; each table that is prepared costs a millisecond."""
        return replace(self, names=mentioned(str(query), self.snapshot.tables, self.views))

    def whole(self) -> _Wanted:
        """Return this with everything that there is."""
        return replace(self, names=frozenset((*self.snapshot.tables, *self.views)))

    def covers(self, other: _Wanted) -> bool:
        """Whether a database that holds this serves another statement on the same commit too."""
        same = all(self.views.get(name) == other.views.get(name) for name in other.names)
        return same and other.names <= self.names and other.commented <= self.commented


@dataclass(frozen=True)
class _Idle:
    key: _Key | None
    holds: _Wanted
    connection: duckdb.DuckDBPyConnection
    made_here: object
    """Tells the process apart that made it."""
    made: float = field(default_factory=time.monotonic)


def _prepared(wanted: _Wanted) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"temp_directory": ""})  # a folder for spilling could be read and written
    connection.execute("SET TimeZone = 'UTC'")
    paths: list[str] = []
    taken = {name.lower() for name in (*wanted.snapshot.tables, *wanted.views)}
    for name in wanted.snapshot.tables:
        if name in wanted.names:
            hidden = f"{TABLE}{name}" if name in wanted.views else name
            source = _show(connection, wanted.snapshot, name, hidden)
            paths += source.paths
            taken |= {inner.lower() for inner in (*source.arrow, hidden)}
    asked = [(name, sql) for name, sql in wanted.views.items() if name in wanted.names]
    for name, sql in asked:
        if not isinstance(sql, Unchecked):
            _define(connection, name, sql)
    if wanted.commented:
        _comment(connection, wanted)
    for target, data in wanted.given.items():
        _hand_in(connection, target, data, taken)
    _lock(connection, paths)
    for name, sql in asked:
        if isinstance(sql, Unchecked):
            _refuse_other_statements(connection, sql, None)
            _define(connection, name, sql)
    return connection


def _define(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    try:
        if isinstance(sql, Macro):
            define(connection, quoted(name), sql)
        else:
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {sql.strip().rstrip(';')}")
    except duckdb.Error as error:
        raise InvalidQuery(f"the view {shown(name)} cannot be made: {error}") from error


def _show(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, table: str, name: str) -> Source:
    """Make a table a view of a name."""
    source = snapshot.source(table)
    for arrow_name, rows in source.arrow.items():
        connection.register(arrow_name, rows)
    try:
        connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {source.sql}")
    except duckdb.IOException as error:
        raise snapshot.missing_file(error) from error
    return source


def _comment(connection: duckdb.DuckDBPyConnection, wanted: _Wanted) -> None:
    """Give the columns of tables, or of the views in their places, the comments of their declarations."""
    statements = []
    for name in wanted.snapshot.tables:
        if name not in wanted.names:
            continue
        there = set(connection.sql(f"SELECT * FROM {quoted(name)} LIMIT 0").columns)
        for item in wanted.snapshot.schema(name):
            if item.name in there and (text := (item.metadata or {}).get(b"comment")):
                column = f"{quoted(name)}.{quoted(item.name)}"
                statements.append(f"COMMENT ON COLUMN {column} IS {literal(text.decode())}")
    if statements:
        connection.execute("; ".join(statements))


def _lock(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Leave nothing to the query but the instance's own files; the order matters, the last one is final."""
    listed = ", ".join(literal(path) for path in paths)
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _hand_in(connection: duckdb.DuckDBPyConnection, target: TableName, data: Any, taken: set[str]) -> None:
    """Register the caller's data under a name, or under a schema and a name."""
    schema, name = ("", target) if isinstance(target, str) else target
    if not schema and name.lower() in taken:
        raise InvalidQuery(f"tables[{shown(name)}] would hide what the instance calls so: give it another name")
    if isinstance(data, duckdb.DuckDBPyRelation):  # it lives in a database of its own
        data = data.to_arrow_table()
    elif type(data).__module__.startswith("polars") and hasattr(data, "collect"):
        data = data.collect().to_arrow()
    elif type(data).__module__.startswith("polars"):
        data = data.to_arrow()
    plain = f"_given_{schema}_{name}" if schema else name
    try:
        connection.register(plain, data)
    except (duckdb.Error, TypeError) as error:
        kind = type(data).__name__
        raise InvalidQuery(
            f"tables[{shown(name)}] is a {kind}, which DuckDB cannot read: hand in a pandas or Polars frame, "
            "an Arrow table or dataset, or a relation"
        ) from error
    if schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        connection.execute(f"CREATE VIEW {quoted(schema)}.{quoted(name)} AS SELECT * FROM {quoted(plain)}")


def _is_free(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether nobody reads a result of it piece by piece."""
    try:
        connection.execute("SELECT 1").fetchall()
    except duckdb.Error:
        return False
    return True


def _refuse_other_statements(
    connection: duckdb.DuckDBPyConnection, query: str, params: Sequence[Any] | Mapping[str, Any] | None
) -> None:
    """Admit a SELECT, or EXPLAIN of one; what is inside a SELECT must be SELECTs too."""
    kind = _only_statement(connection, query)
    inner = query
    if kind == "EXPLAIN" and (found := _EXPLAIN.match(query)):
        inner = query[found.end() :]
        kind = _only_statement(connection, inner)
    if kind != "SELECT":
        raise InvalidQuery(
            f"{kind} is not admitted here, only SELECT: registries change through save(), and a SELECT's result is "
            "exported with .df(), .pl() or .arrow()"
        )
    # WITH x AS (COPY ... TO ...) SELECT is a SELECT by its type and would write to any path that may be read; below
    # the top level DuckDB refuses it while binding, before anything runs
    nested = f"SELECT * FROM (\n{inner.strip().rstrip(';')}\n)"
    try:
        connection.sql(nested, params=params)
    except duckdb.Error as error:
        raise _explained(error) from error


def _only_statement(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise _explained(error) from error
    except (UnicodeEncodeError, TypeError) as error:  # lone surrogates, or no text at all
        raise InvalidQuery(f"the query holds characters that are no text: {shown(query)}") from error
    if len(statements) != 1:
        raise InvalidQuery(f"one statement at a time, not {len(statements)}: {shown(query)}")
    name: str = statements[0].type.name
    return name


def _explained(error: duckdb.Error) -> InvalidQuery:
    text = str(error)
    if len(text) > _LONGEST:  # DuckDB repeats the statement and all its parameters
        text = f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"
    if isinstance(error, duckdb.PermissionException) or "disabled by configuration" in text:
        text += (
            f"{os.linesep}SQL reads the instance only: hand other data in with tables={{'name': frame}}, "
            "or register the file as an artifact"
        )
    return InvalidQuery(text)
