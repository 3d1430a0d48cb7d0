"""Rows of a Parquet file by their place, read a row group at a time."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from formats.base import reading

__all__ = ["RowGroups"]


class RowGroups:
    """A Parquet file that is open; the row group that was read last is kept.

    Parameters
    ----------
    path
        A local file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "parquet"):
            self._file = pq.ParquetFile(path)
        groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._ends = np.cumsum(groups)
        self._kept: dict[str, tuple[int, Any]] = {}

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self._file.schema_arrow

    def obs(self, columns: Collection[str] | None) -> pa.Table:
        """Return columns that are named in lower case, all where none are given."""
        names = [name for name in self.schema.names if columns is None or name.lower() in columns]
        with reading(self.path, "parquet"):
            if names:
                return self._file.read(columns=names)
            return pa.table({"_": pa.nulls(self._file.metadata.num_rows)})

    def take(self, column: str, rows: np.ndarray[Any, Any]) -> Any:
        """Return some values of a column, given in ascending order."""
        group = np.searchsorted(self._ends, rows, side="right")
        parts = []
        for number in np.unique(group):
            begin = self._ends[number - 1] if number else 0
            parts.append(self._values(column, int(number))[rows[group == number] - begin])
        return np.concatenate(parts) if parts else np.zeros(0)

    def _values(self, column: str, number: int) -> Any:
        known = self._kept.get(column)
        if known is None or known[0] != number:
            with reading(self.path, "parquet"):
                table = self._file.read_row_group(number, columns=[column])
            known = self._kept[column] = number, table[column].to_numpy()
        return known[1]

    def close(self) -> None:
        """Close the file."""
        self._kept.clear()
        self._file.close()
