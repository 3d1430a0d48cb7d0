"""What earlier runs saw of a source: size, times and hash of each file, so that an unchanged one is not read again.

It is a memory and no authority: what an instance holds is asked of the instance, and a state that is lost costs reading
the files once more. It lies beside the cache of this machine, in parts that are each written whole.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.config import cache_settings
from lakehouse.engine.arrow import pc
from lakehouse.engine.headlock import HeadLock
from lakehouse.errors import Busy, shown
from registries.ingest.batch import Batch
from registries.ingest.findings import array_of
from registries.names import is_utf8
from registries.sealed import read_sealed, write_sealed

__all__ = ["State"]

_PATIENCE = 0.2  # seconds that another run of the same source may take to end
_MOST_PARTS = 40
_PARTS = "part-*"
_SEALED, _OLDER = ".rows", ".parquet"
"""Suffixes of parts, and of those that earlier versions wrote; what has another one is removed."""
_INT64 = range(-(2**63), 2**63)
_SCHEMA = pa.schema(
    [
        ("path", pa.string()), ("key", pa.string()), ("size", pa.int64()), ("mtime", pa.int64()), ("ctime", pa.int64()),
        ("hash", pa.string()), ("suffix", pa.string()), ("format", pa.string()), ("kind", pa.string()),
        ("n_rows", pa.int64()), ("reason", pa.string()), ("message", pa.string()), ("schema", pa.string()),
        ("state", pa.string()),
    ]
)  # fmt: skip
_FIELDS = ("paths", "keys", *_SCHEMA.names[2:12])


class State:
    """The memory of one source of one instance.

    Parameters
    ----------
    lake
        Id of the instance.
    source
        Name of the source.
    schema
        What files are validated by: an outcome under another one does not count.
    """

    def __init__(self, lake: str, source: str, schema: str = "") -> None:
        digest = hashlib.blake2b(f"{lake}\n{source}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self.folder = cache_settings()[0] / "ingest" / digest
        self._source, self.schema = source, schema
        self._loaded: list[Path] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who ingests this source on this machine.

        Raises
        ------
        Busy
            When another run is under way.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = HeadLock(self.folder / "lock", timeout=_PATIENCE)
        try:
            with _told(lock, self._source):
                yield
        finally:
            lock.close()

    def load(self, *, resume: bool = True) -> pa.Table:
        """Return the rows, one for each path, the newest; none at all, where a run is not to go on from another."""
        if not resume:
            return _SCHEMA.empty_table()
        self._loaded = sorted(self.folder.glob(_PARTS))
        tables = []
        for path in self._loaded:
            table = read_sealed(path) if path.suffix == _SEALED else _read_older(path)
            if table is not None and table.schema.equals(_SCHEMA):
                tables.append(table)
        if not tables:
            return _SCHEMA.empty_table()
        found = pa.concat_tables(tables).combine_chunks()
        if len(tables) == 1:
            return found
        last = {path: place for place, path in enumerate(found["path"].to_pylist())}
        return found.take(pa.array(sorted(last.values()), pa.int64()))

    def add(self, batch: Batch) -> None:
        """Remember path, key and finding of files that were read; of folders, only those whose bucket tells a state."""
        try:
            arrays = _arrays(batch)
        except (UnicodeEncodeError, OverflowError):  # a name that is no text, or a time after the year 2262
            batch = batch.without({row: None for row in range(len(batch)) if not _is_kept(batch, row)})
            arrays = _arrays(batch)
        states = list(map(batch.states.get, range(len(batch)))) if batch.states else [None] * len(batch)
        arrays += [array_of(column, pa.string()) for column in ([self.schema] * len(batch), states)]
        table = pa.table(arrays, schema=_SCHEMA)
        if table["mtime"].null_count:
            table = table.filter(pc.or_(pc.is_valid(table["mtime"]), pc.is_valid(table["state"])))
        if len(table):
            self._write(table)

    def finish(self, gone: frozenset[str] = frozenset()) -> None:
        """Forget paths, and make one part of many."""
        parts = sorted(self.folder.glob(_PARTS))
        if not gone and len(parts) <= _MOST_PARTS and all(path.suffix == _SEALED for path in parts):
            return
        whole = self.load()
        keep = pa.array([path not in gone for path in whole["path"].to_pylist()], pa.bool_())
        self._write(whole.filter(keep))
        for path in parts:
            path.unlink(missing_ok=True)

    def _write(self, table: pa.Table) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1 + max((int(path.name.split("-")[1]) for path in self.folder.glob(_PARTS)), default=0)
        draft = self.folder / f".{secrets.token_hex(8)}"
        try:
            write_sealed(table, draft, compression="lz4")
            draft.replace(self.folder / f"part-{number:08}-{secrets.token_hex(4)}{_SEALED}")
        finally:
            draft.unlink(missing_ok=True)


def _read_older(path: Path) -> pa.Table | None:
    if path.suffix != _OLDER:
        return None
    try:
        table = pq.read_table(path).cast(_SCHEMA)
        table.validate(full=True)  # it has no hash that would tell of damage
    except (pa.ArrowException, OSError, ValueError):  # a memory that is damaged is none
        return None
    return table


def _arrays(batch: Batch) -> list[pa.Array]:
    return [batch.array(name) for name in _FIELDS]


def _is_kept(batch: Batch, row: int) -> bool:
    """Tell whether what is known of a file can be written; one that is left out is read again each time."""
    values = (batch.paths[row], batch.keys[row], *(getattr(batch.found, name)[row] for name in _FIELDS[2:]))
    return all(value is None or (is_utf8(value) if isinstance(value, str) else value in _INT64) for value in values)


@contextmanager
def _told(lock: HeadLock, source: str) -> Iterator[None]:
    held = lock.held()
    try:
        held.__enter__()
    except Busy as error:
        raise Busy(
            f"another ingest of {shown(source)} is under way on this machine: it registers the rest; run this one later"
        ) from error
    try:
        yield
    finally:
        held.__exit__(None, None, None)
