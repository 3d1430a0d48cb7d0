"""Scanning tables in DuckDB: published files, staged files and the tail as one relation.

Projections and filters reach the Parquet files, because each table is a ``UNION ALL`` of plain scans; what the tail
hides is taken away by an anti-join on ``uid``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.engine.changes import DataFile
from lakehouse.engine.crossing import Crossings
from lakehouse.engine.pruning import Keep
from lakehouse.engine.state import TableState

__all__ = ["Scanner", "Source", "literal", "quoted", "source_of"]

_SETTINGS = ("SET TimeZone = 'UTC'", "SET python_enable_replacements = false", "SET parquet_metadata_cache = true")


def quoted(name: str) -> str:
    """Return a quoted SQL identifier.

    Examples
    --------
    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a quoted SQL string.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Source:
    """A table as SQL text, with the Arrow tables that it names and the files that it reads."""

    sql: str
    arrow: dict[str, pa.Table] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)


def source_of(state: TableState, keep: Keep | None = None) -> Source:
    """Return a table's state as SQL; ``keep`` says which files have to be read, where not all of them do."""
    name = state.table.name
    source = Source("")
    columns = ", ".join(quoted(c) for c in state.table.schema.names)
    parts: list[str] = []
    if len(state.tail.hidden):
        source.arrow[f"_hidden_{name}"] = state.tail.hidden
    base = tuple(filter(keep, state.base.files)) if keep else state.base.files
    if base and state.base.small:
        source.arrow[f"_base_{name}"] = state.base.table()
        parts.append(f"SELECT {columns} FROM {quoted(f'_base_{name}')}" + _hide(state, -1))
    else:
        parts += _file_scans(state, -1, base, source)
    for position in dict.fromkeys(p for p, _ in state.tail.staged):
        staged = [f for p, f in state.tail.staged if p == position and (keep is None or keep(f))]
        parts += _file_scans(state, position, staged, source)
    if len(state.tail.rows) or not parts or " NULL AS " in parts[0]:  # it also types the columns that files lack
        source.arrow[f"_tail_{name}"] = state.tail.rows
        parts.insert(0, f"SELECT {columns} FROM {quoted(f'_tail_{name}')}")
    source.sql = " UNION ALL ".join(parts)
    return source


def _hide(state: TableState, position: int) -> str:
    if not len(state.tail.hidden):
        return ""
    hidden = quoted(f"_hidden_{state.table.name}")
    return f" ANTI JOIN (SELECT uid FROM {hidden} WHERE pos > {position}) USING (uid)"


def _file_scans(state: TableState, position: int, files: Sequence[DataFile], source: Source) -> Iterator[str]:
    """Yield one scan per schema version; a column that is younger than the files is null (typed by the union)."""
    folder = state.base.folder
    for version in sorted({f.schema for f in files}):
        group = [f for f in files if f.schema == version]
        known = state.older_columns(version)
        columns = ", ".join(quoted(c) if c in known else f"NULL AS {quoted(c)}" for c in state.table.schema.names)
        paths = [folder.path(f.path, f.size).as_posix() for f in group]
        source.paths += paths
        listed = ", ".join(map(literal, paths))
        yield f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)" + _hide(state, position)


class Scanner:
    """A DuckDB database of the engine's own: never handed to users, a cursor per thread, none after a fork.

    Parameters
    ----------
    crossings
        The indexes that stand beside it.
    """

    def __init__(self, crossings: Crossings) -> None:
        self.crossings = crossings
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._database: duckdb.DuckDBPyConnection | None = None
        self._cursors, self._pid = threading.local(), os.getpid()

    def close(self) -> None:
        """Close the database; the next query opens a new one."""
        self.crossings.clear()
        if self._pid != os.getpid():  # it is the parent's, and so is whoever holds the lock
            return
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._reset()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._pid != os.getpid():
            _inherited.append((self._database, self._cursors))  # its threads stayed in the parent: never touch it
            self._lock = threading.Lock()
            self._reset()
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._cursors, "cursor", None)
        if cursor is None:
            with self._lock:
                if self._database is None:
                    self._database = duckdb.connect()
                cursor = self._cursors.cursor = self._database.cursor()
            for setting in _SETTINGS:
                cursor.execute(setting)
        return cursor

    def run(self, sources: Mapping[str, Source], sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run a query over sources, which it sees under their names; the result is fetched whole."""
        cursor = self._cursor()
        names = [name for source in sources.values() for name in source.arrow]
        for source in sources.values():
            for name, rows in source.arrow.items():
                cursor.register(name, rows)
        try:
            return cursor.sql(with_sources(sources) + sql, params=list(params)).to_arrow_table()
        finally:
            for name in names:
                cursor.unregister(name)


_inherited: list[Any] = []


def with_sources(sources: Mapping[str, Source]) -> str:
    """Return the ``WITH`` clause that names the sources."""
    listed = ", ".join(f"{quoted(name)} AS NOT MATERIALIZED ({s.sql})" for name, s in sources.items())
    return f"WITH {listed} " if listed else ""
