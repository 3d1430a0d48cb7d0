"""The catalog in a SQLite file (WAL, ``synchronous=FULL``)."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formats.durable import fsync_dir
from lakehouse.engine.catalog import closed
from lakehouse.engine.faults import reach
from lakehouse.engine.forks import GATE
from lakehouse.engine.headlock import HeadLock, open_or_create
from lakehouse.engine.options import Options
from lakehouse.engine.session_sql import SqlSession
from lakehouse.errors import (
    Abandoned,
    Busy,
    InputError,
    IntegrityError,
    NewerFormat,
    OlderFormat,
    ReadOnly,
    Unavailable,
    shown,
)

__all__ = ["FORMAT", "SqliteCatalog", "translated"]


_DDL = """
CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), lake TEXT NOT NULL, home TEXT NOT NULL,
    oldest_readable INTEGER NOT NULL, swept_before INTEGER NOT NULL, epoch INTEGER NOT NULL, holder TEXT NOT NULL,
    until REAL NOT NULL, head_json INTEGER NOT NULL, schema_commit INTEGER NOT NULL);
CREATE TABLE table_schema(name TEXT, version INTEGER, since INTEGER NOT NULL, rules TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY(name, version));
CREATE TABLE commits(id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, client_txn TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL, who TEXT NOT NULL, run TEXT, message TEXT NOT NULL, n INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE change(tbl TEXT NOT NULL, id INTEGER NOT NULL, seq INTEGER NOT NULL, op TEXT NOT NULL,
    version INTEGER NOT NULL, body BLOB NOT NULL, staged INTEGER NOT NULL);
CREATE UNIQUE INDEX change_order ON change(tbl, id, seq);
CREATE TABLE publication(tbl TEXT, version INTEGER, id INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(tbl, version));
CREATE TABLE file(tbl TEXT, path TEXT, size INTEGER NOT NULL, n INTEGER NOT NULL, low TEXT NOT NULL, high TEXT NOT NULL,
    version INTEGER NOT NULL, born INTEGER NOT NULL, died INTEGER, PRIMARY KEY(tbl, path));
CREATE TABLE unique_value(tbl TEXT, grp TEXT, val TEXT, PRIMARY KEY(tbl, grp, val)) WITHOUT ROWID;
CREATE TABLE unique_block(tbl TEXT NOT NULL, grp TEXT NOT NULL, bucket INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX unique_block_order ON unique_block(tbl, grp, bucket);
CREATE TABLE pin(name TEXT PRIMARY KEY, id INTEGER NOT NULL, until REAL NOT NULL);
"""
"""The first format; what came later is in ``_ADDED``."""


@dataclass(frozen=True)
class _Addition:
    """What a format adds to the one before it."""

    ddl: str
    stand_in: str
    """What a reader of an older catalog sees instead: a temporary view, which it alone has."""


_ADDED = (
    _Addition(
        "CREATE TABLE tag(name TEXT PRIMARY KEY, id INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL, "
        "message TEXT NOT NULL)",
        "CREATE TEMP VIEW tag AS SELECT '' AS name, 0 AS id, 0 AS at, '' AS who, '' AS message WHERE false",
    ),
    _Addition(
        "ALTER TABLE file ADD COLUMN stats TEXT", "CREATE TEMP VIEW file AS SELECT *, NULL AS stats FROM main.file"
    ),
    # blocks are numbered so that runs of different depths stand side by side; until here all had ten bits
    _Addition("UPDATE unique_block SET bucket = bucket + 1024", "SELECT 1"),
    _Addition(
        "CREATE TABLE intent(uid TEXT PRIMARY KEY, tbl TEXT NOT NULL, version INTEGER NOT NULL, adds TEXT NOT NULL, "
        "removes TEXT NOT NULL)",
        "CREATE TEMP VIEW intent AS SELECT '' AS uid, '' AS tbl, 0 AS version, '' AS adds, '' AS removes WHERE false",
    ),
    # from here on a schema may renew its table: programs that do not know this would read the old rows with it
    _Addition("SELECT 1", "SELECT 1"),
)
FORMAT = 1 + len(_ADDED)
"""The format of the catalog that this program writes; older ones are read as they are, and upgraded on demand."""


class SqliteCatalog:
    """A catalog file with its lock file beside it; a connection per thread, none shared with a forked child.

    Parameters
    ----------
    path
        The SQLite file.
    options
        Time-outs.
    read_only
        Refuse the head lock.
    mode
        Permissions of a catalog that is created.
    upgrade
        Bring a catalog of an older format to this one, all in one transaction.

    Raises
    ------
    NewerFormat
        When a newer version of this program wrote it.
    OlderFormat
        When an older version wrote it, and it is to be written to as it is.
    """

    def __init__(
        self, path: Path, options: Options, *, read_only: bool = False, mode: int = 0o600, upgrade: bool = False
    ) -> None:
        self.path, self._options, self.read_only, self._mode = path, options, read_only, mode
        self._upgrades = upgrade
        self._local, self._pid = threading.local(), os.getpid()
        self._open: dict[sqlite3.Connection, threading.Thread] = {}
        self._closed = False
        self._frozen: os.stat_result | None = None
        GATE.catalogs.add(self)
        self._lock = None if read_only else HeadLock(path.with_suffix(".lock"), timeout=options.lock_timeout, mode=mode)
        self._check_format()

    # -- connections -----------------------------------------------------------------------------------------------
    def _connection(self) -> sqlite3.Connection:
        if self._closed:
            raise closed(str(self.path))
        if self._pid != os.getpid():
            _inherited.extend(self._open)  # closing them here could release the parent's locks: keep, never touch
            self._local, self._open, self._pid = threading.local(), {}, os.getpid()
        if self._frozen is not None and not self._is_frozen():
            self._frozen = None
            self.drop_connections()
        con: sqlite3.Connection | None = getattr(self._local, "con", None)
        if con is None:
            self._drop_those_of_ended_threads()
            con = self._local.con = self._connect()
            self._open[con] = threading.current_thread()
        return con

    def _drop_those_of_ended_threads(self) -> None:
        """Each holds three descriptors: a program that starts many threads must not run out of them.

        The main thread counts as ended while atexit's functions run in it, and still uses its connection.
        """
        main = threading.main_thread()
        for con in [con for con, thread in list(self._open.items()) if thread is not main and not thread.is_alive()]:
            self._open.pop(con, None)
            con.close()

    def drop_connections(self) -> None:
        """Close every connection that is not in use; the next question opens a new one."""
        for con in [con for con in list(self._open) if not con.in_transaction]:
            del self._open[con]
            con.close()
        self._local = threading.local()

    def _connect(self) -> sqlite3.Connection:
        target, uri = str(self.path), False
        if self.read_only:
            still = "&immutable=1" if self._freezes() else ""
            target, uri = f"{self.path.absolute().as_uri()}?mode=ro{still}", True
        try:
            con = sqlite3.connect(
                target, isolation_level=None, timeout=self._options.lock_timeout, uri=uri, check_same_thread=False
            )
            con.execute("PRAGMA synchronous = FULL")
            if self.read_only:
                _stand_in(con)
        except sqlite3.OperationalError as error:
            raise translated(error, self.path) from error
        return con

    def _freezes(self) -> bool:
        """Whether the catalog must be read as a file that does not change.

        Nobody has it open for writing, and its folder cannot take the shared memory that SQLite reads it with.
        """
        if self._wal.exists() or os.access(
            self.path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids
        ):
            return False
        self._frozen = self.path.stat()
        return True

    def _is_frozen(self) -> bool:
        then, now = self._frozen, self.path.stat()
        same = then is not None and (then.st_ino, then.st_size, then.st_mtime_ns) == (
            now.st_ino,
            now.st_size,
            now.st_mtime_ns,
        )
        return same and not self._wal.exists()

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def _check_format(self) -> None:
        if not self.path.exists() or self.path.stat().st_size == 0:
            return
        try:
            with GATE.passed():
                (found,) = self._connection().execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise translated(error, self.path) from error
        self._refuse_newer(found)
        if 0 < found < FORMAT and not self.read_only:
            if not self._upgrades:
                self.close()
                raise OlderFormat(
                    f"{self.path} has format {found}, this program writes {FORMAT}: lh.migrate() upgrades it"
                )
            self._upgrade()

    def _refuse_newer(self, found: int) -> None:
        if found > FORMAT:
            raise NewerFormat(
                f"{self.path} has format {found}, this program reads up to {FORMAT}: "
                'pip install --upgrade "lakehouse-toolkit"'
            )

    def _upgrade(self) -> None:
        """Bring an older catalog to this format, all in one transaction; another process may be first."""
        assert self._lock is not None
        with self._lock.held(), GATE.passed(), _transaction(self._connection(), "BEGIN IMMEDIATE", self.path) as con:
            (found,) = con.execute("PRAGMA user_version").fetchone()
            for addition in _ADDED[found - 1 :]:
                con.execute(addition.ddl)
            con.execute(f"PRAGMA user_version = {max(found, FORMAT)}")

    def exists(self) -> bool:
        """Whether the catalog's tables were created."""
        if not self.path.exists():
            return False
        with GATE.passed():
            return bool(self._connection().execute("PRAGMA user_version").fetchone()[0])

    def create(self, home: str) -> bool:
        """Create the tables; False when another process was first."""
        assert self._lock is not None
        with self._lock.held(), GATE.passed():
            os.close(open_or_create(self.path, self._mode))
            con = self._connection()
            if con.execute("PRAGMA user_version").fetchone()[0]:
                return False
            con.execute("PRAGMA journal_mode = WAL")
            first = "INSERT INTO meta VALUES(1, ?, ?, 0, 0, 0, '', 0, 0, 0)"
            with _transaction(con, "BEGIN IMMEDIATE", self.path):
                for statement in (*filter(str.strip, _DDL.split(";")), *(addition.ddl for addition in _ADDED)):
                    con.execute(statement)
                con.execute(first, (uuid.uuid4().hex, home))
                con.execute(f"PRAGMA user_version = {FORMAT}")
            fsync_dir(self.path.parent)  # SQLite sees to its journals' entries, not to the database file's
        return True

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it consists of, whether they are there or not."""
        beside = [self.path.with_name(f"{self.path.name}{ending}") for ending in ("-wal", "-shm", "-journal")]
        return self.path, *beside, self.path.with_suffix(".lock")

    def size(self) -> int:
        """Return how many bytes it takes."""
        return sum(file.stat().st_size for file in self.files if file.exists())

    # -- sessions --------------------------------------------------------------------------------------------------
    @contextmanager
    def read(self, *, brief: bool = False) -> Iterator[SqlSession]:
        """Open a consistent reading session; it costs the same, ``brief`` or not."""
        del brief
        with GATE.passed():
            con = self._connection()
            if con.in_transaction:  # reading inside a locked session sees the same state
                yield SqlSession(_Statements(con))
                return
            with _transaction(con, "BEGIN", self.path):
                yield SqlSession(_Statements(con))

    @contextmanager
    def locked(self, epoch: int | None = None) -> Iterator[SqlSession]:
        """Take the head lock; with ``epoch``, only while that lease is still the newest."""
        if self._lock is None:
            raise ReadOnly(f"{self.path} was opened for reading only: open the instance without read_only=True")
        with self._lock.held(), GATE.passed(), _transaction(self._connection(), "BEGIN IMMEDIATE", self.path) as con:
            reach("lock.taken")
            self._refuse_newer(con.execute("PRAGMA user_version").fetchone()[0])  # upgraded since it was opened
            session = SqlSession(_Statements(con))
            if epoch is not None and session.meta().epoch != epoch:
                raise Abandoned(f"the maintenance lease {epoch} was lost to another process")
            yield session
            reach("lock.before_commit")

    def close(self) -> None:
        """Close every connection of this process; whoever asks it afterwards gets an ``InputError``."""
        self._closed = True
        if self._pid == os.getpid():
            for con in list(self._open):
                con.close()
        self._open, self._local = {}, threading.local()
        if self._lock is not None:
            self._lock.close()


_inherited: list[sqlite3.Connection] = []


def _stand_in(con: sqlite3.Connection) -> None:
    """Let a reader of an older catalog see what later formats added, without rows."""
    (found,) = con.execute("PRAGMA user_version").fetchone()
    con.execute("PRAGMA temp_store = MEMORY")
    for addition in _ADDED[found - 1 :] if found else ():
        con.execute(addition.stand_in)


class _Statements:
    """The shared SQL on a SQLite connection."""

    is_value = "val = ?"

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def rows(self, sql: str, *values: Any) -> list[Any]:
        return self._con.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Any) -> int:
        return self._con.execute(sql, values).rowcount

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._con.executemany(sql, rows)

    def claim(self, table: str, group: str, values: Sequence[str]) -> str | None:
        sql = "INSERT OR IGNORE INTO unique_value VALUES(?, ?, ?)"
        return next((v for v in values if not self._con.execute(sql, (table, group, v)).rowcount), None)

    def packed(self, text: str) -> str:
        return text

    def unpacked(self, kept: Any) -> str:
        return str(kept)


@contextmanager
def _transaction(con: sqlite3.Connection, begin: str, path: Path) -> Iterator[sqlite3.Connection]:
    try:
        con.execute(begin)
        yield con
        con.execute("COMMIT")
    except BaseException as error:
        if con.in_transaction:
            con.execute("ROLLBACK")
        if isinstance(error, sqlite3.DatabaseError):
            raise translated(error, path) from error
        if isinstance(error, UnicodeEncodeError):  # a lone surrogate, in a message or a user's name
            raise InputError(f"{shown(error.object)} is no text that can be stored ({error.reason})") from error
        raise


def translated(error: sqlite3.DatabaseError, path: Path) -> Exception:
    """Return our error for one of SQLite's."""
    text = str(error)
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_BUSY") or "locked" in text:
        return Busy(f"{path} is locked by another program ({text}): close it there, then try again")
    if code.startswith("SQLITE_READONLY"):
        return ReadOnly(f"{path} cannot be written ({text}): check its permissions and those of its folder")
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return Unavailable(f"{path}: {text}; nothing was committed: free some space or repair the disk, then try again")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return IntegrityError(f"{path} is no sound catalog ({text}): restore it from a backup")
    return Unavailable(f"{path}: {text}")
