"""Moving in from LaminDB: an instance of 100,000 artifacts that carry 300,000 labels."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, Side, alternate, at_most, ms, scratch
from registries import Instance
from registries.lamindb import import_lamindb

__all__ = ["run"]

_SCHEMA = Path(__file__).parents[1] / "tests/conformance/lamindb.sql"
_ARTIFACTS, _LABELS, _EACH = 100_000, 1_000, 3
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LIMIT = at_most(value=30_000)


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder:
        database = _made(folder)
        sides: dict[str, Side] = {
            "import": lambda turn: lambda: _import(folder / f"lake{turn}", database),
            "read": lambda _: lambda: _read(database),
        }
        found = alternate(sides, rounds=2, warm=0)
    name = f"import {_ARTIFACTS:,} artifacts and {_ARTIFACTS * _EACH:,} labels from LaminDB"
    yield ms("moving", name, found["import"], found["read"], "reading the rows by sqlite3", _LIMIT)


def _import(root: Path, database: Path) -> None:
    with Instance.create(root, user="ada") as lake:
        report = import_lamindb(lake, database)
    assert report.moved["Artifact"].added == _ARTIFACTS
    assert report.moved["ArtifactULabel"].added == _ARTIFACTS * _EACH


def _read(database: Path) -> None:
    con = sqlite3.connect(database)
    for table in ("lamindb_artifact", "lamindb_artifactulabel"):
        con.execute(f"SELECT * FROM {table}").fetchall()
    con.close()


def _made(folder: Path) -> Path:
    """Make the database, with the tables as LaminDB makes them; the files of its artifacts are not there."""
    database = folder / "storage/.lamindb/lamin.db"
    database.parent.mkdir(parents=True)
    lines = _SCHEMA.read_text().replace("{storage}", str(folder / "storage")).splitlines()
    kept = ("lamindb_user", "lamindb_storage", "lamindb_transform", "lamindb_run", "lamindb_branch", "lamindb_space")
    begun = [line for line in lines if line.startswith("CREATE") or line.split('"')[1] in kept]
    con = sqlite3.connect(database)
    con.executescript("\n".join(begun))
    at = "2026-01-31 10:00:00.000"
    labels = [(n, f"{n:08d}", f"label {n}", at, at) for n in range(1, _LABELS + 1)]
    con.executemany(
        "INSERT INTO lamindb_ulabel(id, uid, name, created_at, updated_at, is_type, created_on_id, "
        "branch_id, space_id, created_by_id) VALUES(?, ?, ?, ?, ?, 0, 1, 1, 1, 1)",
        labels,
    )
    con.executemany(
        "INSERT INTO lamindb_artifact(id, uid, key, suffix, size, hash, _hash_type, _key_is_virtual, _overwrite_versions, "
        "is_latest, branch_id, created_on_id, space_id, storage_id, run_id, created_by_id, created_at, updated_at) "
        "VALUES(?, ?, ?, '.parquet', 10, 'AAAAAAAAAAAAAAAAAAAAAA', 'md5', 1, 0, 1, 1, 1, 1, 1, 1, 1, ?, ?)",
        ((n, _uid(n), f"data/{n:06d}.parquet", at, at) for n in range(1, _ARTIFACTS + 1)),
    )
    con.executemany(
        "INSERT INTO lamindb_artifactulabel(id, artifact_id, ulabel_id, created_by_id, run_id, created_at) "
        "VALUES(?, ?, ?, 1, 1, ?)",
        (
            (n * _EACH + k, n, (n * 7 + k * 331) % _LABELS + 1, at)
            for n in range(1, _ARTIFACTS + 1)
            for k in range(_EACH)
        ),
    )
    con.commit()
    con.close()
    return database


def _uid(number: int) -> str:
    """Return 16 characters that differ in all places, and the version."""
    mixed, text = number * 0x9E3779B97F4A7C15 % 62**16, ""
    for _ in range(16):
        mixed, digit = divmod(mixed, 62)
        text += _LETTERS[digit]
    return text + "0000"
