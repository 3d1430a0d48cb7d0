"""Backups of a SQLite catalog, made while writers go on, and what a backup file holds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from formats.durable import fsync_dir, fsync_path, temporary_name
from lakehouse.engine.catalog import Catalog, from_micros
from lakehouse.engine.catalog_sqlite import FORMAT, SqliteCatalog, translated
from lakehouse.engine.headlock import open_or_create
from lakehouse.errors import InputError, IntegrityError, NewerFormat, NotFound, Unsupported, shown
from lakehouse.types import Progress

__all__ = ["BackupReport", "CatalogFile", "back_up", "copied", "examined", "reading_uri", "sqlite_file"]

_PAGES = 4_000  # a step of 16 MB: progress is told between steps


@dataclass(frozen=True)
class CatalogFile:
    """What a catalog file says of itself."""

    path: Path
    lake: str
    head: int
    """The newest commit, 0 when there is none."""
    head_uid: str
    at: datetime | None
    """When the newest commit was made (UTC)."""
    epoch: int
    published: int
    """The commit that ``head.json`` named."""


@dataclass(frozen=True)
class BackupReport:
    """A backup that was made and read back."""

    path: Path
    commit: int
    """The newest commit that it holds."""
    at: datetime | None
    """When that commit was made (UTC)."""
    bytes: int
    unpublished: int
    """How many of its commits are in no Delta table yet: they exist in the catalog and this backup alone."""
    beside: tuple[str, ...]
    """What a copy of the instance needs besides, copied after the backup was made."""


def sqlite_file(catalog: Catalog, what: str) -> Path:
    """Return a catalog's file.

    Raises
    ------
    Unsupported
        When it is no SQLite file.
    """
    if not isinstance(catalog, SqliteCatalog):
        raise Unsupported(
            f"{what} works on a SQLite catalog; this instance has its catalog in Postgres: use pg_dump and pg_restore "
            "(or your provider's backups), with all users of the instance stopped while you restore"
        )
    return catalog.path


def back_up(catalog: Catalog, target: Path, *, progress: Progress | None = None) -> BackupReport:
    """Copy a catalog to a new file, as of one commit, while writers go on; durable and read back on return.

    Raises
    ------
    InputError
        When the target is there already, or its folder is not.
    """
    source = sqlite_file(catalog, "backup")
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already: name a new file, since a backup never replaces another")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is no folder: make it first")
    fresh = temporary_name(target)
    try:
        os.close(open_or_create(fresh, 0o600))  # it holds everything that the catalog holds
        copied(source, fresh, progress)
        made = examined(fresh)
        fsync_path(fresh)
        os.link(fresh, target)  # unlike a rename it replaces nothing
    except FileExistsError as error:
        raise InputError(f"{target} was made by another meanwhile: name a new file") from error
    finally:
        fresh.unlink(missing_ok=True)
    fsync_dir(target.parent)
    beside = ("lake.json", "head.json", "tables", "storage")
    size = target.stat().st_size
    return BackupReport(target, made.head, made.at, size, made.head - made.published, beside)


def copied(source: Path, target: Path, progress: Progress | None) -> None:
    """Copy a catalog file, as of one commit, into a file that is empty or not there."""
    try:
        _copied(source, target, progress)
    except sqlite3.DatabaseError as error:
        raise translated(error, target) from error


def _copied(source: Path, target: Path, progress: Progress | None) -> None:
    with (
        closing(sqlite3.connect(reading_uri(source), uri=True, isolation_level=None)) as read,
        closing(sqlite3.connect(target, isolation_level=None)) as write,
    ):
        read.execute("BEGIN")  # one state of the source for all steps, and no step that begins again
        read.execute("SELECT count(*) FROM meta").fetchone()
        read.backup(write, pages=_PAGES, progress=_told(progress))
        read.execute("ROLLBACK")
        write.execute("PRAGMA journal_mode = DELETE")  # a single file


def _told(progress: Progress | None) -> Callable[[int, int, int], object] | None:
    if progress is None:
        return None
    return lambda status, remaining, total: progress(total - remaining, total)


def examined(path: Path, *, thoroughly: bool = True) -> CatalogFile:
    """Read what a catalog file holds, and ``thoroughly`` its structure.

    Raises
    ------
    NotFound
        When there is no such file.
    IntegrityError
        When it is no sound catalog.
    NewerFormat
        When a newer version of this program wrote it.
    """
    if not path.is_file():
        raise NotFound(f"no file {shown(str(path))}")
    with _reading(path) as con:
        if thoroughly and (faults := con.execute("PRAGMA integrity_check(3)").fetchall()) != [("ok",)]:
            raise IntegrityError(f"{path} is damaged: {'; '.join(str(f) for (f,) in faults)}")
        (found,) = con.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise NewerFormat(f"{path} has format {found}, this program reads up to {FORMAT}: upgrade it first")
        if not found:
            raise IntegrityError(f"{path} holds no catalog")
        lake, epoch, published = con.execute("SELECT lake, epoch, head_json FROM meta").fetchone()
        newest = con.execute("SELECT id, uid, at FROM commits ORDER BY id DESC LIMIT 1").fetchone()
    head, uid, at = newest or (0, "", None)
    return CatalogFile(path, lake, head, uid, None if at is None else from_micros(at), epoch, published)


def reading_uri(path: Path) -> str:
    """Return how SQLite is to read a file; where it cannot share memory with writers and there are none, as it lies."""
    folder, effective = path.absolute().parent, os.access in os.supports_effective_ids
    alone = not path.with_name(f"{path.name}-wal").exists() and not os.access(folder, os.W_OK, effective_ids=effective)
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that may be anything; one that other processes write to is read through its write-ahead log."""
    try:
        with closing(sqlite3.connect(reading_uri(path), uri=True, isolation_level=None)) as con:
            yield con
    except sqlite3.DatabaseError as error:
        raise IntegrityError(f"{path} is no sound catalog ({error})") from error
