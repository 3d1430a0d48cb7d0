"""Checking a lake: catalog, data files, Delta logs, ``head.json``, references and unique values, all at once.

A check changes nothing and stops nobody: writers, publishers and a vacuum may go on beside it, so whatever seems to be
missing is looked for again in the newest state before it is called lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.backup import examined
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.changes import DataFile
from lakehouse.engine.datafile import is_sound, read_rows
from lakehouse.engine.deltalog import DeltaLog
from lakehouse.engine.findings import CheckReport, Finding, Severity
from lakehouse.engine.folder import Folder, LocalFolder, table_folder
from lakehouse.engine.lake import Lake
from lakehouse.engine.recovery import Recovery, Verdict
from lakehouse.engine.restore import head_of, live_files, logged
from lakehouse.engine.retention import unreferenced
from lakehouse.engine.scan import quoted
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import TableSpec
from lakehouse.engine.unique import claim_of, unclaimed
from lakehouse.errors import DataLoss, Diverged, Expired, IntegrityError
from lakehouse.types import Progress

__all__ = ["check"]

_FEW = 5
_TRIES = 10


def check(lake: Lake, *, deep: bool = False, progress: Progress | None = None) -> CheckReport:
    """Look at everything that a lake consists of and return all findings.

    Parameters
    ----------
    deep
        Read the data files and the catalog whole, and compare every unique value; else files are known by their
        sizes and footers.
    progress
        Is told of the data files done.

    Examples
    --------
    >>> import tempfile
    >>> with Lake.create(tempfile.mkdtemp()) as lake:
    ...     check(lake).ok
    True
    """
    return _Checker(lake, deep, progress).run()


class _Checker:
    def __init__(self, lake: Lake, deep: bool, progress: Progress | None) -> None:  # noqa: FBT001
        self._lake, self._deep, self._progress = lake, deep, progress
        self._folder = lake.folder
        self._snapshot = lake.snapshot(lake.head())
        self._files = 0

    def run(self) -> CheckReport:
        found = [*self._catalog(), *self._data_files()]
        lost = any(finding.severity is Severity.HARM for finding in found)
        found += [*self._logs(), *self._orphans(), *self._head()]
        if not lost:  # rows that cannot be read cannot be compared
            for table in self._lake.schemas.names():
                found += self._rules(table)
        tables = len(self._lake.schemas.names())
        return CheckReport(CheckReport.sorted(found), self._snapshot.commit, tables, self._files, 0, self._deep)

    def _catalog(self) -> Iterator[Finding]:
        if self._deep and isinstance(self._lake.catalog, SqliteCatalog):
            try:
                examined(self._lake.catalog.path)
            except IntegrityError as error:
                yield Finding(Severity.HARM, "damaged", "catalog", f"{error}: restore it from a backup, or rebuild it")

    # -- data files ------------------------------------------------------------------------------------------------
    def _data_files(self) -> Iterator[Finding]:
        """Look at the files that the newest commit is read from."""
        live = [(table, file) for table in self._lake.schemas.names() for file in self._live(table)]
        self._files = len(live)
        for done, (table, file) in enumerate(live):
            if self._progress is not None:
                self._progress(done, len(live))
            finding = self._file(table, file)
            if finding is not None and file.path in {f.path for f in self._live(table)}:  # not vacuumed meanwhile
                yield finding
        if self._progress is not None:
            self._progress(len(live), len(live))

    def _live(self, table: str) -> list[DataFile]:
        return live_files(self._lake.catalog, self._lake.schemas, table)

    def _file(self, table: str, file: DataFile) -> Finding | None:
        folder, where = table_folder(self._folder, table), f"tables/{table}/{file.path}"
        size = folder.size(file.path)
        if size is None:
            return Finding(Severity.HARM, "missing", where, f"{file.rows:,} rows are lost: restore it from a backup")
        if size != file.size:
            message = f"it has {size:,} bytes, {file.size:,} were written: restore it from a backup"
            return Finding(Severity.HARM, "changed", where, message)
        if not is_sound(folder, file) or (self._deep and not self._reads_well(table, folder, file)):
            return Finding(Severity.HARM, "damaged", where, "its bytes were changed: restore it from a backup")
        return None

    def _reads_well(self, table: str, folder: Folder, file: DataFile) -> bool:
        """Whether all rows can be read, in order and within the bounds that the catalog states."""
        schema = next(v.schema for v in self._lake.schemas.versions(table) if v.version == file.schema)
        try:
            uids = read_rows(folder, file, schema)["uid"]
        except (DataLoss, OSError, pa.ArrowException):
            return False
        within = len(uids) == file.rows and (uids[0].as_py(), uids[-1].as_py()) == (file.low, file.high)
        return bool(within and pc.all(pc.less(uids.slice(0, len(uids) - 1), uids.slice(1))).as_py() is not False)

    # -- Delta -----------------------------------------------------------------------------------------------------
    def _logs(self) -> Iterator[Finding]:
        verdicts = Recovery(self._folder, self._lake.catalog, self._lake.schemas, self._lake.id).examine()
        for verdict in verdicts:
            yield from self._log(verdict)
        there = logged(self._folder, self._folder.here) if isinstance(self._folder, LocalFolder) else []
        for table in sorted(set(there) - {v.table for v in verdicts}):
            message = "the catalog knows no such table: another program made it, or the catalog is an older one"
            yield Finding(Severity.WARNING, "unknown table", f"tables/{table}", message)

    def _log(self, verdict: Verdict) -> Iterator[Finding]:
        where = f"tables/{verdict.table}"
        if verdict.diverged is not None:
            yield Finding(Severity.HARM, "diverged", where, verdict.diverged)
            return
        if verdict.torn is not None or verdict.adoptable:
            message = "a publisher died or is at work; the next publishing round takes care of it"
            yield Finding(Severity.NOTE, "unfinished", where, message)
            return
        with self._lake.catalog.read() as session:
            publication = session.publication(verdict.table, session.head())
            files = session.files(verdict.table, publication.commit) if publication else []
        if publication is None:
            return
        log = DeltaLog(table_folder(self._folder, verdict.table), self._lake.id)
        try:
            handle = log.newest()
        except Diverged as error:
            yield Finding(Severity.HARM, "diverged", where, str(error))
            return
        if handle.version() != publication.version:
            return  # a publisher came in between
        shown = {uri.rsplit("/", 1)[-1] for uri in handle.file_uris()}
        if shown != {file.path for file in files} or handle.transaction_version(self._lake.id) != publication.commit:
            message = f"version {publication.version} of the Delta log does not show what the catalog says it shows"
            yield Finding(Severity.HARM, "diverged", where, message)

    def _orphans(self) -> Iterator[Finding]:
        """Note files that nothing refers to and nobody can come to refer to."""
        swept = int((time.time() - self._lake.options.grace) * 1e6)
        for table in self._lake.schemas.names():
            folder = table_folder(self._folder, table)
            with self._lake.catalog.read() as session:
                orphans = unreferenced(session, folder, table, swept)
            if orphans:
                total = sum(folder.size(name) or 0 for name in orphans)
                message = (
                    f"{len(orphans)} files of {total:,} bytes that no commit refers to: vacuum removes them in time"
                )
                yield Finding(Severity.NOTE, "orphaned", f"tables/{table}", message)

    # -- head.json -------------------------------------------------------------------------------------------------
    def _head(self) -> Iterator[Finding]:
        with self._lake.catalog.read() as session:
            meta, newest = session.meta(), session.head()
        head = head_of(self._folder)
        if head is None:
            if meta.head_json:
                message = "it is gone or damaged: `lakehouse flush` after the next commit writes it again"
                yield Finding(Severity.WARNING, "missing", "head.json", message)
            return
        if head["lake"] != self._lake.id or head["commit"] > newest:
            message = f"it is of lake {head['lake']} and commit {head['commit']}, the catalog ends at commit {newest}"
            yield Finding(Severity.HARM, "diverged", "head.json", message)
            return
        if head["commit"] < meta.head_json:
            message = (
                f"it names commit {head['commit']}, the catalog says {meta.head_json}: `lakehouse flush` renews it"
            )
            yield Finding(Severity.WARNING, "out of step", "head.json", message)
            return
        for table, named in head["tables"].items():
            folder = table_folder(self._folder, table)
            lost = [path for path in named["files"] if folder.size(path) is None]
            again = head_of(self._folder)
            if lost and again is not None and again["commit"] == head["commit"]:
                message = f"{len(lost)} files that it names are gone, such as {lost[0]}"
                yield Finding(Severity.HARM, "missing", f"head.json: {table}", message)

    # -- rules -----------------------------------------------------------------------------------------------------
    def _rules(self, table: str) -> list[Finding]:
        """Compare rows with the rules of their table; on a newer state, where a vacuum came in between."""
        for _ in range(_TRIES):
            try:
                return list(self._broken_rules(table))
            except Expired:
                self._snapshot = self._lake.snapshot(self._lake.head())
            except DataLoss as error:
                return [Finding(Severity.HARM, "damaged", f"tables/{table}", str(error))]
        message = "it is vacuumed faster than it can be read: check again when that is over"
        return [Finding(Severity.WARNING, "not checked", f"tables/{table}", message)]

    def _broken_rules(self, table: str) -> Iterator[Finding]:
        if self._snapshot.state(table).is_empty:
            return
        spec = self._lake.schemas.current(table).spec
        yield from _held_twice(self._snapshot, table, ("uid",))
        for column, target in spec.references.items():
            if target in self._lake.schemas.names():
                yield from _broken(self._snapshot, table, column, target)
        for group in spec.unique:
            yield from _held_twice(self._snapshot, table, group)
            if self._deep:
                yield from self._unclaimed(spec, group)

    def _unclaimed(self, spec: TableSpec, group: tuple[str, ...]) -> Iterator[Finding]:
        """Find live values that the catalog does not guard: another row could take them."""
        columns = ", ".join(map(quoted, ("uid", *group)))
        rows = self._snapshot.arrow(f"SELECT {columns} FROM {quoted(spec.name)}", tables=[spec.name])
        with self._lake.catalog.read() as session:
            if session.head() != self._snapshot.commit:
                return  # values of rows that are gone meanwhile were given up
            count = unclaimed(session, claim_of(spec, group, rows, None))
        if count:
            message = f"{count:,} values of {','.join(group)} are not guarded against being taken twice: rebuild"
            yield Finding(Severity.HARM, "unguarded", spec.name, message)


def _broken(snapshot: Snapshot, table: str, column: str, target: str) -> Iterator[Finding]:
    sql = (
        f"SELECT a.uid, a.{quoted(column)} AS refers FROM {quoted(table)} a ANTI JOIN {quoted(target)} b "
        f"ON b.uid = a.{quoted(column)} WHERE a.{quoted(column)} IS NOT NULL ORDER BY 1"
    )
    rows = snapshot.arrow(sql, tables=[table, target]).to_pylist()
    if rows:
        some = ", ".join(f"{row['uid']} to {row['refers']}" for row in rows[:_FEW])
        message = f"{len(rows):,} rows refer to rows of {target} that are not there: {some}"
        yield Finding(Severity.HARM, "broken reference", f"{table}.{column}", message)


def _held_twice(snapshot: Snapshot, table: str, group: tuple[str, ...]) -> Iterator[Finding]:
    columns = ", ".join(map(quoted, group))
    filled = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in group)
    sql = f"SELECT {columns} FROM {quoted(table)} WHERE {filled} GROUP BY {columns} HAVING count(*) > 1 ORDER BY ALL"
    rows = snapshot.arrow(sql, tables=[table]).to_pylist()
    if rows:
        some = "; ".join(", ".join(map(str, row.values())) for row in rows[:_FEW])
        message = f"{len(rows):,} values of {','.join(group)} are held by more than one row: {some}"
        yield Finding(Severity.HARM, "duplicate", table, message)
