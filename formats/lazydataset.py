"""An Arrow dataset over what Arrow itself does not read: batches that are made anew for each scan.

DuckDB, Polars and Arrow scan it as any dataset; they say which columns they need, and what reads the file reads only
these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds

__all__ = ["Batches", "LazyDataset"]

Batches = Callable[[list[str]], Iterator[pa.RecordBatch]]
"""Yields batches with the columns that are named, in that order; called once for each scan."""


class LazyDataset(ds.InMemoryDataset):  # type: ignore[misc]
    """A dataset whose scans call a function.

    Parameters
    ----------
    schema
        Of all columns.
    batches
        Makes the rows; what it raises, the one who scans is told.

    Examples
    --------
    >>> table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    >>> lazy = LazyDataset(table.schema, lambda names: iter(table.select(names).to_batches()))
    >>> lazy.to_table(columns=["b"]).to_pydict()
    {'b': ['x', 'y']}
    >>> lazy.count_rows(filter=ds.field("a") > 1)
    1
    """

    def __init__(self, schema: pa.Schema, batches: Batches) -> None:
        super().__init__([], schema=schema)
        self._batches = batches

    def scanner(
        self,
        columns: Any = None,
        filter: Any = None,
        *,
        batch_size: int | None = None,
        batch_readahead: int | None = None,
        fragment_readahead: int | None = None,
        fragment_scan_options: Any = None,
        use_threads: bool | None = None,
        cache_metadata: bool | None = None,
        memory_pool: pa.MemoryPool | None = None,
    ) -> ds.Scanner:
        """Return a scanner of some columns and the rows that a filter lets through; the rest means files alone."""
        names = self._needed(columns, filter)
        schema = pa.schema([self.schema.field(name) for name in names])
        return ds.Scanner.from_batches(self._batches(names), schema=schema, columns=columns, filter=filter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: each scan closes what it opened."""

    def _needed(self, columns: Any, filter: Any) -> list[str]:
        """Return what is asked for and what the filter looks at, and one column at least: rows are counted by it."""
        if columns is None or isinstance(columns, dict) or len(set(self.schema.names)) < len(self.schema.names):
            return list(self.schema.names)
        wanted, looked_at = set(columns), str(filter) if filter is not None else ""
        wanted |= {name for name in self.schema.names if name in looked_at}
        found = [name for name in self.schema.names if name in wanted]
        if filter is not None and not _binds(filter, self.schema, found):
            return list(self.schema.names)
        return found or self.schema.names[:1]


def _binds(filter: Any, schema: pa.Schema, names: Sequence[str]) -> bool:
    """Tell whether a filter finds its columns: an expression does not say which they are."""
    try:
        ds.Scanner.from_batches(iter(()), schema=pa.schema([schema.field(name) for name in names]), filter=filter)
    except pa.ArrowInvalid:
        return False
    return True
