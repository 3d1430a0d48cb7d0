"""Taking a table's Delta log to the files that a catalog names, where the log has gone another way.

After a catalog was restored from a backup, or rebuilt from ``head.json``, a log may show commits that the catalog does
not hold. Delta's history is never rewritten: one more version shows again what the catalog shows, and says so.
"""

from __future__ import annotations

import time

from lakehouse.engine.catalog import Catalog, Publication
from lakehouse.engine.changes import DataFile
from lakehouse.engine.deltalog import DeltaLog, Note
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.table import TableSpec, TableVersion
from lakehouse.errors import Abandoned, Diverged

__all__ = ["Realigner"]


class Realigner:
    """Realigns the tables of a catalog that nobody else uses yet.

    Parameters
    ----------
    root
        The lake's root.
    catalog
        The catalog that is being made ready.
    """

    def __init__(self, root: Folder, catalog: Catalog, schemas: Schemas, lake: str) -> None:
        self._root, self._catalog, self._schemas, self._lake = root, catalog, schemas, lake

    def realign(self, table: str, commit: int) -> Publication:
        """Commit a Delta version that shows the files of the catalog's publication, and record it.

        Parameters
        ----------
        commit
            A commit of the catalog that no transaction of users belongs to: it declares columns that only Delta has.
        """
        log = DeltaLog(table_folder(self._root, table), self._lake)
        self._drop_torn(log)
        handle = log.newest()
        with self._catalog.read() as session:
            old = session.publication(table, session.head())
            published = old.commit if old else 0
            files = session.files(table, published) if old else []
            info = session.commit(published)
        if old is not None and handle.version() < old.version:
            raise Diverged(f"{table}: the Delta log ends below the published version {old.version}: restore its folder")
        current = self._declared(table, log, commit)
        note = Note(self._lake, "realign", published, published, info.uid if info else "", current.version)
        there = _sizes(handle)
        adds = [file for file in files if file.path not in there]
        keep = {file.path for file in files}
        removes = [DataFile(path, size, 0, "", "", 0) for path, size in there.items() if path not in keep]
        new = Publication(handle.version() + 1, published)
        if adds == files and not log.takes(handle, current, self._schemas.versions(table)):
            log.renew(handle, note, adds, current)  # columns were changed after what the catalog shows
        else:
            log.append(handle, note, adds, removes)
        log.sync(new.version)
        with self._catalog.locked() as session:
            if not session.ratify(table, old.version if old else -1, new, time.time_ns() // 1000, [], []):
                raise Abandoned(f"{table}: another process uses the catalog that is being made ready")
        return new

    @staticmethod
    def _drop_torn(log: DeltaLog) -> None:
        """Remove a last entry that a power failure tore: nobody was told of it."""
        there = log.versions()
        if there and log.read(there[-1]).torn:
            log.remove(there[-1])

    def _declared(self, table: str, log: DeltaLog, commit: int) -> TableVersion:
        """Return the newest declaration; columns that only Delta has are added, since Delta cannot lose them."""
        columns = log.schema()
        known = self._schemas.versions(table) if table in self._schemas.names() else []
        schema = known[-1].schema if known else columns
        extra = [item for item in columns if item.name not in schema.names]
        if known and not extra:
            return known[-1]
        for item in extra:
            schema = schema.append(item)
        rules = self._rules(log) or (known[-1].spec if known else TableSpec(table, schema)).rules()
        added = TableVersion(TableSpec.restore(table, schema, rules), known[-1].version + 1 if known else 1, commit)
        with self._catalog.locked() as session:
            session.add_schema(added)
        with self._catalog.read() as session:
            self._schemas.refresh(session, anew=True)
        return added

    @staticmethod
    def _rules(log: DeltaLog) -> str | None:
        notes = [entry.note for entry in map(log.read, reversed(log.versions())) if entry.note is not None]
        return next((note.rules for note in notes if note.rules), None)


def _sizes(handle: object) -> dict[str, int]:
    """Return the paths and bytes of the files that a handle shows."""
    import pyarrow as pa

    actions = pa.table(handle.get_add_actions(flatten=True))  # type: ignore[attr-defined]
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
