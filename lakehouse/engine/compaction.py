"""Compaction: fewer and fuller data files in uid order, a group at a time, with the same rows as before.

A Delta commit of its own replaces files whose ranges overlap, or that are small, by new ones (``dataChange`` false,
the application version unchanged). It is intended in the catalog first and names that intention, so that recovery can
tell it from a stranger's. Writers and readers go on meanwhile: nothing but the group's publication takes the lock.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from lakehouse.engine.catalog import Catalog, Intent, Publication
from lakehouse.engine.changes import DataFile
from lakehouse.engine.datafile import conformed, write_file
from lakehouse.engine.deltalog import DeltaLog, Note
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.hashruns import merge_runs
from lakehouse.engine.lease import Lease
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher, refuse_forked
from lakehouse.engine.scan import source_of
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.state import Base, StateCache, TableState
from lakehouse.errors import Busy, DataLoss, Diverged

__all__ = ["Compacted", "Compactor", "groups_of"]

_BATCH = 50_000
_AT_ONCE = 2


@dataclass(frozen=True)
class Compacted:
    """What a compaction did."""

    removed: int = 0
    """Files that were replaced; readers of earlier versions keep them until a vacuum."""
    added: int = 0
    rows: int = 0
    """Rows that were written anew."""

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(self.removed + other.removed, self.added + other.added, self.rows + other.rows)


def groups_of(files: Sequence[DataFile], full: int) -> list[list[DataFile]]:
    """Return the groups of files that are worth rewriting: neighbours in uid order that overlap or are less than half full.

    Parameters
    ----------
    full
        Rows of a full file.
    """
    groups: list[list[DataFile]] = []
    group: list[DataFile] = []
    for cluster in _clusters(files):
        if len(cluster) > 1 or 2 * cluster[0].rows < full:
            group += cluster
            continue
        groups.append(group)
        group = []
    return [found for found in (*groups, group) if len(found) > 1]


def _clusters(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """Yield files whose ranges of uids overlap, together."""
    cluster: list[DataFile] = []
    reach_to = ""
    for file in sorted(files, key=lambda f: (f.low, f.high)):
        if cluster and file.low > reach_to:
            yield cluster
            cluster = []
        cluster.append(file)
        reach_to = max(reach_to, file.high)
    if cluster:
        yield cluster


class Compactor:
    """Compacts the tables of one lake; any process may, one at a time does."""

    def __init__(
        self,
        root: Folder,
        catalog: Catalog,
        schemas: Schemas,
        states: StateCache,
        lease: Lease,
        publisher: Publisher,
        options: Options,
    ) -> None:
        self._root, self._catalog, self._schemas, self._states = root, catalog, schemas, states
        self._lease, self._publisher, self._options = lease, publisher, options

    def run(self, timeout: float) -> Compacted:
        """Rewrite what is worth it, a group of every table at a time; the lease is free in between.

        Raises
        ------
        Busy
            When another process kept the lease for ``timeout`` seconds.
        """
        refuse_forked()
        total, deadline = Compacted(), time.monotonic() + timeout
        while (done := self._lease.under(self._round)) is None or done.removed:
            if done is not None:
                total, deadline = total + done, time.monotonic() + timeout
            elif time.monotonic() > deadline:
                raise Busy(f"another process has been publishing {self._root} for {timeout:g} s: try again")
            else:
                time.sleep(0.02)
        return total

    def _round(self, epoch: int) -> Compacted:
        reach("compact.leased")
        self._publisher.recover(epoch)
        done = Compacted()
        with self._lease.beating(epoch):
            for table in self._schemas.names():
                done += self._compact(table, epoch)
                for group in self._schemas.current(table).spec.unique:
                    merge_runs(self._catalog, epoch, table, ",".join(group), least=2)
        if done.removed:
            self._publisher.renew_head(epoch)
        return done

    def _compact(self, table: str, epoch: int) -> Compacted:
        state = self._published(table)
        if state is None or not (groups := groups_of(state.base.files, self._full(state.base.files))):
            return Compacted()
        chosen = list(self._first(groups))
        removes = [file for group in chosen for file in group]
        adds = [file for group in chosen for file in self._rewrite(state, group)]
        if sum(f.rows for f in adds) != sum(f.rows for f in removes):
            raise DataLoss(f"{table}: files hold other numbers of rows than the catalog says: run `lakehouse check`")
        self._swap(state, adds, removes, epoch)
        return Compacted(len(removes), len(adds), sum(f.rows for f in adds))

    def _first(self, groups: Sequence[list[DataFile]]) -> Iterator[list[DataFile]]:
        """Yield the first group, and small ones that follow it, so that there are not too many Delta versions."""
        rows = 0
        for group in groups:
            rows += sum(file.rows for file in group)
            if rows > self._options.compact_rows and group is not groups[0]:
                return
            yield group

    def _published(self, table: str) -> TableState | None:
        """Return a table as its newest publication shows it."""
        with self._catalog.read() as session:
            newest = session.publication(table, session.head())
            if newest is None or not newest.version:
                return None
            return self._states.load(session, self._schemas.versions(table), newest.commit)

    def _full(self, files: Sequence[DataFile]) -> int:
        """Return the rows of a full file, as wide as the table's rows are."""
        per_row = max(sum(f.size for f in files) / max(sum(f.rows for f in files), 1), 1)
        return max(min(self._options.file_rows, int(self._options.file_bytes / per_row)), 1)

    # -- writing ---------------------------------------------------------------------------------------------------
    def _rewrite(self, state: TableState, group: Sequence[DataFile]) -> list[DataFile]:
        """Write the rows of a group in uid order; few of them are in memory at a time."""
        full, rows = self._full(state.base.files), sum(f.rows for f in group)
        each = -(-rows // -(-rows // full))
        stem = f"p-{state.version}-{state.published}-{state.published}"
        base = Base(state.base.folder, tuple(group), state.table.schema, small=False)
        with _sorted(replace(state, base=base), self._options) as batches, ThreadPoolExecutor(_AT_ONCE) as pool:
            begun: list[Future[DataFile]] = []
            for part in _parts(batches, state.table.schema, each):
                if len(begun) >= _AT_ONCE:
                    begun[-_AT_ONCE].result()
                begun.append(pool.submit(write_file, state.base.folder, part, state.table, stem=stem))
            return [future.result() for future in begun]

    # -- committing ------------------------------------------------------------------------------------------------
    def _swap(self, state: TableState, adds: Sequence[DataFile], removes: Sequence[DataFile], epoch: int) -> None:
        """Put files in the place of others: the intent first, then the log entry, then the publication."""
        table, version = state.table.name, state.version + 1
        log = DeltaLog(table_folder(self._root, table), self._publisher.lake)
        handle = log.open(state.version, state.published)
        gone = [f.path for f in removes]
        if not set(gone) <= {uri.rsplit("/", 1)[-1] for uri in handle.file_uris()}:
            raise Diverged(f"{table}: the Delta log does not hold the files of its publication")
        log.folder.sync()
        reach("compact.written")
        intent = Intent(uuid.uuid4().hex, table, version, tuple(f.path for f in adds), tuple(gone))
        with self._catalog.locked(epoch) as session:
            session.intend(intent)
            info = session.commit(state.published)
        reach("compact.intended")
        uid = info.uid if info else ""
        note = Note(log.lake, "compact", state.published, state.published, uid, state.table.version, intent=intent.uid)
        log.append(handle, note, adds, removes)
        reach("compact.after_delta")
        log.sync(version)
        reach("compact.log_synced")
        self._publisher.ratify(table, state.version, Publication(version, state.published), adds, gone, epoch)
        reach("compact.ratified")
        if version % self._options.checkpoint_every == 0:
            log.checkpoint(version)


@contextmanager
def _sorted(state: TableState, options: Options) -> Iterator[pa.RecordBatchReader]:
    """Yield a table's rows in uid order, from a DuckDB that spills to a temporary folder what is too much."""
    source, spilled = source_of(state), tempfile.mkdtemp(prefix="lakehouse-compact-")
    config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": spilled}
    config["memory_limit"] = f"{options.compact_memory}B"
    try:
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, rows in source.arrow.items():
                connection.register(name, rows)
            yield connection.sql(f"SELECT * FROM ({source.sql}) ORDER BY uid").to_arrow_reader(_BATCH)
    except duckdb.IOException as error:
        raise DataLoss(f"{state.base.folder}: a file that the catalog names cannot be read ({error})") from error
    finally:
        shutil.rmtree(spilled, ignore_errors=True)


def _parts(batches: pa.RecordBatchReader, schema: pa.Schema, each: int) -> Iterator[pa.Table]:
    """Yield tables of so many rows each."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        rows = conformed(pa.Table.from_batches([batch]), schema)
        while count + len(rows) >= each:
            head = rows.slice(0, each - count)
            yield pa.concat_tables([*waiting, head]).combine_chunks()
            rows, waiting, count = rows.slice(len(head)), [], 0
        waiting.append(rows)
        count += len(rows)
    if count:
        yield pa.concat_tables(waiting).combine_chunks()
