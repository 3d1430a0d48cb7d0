"""Tables in Arrow's own layout: ``.arrow`` and ``.feather`` files, and streams under these names.

``load`` returns pandas. Every batch is checked in full before anyone else sees it, because an offset that points out
of its buffer would crash whoever follows it; so ``open`` and SQL read batch by batch through that check.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.ipc as ipc

from formats.arrowfooter import count_rows
from formats.arrowtext import is_sound_ascii
from formats.base import Description, new_file, reading
from formats.batches import bounded, lazy
from formats.frames import columns_of, to_arrow, writing
from formats.remotepath import is_remote_path
from formats.tables import TableFormat
from lakehouse.errors import InvalidFile, shown

__all__ = ["ArrowFormat"]

_MAGIC = b"ARROW1"
_OLD_FEATHER = b"FEA1"
_DUMP_UP_TO = 32 << 20
_ROWS = 1 << 16
"""Of a batch, which is what is read at a time, as in the files that Arrow itself writes under this name."""


class ArrowFormat(TableFormat):
    """Tables in Arrow IPC, also known as Feather version 2.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.arrow"
    >>> ArrowFormat().write(pa.table({"a": [1, 2]}), path)
    >>> ArrowFormat().describe(path).shape
    (2, 1)
    """

    name: ClassVar[str] = "arrow"
    suffixes: ClassVar[tuple[str, ...]] = (".arrow", ".feather", ".ipc")

    def dump(self, obj: object, *, suffix: str | None = None) -> bytes | None:
        """Return the file's bytes, or ``None`` for a table above 32 MB."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        if table.nbytes > _DUMP_UP_TO:
            return None
        sink = pa.BufferOutputStream()
        _write(table, sink)
        data: bytes = sink.getvalue().to_pybytes()
        return data

    def write(self, obj: object, path: Path) -> None:
        """Write a frame as a file with lz4 compression; the index of pandas as in parquet."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        with new_file(path), path.open("wb") as sink:
            _write(table, sink)

    def read(self, path: Path) -> pa.Table:
        """Read a whole file as an Arrow table."""
        with reading(path, self.name), _reader(path) as reader:
            return _whole(reader, path)

    def table(self, path: Path, *, columns: Collection[str] | None = None) -> pa.Table:
        """Return the table for SQL, read and checked.

        Parameters
        ----------
        path
            Of the file.
        columns
            Names in lower case, of columns that are wanted; all, where none are given or none is among them.
        """
        with reading(path, self.name), _reader(path) as reader:
            names = reader.schema.names
        wanted = [number for number, name in enumerate(names) if columns is None or name.lower() in columns]
        if not wanted or len(wanted) == len(names):
            return self.read(path)
        with reading(path, self.name), _reader(path, ipc.IpcReadOptions(included_fields=wanted)) as reader:
            return _whole(reader, path)

    def open(self, path: Path) -> Any:
        """Return a Polars ``LazyFrame`` that reads and checks batch by batch."""
        with reading(path, self.name), _reader(path) as reader:
            schema = reader.schema

        def batches() -> Iterator[pa.RecordBatch]:
            with reading(path, self.name), _reader(path) as source:
                yield from _checked(source)

        return lazy(schema, batches)

    def reads_remote(self, path: Path) -> bool:
        """Say yes: the batches that are asked for."""
        return True

    def describe(self, path: Path) -> Description:
        """Read the schema and the headers of up to 10,000 batches, some hundred bytes each; of a stream the schema."""
        with reading(path, self.name), _reader(path) as reader:
            columns = columns_of(reader.schema)
            stored = isinstance(reader, ipc.RecordBatchFileReader)
            rows = count_rows(path) if stored else None
            kind = "file" if stored else "stream"
        shape = None if rows is None else (rows, len(columns))
        return Description(self.name, self.kind, rows, shape, columns, attributes={"layout": f"Arrow {kind}"})


@contextmanager
def _reader(path: Path, options: ipc.IpcReadOptions | None = None) -> Iterator[Any]:
    """Open a file or stream; plain reads, since a map of a file that shrinks would kill this process."""
    with pa.PythonFile(path.open("rb"), "r") if is_remote_path(path) else pa.OSFile(os.fsencode(path)) as source:
        start = source.read(len(_MAGIC))
        source.seek(0)
        if start.startswith(_OLD_FEATHER):
            raise InvalidFile(f"{shown(str(path))} is Feather version 1, of 2016: convert it with pyarrow below 20")
        opened = ipc.open_file if start == _MAGIC else ipc.open_stream
        with opened(source, options=options) as reader:
            yield reader


def _whole(reader: Any, path: Path) -> pa.Table:
    batches = list(bounded(_batches(reader), path))
    for batch in batches:  # after all are read: Arrow's threads would wait for each look
        _check(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _checked(reader: Any) -> Iterator[pa.RecordBatch]:
    for batch in _batches(reader):
        _check(batch)
        yield batch


def _check(batch: pa.RecordBatch) -> None:
    for column in batch.columns:
        if not is_sound_ascii(column):
            column.validate(full=True)


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    """Yield batches whose buffers are as long as their rows need, so that they can be measured; no more is sure."""
    stored = isinstance(reader, ipc.RecordBatchFileReader)
    for batch in map(reader.get_batch, range(reader.num_record_batches)) if stored else reader:
        batch.validate()
        yield batch


def _write(table: pa.Table, sink: Any) -> None:
    with writing("Arrow"), ipc.new_file(sink, table.schema, options=ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table, max_chunksize=_ROWS)
