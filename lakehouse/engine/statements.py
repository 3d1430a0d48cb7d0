"""The seam between the SQL that all catalogs share and the drivers that run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Statements"]


class Statements(Protocol):
    """Runs SQL with ``?`` for values inside one transaction; what differs between databases is asked for here."""

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Run a query and return all rows."""
        ...

    def run(self, sql: str, *values: Any) -> int:
        """Run a change and return how many rows it touched."""
        ...

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a change once for each of some rows."""
        ...

    def claim(self, table: str, group: str, values: Sequence[str]) -> str | None:
        """Insert unique values; return one that was there, or stood twice among them, if any was."""
        ...

    def packed(self, text: str) -> str | bytes:
        """Return a text of the user's data as the database keeps it, whatever its length and characters."""
        ...

    def unpacked(self, kept: Any) -> str:
        """Return the text of what was packed."""
        ...

    @property
    def is_value(self) -> str:
        """The condition that finds a packed unique value through its index."""
        ...
