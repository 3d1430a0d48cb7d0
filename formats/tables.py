"""What all tables have in common: one way to Arrow, and from there to every library."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from formats.base import Format
from formats.convert import LAZY_FORMS, check_form, convert
from formats.frames import FRAME_TYPES, pandas_ready
from formats.opened import closing
from lakehouse.errors import InvalidFile, shown

__all__ = ["TableFormat"]


class TableFormat(Format):
    """A format of tables: ``load`` gives pandas, ``open`` a Polars ``LazyFrame``, and ``as_`` something else."""

    kind: ClassVar[str] = "dataframe"
    types: ClassVar[tuple[str, ...]] = FRAME_TYPES

    @abstractmethod
    def read(self, path: Path) -> pa.Table:
        """Read a whole file as an Arrow table."""

    def to_pandas(self, table: pa.Table) -> Any:
        """Turn what :meth:`read` returned into pandas."""
        return pandas_ready(table).to_pandas()

    def load(self, path: Path) -> Any:
        """Return a pandas ``DataFrame``."""
        return self.to_pandas(self.read(path))

    def load_as(self, path: Path, form: str) -> Any:
        """Return the table as ``pandas``, ``polars``, ``arrow`` or ``numpy``."""
        check_form(form)
        return self.load(path) if form == "pandas" else convert(self.read(path), form, path)

    def open(self, path: Path) -> Any:
        """Return a Polars ``LazyFrame`` that reads what it needs."""
        import polars as pl

        found = self.table(path)
        if found is None:
            return closing(pl.LazyFrame())
        return closing(pl.from_arrow(found).lazy() if isinstance(found, pa.Table) else pl.scan_pyarrow_dataset(found))  # type: ignore[union-attr]

    def open_as(self, path: Path, form: str) -> Any:
        """Return a Polars ``LazyFrame`` (``polars``), an Arrow ``Dataset`` (``arrow``) or a relation (``duckdb``)."""
        if check_form(form, LAZY_FORMS) == "polars":
            return self.open(path)
        found = self.table(path)
        if found is None:
            raise InvalidFile(f"{shown(str(path))} has no columns, so there is nothing to open: load it instead")
        return _relation(found) if form == "duckdb" else _dataset(found)


def _dataset(found: Any) -> Any:
    import pyarrow.dataset as ds

    return closing(ds.dataset(found) if isinstance(found, pa.Table) else found)


def _relation(found: Any) -> Any:
    """Return a relation over a connection of its own, which ends with it."""
    import duckdb

    return closing(duckdb.connect().from_arrow(found))
