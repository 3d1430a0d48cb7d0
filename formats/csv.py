"""Tables as comma- or tab-separated text, plain or compressed with gzip or zstd.

``load`` returns pandas, ``open`` a Polars ``LazyFrame``. Types are found the same way for ``load``, ``open`` and SQL:
from the whole text up to 16 MB, from the first 8 MB of a larger one. An unquoted empty field and the usual marks
(``NA``, ``NaN``, ``null``, ...) are null; ``""`` is an empty text. Texts are UTF-8, with or without a byte order
mark. An empty file is a table without columns. As in DuckDB, a column without a name is called ``column`` and its
position from 0, and the second of two equal names gets ``_1``. Lines of comments before the names, as in ``# made by``
or ``##fileformat``, are passed over where the file is no table with them.

A pandas index that is not the default one is written as columns, and stays columns when it is read again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.dataset as ds

from formats.base import Description, new_file, reading
from formats.frames import columns_of, to_arrow, writing
from formats.keys import suffix_of
from formats.lazydataset import LazyDataset
from formats.packed import is_packed, open_unpacked, packing
from formats.plainsql import file_in_sql, text_in_sql, types_in_sql
from formats.remotepath import dataset_place, is_remote_path
from formats.tables import TableFormat
from lakehouse.errors import InvalidFile, shown

__all__ = ["CsvFormat"]

_HEAD = 16 << 20
"""Unpacked bytes that are looked at to find types."""

_COUNT_UP_TO = 256 << 20
"""Unpacked bytes that are read to count rows; a larger file's count stays unknown."""

