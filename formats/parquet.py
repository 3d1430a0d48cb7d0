"""Parquet tables.

``load`` returns pandas, ``open`` a Polars ``LazyFrame``. A pandas index that is not the default one is stored as
columns (``__index_level_0__`` if it has no name), which SQL and other programs see as such; ``load`` makes it the
index again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from formats.base import Description, new_file, reading
from formats.frames import columns_of, to_arrow, writing
from formats.limits import refuse_oversize
from formats.opened import closing
from formats.plainsql import file_in_sql
from formats.remotepath import dataset_place, is_remote_path
from formats.tables import TableFormat

__all__ = ["ParquetFormat"]

_DUMP_UP_TO = 32 << 20
"""Bytes of Arrow data that are serialised in memory; above this a file saves a copy."""

_ONE_ROW_GROUP = 1 << 20


class ParquetFormat(TableFormat):
    """Tables in Apache Parquet.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.parquet"
    >>> ParquetFormat().write(pa.table({"a": [1, 2]}), path)
    >>> ParquetFormat().describe(path).shape
    (2, 1)
    """

    name: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def dump(self, obj: object, *, suffix: str | None = None) -> bytes | None:
        """Return the file's bytes, or ``None`` for a table above 32 MB."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        if table.nbytes > _DUMP_UP_TO:
            return None
        sink = pa.BufferOutputStream()
        _write(table, sink)
        buffer: bytes = sink.getvalue().to_pybytes()
        return buffer

    def write(self, obj: object, path: Path) -> None:
        """Write a frame; see the module's notes on the index of pandas."""
        self.check_accepts(obj)
        table = to_arrow(obj)
        with new_file(path), path.open("wb") as sink:
            _write(table, sink)

    def read(self, path: Path) -> pa.Table:
        """Read a whole file as an Arrow table."""
        with reading(path, self.name), pa.OSFile(os.fsencode(path)) as file:
            parquet = pq.ParquetFile(file)
            refuse_oversize(path, _least_bytes(parquet), hint="open() reads it lazily")
            return parquet.read()

    def open(self, path: Path) -> Any:
        """Return a Polars ``LazyFrame`` that reads only the columns and row groups it needs."""
        import polars as pl

        if is_remote_path(path):
            return super().open(path)
        self.describe(path)  # so that a damaged file is met here and not at collect()
        with reading(path, self.name):
            str(path).encode()  # Polars takes no name that is not UTF-8
        return closing(pl.scan_parquet(path, glob=False, hive_partitioning=False))

    def describe(self, path: Path) -> Description:
        """Read the footer only: a hundred bytes or so for each column of each row group."""
        with reading(path, self.name), path.open("rb") as file:
            parquet = pq.ParquetFile(file)
            columns = columns_of(parquet.schema_arrow)
            rows = parquet.metadata.num_rows
            attributes = _attributes(parquet.metadata)
        return Description(self.name, self.kind, rows, (rows, len(columns)), columns, attributes=attributes)

    def table(self, path: Path) -> ds.Dataset:
        """Return a dataset that SQL scans piecewise."""
        with reading(path, self.name):
            name, place = dataset_place(path)
            return ds.dataset(name, format="parquet", filesystem=place)

    def plain_sql(self, path: Path) -> str | None:
        """Return how DuckDB alone reads the file."""
        listed = file_in_sql(path)
        return listed and f"SELECT * FROM read_parquet({listed}, hive_partitioning = false)"

    def reads_remote(self, path: Path) -> bool:
        """Say yes: columns and row groups that are asked for."""
        return True


def _attributes(footer: pq.FileMetaData) -> dict[str, Any]:
    found: dict[str, Any] = {"row_groups": footer.num_row_groups, "created_by": footer.created_by}
    if footer.num_row_groups and footer.num_columns:
        found["compression"] = footer.row_group(0).column(0).compression.lower()
    return found


def _write(table: pa.Table, sink: Any) -> None:
    with writing("Parquet"):
        pq.write_table(table, sink, row_group_size=_ONE_ROW_GROUP)


def _least_bytes(parquet: pq.ParquetFile) -> int:
    """Return what the declared rows take at least: a dictionary bomb declares billions in a few pages."""
    widths = (_bits(column.type) for column in parquet.schema_arrow)
    least: int = parquet.metadata.num_rows * sum(widths) // 8
    return least


def _bits(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width)
    except ValueError:  # texts, lists and dictionaries: an offset or code at least
        return 32
