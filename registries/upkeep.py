"""Keeping an instance in order: its lake and the objects beside it, checked, vacuumed and backed up."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.storage import Storage as ObjectStore
from formats.storehash import BYTES
from formats.sweep import sweep_objects
from lakehouse.engine.backup import BackupReport, back_up
from lakehouse.engine.catalog import Pin
from lakehouse.engine.check import check
from lakehouse.engine.findings import CheckReport, Finding, Severity
from lakehouse.errors import Busy, InputError, InvalidFile, LakehouseError, shown
from lakehouse.types import Progress
from registries.unchanged import hash_there
from registries.whereabouts import FOREIGN

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["InstanceVacuum", "Upkeep"]

_log = logging.getLogger("lakehouse")
_ARTIFACTS = "select uid, key, version, storage, path, size, hash, hash_kind, n_files from artifact"


@dataclass(frozen=True)
class InstanceVacuum:
    """What a vacuum of an instance dropped, or would drop."""

    dry_run: bool
    """Whether nothing was done."""
    oldest_readable: int
    """The oldest commit that can still be read, apart from tagged ones."""
    head: int
    files: int
    """Data files of tables that were deleted."""
    objects: int
    """Stored artifacts that were deleted: no row of any commit that can still be read refers to them."""
    bytes: int
    """Of both."""
    uploads: int
    """Uploads to buckets that broke off and that nobody went on with; see ``formats.abandoned``."""
    pins: tuple[Pin, ...]
    """What keeps commits readable for a time."""
    tags: tuple[str, ...]
    """Names of commits that stay readable."""


class Upkeep:
    """The maintenance of one instance."""

    def __init__(self, home: Instance) -> None:
        self._home = home

    # -- vacuum ----------------------------------------------------------------------------------------------------
    def vacuum(
        self, *, retention: float | None = None, dry_run: bool = False, progress: Progress | None = None
    ) -> InstanceVacuum:
        """Drop what no retained commit needs; see ``Instance.vacuum``."""
        _check_retention(retention)
        lake = self._home.lake
        self._home.refuse_reading_only()
        keeper = lake.retention
        done = keeper.preview(retention=retention) if dry_run else keeper.clean(retention=retention)
        if done is None:
            raise Busy(f"another process is publishing or vacuuming {lake.root}: try again in a moment")
        objects, size = self._sweep(dry_run=dry_run, progress=progress)
        uploads = self._abandon(time.time() - lake.options.grace, dry_run=dry_run)
        return InstanceVacuum(
            dry_run=dry_run,
            oldest_readable=done.oldest_readable,
            head=done.head,
            files=done.files,
            objects=objects,
            bytes=done.bytes + size,
            uploads=uploads,
            pins=done.pins,
            tags=done.tags,
        )

    def _abandon(self, before: float, *, dry_run: bool) -> int:
        """Give up uploads in all storages; one that cannot be reached does not keep the others from being tidied."""
        count = 0
        for store in self._home.stores.all():
            try:
                count += store.abandon_uploads(before=before, dry_run=dry_run)
            except LakehouseError as error:
                _log.warning("uploads that broke off in %s are not looked for: %s", store.root, error)
        return count

    def _sweep(self, *, dry_run: bool, progress: Progress | None) -> tuple[int, int]:
        """Delete objects of the instance's own storage that no retained commit refers to; a bucket is left alone.

        The time before which nobody can come to refer to an object any more is recorded in the catalog by now: a
        transaction that stored its files before that is refused, and stores them again.
        """
        own = self._home.stores.own
        if not own.local:
            return 0, 0
        lake = self._home.lake
        with lake.catalog.read() as session:
            swept = session.meta().swept_before / 1e6
        before = time.time() - lake.options.grace
        kept = self._kept_objects()  # read after that time was recorded
        count = size = 0
        for found in sweep_objects(
            Path(own.root), kept.__contains__, before=before if dry_run else min(swept, before), dry_run=dry_run
        ):
            count, size = count + 1, size + found.bytes
            if progress is not None:
                progress(count, None)
        return count, size

    def _kept_objects(self) -> set[object]:
        """Return the paths in the instance's own storage that a commit which can still be read refers to."""
        own = self._home.stores.own_uid
        return {
            path for storage, path in self._home.lake.retention.values("artifact", "storage", "path") if storage == own
        }

    # -- check -----------------------------------------------------------------------------------------------------
    def check(self, *, deep: bool = False, progress: Progress | None = None) -> CheckReport:
        """Look at tables and stored artifacts; see ``Instance.check``."""
        report = check(self._home.lake, deep=deep, progress=progress)
        if any(finding.where.startswith("tables/artifact") for finding in report.of(Severity.HARM)):
            return report  # the rows that name the objects cannot be read
        rows = self._home.snapshot().arrow(_ARTIFACTS, tables=["artifact"]).to_pylist()
        found = [*report.findings, *self._artifacts(rows, progress, deep=deep), *self._orphans()]
        files, tables = report.files, report.tables
        return CheckReport(CheckReport.sorted(found), report.commit, tables, files, len(rows), deep)

    def _artifacts(self, rows: list[dict[str, Any]], progress: Progress | None, *, deep: bool) -> Iterator[Finding]:
        judged: dict[tuple[str, str], Finding | None] = {}
        for done, row in enumerate(rows):
            if progress is not None:
                progress(done, len(rows))
            place = row["storage"], row["path"]
            if place not in judged:  # versions and keys share objects
                judged[place] = self._object(row, deep=deep)
            if (finding := judged[place]) is not None:
                name = f"artifact {row['key'] or row['uid']}, version {row['version']}"
                yield Finding(finding.severity, finding.kind, name, finding.message)

    def _object(self, row: dict[str, Any], *, deep: bool) -> Finding | None:
        mend = "save the same content again, or restore it from a backup"
        try:
            store = self._home.stores.of(row["storage"])
            if store.protocol == "memory":
                return Finding(Severity.NOTE, "not checked", "", "it lies in the memory of the process that saved it")
            if not store.exists(row["path"]):
                return Finding(Severity.HARM, "missing", "", f"{store.uri(row['path'])} is gone: {mend}")
            if not _has_size(store, row):
                return Finding(Severity.HARM, "changed", "", f"{store.uri(row['path'])} has another size: {mend}")
            if deep and not _has_content(store, row):
                return Finding(Severity.HARM, "changed", "", f"{store.uri(row['path'])} has other contents: {mend}")
        except InvalidFile as error:
            return Finding(Severity.HARM, "changed", "", f"{error}: {mend}")
        except (LakehouseError, OSError) as error:  # a storage that cannot be reached is no harm done
            return Finding(Severity.WARNING, "not checked", "", str(error))
        return None

    def _orphans(self) -> Iterator[Finding]:
        own, lake = self._home.stores.own, self._home.lake
        if not own.local:
            return
        kept = self._kept_objects()
        before = time.time() - lake.options.grace
        swept = list(sweep_objects(Path(own.root), kept.__contains__, before=before, dry_run=True))
        if swept:
            size = sum(found.bytes for found in swept)
            message = f"{len(swept)} objects of {size:,} bytes that no readable commit refers to: vacuum removes them"
            yield Finding(Severity.NOTE, "orphaned", "storage/objects", message)

    # -- backup ----------------------------------------------------------------------------------------------------
    def backup(self, target: Path, *, progress: Progress | None = None) -> BackupReport:
        """Copy the catalog; see ``Instance.backup``."""
        return back_up(self._home.lake.catalog, target, progress=progress)


def _check_retention(retention: object) -> None:
    if retention is not None and not (isinstance(retention, int | float) and retention >= 0):
        raise InputError(f"retention = {shown(retention)}: seconds, 0 or more, are accepted")


def _has_size(store: ObjectStore, row: dict[str, Any]) -> bool:
    if row["n_files"] is None:
        return store.holds(row["path"], row["size"])
    return store.holds_folder(row["path"], row["size"], row["n_files"])


def _has_content(store: ObjectStore, row: dict[str, Any]) -> bool:
    kind, digest = row["hash_kind"], row["hash"]
    if kind.startswith(FOREIGN):  # of parts of the content, by another program
        return True
    if not kind.startswith(("blake3", *BYTES)):
        return store.known_hash(row["path"]) == (kind, digest)
    return bool(hash_there(store.local_path(row["path"]), kind) == digest)
