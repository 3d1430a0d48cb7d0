"""Delta tables as artifacts: folders with a ``_delta_log``, kept with their history.

``load`` returns pandas, ``open`` a Polars ``LazyFrame``, both of the newest version. Tables whose log names files
outside the folder are refused. Names inside are random, so two stores of equal frames differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

from formats.base import Description, new_path, reading
from formats.frames import columns_of, to_arrow
from formats.limits import refuse_oversize
from formats.paths import text_of
from formats.tables import TableFormat
from lakehouse.errors import InvalidFile, LakehouseError, NotFound, UnknownFormat, shown

__all__ = ["DeltaFormat"]

_LOG = "_delta_log"


class DeltaFormat(TableFormat):
    """Delta tables.

    ``describe`` reads the log: the last checkpoint and what follows it.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.delta"
    >>> DeltaFormat().write(pa.table({"a": [1, 2]}), path)
    >>> DeltaFormat().describe(path).shape
    (2, 1)
    """

    name: ClassVar[str] = "delta"
    suffixes: ClassVar[tuple[str, ...]] = (".delta",)

    def recognizes(self, path: Path) -> bool:
        """Tell whether the folder has a log."""
        return (path / _LOG).is_dir()

    def write(self, obj: object, path: Path) -> None:
        """Write a frame as version 0."""
        self.check_accepts(obj)
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        _refuse_name(path)
        table = to_arrow(obj)
        if not table.column_names:
            raise UnknownFormat("a Delta table has columns, this frame has none: write it as .parquet")
        with new_path(path):
            try:
                write_deltalake(path.absolute().as_uri(), table)
            except (DeltaError, pa.ArrowException, ValueError) as error:
                raise UnknownFormat(f"this frame cannot be stored in Delta: {str(error)[:300]}") from error

    def read(self, path: Path) -> pa.Table:
        """Read the newest version as an Arrow table."""
        with reading(path, self.name):
            dataset = self.table(path)
            refuse_oversize(path, dataset.count_rows() * len(dataset.schema.names) // 8)
            return dataset.to_table()

    def table(self, path: Path) -> Any:
        """Return a dataset that SQL scans piecewise."""
        with reading(path, self.name):
            # a file system of its own: the table's takes some names of folders for hosts
            here = pafs.SubTreeFileSystem(text_of(path, "delta-rs"), pafs.LocalFileSystem())
            return self._opened(path).to_pyarrow_dataset(filesystem=here)

    def describe(self, path: Path) -> Description:
        """Read the schema, the version and the counts that the log states."""
        with reading(path, self.name):
            found = self._opened(path)
            columns = columns_of(pa.schema(found.schema().to_arrow()))
            actions = pa.table(found.get_add_actions(flatten=True))
            counts: list[Any] = actions["num_records"].to_pylist() if "num_records" in actions.column_names else [None]
            rows = sum(counts) if actions.num_rows == 0 or all(n is not None for n in counts) else None
            attributes = {"table_version": found.version(), "data_files": actions.num_rows}
        shape = None if rows is None else (rows, len(columns))
        return Description(self.name, self.kind, rows, shape, columns, attributes=attributes)

    def _opened(self, path: Path) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if not path.exists():
            raise NotFound(f"no folder at {shown(str(path))}")
        _refuse_name(path)
        if not self.recognizes(path):
            raise ValueError(f"it has no {_LOG}")
        try:
            found = DeltaTable(path.absolute().as_uri())
        except (DeltaError, OSError) as error:
            if isinstance(error, LakehouseError):
                raise
            raise ValueError(str(error)) from error
        _refuse_outside(found, path)
        return found


def _refuse_name(path: Path) -> None:
    """Refuse paths that delta-rs takes for others or panics at."""
    name = text_of(path, "delta-rs")
    if unquote(name) != name or set("*?[]\\") & set(name):
        raise InvalidFile(f"{shown(name)} cannot be read as a Delta table for the %, *, ?, [ or ] in it: rename it")


def _refuse_outside(table: Any, path: Path) -> None:
    for named in pa.table(table.get_add_actions())["path"].to_pylist():
        plain = unquote(named)
        if plain.startswith("/") or ".." in plain.split("/") or urlsplit(plain).scheme:
            raise InvalidFile(
                f"{shown(str(path))} has a log that names a file elsewhere, {shown(Path(plain).name)}: copy the table anew"
            )
