"""One snapshot as a DuckDB file or as SQL text, which read the published files without us."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from lakehouse.engine import Snapshot
from lakehouse.engine.outward import over_files, sql_types
from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, Unsupported, shown
from registries.places import check_path
from registries.sql.objects import Statement, further_statements, made, search_statements, statements, told

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Exported", "export_sql"]

_log = logging.getLogger("lakehouse")
_SUFFIXES = (".duckdb", ".sql")


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    path
        The file.
    commit
        What the views show.
    views
        How many there are.
    contents
        How many of them are contents of tables.
    left_out
        Contents and saved views that plain DuckDB cannot have.
    """

    path: Path
    commit: int
    views: int
    contents: int
    left_out: tuple[str, ...]


def export_sql(home: Instance, target: str | os.PathLike[str], *, contents: int | None = None) -> Exported:
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
    wanted = [
        *statements(home, snapshot, lambda table: over_files(home.lake.folder, snapshot, table)),
        *search_statements(home, snapshot),
        *further_statements(home, snapshot, contents=contents),
    ]
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.suffix == ".duckdb":
            left_out = _write_database(draft, wanted)
        else:
            left_out = _left_out(home, snapshot, wanted)
            draft.write_text(_text(wanted, left_out, home, commit), encoding="utf-8")
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    if left_out:
        _log.warning("left out, since plain DuckDB cannot make them: %s", told(left_out))
    views = [one.name for one in _kept(wanted, left_out) if one.text.startswith("CREATE VIEW")]
    return Exported(path, commit, len(views), sum(name.startswith("content.") for name in views), tuple(left_out))


def _kept(wanted: Sequence[Statement], left_out: Sequence[str]) -> list[Statement]:
    lost = set(left_out)
    return [one for one in wanted if not (one.optional and one.name in lost)]


def _write_database(path: Path, wanted: Sequence[Statement]) -> list[str]:
    with duckdb.connect(str(path)) as connection:
        connection.execute("BEGIN")  # else each of a thousand statements would wait for the disk
        for statement in wanted:
            if not statement.optional:
                made(connection, statement)
        connection.execute("COMMIT")  # one that fails would take all of a transaction with it
        return [one.name for one in wanted if one.optional and not made(connection, one)]


def _left_out(home: Instance, snapshot: Snapshot, wanted: Sequence[Statement]) -> list[str]:
    """Return what cannot be made of statements; tables that may lie in a bucket are empty ones for this."""

    def empty(table: str) -> str:
        kinds = sql_types(snapshot.schema(table))
        return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {quoted(n)}' for n, kind in kinds.items())} WHERE false"

    with duckdb.connect() as connection:
        for statement in (*statements(home, snapshot, empty), *search_statements(home, snapshot)):
            made(connection, statement)
        further = [one for one in wanted if one.optional or one.text.startswith("CREATE SCHEMA")]
        return [one.name for one in further if not made(connection, one)]


def _text(wanted: Sequence[Statement], left_out: Sequence[str], home: Instance, commit: int) -> str:
    lines = [f"-- Commit {commit} of the lakehouse at {home.root}, for DuckDB."]
    lines += [f"-- Left out: {name}".replace("\n", " ") for name in left_out]
    lines += [f"{one.text};" for one in _kept(wanted, left_out)]
    return "\n".join(lines) + "\n"
