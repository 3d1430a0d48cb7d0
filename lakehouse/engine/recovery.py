"""Recovery: Delta commits of ours that lack a publication are adopted, a torn last entry is removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lakehouse.engine.catalog import Catalog, Publication, Session
from lakehouse.engine.changes import DataFile
from lakehouse.engine.datafile import is_sound
from lakehouse.engine.deltalog import DeltaLog, Entry, Note
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.schemas import Schemas
from lakehouse.errors import Diverged

__all__ = ["Recovery", "Verdict"]

Ratify = Callable[[str, int, Publication, Sequence[DataFile], Sequence[str], int], None]


@dataclass(frozen=True)
class _Found:
    """What lies in one table's log above its newest publication."""

    table: str
    log: DeltaLog
    good: list[Entry]
    torn: int | None


@dataclass(frozen=True)
class Verdict:
    """How a table's Delta log stands to the catalog."""

    table: str
    adoptable: int
    """Versions that a publisher left which died before it recorded them."""
    torn: int | None
    """The last version, if it is torn."""
    diverged: str | None
    """Why log and catalog do not belong together, if they do not."""


class Recovery:
    """Runs before each publishing round, under the lease; opening a lake only reads the catalog."""

    def __init__(self, root: Folder, catalog: Catalog, schemas: Schemas, lake: str) -> None:
        self._root, self._catalog, self._schemas, self._lake = root, catalog, schemas, lake

    def run(self, epoch: int, ratify: Ratify) -> None:
        """Adopt or remove what a dead publisher left.

        Raises
        ------
        Diverged
            When Delta and catalog do not belong together. All tables are classified before any is changed.
        """
        with self._catalog.read() as session:
            self._schemas.refresh(session)  # a sleeper may have put a schema into Delta that came after our target
        found = [self._classify(table) for table in self._schemas.names()]
        reach("recover.classified")
        for item in found:
            for entry in item.good:
                self._adopt(item, entry, epoch, ratify)
            if item.torn is not None:
                with self._catalog.locked(epoch):  # a late remover must not hit a good entry
                    item.log.remove(item.torn)

    def examine(self) -> list[Verdict]:
        """Return how every table stands; nothing is changed."""
        with self._catalog.read() as session:
            self._schemas.refresh(session)
        return [self._verdict(table) for table in self._schemas.names()]

    def _verdict(self, table: str) -> Verdict:
        try:
            found = self._classify(table)
        except Diverged as error:
            return Verdict(table, 0, None, str(error))
        return Verdict(table, len(found.good), found.torn, None)

    def _adopt(self, found: _Found, entry: Entry, epoch: int, ratify: Ratify) -> None:
        assert entry.note is not None
        found.log.folder.sync(*(file.path for file in entry.adds))
        found.log.sync(entry.version)
        reach("recover.synced")
        new = Publication(entry.version, entry.note.to_commit)
        ratify(found.table, entry.version - 1, new, entry.adds, entry.removes, epoch)
        reach("recover.adopted")

    def _classify(self, table: str) -> _Found:
        log = DeltaLog(table_folder(self._root, table), self._lake)
        with self._catalog.read() as session:
            newest = session.publication(table, session.head())
        version, published = (newest.version, newest.commit) if newest else (-1, 0)
        there = log.versions(above=version - 1)
        if version >= 0 and version not in there and not log.has(version):  # a store's listing may lag behind
            raise Diverged(
                f"{table}: the Delta log in {log.folder} ends below the published "
                f"version {version}; nothing was changed: restore the folder from a backup"
            )
        good: list[Entry] = []
        for number in (n for n in there if n > version):
            entry = log.read(number)
            if entry.torn or not all(is_sound(log.folder, f) for f in self._unsure(entry)):
                if number != there[-1]:
                    raise Diverged(f"{table}: version {number} is torn but not the last; nothing was changed")
                return _Found(table, log, good, number)
            if number != version + len(good) + 1 or not self._is_ours(table, entry, published):
                raise Diverged(
                    f"{table}: version {number} of the Delta log was not written from this catalog (another program, "
                    "or the catalog was restored from an older backup); nothing was changed"
                )
            assert entry.note is not None
            published = entry.note.to_commit
            good.append(entry)
        return _Found(table, log, good, None)

    @staticmethod
    def _is_intended(session: Session, table: str, entry: Entry, note: Note) -> bool:
        """Whether the catalog knows of a compaction, which shows the same commit as the version before it."""
        intent = session.intent(note.intent or "")
        if intent is None or note.to_commit != note.from_commit:
            return False
        added, removed = {file.path for file in entry.adds}, set(entry.removes)
        same = (added, removed) == (set(intent.adds), set(intent.removes))
        return same and (intent.table, intent.version) == (table, entry.version)

    def _unsure(self, entry: Entry) -> Sequence[DataFile]:
        """Return the files to be looked at; what a foreign entry names is none of our business."""
        return entry.adds if entry.note is not None and entry.note.lake == self._lake else ()

    def _is_ours(self, table: str, entry: Entry, published: int) -> bool:
        """Whether an entry names this lake, continues our publication, and its commit is one that we hold."""
        note = entry.note
        if note is None or note.lake != self._lake or note.from_commit != published:
            return False
        if note.kind == "create":
            return entry.version == 0 and note.to_commit == 0
        if note.kind == "schema" and note.schema > self._schemas.current(table).version:
            return False
        with self._catalog.read() as session:
            info = session.commit(note.to_commit)
            if note.kind == "compact" and not self._is_intended(session, table, entry, note):
                return False
        return info is not None and info.uid == note.to_uid
