"""One snapshot as a DuckDB file or as SQL text, which read the published files without us."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from lakehouse.engine.outward import over_files
from lakehouse.errors import InputError, InvalidQuery, Unsupported, shown
from registries.places import check_path
from registries.sql.objects import Statement, statements

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Exported", "export_sql"]

_log = logging.getLogger("lakehouse")
_SUFFIXES = (".duckdb", ".sql")


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    path: Path
    commit: int
    """What the views show."""
    views: int
    left_out: tuple[str, ...]
    """Saved views that plain DuckDB cannot make."""


def export_sql(home: Instance, target: str | os.PathLike[str]) -> Exported:
    """Write views over the files of one snapshot; see ``Instance.export_sql``."""
    path = Path(check_path(target, "target")).absolute()
    if path.suffix not in _SUFFIXES:
        raise InputError(f"{shown(str(path))}: a name that ends in .duckdb or .sql is accepted")
    if path.exists():
        raise InputError(f"{path} is there already: name a new file, or remove it first")
    if path.suffix == ".duckdb" and not isinstance(home.root, Path):
        raise Unsupported(f"a .duckdb file of {home.root} would need an extension of DuckDB to be made: export to .sql")
    commit = home.snapshot(None).commit if home.read_only else home.flush()
    snapshot = home.snapshot(commit)
    made = list(statements(home, snapshot, lambda table: over_files(home.lake.folder, snapshot, table)))
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        left_out = _write_database(draft, made) if path.suffix == ".duckdb" else _write_text(draft, made, home, commit)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    if left_out:
        _log.warning("left out, since plain DuckDB cannot make them: %s", ", ".join(left_out))
    views = sum(one.text.startswith("CREATE VIEW") and one.name not in left_out for one in made)
    return Exported(path, commit, views, tuple(left_out))


def _write_database(path: Path, made: list[Statement]) -> list[str]:
    with duckdb.connect(str(path)) as connection:
        connection.execute("BEGIN")  # else each of a thousand statements would wait for the disk
        for statement in made:
            if not statement.saved:
                _execute(connection, statement)
        connection.execute("COMMIT")
        return [one.name for one in made if one.saved and not _is_made(connection, one)]


def _execute(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    try:
        connection.execute(statement.text)
    except duckdb.Error as error:
        raise InvalidQuery(f"the view {shown(statement.name)} cannot be made: {error}") from error


def _is_made(connection: duckdb.DuckDBPyConnection, statement: Statement) -> bool:
    """Make a view that a user wrote, which may name what was there once, or search."""
    try:
        connection.execute(statement.text)
    except duckdb.Error:
        return False
    return True


def _write_text(path: Path, made: list[Statement], home: Instance, commit: int) -> list[str]:
    lines = [f"-- Commit {commit} of the lakehouse at {home.root}, for DuckDB.", *(f"{one.text};" for one in made)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return []
