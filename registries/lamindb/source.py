"""The SQLite database of a LaminDB instance, read as it is: columns of a table as lists."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InvalidFile, NotFound

__all__ = ["Columns", "LaminSource", "times"]

Columns = dict[str, list[Any]]
"""Values by column, all of one length."""
_TRASH = -1
"""The branch of what was moved to the trash."""
_WITH_TRASH = frozenset({"lamindb_artifact", "lamindb_run", "lamindb_transform", "lamindb_storage", "bionty_source"})
"""Tables whose trash comes along: artifacts have one here, too, and what is live may refer to the others."""
_NEEDED = ("lamindb_artifact", "lamindb_storage", "lamindb_user", "lamindb_transform", "lamindb_run")


class LaminSource:
    """A LaminDB instance's database, opened for reading only.

    Parameters
    ----------
    path
        The file, such as ``storage/.lamindb/lamin.db``.

    Raises
    ------
    NotFound
        When there is no such file.
    InvalidFile
        When it is no database of LaminDB, or of a version that keeps artifacts otherwise.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotFound(
                f"there is no file {path}: name the SQLite file of the instance, such as storage/.lamindb/lamin.db"
            )
        self.path = path
        self._con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            self.tables = [name for (name,) in self._con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        except sqlite3.DatabaseError as error:
            self._con.close()
            raise InvalidFile(f"{path} is no SQLite database ({error})") from None
        if lacking := [name for name in _NEEDED if name not in self.tables]:
            self._con.close()
            raise InvalidFile(f"{path} is no database of LaminDB 2: it has no table {lacking[0]}")
        self.used: dict[str, set[str]] = {}
        """What was asked for, by table."""
        self.trashed: dict[str, int] = {}
        """How many rows in the trash were passed over, by table."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._con.close()

    def columns_of(self, table: str) -> list[str]:
        """Return the columns of a table; none where there is no such table."""
        return [row[1] for row in self._con.execute(f"PRAGMA table_info({_quoted(table)})")]

    def count(self, table: str, column: str | None = None) -> int:
        """Return how many rows a table has, or how many have a value in a column."""
        what = "*" if column is None else _quoted(column)
        found: int = self._con.execute(f"SELECT count({what}) FROM {_quoted(table)}").fetchone()[0]
        return found

    def read(self, table: str, *columns: str, order: str = "id") -> Columns:
        """Return columns as lists, in the order of ids; a column that this version lacks is all None."""
        there = self.columns_of(table)
        if not there:
            return {name: [] for name in columns}
        self.used.setdefault(table, set()).update(columns)
        wanted = ", ".join(_quoted(name) if name in there else "NULL" for name in columns)
        ordered = f" ORDER BY {_quoted(order)}" if order in there else ""
        live = f" WHERE branch_id IS NOT {_TRASH}" if "branch_id" in there and table not in _WITH_TRASH else ""
        rows = self._con.execute(f"SELECT {wanted} FROM {_quoted(table)}{live}{ordered}").fetchall()
        if live and (trashed := self.count(table) - len(rows)):
            self.trashed[table] = trashed
        lists: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [[] for _ in columns]
        return {name: list(values) for name, values in zip(columns, lists, strict=True)}

    def rows(self, table: str, *columns: str) -> Iterator[dict[str, Any]]:
        """Yield rows as dicts; for tables that are not large."""
        found = self.read(table, *columns)
        for values in zip(*(found[name] for name in columns), strict=True):
            yield dict(zip(columns, values, strict=True))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def times(texts: Sequence[str | None]) -> pa.Array:
    """Return times as Django writes them (UTC, without a zone), null where there is none.

    Examples
    --------
    >>> times(["2026-11-26 07:41:27.688000", None])[0].as_py().isoformat()
    '2026-11-26T07:41:27.688000+00:00'
    """
    found = pa.array(texts, pa.string()).cast(pa.timestamp("us"))
    return pc.assume_timezone(found, "UTC")
