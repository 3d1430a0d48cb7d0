"""A Polars ``LazyFrame`` over batches that are read, and checked, when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from formats.limits import refuse_oversize
from formats.opened import closing

if TYPE_CHECKING:
    import polars as pl

__all__ = ["bounded", "lazy"]


def bounded(batches: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Pass batches on as long as all of them fit into memory.

    Raises
    ------
    InvalidFile
        They do not.
    """
    taken = 0
    for batch in batches:
        taken += batch.nbytes
        refuse_oversize(path, taken, hint="open() reads it piecewise")
        yield batch


def lazy(schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]) -> pl.LazyFrame:
    """Return a lazy frame whose rows come from an iterator that is made anew for every query.

    Parameters
    ----------
    schema
        Of all batches.
    batches
        Begins from the start at each call, and raises what is wrong with the file.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        del batch_size
        for batch in batches():
            frame: Any = pl.from_arrow(batch)
            frame = frame if columns is None else frame.select(columns)
            frame = frame if predicate is None else frame.filter(predicate)
            if n_rows is None:
                yield frame
                continue
            frame = frame.head(n_rows)
            yield frame
            n_rows -= int(frame.height)
            if n_rows <= 0:
                return

    empty: Any = pl.from_arrow(schema.empty_table())
    return closing(register_io_source(source, schema=empty.schema))
