"""The import of a LaminDB instance: its steps in order, and what it left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.types import Progress
from registries.lamindb.files import move_artifacts, move_links, move_sets, move_values
from registries.lamindb.moving import Mover, MovingReport
from registries.lamindb.people import move_inputs, move_runs, move_storages, move_transforms, move_users
from registries.lamindb.sets import move_collections
from registries.lamindb.source import LaminSource
from registries.lamindb.words import move_features, move_labels, move_terms

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["import_lamindb"]

_STEPS: tuple[Callable[[Mover], None], ...] = (
    move_users,
    move_storages,
    move_transforms,
    move_runs,
    move_features,
    move_labels,
    move_terms,
    move_artifacts,
    move_links,
    move_values,
    move_sets,
    move_collections,
    move_inputs,
)
_INNER = ("django_", "sqlite_")
"""How tables begin that LaminDB and its libraries need for themselves."""
_KEPT = frozenset(
    {"id", "uid", "updated_at", "created_at", "created_by_id", "run_id", "branch_id", "space_id", "created_on_id"}
    | {"is_locked", "is_latest", "_aux", "is_type"}
)
_DERIVED = frozenset(
    {"kind", "version_tag", "array_rank", "array_size", "array_shape", "coerce", "hash", "n_members", "type"}
)
"""Columns that follow from others, or are said by something else here."""
_WORLDS = ("lamindb_branch", "lamindb_space", "bionty_source")


def import_lamindb(home: Instance, path: Path, *, progress: Progress | None = None) -> MovingReport:
    """Move in what a LaminDB instance's SQLite database holds; see ``lh.import_lamindb``."""
    home.refuse_reading_only()
    with LaminSource(path) as source:
        mover = Mover(home, source)
        for done, step in enumerate(_STEPS):
            if progress is not None:
                progress(done, len(_STEPS))
            step(mover)
        _lacking(mover)
    mover.note("storages, feature sets and schemas are stamped with the time and user of this import")
    return mover.report


def _lacking(mover: Mover) -> None:
    """Count tables that nothing was read of, and columns with values that were not asked for."""
    source, lacking = mover.source, mover.report.lacking
    for table in sorted(source.tables):
        if table.startswith(_INNER) or table in _WORLDS:
            continue
        if table not in source.used:
            if count := source.count(table):
                lacking[table] = count
            continue
        unread = set(source.columns_of(table)) - source.used[table] - _KEPT - _DERIVED
        for column in sorted(unread):
            if count := source.count(table, column):
                lacking[f"{table}.{column}"] = count
    for table, count in sorted(source.trashed.items()):
        mover.note(f"{count:,} rows of {table} are in the trash there: they and their links stayed behind")
    others = source.count("lamindb_branch") - 3 if "lamindb_branch" in source.tables else 0
    if others > 0:
        mover.note(f"{others} branches of work came in together with the main one")
