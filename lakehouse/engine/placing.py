"""Putting a catalog into the place of another, so that no process goes on with the one that was there."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from formats.durable import TEMPORARY, fsync_dir, fsync_path
from lakehouse.engine.backup import CatalogFile, examined
from lakehouse.engine.catalog_sqlite import SqliteCatalog, translated
from lakehouse.engine.headlock import HeadLock
from lakehouse.engine.options import Options
from lakehouse.errors import Busy, IntegrityError, NotFound

__all__ = ["Place"]


class Place:
    """Where a lake's catalog file lies, lies damaged, or lay.

    Parameters
    ----------
    path
        The catalog file.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self.path, self._options = path, options
        self.lock = HeadLock(path.with_suffix(".lock"), timeout=options.lock_timeout)
        self.draft_path = path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}.db")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the head lock: no process commits meanwhile. What is left of the draft is removed in the end."""
        try:
            with self.lock.held():
                try:
                    yield
                finally:
                    self._discard()
        finally:
            self.lock.close()

    def found(self) -> CatalogFile | None:
        """Return what the file says of itself, None when it is gone or no sound catalog."""
        try:
            return examined(self.path)
        except (NotFound, IntegrityError):
            return None

    def draft(self) -> SqliteCatalog:
        """Return a catalog beside the place, which is made ready there."""
        return SqliteCatalog(self.draft_path, self._options, upgrade=True)

    def _discard(self) -> None:
        """Remove what is left of the draft."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.draft_path.with_name(self.draft_path.name + suffix).unlink(missing_ok=True)
        self.draft_path.with_suffix(".lock").unlink(missing_ok=True)

    def put(self) -> Path | None:
        """Put the (closed) draft into the place, durably; to be called while it is :meth:`held`.

        A catalog that others may open is overwritten through SQLite, whose locks keep them out: who opened the file
        before would go on committing to a file without a name, were it renamed away.

        Returns
        -------
        Path | None
            Where a damaged catalog was moved to.

        Raises
        ------
        Busy
            When another process has the catalog open.
        """
        if self.found() is not None:
            self._overwrite()
            return None
        aside = self._moved_aside()
        with closing(sqlite3.connect(self.draft_path, isolation_level=None)) as draft:
            draft.execute("PRAGMA journal_mode = WAL")
        fsync_path(self.draft_path)
        os.link(self.draft_path, self.path)  # unlike a rename it replaces nothing
        fsync_dir(self.path.parent)
        return aside

    def _overwrite(self) -> None:
        try:
            with (
                closing(sqlite3.connect(self.path, isolation_level=None, timeout=1.0)) as live,
                closing(sqlite3.connect(self.draft_path, isolation_level=None)) as draft,
            ):
                live.execute("PRAGMA locking_mode = EXCLUSIVE")
                live.execute("PRAGMA synchronous = FULL")
                live.execute("PRAGMA journal_mode = DELETE")  # refused while another connection is open
                live.execute("BEGIN EXCLUSIVE")
                live.execute("COMMIT")  # the lock stays
                draft.backup(live)
                live.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise translated(error, self.path) from error  # and it is as it was
            raise Busy(
                f"another process has {self.path} open: end it (and close the instance in this one), then try again"
            ) from error

    def _moved_aside(self) -> Path | None:
        """Rename what is no sound catalog, with its journals: somebody may save something from it yet."""
        target = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns() // 1000}")
        moved = False
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).rename(target.with_name(target.name + suffix))
                moved = True
        return target if moved else None
