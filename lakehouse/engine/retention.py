"""Pins and vacuum: how long commits stay readable, and which files nobody can come to need."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.lease import Lease
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.engine.recovery import Recovery
from lakehouse.engine.schemas import Schemas
from lakehouse.errors import Expired

__all__ = ["Retention"]


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
        return self._lease.under(self._vacuum)

    def _vacuum(self, epoch: int) -> int:
        reach("vacuum.leased")
        with self._catalog.read() as session:
            self._schemas.refresh(session)
            lake = session.meta().lake
        Recovery(self._root, self._catalog, self._schemas, lake).run(epoch, self._publisher.ratify)
        now = time.time()
        cutoff, swept = (int((now - s) * 1e6) for s in (self._options.retention, self._options.grace))
        with self._catalog.locked(epoch) as session:
            session.advance_horizon(session.horizon_candidates(cutoff, now), swept)
        reach("vacuum.horizon")
        self._root.sweep_unfinished(now - self._options.grace)
        return sum(self._sweep(table) for table in self._schemas.names())

    def _sweep(self, table: str) -> int:
        """Delete unreferenced files that nobody can come to refer to any more.

        A staged file: its staging began before ``swept_before``, so its commit would be refused. A publisher's file:
        it was written on a Delta version below the published one, so its Delta commit would be refused as stale.
        """
        folder, count = table_folder(self._root, table), 0
        with self._catalog.read() as session:
            newest = session.publication(table, session.head())
            swept, used = session.meta().swept_before, session.referenced_paths(table)
        version = newest.version if newest else -1
        for name in folder.names():
            if not name.startswith(("s-", "p-")) or not name.endswith(".parquet"):
                continue
            kind, mark = name.split("-")[:2]
            if name not in used and int(mark) < (swept if kind == "s" else version):
                reach("vacuum.unlink")
                folder.remove(name)
                count += 1
        return count
