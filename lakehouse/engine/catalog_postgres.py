"""The catalog in a schema of a Postgres database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.engine.faults import reach
from lakehouse.engine.forks import HELD
from lakehouse.engine.options import Options
from lakehouse.engine.postgres_address import PostgresAddress
from lakehouse.engine.postgres_connection import Pool
from lakehouse.engine.postgres_errors import translated
from lakehouse.engine.postgres_statements import FACTS, SNAPSHOT, PostgresStatements, Reading, learn
from lakehouse.engine.session_sql import SqlSession
from lakehouse.errors import (
    Abandoned,
    Disconnected,
    InputError,
    IntegrityError,
    LakehouseError,
    NewerFormat,
    OlderFormat,
    OutcomeUnknown,
    ReadOnly,
    Unavailable,
    shown,
)

if TYPE_CHECKING:
    from lakehouse.engine.postgres_connection import Connection

__all__ = ["FORMAT", "PostgresCatalog"]

FORMAT = 2
"""The format of the catalog that this program writes; from 2 on a schema may renew its table."""

# User's texts are bytes: they may hold NUL characters, and are compared as Python does. An index takes 2,700 bytes of
# a value at most, and a unique name may be longer: hence the digest.
_DDL = """
CREATE TABLE catalog_format(version BIGINT NOT NULL);
CREATE TABLE meta(one BIGINT PRIMARY KEY CHECK(one = 1), lake TEXT NOT NULL, home TEXT NOT NULL,
    oldest_readable BIGINT NOT NULL, swept_before BIGINT NOT NULL, epoch BIGINT NOT NULL, holder TEXT NOT NULL,
    until DOUBLE PRECISION NOT NULL, head_json BIGINT NOT NULL, schema_commit BIGINT NOT NULL);
CREATE TABLE table_schema(name TEXT, version BIGINT, since BIGINT NOT NULL, rules TEXT NOT NULL, body BYTEA NOT NULL,
    PRIMARY KEY(name, version));
CREATE TABLE commits(id BIGINT PRIMARY KEY, uid TEXT NOT NULL UNIQUE, client_txn TEXT NOT NULL UNIQUE,
    at BIGINT NOT NULL, who TEXT NOT NULL, run TEXT, message TEXT NOT NULL, n BIGINT NOT NULL, bytes BIGINT NOT NULL);
CREATE TABLE change(tbl TEXT, id BIGINT, seq BIGINT, op TEXT NOT NULL, version BIGINT NOT NULL, body BYTEA NOT NULL,
    staged BOOLEAN NOT NULL, PRIMARY KEY(tbl, id, seq));
CREATE TABLE publication(tbl TEXT, version BIGINT, id BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY(tbl, version));
CREATE TABLE file(tbl TEXT, path TEXT, size BIGINT NOT NULL, n BIGINT NOT NULL, low BYTEA NOT NULL,
    high BYTEA NOT NULL, version BIGINT NOT NULL, born BIGINT NOT NULL, died BIGINT, stats TEXT, PRIMARY KEY(tbl, path));
CREATE TABLE unique_value(tbl TEXT, grp TEXT, val BYTEA NOT NULL, digest BYTEA GENERATED ALWAYS AS (sha256(val)) STORED,
    PRIMARY KEY(tbl, grp, digest));
CREATE TABLE unique_block(tbl TEXT NOT NULL, grp TEXT NOT NULL, bucket BIGINT NOT NULL, body BYTEA NOT NULL);
CREATE INDEX unique_block_order ON unique_block(tbl, grp, bucket);
CREATE TABLE tag(name TEXT PRIMARY KEY, id BIGINT NOT NULL, at BIGINT NOT NULL, who TEXT NOT NULL, message TEXT NOT NULL);
CREATE TABLE intent(uid TEXT PRIMARY KEY, tbl TEXT NOT NULL, version BIGINT NOT NULL, adds TEXT NOT NULL,
    removes TEXT NOT NULL);
