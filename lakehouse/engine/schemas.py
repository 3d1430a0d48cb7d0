"""The tables that the catalog knows, with all their schema versions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pyarrow as pa

from lakehouse.engine.catalog import Catalog, Session
from lakehouse.engine.forks import HELD
from lakehouse.engine.table import TableSpec, TableVersion
from lakehouse.errors import UnknownField, did_you_mean, shown

__all__ = ["Schemas"]


class Schemas:
    """Table declarations as the catalog holds them; read again when another process changed one."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._lock = catalog, threading.Lock()
        self._tables: dict[str, list[TableVersion]] = {}
        self.known_commit = -1
        """The schema change that was seen last."""
        self._expected: list[TableSpec] = []
        self.stand_in: Callable[[str], TableSpec | None] | None = None
        """Declares tables of other lakes, so that questions which cross them find them empty here."""
        self._standing: dict[str, list[TableVersion]] = {}
        HELD.add(self)

    def after_fork(self) -> None:
        """Replace the mutex: a thread that stayed in the parent may hold it."""
        self._lock = threading.Lock()

    def refresh(self, session: Session, *, anew: bool = False) -> None:
        """Read the declarations if they changed, or ``anew`` in any case."""
        newest = session.meta().schema_commit
        if newest <= self.known_commit and not anew:  # another thread may have seen a younger one
            return
        tables: dict[str, list[TableVersion]] = {}
        for version in session.tables():
            tables.setdefault(version.name, []).append(version)
        for spec in self._expected:
            tables[spec.name] = _widened(spec, tables.get(spec.name, []))
        with self._lock:
            self._tables, self.known_commit = tables, newest

    def expect(self, specs: Iterable[TableSpec]) -> None:
        """Let readers see the columns and tables that a program has and an older lake lacks: as nulls, and empty."""
        self._expected = list(specs)
        with self._catalog.read() as session:
            self.refresh(session, anew=True)

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return sorted(self._tables)

    def has(self, table: str) -> bool:
        """Whether there is a table of a name."""
        return table in self._tables

    def versions(self, table: str) -> list[TableVersion]:
        """Return a table's schema versions, oldest first; raises ``UnknownField`` for an unknown table."""
        if table not in self._tables:
            with self._catalog.read() as session:
                self.refresh(session)
        if (found := self._tables.get(table) or self._stood_in(table)) is None:
            raise UnknownField(f"no table {shown(table)}{did_you_mean(table, self._tables)}")
        return found

    def _stood_in(self, table: str) -> list[TableVersion] | None:
        if table not in self._standing and self.stand_in is not None and (spec := self.stand_in(table)) is not None:
            self._standing[table] = [TableVersion(spec, 1, 0)]
        return self._standing.get(table)

    def written(self, table: str) -> TableVersion:
        """Return a table's newest declaration if rows can be written to it; raises ``UnknownField``."""
        if table not in self._tables and table in self._standing:
            raise UnknownField(f"this instance has no table {shown(table)}: add that registry to it first")
        return self.current(table)

    def current(self, table: str) -> TableVersion:
        """Return a table's newest declaration."""
        return self.versions(table)[-1]

    def differs(self, spec: TableSpec) -> bool:
        """Whether a declaration has what the catalog lacks."""
        if spec.name not in self._tables:
            return True
        current = self.current(spec.name).spec
        return not spec.says_what(current) and spec.after(current) is not current

    def ensure(self, specs: Iterable[TableSpec], *, user: str) -> None:
        """Make the catalog know declarations, in a commit of its own where they differ."""
        wanted = [spec for spec in specs if self.differs(spec)]
        if not wanted:
            return
        with self._catalog.locked() as session:
            self.refresh(session)
            wanted = [spec for spec in wanted if self.differs(spec)]
            if wanted:
                message = "tables: " + ", ".join(spec.name for spec in wanted)
                commit = session.append(os.urandom(16).hex(), time.time_ns() // 1000, user, None, message, [])
                for spec in wanted:
                    session.add_schema(self._next(spec, commit))
        with self._catalog.read() as session:
            self.refresh(session)

    def _next(self, spec: TableSpec, commit: int) -> TableVersion:
        """Return the next version of a table: the instance's columns in their order, then the new ones."""
        if (known := self._tables.get(spec.name)) is None:
            return TableVersion(spec, 1, commit)
        return TableVersion(spec.after(known[-1].spec), known[-1].version + 1, commit)

    def forget_stand_ins(self) -> None:
        """Ask anew for declarations of tables of other lakes."""
        self._standing.clear()

    def referring_to(self, table: str) -> list[tuple[str, str]]:
        """Return (table, column) of every declared reference to a table."""
        return [
            (name, column)
            for name, versions in sorted(self._tables.items())
            for column, target in versions[-1].spec.references.items()
            if target == table
        ]


def _widened(spec: TableSpec, versions: list[TableVersion]) -> list[TableVersion]:
    """Return versions of which the last one has the columns of a younger declaration, too; other types stay."""
    if not versions:
        return [TableVersion(spec, 1, 0)]
    last = versions[-1]
    added = [item.with_nullable(nullable=True) for item in spec.schema if item.name not in last.schema.names]
    if not added:
        return versions
    schema = pa.schema([*last.schema, *added])
    return [*versions, replace(last, spec=replace(last.spec, schema=schema), version=last.version + 1)]
