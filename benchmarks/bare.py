"""The floors: what a careful programmer would do with SQLite, a file and fsync, and no toolkit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BareSqlite", "put_durably"]


class BareSqlite:
    """A SQLite file with tables of one blob column: WAL, ``synchronous=FULL``, ``BEGIN IMMEDIATE``."""

    def __init__(self, path: Path, tables: Sequence[str]) -> None:
        self._con = sqlite3.connect(path, isolation_level=None)
        self._con.execute("PRAGMA journal_mode = WAL")
        self._con.execute("PRAGMA synchronous = FULL")
        for table in tables:
            self._con.execute(f"CREATE TABLE IF NOT EXISTS {table}(uid TEXT PRIMARY KEY, body BLOB NOT NULL)")

    def insert(self, rows: Sequence[tuple[str, str, bytes]]) -> None:
        """Insert (table, uid, body) in one durable transaction."""
        self._con.execute("BEGIN IMMEDIATE")
        for table, uid, body in rows:
            self._con.execute(f"INSERT INTO {table} VALUES(?, ?)", (uid, body))
        self._con.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._con.close()


def put_durably(path: Path, data: bytes) -> None:
    """Write bytes under a temporary name, fsync, rename, fsync the folder."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as sink:
        sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
