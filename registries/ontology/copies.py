"""Copies of what was read of large sources: reading all of NCBITaxon takes half a minute, its copy a fifth of a second."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from formats.cache import Cache
from lakehouse.errors import Unavailable
from registries.ontology.ingest import Rows
from registries.ontology.published import PublicSource
from registries.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from registries.ontology.term import Entry

__all__ = ["remembered"]

_LARGE = 500_000
"""Bytes of a file, packed as it may be, from which on a copy is looked for."""
_LONG = 1.0
"""Seconds of reading from which on one is made."""
_SUFFIX = ".rows"
_TOLD = b"lakehouse"


def remembered(
    registry: type[Entry], source: PublicSource, file: Path, kind: str, organism: str | None, read: Callable[[], Rows]
) -> Rows:
    """Return the entries of a file: those of a copy in the cache of this machine, or what ``read`` gives.

    A copy is named by all that decides what is read: the state of the file, the registry and its columns, the source,
    and the code that reads it.
    """
    seen = file.stat()
    if seen.st_size < _LARGE:
        return read()
    columns = [(name, column.nullable) for name, column in registry.meta.columns.items()]
    state = (str(file.resolve()), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, kind)
    parts = (registry.meta.table, columns, source.source, source.prefix, source.organism, organism, *state, _code())
    name, kept = f"source rows {hashlib.sha256(repr(parts).encode('utf-8', 'surrogateescape')).hexdigest()}", Cache()
    with suppress(OSError):  # a cache that cannot be read, or cleaned, is no reason to fail
        if (path := kept.find(name, suffix=_SUFFIX)) is not None:
            if (known := _read(path)) is not None:
                return known
            path.unlink(missing_ok=True)
    began = time.monotonic()
    rows = read()
    if time.monotonic() - began >= _LONG:
        with suppress(OSError, Unavailable, pa.ArrowException):  # without a copy it is read again the next time
            kept.fetch(name, lambda to: _write(rows, to), suffix=_SUFFIX)
    return rows


@cache
def _code() -> str:
    """Return what changes with the modules that read sources."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(rows: Rows, target: Path) -> None:
    told = json.dumps({"missing": rows.missing, "repeated": rows.repeated}).encode()
    write_sealed(rows.table.replace_schema_metadata({_TOLD: told}), target, compression="zstd")


def _read(path: Path) -> Rows | None:
    """Return what a copy holds; None of one that is damaged."""
    if (table := read_sealed(path)) is None:
        return None
    told = json.loads(table.schema.metadata[_TOLD])
    return Rows(table.replace_schema_metadata(None), tuple(told["missing"]), int(told["repeated"]))
