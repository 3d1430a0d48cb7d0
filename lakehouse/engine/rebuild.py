"""Rebuilding a lost catalog from the Delta tables and ``head.json``.

What was published comes back, with schemas, unique values and references, exactly as ``head.json`` names it. What was
committed after that lay in the catalog alone and is lost with it; tables that a last, unfinished round had already
taken further are taken back, since the others do not show those commits.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.engine.backup import reading_uri
from lakehouse.engine.catalog import CommitInfo, Meta
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.datafile import is_sound, read_rows
from lakehouse.engine.deltalog import DeltaLog
from lakehouse.engine.folder import LocalFolder, table_folder
from lakehouse.engine.home import Home, is_lake
from lakehouse.engine.lake import Lake
from lakehouse.engine.options import Options
from lakehouse.engine.placing import Place
from lakehouse.engine.published import declare
from lakehouse.engine.realign import Realigner
from lakehouse.engine.replay import Shown, replayed
from lakehouse.engine.restore import head_of, logged, seen
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.unique import claim_of, record
from lakehouse.errors import DataLoss, Diverged, Duplicate, InputError, InstanceNotFound, IntegrityError
from lakehouse.types import Progress

__all__ = ["RebuildReport", "rebuild"]


@dataclass(frozen=True)
class RebuildReport:
    """A catalog that was made from what was published."""

    root: Path
    commit: int
    """The newest commit that is there again; what lay above it is lost."""
    uid: str
    at: datetime | None
    """When that commit was made (UTC)."""
    head: int
    """The commit that notes the rebuilding; further ones are counted from it."""
    epoch: int
    lost: int | None
    """Commits above :attr:`commit` that are known to have been made; None when nothing tells how many there were."""
    rows: dict[str, int]
    """Rows by table."""
    realigned: tuple[str, ...]
    """Tables that an unfinished round had taken further, and that were taken back."""
    without_rules: tuple[str, ...]
    """Tables whose unique groups and references no file tells; the program's declarations put them in force again."""
    consistent: bool
    """Whether ``head.json`` said which versions belong together; else the newest of each table were taken."""
    aside: Path | None
    """Where a damaged catalog was moved to."""


def rebuild(
    root: Path,
    *,
    catalog: Path | None = None,
    options: Options | None = None,
    user: str = "",
    progress: Progress | None = None,
) -> RebuildReport:
    """Make a catalog from Delta and ``head.json`` where it is lost, and publish.

    When it ends half-way, it can be run again.

    Parameters
    ----------
    catalog
        Where it goes, for a folder whose marker is lost too; default: into the root.
    progress
        Is told of the tables done.

    Raises
    ------
    InputError
        When there is a sound catalog.
    Diverged
        When a Delta log was written to by another program.
    DataLoss
        When published data files are gone.
    """
    folder = LocalFolder(root)
    home = _home(folder, root, catalog)
    place = Place(home.catalog_file, options or Options())
    with place.held():
        if (there := place.found()) is not None:
            raise InputError(
                f"{there.path} is a sound catalog (up to commit {there.head}), and rebuilding would lose what is not "
                "published. Move it away first, if it is really the wrong one"
            )
        report = _Rebuilding(home, folder, place, user).run(progress)
    if not is_lake(root):
        Home.mark(root, home.catalog, home.lake)
    with Lake.open(root, options=options, user=user) as lake:
        lake.flush()
    return report


def _home(folder: LocalFolder, root: Path, catalog: Path | None) -> Home:
    if is_lake(root):
        return Home.marked(root)
    if (head := head_of(folder)) is None:
        raise InstanceNotFound(f"{root} has neither lake.json nor head.json: nothing tells which lake it was")
    return Home(root, catalog or root / "catalog.db", head["lake"])


