"""A lake as its ``head.json`` names it: for readers who do not have the catalog.

From the names in ``head.json`` a catalog of one commit is made in a temporary file, so that everything which reads a
lake reads this one alike.
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.engine.catalog import Publication, Session, to_micros
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.changes import DataFile
from lakehouse.engine.folder import Folder
from lakehouse.engine.home import MARKER
from lakehouse.engine.options import Options
from lakehouse.engine.table import TableSpec, TableVersion
from lakehouse.errors import InstanceNotFound, IntegrityError, NewerFormat

__all__ = ["HEAD", "as_published", "declare", "declared", "details", "published_catalog"]

HEAD = "head.json"
_FORMAT = 1


def declared(versions: Sequence[TableVersion], commit: int) -> list[dict[str, Any]]:
    """Return a table's schemas up to a commit, as ``head.json`` tells them to readers without the catalog."""
    return [
        {
            "version": v.version,
            "since": v.since,
            "rules": v.spec.rules(),
            "columns": base64.b64encode(v.schema.serialize().to_pybytes()).decode(),
        }
        for v in versions
        if v.since <= commit
    ]


def details(files: Sequence[DataFile]) -> list[dict[str, Any]]:
    """Return what ``head.json`` tells of files beside their names."""
    return [{name: value for name, value in asdict(f).items() if name != "path"} for f in files]


def as_published(folder: Folder) -> Mapping[str, Any]:
    """Read ``head.json``.

    Raises
    ------
    InstanceNotFound, NewerFormat, IntegrityError
    """
    try:
        document = json.loads(folder.read(HEAD))
        format_, tables = int(document["format"]), document["tables"]
    except FileNotFoundError as error:
        raise InstanceNotFound(
            f"{folder} has no {HEAD}: it is no instance ({MARKER} names one), or nothing was published there yet; its "
            "owner publishes with flush()"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder}/{HEAD} is damaged: its owner writes a new one with flush()") from error
    if format_ > _FORMAT:
        raise NewerFormat(f"{folder} was written by a newer version: pip install --upgrade lakehouse-toolkit")
    if "schemas" not in document or any("details" not in table for table in tables.values()):
        raise IntegrityError(
            f"{folder}/{HEAD} was written by a version that did not describe its files: its owner writes a new one with "
            "flush() after the next save"
        )
    return dict(document)


def published_catalog(folder: Folder, options: Options) -> SqliteCatalog:
    """Return a catalog that holds the one commit that ``head.json`` names; it is gone when it is collected."""
    document = as_published(folder)
    home = Path(tempfile.mkdtemp(prefix="lakehouse-"))
    path = home / "catalog.db"
    try:
        with closing(SqliteCatalog(path, options)) as made:
            made.create(str(folder))
            _begin(path, document)
            with made.locked() as session:
                for name, schemas in document["schemas"].items():
                    _add(session, name, schemas, document["tables"].get(name), document["commit"])
        catalog = SqliteCatalog(path, options, read_only=True)
    except (ValueError, KeyError, TypeError) as error:
        shutil.rmtree(home, ignore_errors=True)
        raise IntegrityError(f"{folder}/{HEAD} is damaged: its owner writes a new one with flush()") from error
    weakref.finalize(catalog, shutil.rmtree, home, ignore_errors=True)
    return catalog


def _begin(path: Path, document: Mapping[str, Any]) -> None:
    commit, at = document["commit"], to_micros(datetime.fromisoformat(document["at"]))
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("UPDATE meta SET lake = ?, oldest_readable = ?, head_json = ?", (document["lake"], commit, commit))
        con.execute(
            "INSERT INTO commits(id, uid, client_txn, at, who, run, message, n, bytes) VALUES(?, ?, ?, ?, '', NULL, ?, 0, 0)",
            (commit, document["uid"], document["uid"], at, "published"),
        )


def declare(session: Session, name: str, schemas: Sequence[Mapping[str, Any]]) -> None:
    """Record a table's schemas as ``head.json`` tells them."""
    for item in sorted(schemas, key=lambda item: item["version"]):
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(item["columns"])))
        spec = TableSpec.restore(name, schema, item["rules"])
        session.add_schema(TableVersion(spec, item["version"], item["since"]))


def _add(
    session: Session, name: str, schemas: Sequence[Mapping[str, Any]], table: Mapping[str, Any] | None, commit: int
) -> None:
    declare(session, name, schemas)
    if table is None:  # never published: it has no rows
        return
    files = [DataFile(path=path, **more) for path, more in zip(table["files"], table["details"], strict=True)]
    session.ratify(name, -1, Publication(table["version"], commit), 0, files, [])