_BLOCK = 8 << 20
_DUMP_UP_TO = 32 << 20
_PACKED = {"gz": "gzip", "zst": "zstd"}
_MISFIT = re.compile(r"In CSV column #(\d+): ")
_LADDER = (
    pa.null(),
    pa.int64(),
    pa.bool_(),
    pa.date32(),
    pa.time32("s"),
    pa.timestamp("s"),
    pa.timestamp("s", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "UTC"),
    pa.float64(),
    pa.string(),
)
"""The types that Arrow tries for a column, one after the other."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class _Look:
    """What the beginning of a file shows."""

    schema: pa.Schema
    n_rows: int | None
    """``None`` if the file goes on behind what was looked at."""
    renamed: bool = False
    """Whether the names in the file's first row are not the columns' names."""
    comments: int = 0
    """Lines before the names."""

    def read_options(self) -> pc.ReadOptions:
        """Return how to read the file so that it has these names."""
        found = _read(self.comments)
        if self.renamed or self.comments:  # Arrow's datasets look for names in the first line, whatever is skipped
            found.column_names, found.skip_rows_after_names = self.schema.names, 1
        return found


class CsvFormat(TableFormat):
    """Tables in ``.csv`` and ``.tsv``, also with ``.gz`` or ``.zst``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.csv"
    >>> CsvFormat().write(pa.table({"a": [1, 2], "b": ["x", None]}), path)
    >>> CsvFormat().describe(path).columns
    (ColumnInfo(name='a', dtype='int64'), ColumnInfo(name='b', dtype='string'))
    """

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst")
    empty_suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")

    def dump(self, obj: object, *, suffix: str | None = None) -> bytes | None:
        """Return the file's bytes, or ``None`` for a table above 32 MB."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        if table.nbytes > _DUMP_UP_TO:
            return None
        sink = io.BytesIO()
        _write(table, sink, suffix or self.suffixes[0])
        return sink.getvalue()

    def write(self, obj: object, path: Path) -> None:
        """Write a frame; the suffix of ``path`` decides the separator and the compression."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        with new_file(path), path.open("wb") as file:
            _write(table, file, suffix_of(path.name))

    def read(self, path: Path) -> pa.Table:
        """Read a whole file as an Arrow table."""
        look = _look(path)
        if not look.schema.names:
            return pa.table({})
        with reading(path, self.name), _stream(path) as file:
            table = pc.read_csv(file, look.read_options(), _parse(path), _convert())
            _check_texts(table.schema, path)
            return table

    def to_pandas(self, table: pa.Table) -> Any:
        """Return pandas; dates come as ``datetime64``."""
        return table.to_pandas(date_as_object=False)

    def describe(self, path: Path) -> Description:
        """Read at most 16 MB, and up to 256 MB more to count the rows of a local file."""
        look = _look(path)
        columns = columns_of(look.schema)
        rows = _count(path, look) if look.n_rows is None and not is_remote_path(path) else look.n_rows
        shape = None if rows is None else (rows, len(columns))
        return Description(self.name, self.kind, rows, shape, columns)

    def table(self, path: Path) -> ds.Dataset | pa.Table | None:
        """Return a dataset that SQL scans piecewise, or ``None`` for a file without columns.

        Its ``count_rows()`` is Arrow's own and counts the first row too where columns had to be renamed or comments go before.
        """
        look = _look(path)
        return self._dataset(path, look) if look.schema.names else None

    def _dataset(self, path: Path, look: _Look) -> ds.Dataset:
        # null says that no value was seen, which no engine can filter on
        fields = [pa.field(f.name, pa.string()) if pa.types.is_null(f.type) else f for f in look.schema]
        if suffix_of(path.name).endswith(".zst"):  # which Arrow's datasets do not unpack
            return LazyDataset(pa.schema(fields), lambda wanted: _unpacked(path, look, wanted, pa.schema(fields)))
        options = ds.CsvFragmentScanOptions(convert_options=_convert(), read_options=look.read_options())
        layout = ds.CsvFileFormat(parse_options=_parse(path), default_fragment_scan_options=options)
        with reading(path, self.name):
            name, place = dataset_place(path)
            return ds.dataset(name, pa.schema(fields), layout, filesystem=place)

    def open_settled(self, path: Path) -> ds.Dataset | None:
        """Return a dataset whose types are those of the whole file, or ``None`` for a file without columns.

        A file above 16 MB is read once to find them: its first 8 MB may hold numbers, where text comes later.
        """
        look = _look(path)
        if not look.schema.names:
            return None
        while look.n_rows is None and (at := _misfit(path, look)) is not None:
            wider = look.schema.field(at).with_type(_wider(look.schema.field(at).type))
            look = replace(look, schema=look.schema.set(at, wider))
        return self._dataset(path, look)

    def plain_sql(self, path: Path) -> str | None:
        """Return how DuckDB alone reads the file, by the names and types that were found here."""
        look, listed = _look(path), file_in_sql(path)
        types = types_in_sql(look.schema)
        names = {name.lower() for name in look.schema.names}
        if listed is None or types is None or not names or len(names) < len(look.schema.names):
            return None
        if len(names) == 1 and _has_blank_lines(path):  # which are no rows here, and nulls to DuckDB
            return None
        suffix = suffix_of(path.name)
        marks = ", ".join(map(text_in_sql, _convert().null_values))
        return (
            f"SELECT * FROM read_csv({listed}, columns = {types}, header = true, skip = {look.comments}, "
            f"delim = {text_in_sql(_separator(suffix))}, quote = '\"', escape = '\"', nullstr = [{marks}], "
            f"allow_quoted_nulls = false, auto_detect = false, null_padding = false, "
            f"compression = '{_PACKED.get(suffix.rpartition('.')[2], 'none')}')"
        )

    def reads_remote(self, path: Path) -> bool:
        """Say yes, unless it is packed."""
        return not is_packed(suffix_of(path.name))


def _separator(suffix: str) -> str:
    return "\t" if suffix.startswith(".tsv") else ","


def _write(table: pa.Table, sink: BinaryIO, suffix: str) -> None:
    with writing("text"), packing(sink, suffix) as packed:
        pc.write_csv(table, packed, pc.WriteOptions(delimiter=_separator(suffix)))


def _read(comments: int) -> pc.ReadOptions:
    return pc.ReadOptions(block_size=_BLOCK, skip_rows=comments)


def _parse(path: Path) -> pc.ParseOptions:
    return pc.ParseOptions(delimiter=_separator(suffix_of(path.name)), newlines_in_values=True)


def _convert() -> pc.ConvertOptions:
    # what we write quotes every text, so null and "" come back as they were
    return pc.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)


def _stream(path: Path) -> BinaryIO:
    return open_unpacked(path, suffix_of(path.name))


def _has_blank_lines(path: Path) -> bool:
    with reading(path, "csv"), _stream(path) as file:
        return any(not line.strip(b"\r\n") for line in file)


def _look(path: Path) -> _Look:
    with reading(path, "csv"):
        with _stream(path) as file:
            head = file.read(_HEAD)
            whole = len(head) < _HEAD or not file.read(1)
        _check_text(head, path)
        if not head.strip():
            return _Look(pa.schema([]), 0)
        look = _infer(head, path, whole=whole)
        names = _distinct(look.schema.names)
        if names != look.schema.names:
            fields = [field.with_name(name) for field, name in zip(look.schema, names, strict=True)]
            look = replace(look, schema=pa.schema(fields), renamed=True)
        _check_texts(look.schema, path)
        return look


def _infer(head: bytes, path: Path, *, whole: bool, comments: int = 0) -> _Look:
    try:
        if whole:
            table = pc.read_csv(io.BytesIO(head), _read(comments), _parse(path), _convert())
            return _Look(table.schema, table.num_rows, comments=comments)
        with pc.open_csv(io.BytesIO(head), _read(comments), _parse(path), _convert()) as reader:
            return _Look(reader.schema, None, comments=comments)
    except pa.ArrowInvalid:
        # only where it is no table as it is: a name may begin like a comment
        if comments or not (found := _comments(head)):
            raise
        return _infer(head, path, whole=whole, comments=found)


def _comments(head: bytes) -> int:
    """Return how many lines at the beginning are comments: of ``#`` with a blank or another one behind it."""
    count = 0
    for line in io.BytesIO(head.removeprefix(b"\xef\xbb\xbf")):
        if not (line.startswith((b"# ", b"##")) or line.strip() == b"#"):
            break
        count += 1
    return count


