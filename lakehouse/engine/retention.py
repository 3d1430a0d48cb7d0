"""Pins and vacuum: how long commits stay readable, and which files nobody can come to need."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from lakehouse.engine.catalog import Catalog, Pin, Session
from lakehouse.engine.changes import Op
from lakehouse.engine.datafile import read_column
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.lease import Lease
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.engine.schemas import Schemas
from lakehouse.errors import Expired

__all__ = ["Retention", "VacuumReport", "unreferenced"]


class _TakenBack(Exception):
    """Ends a preview, and with it the transaction that it was made in."""


@dataclass(frozen=True)
class VacuumReport:
    """What a vacuum dropped, or would drop."""

    oldest_readable: int
    """The oldest commit that can still be read, apart from tagged ones."""
    head: int
    files: int
    """Data files deleted."""
    bytes: int
    pins: tuple[Pin, ...]
    """What keeps commits readable for a time."""
    tags: tuple[str, ...]
    """Names of commits that stay readable."""


class Retention:
    """Keeps commits readable and drops what no retained commit needs."""

    def __init__(
        self, root: Folder, catalog: Catalog, schemas: Schemas, lease: Lease, publisher: Publisher, options: Options
    ) -> None:
        self._root, self._catalog, self._schemas = root, catalog, schemas
        self._lease, self._publisher, self._options = lease, publisher, options

    @contextmanager
    def pinned(self, commit: int | None, seconds: float) -> Iterator[int]:
        """Keep a commit (default: the head) readable inside the block, and for ``seconds`` at most."""
        name = uuid.uuid4().hex
        with self._catalog.locked() as session:
            at = session.head() if commit is None else commit
            if at < (oldest := session.meta().oldest_readable):
                raise Expired(f"commit {at} is no longer readable, the oldest is {oldest}")
            session.pin(name, at, time.time() + seconds)
        try:
            yield at
        finally:
            with self._catalog.locked() as session:
                session.unpin(name)

    def vacuum(self) -> int | None:
        """Drop what no retained commit needs; returns the number of files deleted, None when the lease is taken."""
        done = self.clean()
        return None if done is None else done.files

    def clean(self, *, retention: float | None = None) -> VacuumReport | None:
        """Drop what no retained commit needs; None when another process has the lease.

        Parameters
        ----------
        retention
            How long commits stay readable, in seconds; default: that of the options.
        """
        return self._lease.under(partial(self._vacuum, retention))

    def preview(self, *, retention: float | None = None) -> VacuumReport:
        """Return what :meth:`clean` would do now; nothing is changed."""
        now, cutoff, swept = self._times(retention)
        found: list[VacuumReport] = []
        with suppress(_TakenBack), self._catalog.locked() as session:  # done in earnest, and rolled back
            self._schemas.refresh(session)
            session.advance_horizon(session.horizon_candidates(cutoff, now), swept)
            swept, sizes = session.meta().swept_before, list[int]()
            for table in self._schemas.names():
                folder = table_folder(self._root, table)
                sizes += [folder.size(name) or 0 for name in unreferenced(session, folder, table, swept)]
            found.append(self._report(session, len(sizes), sum(sizes)))
            raise _TakenBack
        return found[0]

    def values(self, table: str, *columns: str) -> set[tuple[object, ...]]:
        """Return what columns hold, together, in any commit that can still be read."""
        folder = table_folder(self._root, table)
        with self._catalog.read() as session:
            self._schemas.refresh(session)
            files = session.kept_files(table)
            segments = session.segments(table, 0, session.head(), self._schemas.versions(table))
        held: set[tuple[object, ...]] = set()
        for segment in segments:
            if segment.op is not Op.DELETE and segment.batch is not None:
                held.update(zip(*(segment.batch.column(c).to_pylist() for c in columns), strict=True))
        for file in (*files, *(f for s in segments if s.op is not Op.DELETE for f in s.files)):
            held.update(zip(*(read_column(folder, file, c).to_pylist() for c in columns), strict=True))
        return held

    def _times(self, retention: float | None) -> tuple[float, int, int]:
        """Return now (seconds), and before when a commit is old and a staged file abandoned (microseconds)."""
        now, kept = time.time(), self._options.retention if retention is None else retention
        return now, int((now - kept) * 1e6), int((now - self._options.grace) * 1e6)

    def _vacuum(self, retention: float | None, epoch: int) -> VacuumReport:
        reach("vacuum.leased")
        self._publisher.recover(epoch)
        self._publisher.renew_head(epoch)  # a compaction that died, or was adopted, may not have done so
        now, cutoff, swept = self._times(retention)
        with self._catalog.locked(epoch) as session:
            session.advance_horizon(session.horizon_candidates(cutoff, now), swept)
        reach("vacuum.horizon")
        self._root.sweep_unfinished(now - self._options.grace)
        files, size = map(sum, zip((0, 0), *map(self._sweep, self._schemas.names()), strict=True))
        with self._catalog.read() as session:
            return self._report(session, files, size)

    def _report(self, session: Session, files: int, size: int) -> VacuumReport:
        tags = tuple(tag.name for tag in session.tags())
        return VacuumReport(session.meta().oldest_readable, session.head(), files, size, tuple(session.pins()), tags)

    def _sweep(self, table: str) -> tuple[int, int]:
        """Delete unreferenced files that nobody can come to refer to any more; return how many, and their bytes."""
        folder, size = table_folder(self._root, table), 0
        with self._catalog.read() as session:
            names = unreferenced(session, folder, table, session.meta().swept_before)
        for name in names:
            size += folder.size(name) or 0
            reach("vacuum.unlink")
            folder.remove(name)
        return len(names), size


def unreferenced(session: Session, folder: Folder, table: str, swept: int) -> list[str]:
    """Return the files of a table to be swept.

    A staged file: its staging began before ``swept`` (microseconds), so its commit would be refused once that time is
    recorded. A publisher's file: it was written on a Delta version below the published one, so its Delta commit would
    be refused as stale.
    """
    newest, used = session.publication(table, session.head()), session.referenced_paths(table)
    version, found = newest.version if newest else -1, []
    for name in folder.names():
        if not name.startswith(("s-", "p-")) or not name.endswith(".parquet"):
            continue
        kind, mark = name.split("-")[:2]
        if name not in used and int(mark) < (swept if kind == "s" else version):
            found.append(name)
    return found
