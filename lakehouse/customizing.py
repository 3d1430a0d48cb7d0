"""What stands behind ``lh.add_registry``, ``lh.create_registry``, ``lh.import_lamindb``, ``lh.registry``, ``lh.migration`` and ``lh.migrate``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lakehouse import api
from lakehouse.errors import InstanceNotFound
from lakehouse.types import Progress, StrPath
from registries import adding, binding, sheets
from registries.instance import Instance
from registries.lamindb import MovingReport
from registries.lamindb import import_lamindb as moved_in
from registries.migration import Applied, Migration, planned
from registries.record import Record
from registries.sheets import SheetReport

__all__ = ["add_registry", "create_registry", "import_lamindb", "migrate", "migration", "registry"]


def add_registry(*registries: type[Record], allow_loss: bool = False) -> Applied:
    """Give the current instance registries of your own; all sessions that open it have them from now on.

    A class that was added before is compared with what the instance has: columns are added, changed or given up.

    Parameters
    ----------
    *registries
        Subclasses of ``lh.Record`` or ``lh.Term``.
    allow_loss
        Whether values may be lost, such as those of a column that the class no longer has.

    Raises
    ------
    ConfigurationError
        When one refers to a registry that the instance lacks.
    InputError
        When values would be lost.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> class Assay(lh.Record, natural=("name",), carried="assays"):
    ...     '''A kind of measurement.'''
    ...
    ...     name: lh.Column[str] = lh.column(doc="What it is called.", unique=True)
    ...     cells: lh.Column[int | None] = lh.column(doc="Cells that it takes at least.", default=None, ge=1)
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> applied = lh.add_registry(Assay)
    >>> Assay(name="10x 3' v3", cells=500).save().cells
    500
    >>> lh.sql("select name, cells from assay").fetchall()
    [("10x 3' v3", 500)]
    >>> lh.disconnect()
    """
    return adding.add(binding.current(), registries, allow_loss=allow_loss)


def create_registry(name: str, source: Any, *, key: str, dry_run: bool = False) -> SheetReport:
    """Make a registry of a sample sheet, or bring one that was made so up to date, by key; nothing is asked.

    Types come from the values; a column whose values are all names of records of a registry that it is called after
    (``donor``, ``cell_type``) refers to these. What was decided is in the report.

    Parameters
    ----------
    name
        What the registry is called, such as ``sample``.
    source
        A csv or tsv file, a pandas or Polars frame, an Arrow table or a list of dicts.
    key
        The column that says which record a row is; unique.
    dry_run
        Only say what would be done.

    Raises
    ------
    InvalidFile
        When headers are missing or repeated, or rows are ragged.
    Duplicate
        When a key occurs twice.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> report = lh.create_registry(
    ...     "sample", [{"sample_id": "s1", "age": 31}, {"sample_id": "s2", "age": 45}], key="sample_id"
    ... )
    >>> report.inserted, lh.registry("sample").get(sample_id="s2").age
    (2, 45)
    >>> lh.disconnect()
    """
    return sheets.create(binding.current(), name, source, key=key, dry_run=dry_run)


def import_lamindb(path: StrPath, *, progress: Progress | None = None) -> MovingReport:
    """Move in what a LaminDB instance holds: artifacts where they lie, labels, features, runs, terms and their links.

    Each registry is one transaction, and records that are here already stay as they are, so that an import which broke
    off, or one of an instance that has grown since, can be run again. LaminDB's database is only read.

    Parameters
    ----------
    path
        The SQLite file, such as ``storage/.lamindb/lamin.db``.
    progress
        Is told of the steps done.

    Returns
    -------
    MovingReport
        What was added, what was decided on the way, and what has no counterpart here.

    Raises
    ------
    InvalidFile
        When it is no database of LaminDB 2.

    Examples
    --------
    >>> import lakehouse as lh
    >>> lh.import_lamindb("storage/.lamindb/lamin.db")  # doctest: +SKIP
    Artifact: 4 rows, 4 added, 0 known
    ...
    """
    return moved_in(binding.current(), Path(path), progress=progress)


def registry(name: str) -> type[Record]:
    """Return a registry of the current instance by its class or its table.

    Raises
    ------
    NotFound
        When there is none of that name.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.registry("cell_type")(name="T cell").save().name
    'T cell'
    >>> lh.disconnect()
    """
    return adding.registry_called(binding.current(), name)


def migration(*registries: type[Record], root: str | os.PathLike[str] | None = None) -> Migration:
    """Return what an instance lacks that this program, or a registry of your own, declares; nothing is changed.

    Parameters
    ----------
    *registries
        Registries of your own whose declarations have changed.
    root
        The instance; the current one, where none is given.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.migration()
    nothing to migrate: the instance is up to date
    >>> lh.disconnect()
    """
    classes = [one.meta.registry for one in registries]
    current = binding.current_or_none()
    if root is None and current is not None:
        return planned(current, classes)
    with Instance.open(_place(root), read_only=True) as home:
        return planned(home, classes)


def migrate(*registries: type[Record], root: str | os.PathLike[str] | None = None, allow_loss: bool = False) -> Applied:
    """Bring an instance up to date with this program, and registries of your own with their declarations.

    One commit; snapshots from before show all as it was. An instance that is current is opened anew.

    Parameters
    ----------
    *registries
        Registries of your own whose declarations have changed.
    root
        The instance; the current one, where none is given.
    allow_loss
        Whether values may be lost.

    Raises
    ------
    InputError
        When values would be lost.
    NewerFormat
        When the instance is newer than this program.

    Examples
    --------
    >>> import tempfile
    >>> import lakehouse as lh
    >>> lake = lh.init(tempfile.mkdtemp(), pointer=False)
    >>> lh.migrate().steps  # it was made by this very version
    ()
    >>> lh.disconnect()
    """
    classes = [one.meta.registry for one in registries]
    current = binding.current_or_none()
    place = current.root if root is None and current is not None else _place(root)
    plan = migration(*registries, root=root)
    if plan.losses and not allow_loss:
        return plan.apply()  # says what would be lost, before anything is touched
    with Instance.open(place, upgrade=True) as home:
        done = planned(home, classes).apply(allow_loss=allow_loss)
    if current is not None and str(current.root) == str(place):
        remote, handle = current.remote, current.handle
        api.disconnect()
        api.connect(place, remote=remote, user=handle)
    return Applied(done.commit, plan.steps)


def _place(root: str | os.PathLike[str] | None) -> Any:
    if (place := api.place_of(root)) is None:
        raise InstanceNotFound("no instance is named or connected: name its folder")
    return place