def _distinct(names: list[str]) -> list[str]:
    taken = set(names)
    seen: set[str] = set()
    result = []
    for position, name in enumerate(names):
        wanted = unique = name or f"column{position}"
        number = 0
        while unique in seen or (unique != name and unique in taken):
            number += 1
            unique = f"{wanted}_{number}"
        seen.add(unique)
        result.append(unique)
    return result


def _check_text(head: bytes, path: Path) -> None:
    if head.startswith(_UTF16):
        raise InvalidFile(f"{shown(str(path))} is UTF-16 text: convert it to UTF-8, for instance with iconv")
    if b"\0" in head:
        raise ValueError("it holds NUL bytes, as no text does")


def _check_texts(schema: pa.Schema, path: Path) -> None:
    for column in schema:
        if pa.types.is_binary(column.type):
            raise InvalidFile(
                f"{shown(str(path))}: column {shown(column.name)} is not UTF-8 text: convert the file to UTF-8"
            )


def _misfit(path: Path, look: _Look) -> int | None:
    """Return the position of a column that holds a value of another type than its first ones, if there is one."""
    convert = _convert()
    convert.column_types = look.schema
    with reading(path, "csv"), _stream(path) as file:
        try:
            with pc.open_csv(file, look.read_options(), _parse(path), convert) as reader:
                for _ in reader:
                    pass
        except pa.ArrowInvalid as error:
            found = _MISFIT.match(str(error))
            if found is None or pa.types.is_string(look.schema.field(int(found[1])).type):
                raise
            return int(found[1])
    return None


def _wider(kind: pa.DataType) -> pa.DataType:
    """Return what Arrow tries next for a column whose values are not of a type."""
    return _LADDER[_LADDER.index(kind) + 1] if kind in _LADDER else pa.string()


def _unpacked(path: Path, look: _Look, wanted: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a packed file, which is unpacked piece by piece."""
    convert = _convert()
    convert.include_columns, convert.column_types = wanted, {name: schema.field(name).type for name in wanted}
    with (
        reading(path, "csv"),
        _stream(path) as file,
        pc.open_csv(file, look.read_options(), _parse(path), convert) as reader,
    ):
        yield from reader


def _count(path: Path, look: _Look) -> int | None:
    first = look.schema.names[0]
    convert = pc.ConvertOptions(column_types={first: pa.binary()}, include_columns=[first])
    with reading(path, "csv"), _stream(path) as file:
        part = _Part(file, _COUNT_UP_TO)
        try:
            with pc.open_csv(part, look.read_options(), _parse(path), convert) as reader:
                rows = sum(batch.num_rows for batch in reader)
        except pa.ArrowInvalid:
            if part.is_cut:  # in the middle of a row
                return None
            raise
    return None if part.is_cut else rows


class _Part(io.RawIOBase):
    """The beginning of a file: Arrow reads ahead, so that asking how far it has come is too late."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self.is_cut = file, size, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(min(len(view), self._left))
        self.is_cut = self.is_cut or (len(view) > 0 and self._left == 0 and bool(self._file.read(1)))
        self._left -= len(data)
        view[: len(data)] = data
        return len(data)
