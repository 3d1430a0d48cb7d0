"""The shared SQL on a connection to Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lakehouse.engine.session_sql import LAST, META, SqlSession

if TYPE_CHECKING:
    from psycopg import Cursor

    from lakehouse.engine.postgres_connection import Connection

__all__ = ["FACTS", "SNAPSHOT", "PostgresStatements", "Reading", "last_rows", "learn"]

FACTS = f"SELECT * FROM ({META}) AS m LEFT JOIN ({LAST}) AS c ON true"
"""One statement, hence one state, for what nearly every session asks."""
SNAPSHOT = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {FACTS}"
_AT_ONCE = 200
"""Rows of one INSERT; each number of them is a statement that the server prepares apart."""


@lru_cache(maxsize=256)
def _translated(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


@lru_cache(maxsize=256)
def _repeated(sql: str, times: int) -> bytes:
    """Return an INSERT of one row as one of several."""
    into, row = sql.split(" VALUES", 1)
    return _translated(f"{into} VALUES{', '.join([row] * times)}")


def last_rows(cursor: Cursor[Any]) -> list[Any]:
    """Return the rows of the last of several statements."""
    while cursor.nextset():
        pass
    return cursor.fetchall() if cursor.description is not None else []


def learn(session: SqlSession, facts: list[Any]) -> None:
    """Hand the row of ``FACTS`` on to a session."""
    ((*meta, commit, at),) = facts
    session.learn(meta, None if commit is None else (commit, at))


class PostgresStatements:
    """Runs SQL inside the transaction that is open on a connection."""

    is_value = "digest = sha256(?)"

    def __init__(self, con: Connection) -> None:
        self._con = con

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Run a query and return all rows."""
        return self._con.execute(_translated(sql), values, binary=True).fetchall()

    def run(self, sql: str, *values: Any) -> int:
        """Run a change and return how many rows it touched."""
        return self._con.execute(_translated(sql), values).rowcount

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a change once for each of some rows, in as few round trips as possible."""
        if not sql.startswith("INSERT"):
            self._each(sql, rows)
            return
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            self._con.execute(_repeated(sql, len(part)), [value for row in part for value in row])

    def _each(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if len(rows) == 1:
            self.run(sql, *rows[0])
        elif rows:
            with self._con.cursor() as cursor:
                cursor.executemany(_translated(sql), rows)  # the driver sends them in one go

    def claim(self, table: str, group: str, values: Sequence[str]) -> str | None:
        """Insert unique values; return one that was there, or stood twice among them, if any was."""
        sql = "INSERT INTO unique_value SELECT %s, %s, unnest(%s::bytea[]) ON CONFLICT DO NOTHING RETURNING val"
        packed = [self.packed(value) for value in values]
        cursor = self._con.execute(sql, (table, group, packed), binary=True)
        new = {val for (val,) in cursor.fetchall()}
        for value, kept in zip(values, packed, strict=True):
            if kept not in new:
                return value
            new.discard(kept)
        return None

    def packed(self, text: str) -> bytes:
        """Return the bytes that stand for a text, which may hold a NUL character."""
        return text.encode()

    def unpacked(self, kept: Any) -> str:
        """Return the text that bytes stand for."""
        return bytes(kept).decode()


class Reading(PostgresStatements):
    """Runs queries inside a snapshot; one that is not begun yet begins with the first of them."""

    session: SqlSession

    def __init__(self, con: Connection, *, begun: bool) -> None:
        super().__init__(con)
        self._begun = begun

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Run a query; what the session knew before the snapshot was taken is replaced."""
        if not self._begun:
            self._begun = True
            learn(self.session, last_rows(self._con.execute(SNAPSHOT, prepare=False)))
        return super().rows(sql, *values)

    def end(self) -> None:
        """End the snapshot; everything was fetched."""
        if self._begun:
            self._con.execute("COMMIT", prepare=False)