class _Rebuilding:
    """One rebuilding, under the head lock of the place."""

    def __init__(self, home: Home, folder: LocalFolder, place: Place, user: str) -> None:
        self._home, self._folder, self._place, self._user = home, folder, place, user
        self._head = head_of(folder)
        if self._head is not None and self._head["lake"] != home.lake:
            raise IntegrityError(f"head.json is of lake {self._head['lake']}, not of {home.lake}: restore it")

    def run(self, progress: Progress | None) -> RebuildReport:
        names = [table for table in logged(self._folder, self._home.root) if not self._is_unborn(table)]
        shown = {}
        for done, table in enumerate(names):
            if progress is not None:
                progress(done, len(names))
            shown[table] = self._shown(table)
        commit, uid = self._commit(shown)
        known = seen(self._folder, self._home.lake)
        salvaged = _salvaged(self._place.path)
        head, epoch = max(commit, known, salvaged or 0) + 1, int((self._head or {}).get("epoch", 0)) + 1_000
        catalog = self._place.draft()
        try:
            catalog.create(str(self._home.root))
            schemas = self._fill(
                catalog,
                shown,
                CommitInfo(commit, uid, self._at() or datetime.now(UTC), "", None, "published"),
                head,
                epoch,
            )
            ahead = [t for t in names if self._log(t).versions()[-1] > shown[t].publication.version]
            for table in ahead:
                Realigner(self._folder, catalog, schemas, self._home.lake).realign(table, head)
        finally:
            catalog.close()
        aside = self._place.put()
        newest = max(known, salvaged or 0)
        return RebuildReport(
            self._home.root,
            commit,
            uid,
            self._at(),
            head,
            epoch,
            None if salvaged is None and newest <= commit else newest - commit,
            {table: sum(f.rows for f in s.files) for table, s in shown.items()},
            tuple(ahead),
            tuple(table for table, s in shown.items() if not s.has_rules),
            self._head is not None,
            aside,
        )

    def _log(self, table: str) -> DeltaLog:
        return DeltaLog(table_folder(self._folder, table), self._home.lake)

    def _is_unborn(self, table: str) -> bool:
        """Whether all that a table has is a first entry that is torn: it was never published."""
        log = self._log(table)
        named = table in (self._head or {}).get("tables", {})
        return not named and log.versions() == [0] and log.read(0).torn

    def _shown(self, table: str) -> Shown:
        """Return a table as ``head.json`` names it; empty, if it was published after that."""
        log = self._log(table)
        there = log.versions()
        if there and log.read(there[-1]).torn:
            there.pop()
        if not there:
            raise Diverged(f"{table}: the Delta log in {log.folder} is empty: restore its folder from a backup")
        named: dict[str, Any] = (self._head or {}).get("tables", {}).get(table, {})
        version = int(named.get("version", 0)) if self._head is not None else there[-1]
        shown = replayed(log, table, version, rules=named.get("rules"))
        lost = [file.path for file in shown.files if not is_sound(log.folder, file)]
        if lost:
            raise DataLoss(
                f"{table}: {len(lost)} published files are gone or damaged (such as {lost[0]}): restore the folder "
                f"{log.folder} from a backup, then rebuild"
            )
        return shown

    def _commit(self, shown: dict[str, Shown]) -> tuple[int, str]:
        """Return the newest commit that is there again, and its uid."""
        commits = {s.publication.commit: s.uid for s in shown.values()}
        if self._head is None:
            commit = max(commits, default=0)
            return commit, commits.get(commit) or uuid.uuid4().hex
        commit = int(self._head["commit"])
        return commit, str(self._head.get("uid") or commits.get(commit) or uuid.uuid4().hex)

    def _at(self) -> datetime | None:
        return None if self._head is None else datetime.fromisoformat(self._head["at"])

    def _fill(
        self, catalog: SqliteCatalog, shown: dict[str, Shown], newest: CommitInfo, head: int, epoch: int
    ) -> Schemas:
        """Record commits, schemas, publications and unique values."""
        now = time.time_ns() // 1000
        message = f"rebuilt from what was published up to commit {newest.id}"
        with catalog.locked() as session:
            if newest.id:
                session.note(newest)
            at = max(datetime.now(UTC), newest.at + timedelta(microseconds=1))
            session.note(CommitInfo(head, uuid.uuid4().hex, at, self._user, None, message))
            for table, found in shown.items():
                for version in found.versions:
                    session.add_schema(version)
                session.ratify(table, -1, found.publication, now, found.files, [])
            for table, declared in (self._head or {}).get("schemas", {}).items():
                if table not in shown:  # it never had a row that was published
                    declare(session, table, declared)
            session.reset(Meta(self._home.lake, str(self._home.root), newest.id, now, epoch, "", 0.0, newest.id, head))
        schemas = Schemas(catalog)
        with catalog.read() as reading:
            schemas.refresh(reading)
        for table, found in shown.items():
            self._claim(catalog, table, found)
        return schemas

    def _claim(self, catalog: SqliteCatalog, table: str, found: Shown) -> None:
        """Take the unique values of the published rows again."""
        spec = found.versions[-1].spec
        if not spec.unique:
            return
        for file in found.files:
            rows = read_rows(table_folder(self._folder, table), file, spec.schema)
            claims = [claim_of(spec, group, rows, None) for group in spec.unique]
            try:
                with catalog.locked() as session:
                    record(session, claims)
            except Duplicate as error:
                raise IntegrityError(f"{table}: two published rows share a unique value ({error})") from error


def _salvaged(path: Path) -> int | None:
    """Return the newest commit that a damaged catalog still tells of, None when it tells nothing."""
    try:
        with closing(sqlite3.connect(reading_uri(path), uri=True)) as con:
            found: int | None = con.execute("SELECT max(id) FROM commits").fetchone()[0]
    except sqlite3.Error:
        return None
    return found
