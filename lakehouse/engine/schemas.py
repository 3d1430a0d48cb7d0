"""The tables that the catalog knows, with all their schema versions."""

from __future__ import annotations

import threading

from lakehouse.engine.catalog import Catalog, Session
from lakehouse.engine.forks import HELD
from lakehouse.engine.table import TableVersion
from lakehouse.errors import UnknownField, did_you_mean, shown

__all__ = ["Schemas"]


class Schemas:
    """Table declarations as the catalog holds them; read again when another process changed one."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._lock = catalog, threading.Lock()
        self._tables: dict[str, list[TableVersion]] = {}
        self.known_commit = -1
        """The schema change that was seen last."""
        HELD.add(self)

    def after_fork(self) -> None:
        """Replace the mutex: a thread that stayed in the parent may hold it."""
        self._lock = threading.Lock()

    def refresh(self, session: Session) -> None:
        """Read the declarations if they changed."""
        newest = session.meta().schema_commit
        if newest == self.known_commit:
            return
        tables: dict[str, list[TableVersion]] = {}
        for version in session.tables():
            tables.setdefault(version.name, []).append(version)
        with self._lock:
            self._tables, self.known_commit = tables, newest

    def names(self) -> list[str]:
        """Return the names of all tables."""
        return sorted(self._tables)

    def versions(self, table: str) -> list[TableVersion]:
        """Return a table's schema versions, oldest first; raises ``UnknownField`` for an unknown table."""
        if table not in self._tables:
            with self._catalog.read() as session:
                self.refresh(session)
        if (found := self._tables.get(table)) is None:
            raise UnknownField(f"no table {shown(table)}{did_you_mean(table, self._tables)}")
        return found

    def current(self, table: str) -> TableVersion:
        """Return a table's newest declaration."""
        return self.versions(table)[-1]

    def referring_to(self, table: str) -> list[tuple[str, str]]:
        """Return (table, column) of every declared reference to a table."""
        return [
            (name, column)
            for name, versions in sorted(self._tables.items())
            for column, target in versions[-1].spec.references.items()
            if target == table
        ]
