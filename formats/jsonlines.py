"""Tables as JSON, one object per line: ``.jsonl`` and ``.ndjson``, plain or compressed with gzip or zstd.

``load`` returns pandas, ``open`` a Polars ``LazyFrame``. Types are found from the whole text, which is therefore parsed
once before it is read: Arrow's and Polars' own lazy readers guess from the beginning and lose fields that appear later.
Texts are UTF-8. Reading looks for nesting first, since Arrow's parser crashes on lines that nest deeply.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
import pyarrow.json as pj

from formats.base import Description, new_file, reading
from formats.batches import bounded, lazy
from formats.frames import columns_of, to_arrow, writing
from formats.keys import suffix_of
from formats.lazydataset import LazyDataset
from formats.packed import open_unpacked, packing
from formats.tables import TableFormat
from lakehouse.errors import InvalidFile, shown

__all__ = ["JsonLinesFormat"]

_HEAD = 16 << 20
_CHUNK = 8 << 20
_LONGEST_LINE = 64 << 20
_MAX_DEPTH = 500
_ROWS_AT_ONCE = 10_000


class JsonLinesFormat(TableFormat):
    """Tables in ``.jsonl`` and ``.ndjson``, also with ``.gz`` or ``.zst``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.jsonl"
    >>> JsonLinesFormat().write(pa.table({"a": [1, 2], "b": ["x", None]}), path)
    >>> JsonLinesFormat().describe(path).shape
    (2, 2)
    """

    name: ClassVar[str] = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = (
        ".jsonl",
        ".ndjson",
        ".jsonl.gz",
        ".ndjson.gz",
        ".jsonl.zst",
        ".ndjson.zst",
    )
    empty_suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    def write(self, obj: object, path: Path) -> None:
        """Write a frame; the index of pandas becomes fields, times become ISO 8601 and NaN null."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        with new_file(path), path.open("wb") as file, packing(file, suffix_of(path)) as packed:
            for lines in json_lines(table):
                packed.write(lines)

    def read(self, path: Path) -> pa.Table:
        """Read a whole file as an Arrow table."""
        with reading(path, self.name):
            schema = _schema(path)
            return pa.Table.from_batches(bounded(_batches(path, schema), path), schema)

    def table(self, path: Path) -> LazyDataset | None:
        """Return a dataset that SQL scans piecewise, or ``None`` for a file without fields."""
        with reading(path, self.name):
            schema = _schema(path)

        def batches(wanted: list[str]) -> Iterator[pa.RecordBatch]:
            with reading(path, self.name):
                yield from _batches(path, pa.schema([schema.field(name) for name in wanted]), others="ignore")

        return LazyDataset(schema, batches) if schema.names else None

    def open(self, path: Path) -> Any:
        """Return a Polars ``LazyFrame`` that parses some megabytes at a time."""
        with reading(path, self.name):
            schema = _schema(path)

        def batches() -> Iterator[pa.RecordBatch]:
            with reading(path, self.name):
                yield from _batches(path, schema)

        return lazy(schema, batches)

    def describe(self, path: Path) -> Description:
        """Read at most 16 MB; the rows of a larger file stay unknown."""
        with reading(path, self.name):
            head, whole = _head(path)
            _check_lines(head, path)
            table = _parsed(head)
        columns = columns_of(_firm(table.schema))
        rows = table.num_rows if whole else None
        shape = None if rows is None else (rows, len(columns))
        return Description(self.name, self.kind, rows, shape, columns)


def json_lines(table: pa.Table) -> Iterator[bytes]:
    """Yield the rows of a table as lines of JSON, some thousand at a time.

    Raises
    ------
    UnknownFormat
        A column holds what JSON cannot, such as bytes.
    """
    for batch in table.to_batches(_ROWS_AT_ONCE):
        with writing("JSON"):
            rows = [json.dumps(_plain(row), ensure_ascii=False, default=_text, allow_nan=False) for row in _rows(batch)]
        yield "".join(f"{row}\n" for row in rows).encode("utf-8")


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def _plain(value: Any) -> Any:
    """Turn NaN, which JSON does not know, into null; infinities stay and are refused."""
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _stream(path: Path) -> BinaryIO:
    return open_unpacked(path, suffix_of(path))


def _head(path: Path) -> tuple[bytes, bool]:
    with _stream(path) as file:
        head = file.read(_HEAD)
        whole = len(head) < _HEAD or not file.read(1)
    return (head, True) if whole else (head[: head.rfind(b"\n") + 1], False)


def _parsed(head: bytes) -> pa.Table:
    if not head.strip():
        return pa.table({})
    return pj.read_json(io.BytesIO(head), pj.ReadOptions(block_size=max(len(head), 1)))


def _batches(path: Path, schema: pa.Schema, *, others: str = "error") -> Iterator[pa.RecordBatch]:
    parse = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others)
    for lines in _lines(path):
        if lines.strip():
            table = pj.read_json(io.BytesIO(lines), pj.ReadOptions(block_size=len(lines)), parse)
            yield from table.to_batches()


def _schema(path: Path) -> pa.Schema:
    """Return the fields and types of all lines."""
    return _firm(pa.unify_schemas([_parsed(lines).schema for lines in _lines(path)], promote_options="permissive"))


def _firm(schema: pa.Schema) -> pa.Schema:
    """Call a column text where no value was seen, since no engine can filter on null."""
    return pa.schema([pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in schema])


def _lines(path: Path) -> Iterator[bytes]:
    """Yield some megabytes of whole lines at a time, checked for nesting; at least once."""
    rest = b""
    with _stream(path) as file:
        while chunk := file.read(_CHUNK):
            whole, mark, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise InvalidFile(
                    f"{shown(str(path))} has a line of more than 64 MB: is it one document? Name it .json"
                )
            _check_lines(whole + mark, path)
            yield whole + mark
    _check_lines(rest, path)
    yield rest


def _check_lines(text: bytes, path: Path) -> None:
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidFile(f"{shown(str(path))} is UTF-16 text: convert it to UTF-8, for instance with iconv")
    if text.count(b"[") + text.count(b"{") <= _MAX_DEPTH:
        return
    for line in text.splitlines():
        # how many open is a bound of how deep they nest; a few lines may hold more, side by side
        if line.count(b"[") + line.count(b"{") > _MAX_DEPTH:
            json.loads(line)  # its own bound on depth is a RecursionError
