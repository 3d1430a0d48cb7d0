"""Restoring a backup of the catalog, so that no commit is swallowed and none given up unasked.

A backup knows the commits up to its own. If the Delta tables, or the catalog that lies in the place, show commits that
it does not hold, they would be lost: that needs a word of the caller's. Then Delta is taken back to the backup, by
versions of its own. The commit that notes the restoration is counted above all that were ever seen, so that no number
comes to mean another commit.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.engine.backup import CatalogFile, copied, examined, reading_uri
from lakehouse.engine.catalog import Catalog, CommitInfo
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.datafile import is_sound
from lakehouse.engine.deltalog import DeltaLog
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, LocalFolder, table_folder
from lakehouse.engine.home import Home
from lakehouse.engine.lake import Lake
from lakehouse.engine.options import Options
from lakehouse.engine.placing import Place
from lakehouse.engine.publish import HEAD
from lakehouse.engine.realign import Realigner
from lakehouse.engine.recovery import Recovery
from lakehouse.engine.schemas import Schemas
from lakehouse.errors import ConfigurationError, DataLoss, Diverged, InputError
from lakehouse.types import Progress

__all__ = ["RestoreReport", "head_of", "live_files", "logged", "restore", "seen"]


@dataclass(frozen=True)
class RestoreReport:
    """A backup that is the catalog now."""

    root: Path
    commit: int
    """The newest commit of the backup."""
    head: int
    """The commit that notes the restoration; further ones are counted from it."""
    epoch: int
    given_up: int
    """Commits that lay in the catalog which was there and are not in the backup."""
    realigned: tuple[str, ...]
    """Tables whose Delta log showed commits that the backup does not hold, and was taken back."""
    aside: Path | None
    """Where a damaged catalog was moved to."""


def restore(
    root: Path,
    backup: Path,
    *,
    discard_newer: bool = False,
    options: Options | None = None,
    user: str = "",
    progress: Progress | None = None,
) -> RestoreReport:
    """Put a backup into the place of the catalog, and publish.

    When it ends half-way, it can be run again.

    Parameters
    ----------
    discard_newer
        Give up commits that the backup does not hold: those of a catalog that is there, and those that Delta shows.

    Raises
    ------
    InputError
        When the catalog that is there holds commits which the backup lacks.
    Diverged
        When Delta shows commits which the backup lacks.
    DataLoss
        When data files that the backup names are gone.
    Busy
        When another process has the instance open.
    """
    home, said = Home.marked(root), examined(backup)
    if said.lake != home.lake:
        raise ConfigurationError(f"{backup} is of lake {said.lake}, not of {home.lake} in {root}")
    place = Place(home.catalog_file, options or Options())
    with place.held():
        report = _Restoration(home, place, said, user).run(discard_newer=discard_newer, progress=progress)
    with Lake.open(root, options=options, user=user) as lake:
        lake.flush()
    return report


class _Restoration:
    """One restoration, under the head lock of the place."""

    def __init__(self, home: Home, place: Place, said: CatalogFile, user: str) -> None:
        self._home, self._place, self._said, self._user = home, place, said, user
        self._folder = LocalFolder(home.root)

    def run(self, *, discard_newer: bool, progress: Progress | None) -> RestoreReport:
        there = self._place.found()
        given_up = 0 if there is None else _lacking(there.path, self._said.path)
        if given_up and there is not None and not discard_newer:
            raise InputError(
                f"{there.path} is sound and holds {given_up:,} commits that the backup lacks, the newest {there.head}: "
                "they would be lost. Keep it, or restore with discard_newer=True"
            )
        copied(self._said.path, self._place.draft_path, progress)
        catalog = self._place.draft()
        try:
            return self._made(catalog, there, given_up, discard_newer=discard_newer)
        finally:
            catalog.close()

    def _made(
        self, catalog: SqliteCatalog, there: CatalogFile | None, given_up: int, *, discard_newer: bool
    ) -> RestoreReport:
        schemas = Schemas(catalog)
        ahead = self._ahead(catalog, schemas)
        if ahead and not discard_newer:
            raise Diverged(
                f"the Delta tables {sorted(ahead)} show commits that {self._said.path} (up to commit {self._said.head}) "
                "does not hold, and nothing was changed. Choose: rebuild the catalog from what was published (then "
                "commits that were not are lost), or restore with discard_newer=True (then those that it lacks are)"
            )
        self._refuse_lost_files(catalog, schemas)
        heads = [self._said.head, there.head if there else 0, seen(self._folder, self._home.lake)]
        epochs = [self._said.epoch, there.epoch if there else 0, int((head_of(self._folder) or {}).get("epoch", 0))]
        head, epoch = max(heads) + 1, max(epochs) + 1
        self._note(catalog, head, epoch, oldest=self._oldest_whole(catalog, schemas))
        realigner = Realigner(self._folder, catalog, schemas, self._home.lake)
        for table in ahead:
            realigner.realign(table, head)
        reach("restore.realigned")
        catalog.close()
        reach("restore.before_put")
        aside = self._place.put()
        reach("restore.put")
        return RestoreReport(self._home.root, self._said.head, head, epoch, given_up, tuple(sorted(ahead)), aside)

    def _ahead(self, catalog: SqliteCatalog, schemas: Schemas) -> list[str]:
        """Return the tables whose log the backup does not explain."""
        verdicts = Recovery(self._folder, catalog, schemas, self._home.lake).examine()
        unknown = sorted(set(logged(self._folder, self._home.root)) - set(schemas.names()))
        return [verdict.table for verdict in verdicts if verdict.diverged is not None] + unknown

    def _refuse_lost_files(self, catalog: SqliteCatalog, schemas: Schemas) -> None:
        lost = [
            f"{table}/{file.path}"
            for table in schemas.names()
            for file in live_files(catalog, schemas, table)
            if not is_sound(table_folder(self._folder, table), file)
        ]
        if lost:
            raise DataLoss(
                f"{len(lost)} data files that {self._said.path} names are gone or damaged (such as tables/{lost[0]}), "
                "and nothing was changed: a vacuum has dropped what only older commits needed. Put the tables folder "
                "of that time back as well, or rebuild the catalog from what was published"
            )

    def _oldest_whole(self, catalog: SqliteCatalog, schemas: Schemas) -> int:
        """Return the oldest commit that can still be read: a vacuum after the backup dropped files of older ones."""
        with catalog.read() as session:
            oldest, kept = session.meta().oldest_readable, {t: session.kept_files(t) for t in schemas.names()}
        folders = {table: table_folder(self._folder, table) for table in kept}
        whole = all(folders[table].size(file.path) == file.size for table, files in kept.items() for file in files)
        return oldest if whole else max(oldest, self._said.head)

    def _note(self, catalog: SqliteCatalog, head: int, epoch: int, *, oldest: int) -> None:
        """Note the restoration under a new epoch: whoever holds an older lease has lost it."""
        message = f"restored from a backup of commit {self._said.head}"
        with catalog.locked() as session:
            now = datetime.now(UTC)
            at = max(now, self._said.at + timedelta(microseconds=1)) if self._said.at else now
            session.note(CommitInfo(head, uuid.uuid4().hex, at, self._user, None, message))
            meta = session.meta()
            swept = max(meta.swept_before, time.time_ns() // 1000)
            fresh = replace(meta, home=str(self._home.root), epoch=epoch, holder="", until=0.0, swept_before=swept)
            session.reset(replace(fresh, schema_commit=head, oldest_readable=oldest))


def _lacking(catalog: Path, backup: Path) -> int:
    """Return how many commits a catalog holds that a backup lacks."""
    with closing(sqlite3.connect(reading_uri(catalog), uri=True)) as con:
        con.execute("ATTACH ? AS backup", (reading_uri(backup),))
        sql = "SELECT count(*) FROM main.commits WHERE uid NOT IN (SELECT uid FROM backup.commits)"
        found: int = con.execute(sql).fetchone()[0]
    return found


def live_files(catalog: Catalog, schemas: Schemas, table: str) -> list[Any]:
    """Return the data files that a table's newest state is read from: published ones, and staged ones of the tail."""
    with catalog.read() as session:
        head = session.head()
        publication = session.publication(table, head)
        published = publication.commit if publication else 0
        files = session.files(table, published) if publication else []
        segments = session.segments(table, published, head, schemas.versions(table))
    return files + [file for segment in segments for file in segment.files]


def logged(folder: Folder, root: Path) -> list[str]:
    """Return the tables that have a Delta log; a publisher that could not write leaves an empty folder."""
    tables = root / "tables"
    found = sorted(path.name for path in tables.iterdir()) if tables.is_dir() else []
    return [name for name in found if any((tables / name / "_delta_log").glob("*.json"))]


def seen(folder: LocalFolder, lake: str) -> int:
    """Return the newest commit that ``head.json`` or a Delta log names."""
    commits = [int((head_of(folder) or {}).get("commit", 0))]
    for table in logged(folder, folder.here):
        log = DeltaLog(table_folder(folder, table), lake)
        notes = [log.read(version).note for version in log.versions()[-3:]]
        commits += [note.to_commit for note in notes if note is not None]
    return max(commits)


def head_of(folder: Folder) -> dict[str, Any] | None:
    """Return what ``head.json`` says, None when it is gone or damaged."""
    try:
        found = json.loads(folder.read(HEAD))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) and {"lake", "commit", "tables"} <= found.keys() else None
