"""Large tables of links by one of their columns: of a value, the rows that hold it, without going through the table.

An index belongs to a data file, which never changes: publishing adds files, and leaves the indexes of others as they
are. What the tail brings and hides is looked at beside them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.engine.arrow import matching, pc
from lakehouse.engine.changes import DataFile
from lakehouse.engine.datafile import read_columns
from lakehouse.engine.forks import HELD
from lakehouse.engine.state import TableState

__all__ = ["Crossings"]


@dataclass(frozen=True)
class _Index:
    """Some columns of a file in the order of the values of another."""

    values: pa.Array
    """The distinct ones."""
    starts: np.ndarray[Any, Any]
    """The place in ``rows`` at which each value begins, and the end."""
    rows: pa.Table

    @classmethod
    def of(cls, rows: pa.Table, column: str, kept: Sequence[str]) -> _Index:
        """Return the index of rows by a column; those without a value in it are left out."""
        rows = rows.filter(pc.is_valid(rows[column])).combine_chunks()
        encoded = pa.concat_arrays([pa.array([], rows[column].type), *rows[column].chunks]).dictionary_encode()
        codes = encoded.indices.to_numpy()
        order = pa.array(np.argsort(codes, kind="stable"))
        starts = np.append(0, np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary))))
        return cls(encoded.dictionary, starts, rows.select(kept).take(order))

    def find(self, wanted: pa.Array) -> pa.Table:
        """Return the rows that hold one of the values."""
        places = np.flatnonzero(pc.is_in(self.values, value_set=wanted).to_numpy(zero_copy_only=False))
        runs = [(int(self.starts[place]), int(self.starts[place + 1])) for place in places]
        if len(runs) < 2:
            start, end = runs[0] if runs else (0, 0)
            return self.rows.slice(start, end - start)
        return self.rows.take(pa.array(np.concatenate([np.arange(*run) for run in runs])))


class Crossings:
    """The indexes of a lake, made for what is asked for more than once, and the oldest forgotten.

    Parameters
    ----------
    most
        Rows of all indexes together; a table with more has none.

    Attributes
    ----------
    rows : int
        How many there are.
    """

    def __init__(self, most: int) -> None:
        self._most, self.rows = most, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], _Index] = OrderedDict()
        self._asked: set[tuple[str, ...]] = set()
        HELD.add(self)

    def after_fork(self) -> None:
        """Replace mutexes: a thread that stayed in the parent may hold them."""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._asked.clear()
            self.rows = 0

    def find(self, state: TableState, column: str, values: Sequence[str], others: Sequence[str]) -> pa.Table | None:
        """Return ``uid`` and other columns of the rows that hold one of some values.

        None where a scan serves better: when it is asked for the first time, or where the table is too large.
        """
        files = [(-1, file) for file in state.base.files] + list(state.tail.staged)
        asked = (state.table.name, column, *others)
        if sum(file.rows for _, file in files) > self._most or asked not in self._asked:
            self._asked.add(asked)
            return None
        wanted = pa.array(values, state.table.schema.field(column).type)
        kept = list(dict.fromkeys(("uid", *others)))
        parts = [matching(state.tail.rows, column, values).select(kept)]
        for position, file in files:
            found = self._index(state, file, column, kept).find(wanted)
            if len(found) and len(state.tail.hidden):
                found = found.filter(pc.invert(pc.is_in(found["uid"], state.tail.hidden_after(position))))
            parts.append(found)
        return pa.concat_tables(parts)

    def _index(self, state: TableState, file: DataFile, column: str, kept: Sequence[str]) -> _Index:
        key = (state.table.name, str(state.table.version), file.path, column, *kept)
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        schema = pa.schema([state.table.schema.field(name) for name in dict.fromkeys((*kept, column))])
        made = _Index.of(read_columns(state.base.folder, file, schema), column, kept)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self.rows += len(made.rows)
            while self.rows > self._most and len(self._kept) > 1:
                self.rows -= len(self._kept.popitem(last=False)[1].rows)
        return made