CREATE TABLE pin(name TEXT PRIMARY KEY, id BIGINT NOT NULL, until DOUBLE PRECISION NOT NULL);
"""


class PostgresCatalog:
    """A catalog in Postgres; its connections are pooled, and none is shared with a forked child.

    Writers queue up at one row, always before anything else, and see in READ COMMITTED what the one before them
    committed. A client that sleeps while it holds that row loses its session after ``Options.lock_idle`` seconds.

    Parameters
    ----------
    address
        The database and the schema.
    options
        Time-outs, and how many connections.
    read_only
        Refuse the head lock, and let the server refuse every change.
    upgrade
        Bring a catalog of an older format to this one when it is looked for.

    Raises
    ------
    MissingExtra
        When psycopg is not installed.
    """

    def __init__(
        self, address: PostgresAddress, options: Options, *, read_only: bool = False, upgrade: bool = False
    ) -> None:
        self.address, self._options, self.read_only, self._upgrades = address, options, read_only, upgrade
        self._pool = Pool(address, options, read_only=read_only)
        self._local = threading.local()
        HELD.add(self)

    def __repr__(self) -> str:
        return f"PostgresCatalog({self.name!r})"

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.address)

    @property
    def files(self) -> tuple[Path, ...]:
        """It has no files."""
        return ()

    def after_fork(self) -> None:
        """Begin anew in a forked child: the session of the thread that forked is the parent's."""
        self._local = threading.local()

    def close(self) -> None:
        """Close the connections that are not in use; whoever asks it afterwards gets an ``InputError``."""
        self._pool.close()

    # -- creation --------------------------------------------------------------------------------------------------
    def exists(self) -> bool:
        """Whether the catalog's tables were created.

        Raises
        ------
        NewerFormat
            When a newer version of this program wrote it.
        """
        with self.unlocked() as db:
            return self._exists(db)

    def _exists(self, db: PostgresStatements) -> bool:
        found = db.rows(
            "SELECT has_schema_privilege(schemaname, 'USAGE') FROM pg_tables WHERE schemaname = ? AND tablename = 'meta'",
            self.address.schema,
        )
        if not found:
            return False
        if not found[0][0]:
            raise ReadOnly(f"this role may not use {self.name}: its owner grants it with `lakehouse grant ROLE --read`")
        ((version,),) = db.rows("SELECT version FROM catalog_format")
        if version > FORMAT:
            raise NewerFormat(
                f"{self.name} has format {version}, this program reads up to {FORMAT}: "
                'pip install --upgrade "lakehouse-toolkit"'
            )
        if version < FORMAT and not self.read_only:
            if not self._upgrades:
                raise OlderFormat(
                    f"{self.name} has format {version}, this program writes {FORMAT}: lh.migrate() upgrades it"
                )
            db.run("UPDATE catalog_format SET version = ? WHERE version < ?", FORMAT, FORMAT)
        return True

    def create(self, home: str) -> bool:
        """Create schema and tables; False when another process was first."""
        schema = self.address.schema
        with self.unlocked() as db:
            db.rows("SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(?, 0))", f"lakehouse {schema}")
            if self._exists(db):
                return False
            if not db.rows("SELECT 1 FROM pg_namespace WHERE nspname = ?", schema):
                db.run(f"CREATE SCHEMA {self.address.identifier}")
            for statement in filter(str.strip, _DDL.split(";")):
                db.run(statement)
            db.run("INSERT INTO meta VALUES(1, ?, ?, 0, 0, 0, '', 0, 0, 0)", uuid.uuid4().hex, home)
            db.run("INSERT INTO catalog_format VALUES(?)", FORMAT)
        return True

    def size(self) -> int:
        """Return how many bytes its tables and indexes take."""
        sql = "SELECT CAST(sum(pg_total_relation_size(oid)) AS BIGINT) FROM pg_class WHERE relkind = 'r' AND "
        with self.unlocked() as db:
            rows = db.rows(sql + "relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = ?)", self.address.schema)
        return int(rows[0][0] or 0)

    @contextmanager
    def unlocked(self) -> Iterator[PostgresStatements]:
        """Run statements in a transaction of their own, outside the head lock."""
        con, _ = self._pool.begun("BEGIN")
        with self._settled(con):
            yield PostgresStatements(con)
            self._commit(con, None)

    # -- sessions --------------------------------------------------------------------------------------------------
    @contextmanager
    def read(self, *, brief: bool = False) -> Iterator[SqlSession]:
        """Open a consistent reading session; inside another one of this thread, that one."""
        known: SqlSession | None = getattr(self._local, "session", None)
        if known is not None:
            yield known
            return
        con, facts = self._pool.begun(FACTS if brief else SNAPSHOT)
        db = Reading(con, begun=not brief)
        session = db.session = SqlSession(db)
        with self._settled(con), self._current(session):
            learn(session, self._found(facts))
            yield session
            db.end()

    @contextmanager
    def locked(self, epoch: int | None = None) -> Iterator[SqlSession]:
        """Take the head lock; with ``epoch``, only while that lease is still the newest."""
        if self.read_only:
            raise ReadOnly(f"{self.name} was opened for reading only: open the instance without read_only=True")
        con, facts = self._pool.begun(self._lock_sql)
        session = SqlSession(PostgresStatements(con))
        with self._settled(con):
            with self._current(session):
                learn(session, self._found(facts))
                reach("lock.taken")
                if epoch is not None and session.meta().epoch != epoch:
                    raise Abandoned(f"the maintenance lease {epoch} was lost to another process")
                yield session
            reach("lock.before_commit")
            self._commit(con, session.appended)

    @property
    def _lock_sql(self) -> str:
        """One round trip that begins, takes the lock and reads what nearly every writer needs.

        The newest commit is read by a statement of its own: the one that waits for the lock sees the other tables as
        they were before it waited.
        """
        idle = f"set_config('idle_in_transaction_session_timeout', '{int(self._options.lock_idle * 1000)}', true)"
        return f"BEGIN; SELECT {idle} FROM meta FOR UPDATE; {FACTS}"

    def _found(self, facts: list[Any]) -> list[Any]:
        if not facts:
            raise IntegrityError(f"{self.name} is empty: restore the database from a backup")
        return facts

    @contextmanager
    def _current(self, session: SqlSession) -> Iterator[None]:
        """Let this thread's reading sessions be part of one that is open."""
        local = self._local
        local.session = session
        try:
            yield
        finally:
            local.session = None

    @contextmanager
    def _settled(self, con: Connection) -> Iterator[None]:
        """Undo what was not committed, say in our words what went wrong, and give the connection back."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise translated(error, self.address, lost=con.closed) from error
        except UnicodeEncodeError as error:  # a lone surrogate, in a message or a user's name
            raise InputError(f"{shown(error.object)} is no text that can be stored ({error.reason})") from error
        finally:
            self._pool.give_back(con)

    # -- the end of a commit ---------------------------------------------------------------------------------------
    def _commit(self, con: Connection, client_txn: str | None) -> None:
        """Commit; when the connection is lost meanwhile, find out whether it happened."""
        import psycopg

        try:
            said = con.execute("COMMIT", prepare=False).statusmessage
        except psycopg.Error as error:
            if not con.closed:  # the server said no, and lives
                raise
            self._pool.give_back(con)  # the question needs one, and this may be the only one
            if not self._happened(client_txn, error):
                raise Disconnected(
                    f"{self.name}: the connection was lost while committing, and nothing was committed: try again"
                ) from error
            return
        if said != "COMMIT":
            raise Unavailable(f"{self.name}: the server rolled the transaction back; nothing was committed: try again")

    def _happened(self, client_txn: str | None, error: Exception) -> bool:
        """Whether a client transaction was committed whose reply was lost.

        The question is asked under the head lock: as long as the lost session lives, that waits for it, so that what
        is absent cannot come later.
        """
        if client_txn is None:
            raise Disconnected(
                f"{self.name}: the connection was lost while the catalog was changed, which can be done again"
            ) from error
        try:
            con, _ = self._pool.begun(self._lock_sql)
            with self._settled(con):
                return SqlSession(PostgresStatements(con)).outcome(client_txn) is not None
        except LakehouseError as unreachable:  # be it away, busy, or a standby that took over and may not lock
            raise OutcomeUnknown(
                f"{self.name}: the connection was lost while committing, and the server cannot be asked whether the "
                f"commit was made ({unreachable}): repeat it with client_txn={shown(client_txn)}, which commits once"
            ) from error
