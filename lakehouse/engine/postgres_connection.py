"""Connections to Postgres: opened with the settings that a catalog needs, pooled, and left alone by forked children."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.engine.catalog import closed
from lakehouse.engine.forks import HELD
from lakehouse.engine.options import Options
from lakehouse.engine.postgres_address import PostgresAddress
from lakehouse.engine.postgres_errors import is_passing, translated
from lakehouse.engine.postgres_statements import last_rows
from lakehouse.errors import Busy
from lakehouse.optional import require

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

__all__ = ["Pool"]

T = TypeVar("T")
_KEPT_IDLE = 60.0
"""Connections that nobody used for so many seconds are closed."""
_inherited: list[object] = []
"""Connections of a parent: collecting one as garbage must not end the session that the parent still uses."""


class _Dead(Exception):
    """A connection that proved dead before anything was done on it: take another."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.error = error


class Pool:
    """Connections of one process to one schema.

    A plain stack: a pool with threads of its own would not survive a fork, and has to be told about one.

    Parameters
    ----------
    address
        The database and the schema.
    options
        How many connections, and time-outs.
    read_only
        Whether the server is to refuse every change.
    """

    def __init__(self, address: PostgresAddress, options: Options, *, read_only: bool) -> None:
        require("psycopg", "postgres")
        self._address, self._options, self._read_only = address, options, read_only
        self._reset()
        self._seen = self._closed = False
        HELD.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._idle: list[tuple[float, Connection]] = []
        self._busy: set[Connection] = set()
        self._opening = 0

    # -- borrowing -------------------------------------------------------------------------------------------------
    def take(self) -> Connection:
        """Return a connection that nobody else uses; an idle one may turn out to be dead.

        Raises
        ------
        Busy
            When all connections of this process, or of the server, are in use for long.
        Unavailable
            When the server cannot be reached.
        """
        if self._closed:
            raise closed(str(self._address))
        with self._changed:
            if not self._changed.wait_for(self._has_room, self._options.lock_timeout):
                raise Busy(
                    f"all {self._options.connections} connections of this process to {self._address} were in use for "
                    f"{self._options.lock_timeout:g} s: try again, or raise Options.connections"
                )
            if self._idle:
                _, con = self._idle.pop()
                self._busy.add(con)
                return con
            self._opening += 1
        try:
            con = self._opened()
        except BaseException:
            with self._changed:
                self._opening -= 1
                self._changed.notify()
            raise
        with self._changed:
            self._opening -= 1
            self._busy.add(con)
        return con

    def _has_room(self) -> bool:
        return bool(self._idle) or len(self._busy) + self._opening < self._options.connections

    def begun(self, sql: str) -> tuple[Connection, list[Any]]:
        """Return a connection on which statements were run, and the rows of the last of them.

        A connection that proves dead is replaced: nothing was done on it yet. One statement alone is prepared.
        """
        prepare = None if sql.startswith("SELECT") else False

        def begin() -> tuple[Connection, list[Any]]:
            con = self.take()
            try:
                return con, last_rows(con.execute(sql.encode(), prepare=prepare))
            except BaseException as error:
                dead = con.closed
                self.give_back(con)
                if dead and isinstance(error, psycopg.Error):
                    raise _Dead(error) from error
                raise

        import psycopg

        return self._patiently(begin)

    def give_back(self, con: Connection) -> None:
        """Return a connection; a transaction that is open on it is undone, and one that is dead is closed."""
        sound = _roll_back(con)
        with self._changed:
            if con not in self._busy:  # given back already, or in a forked child the parent's
                return
            self._busy.discard(con)
            now = time.monotonic()
            old = [c for at, c in self._idle if now - at > _KEPT_IDLE]
            self._idle = [(at, c) for at, c in self._idle if now - at <= _KEPT_IDLE]
            if sound:
                self._idle.append((now, con))
            self._changed.notify()
        for unused in old if sound else [*old, con]:
            unused.close()

    def close(self) -> None:
        """Close the connections that are not in use, and give no more away."""
        self._closed = True
        with self._changed:
            idle, self._idle = self._idle, []
        for _, con in idle:
            con.close()

    def __del__(self) -> None:
        """Close what the user of a lake did not: the driver would warn of each connection."""
        if hasattr(self, "_changed"):
            self.close()

    def after_fork(self) -> None:
        """Drop, in a forked child, what the parent uses on.

        Closing would send the parent's session a good-bye, and keeping the sockets open would keep that session, with
        the lock that it may hold, alive when the parent is killed: so the descriptors are pointed elsewhere.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        for con in [*(con for _, con in self._idle), *self._busy]:
            if not con.closed:
                os.dup2(nowhere, con.fileno(), inheritable=False)
            _inherited.append(con)
        os.close(nowhere)
        self._reset()

    # -- opening ---------------------------------------------------------------------------------------------------
    def _opened(self) -> Connection:
        """Return a new connection; what passes (a restart, no free slot) is waited for."""
        con = self._patiently(self._connect)
        self._seen = True
        return con

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do something, and do it again while the server restarts or has no free slot; raises our errors."""
        import psycopg

        deadline, pause = time.monotonic() + self._options.reconnect, 0.01
        while True:
            try:
                return act()
            except (psycopg.Error, _Dead) as failure:
                lost = isinstance(failure, _Dead)
                error = failure.error if isinstance(failure, _Dead) else failure
                passing = lost or is_passing(error, known=self._seen)
                if not passing or time.monotonic() + pause > deadline:
                    raise translated(error, self._address, lost=lost) from error
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 1.5, 0.5)

    def _connect(self) -> Connection:
        import psycopg
        from psycopg.types.numeric import Int8Dumper

        con: Connection = psycopg.connect(self._address.url, autocommit=True, **self._parameters())
        try:
            con.prepare_threshold = 2
            con.adapters.register_dumper(int, Int8Dumper)  # else each size of integer is a statement of its own
            con.execute(self._settings().encode(), prepare=False)
        except BaseException:
            con.close()
            raise
        return con

    def _parameters(self) -> dict[str, Any]:
        """Return what the driver is told; a peer that is gone without a word is noticed within half a minute."""
        return {
            "connect_timeout": max(int(self._options.reconnect), 2),
            "application_name": "lakehouse",
            "client_encoding": "utf8",
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            **self._address.secrets(),
        }

    def _settings(self) -> str:
        """Return one statement that sets a session up."""
        options = self._options
        settings = {
            "search_path": f"{self._address.identifier}, pg_temp",
            "lock_timeout": _ms(options.lock_timeout),
            "statement_timeout": _ms(options.statement_timeout),
            "idle_in_transaction_session_timeout": _ms(options.statement_timeout),
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            "client_min_messages": "error",
        } | ({"default_transaction_read_only": "on"} if self._read_only else {})
        calls = [f"set_config({_quoted(name)}, {_quoted(value)}, false)" for name, value in settings.items()]
        # what is acknowledged must be on the disk, whatever the server's default; a stricter one stays
        calls.append(
            "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
            "ELSE current_setting('synchronous_commit') END, false)"
        )
        return f"SELECT {', '.join(calls)}"


def _roll_back(con: Connection) -> bool:
    """End a transaction that is open; returns whether the connection is sound."""
    import psycopg
    from psycopg.pq import TransactionStatus

    if con.closed or con.info.transaction_status == TransactionStatus.IDLE:
        return not con.closed
    try:
        con.execute("ROLLBACK", prepare=False)
    except psycopg.Error:
        return False
    return True


def _ms(seconds: float) -> str:
    return str(max(int(seconds * 1000), 1))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
