"""What stands behind ``lh.compact``, ``lh.vacuum``, ``lh.check``, ``lh.backup``, ``lh.restore`` and ``lh.rebuild``."""

from __future__ import annotations

import os
from pathlib import Path

from lakehouse.api import current, place_of
from lakehouse.config import current_user
from lakehouse.engine.backup import BackupReport
from lakehouse.engine.compaction import Compacted
from lakehouse.engine.findings import CheckReport
from lakehouse.engine.rebuild import RebuildReport
from lakehouse.engine.rebuild import rebuild as rebuild_catalog
from lakehouse.engine.restore import RestoreReport
from lakehouse.engine.restore import restore as restore_catalog
from lakehouse.errors import InstanceNotFound
from lakehouse.types import Progress
from registries.instance import Instance
from registries.migration import planned
from registries.places import catalog_file, check_path, local_root
from registries.upkeep import InstanceVacuum

__all__ = ["backup", "check", "compact", "rebuild", "restore", "vacuum"]


def compact() -> Compacted:
    """Rewrite data files of tables that are small or overlap, so that look-ups and scans open fewer of them.

    Rows stay as they are, and others go on saving. What was replaced stays for readers of earlier versions until a
    vacuum.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.compact().removed
    0
    >>> lh.disconnect()
    """
    return current().compact()


def vacuum(
    *, retention: float | None = None, dry_run: bool = False, progress: Progress | None = None
) -> InstanceVacuum:
    """Drop commits older than the retention, and files and stored objects that nothing needs any more.

    Parameters
    ----------
    retention
        How long commits stay readable, in seconds; a week, where none is given. Pinned and tagged commits stay.
    dry_run
        Only say what would be dropped.
    progress
        Is told of the objects deleted.

    Raises
    ------
    Busy
        When another process is publishing or vacuuming.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.vacuum(dry_run=True).files
    0
    >>> lh.disconnect()
    """
    return current().vacuum(retention=retention, dry_run=dry_run, progress=progress)


def check(*, deep: bool = False, progress: Progress | None = None) -> CheckReport:
    """Find what is missing, damaged or contradicts itself in tables and storage; nothing is changed.

    Parameters
    ----------
    deep
        Read every file and compare contents; else sizes are compared.
    progress
        Is told of the data files, then of the stored artifacts that are done.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.check().ok
    True
    >>> lh.disconnect()
    """
    return current().check(deep=deep, progress=progress)


def backup(target: str | os.PathLike[str], *, progress: Progress | None = None) -> BackupReport:
    """Copy the catalog to a new file, as of one commit, while others go on saving.

    What it names lies beside it, in ``tables`` and ``storage``: a copy of the instance needs them too, copied after
    the backup was made.

    Parameters
    ----------
    target
        The new file.
    progress
        Is told of the pages copied.

    Raises
    ------
    InputError
        When the file is there already.
    Unsupported
        When the catalog is no SQLite file.
    """
    return current().backup(target, progress=progress)


def restore(
    backup: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    discard_newer: bool = False,
    progress: Progress | None = None,
) -> RestoreReport:
    """Put a backup into the place of an instance's catalog, and publish; nobody may have the instance open.

    Parameters
    ----------
    backup
        What :func:`backup` made.
    root
        The instance's folder; found as by ``lh.connect``, where none is given.
    discard_newer
        Give up commits that the backup does not hold: those of a catalog that is there, and those that Delta shows.
        Without it, a backup that lacks some is refused.
    progress
        Is told of the pages copied.

    Raises
    ------
    InputError, Diverged
        When commits would be lost.
    DataLoss
        When data files that the backup names are gone.
    Busy
        When a process has the instance open.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import lakehouse as lh
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> lake = lh.init(root / "lake", pointer=False)
    >>> label = lh.ULabel(name="treated").save()
    >>> made = lh.backup(root / "catalog.backup")
    >>> lh.disconnect()
    >>> (root / "lake" / "catalog.db").unlink()
    >>> lh.restore(made.path, root / "lake").commit == made.commit
    True
    >>> lake = lh.connect(root / "lake")
    >>> lh.ULabel.get(name="treated") == label
    True
    >>> lh.disconnect()
    """
    source = Path(check_path(backup, "backup")).absolute()
    return restore_catalog(
        _folder(root), source, discard_newer=discard_newer, user=current_user(None), progress=progress
    )


def rebuild(
    root: str | os.PathLike[str] | None = None,
    *,
    catalog: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> RebuildReport:
    """Make a lost catalog anew from what was published to Delta; what was committed after that is lost.

    Names, references and columns are in force again; tags and the history before the last publication are not.

    Parameters
    ----------
    root
        The instance's folder; found as by ``lh.connect``, where none is given.
    catalog
        Where the new one goes, if the file ``lake.json`` is lost too; default: into the folder.
    progress
        Is told of the tables done.

    Raises
    ------
    InputError
        When the catalog is there and sound.
    Diverged, DataLoss
        When the tables themselves are damaged.
    """
    place, folder = None if catalog is None else Path(catalog_file(catalog)).absolute(), _folder(root)
    report = rebuild_catalog(folder, catalog=place, user=current_user(None), progress=progress)
    with Instance.open(folder, upgrade=True) as home:
        planned(home).apply()  # declares the registries that had no rows
    return report


def _folder(root: str | os.PathLike[str] | None) -> Path:
    if (place := place_of(root)) is None:
        raise InstanceNotFound(f"no instance is named, and none lies in {Path.cwd()} or above: name its folder")
    return local_root(place)
