"""Rows of a CSR matrix in a file, read into arrays that are used again."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CsrRows", "Room", "runs"]

_GAP = 16
"""Rows between two that are wanted, up to which both are read in one piece."""


def runs(rows: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Return rows, given in ascending order, by what is read in one piece.

    Examples
    --------
    >>> [run.tolist() for run in runs(np.array([1, 2, 50, 52]))]
    [[1, 2], [50, 52]]
    """
    return np.split(rows, np.flatnonzero(np.diff(rows) > _GAP) + 1) if len(rows) else []


def _refuse_columns(indices: np.ndarray[Any, Any], width: int) -> None:
    """Raise for columns that there are not: what makes a dense array of them would write beside it."""
    # seen as unsigned, negative ones are the highest
    if len(indices) and int(indices.view(f"u{indices.dtype.itemsize}").max()) >= width:
        raise ValueError(f"it has values in columns beyond its {width:,}")


class CsrRows:
    """The rows of one matrix.

    Parameters
    ----------
    indptr
        Where each row begins among the values, in memory.
    data, indices
        The values and their columns: arrays in memory, or of HDF5 or zarr.
    width
        Columns.
    """

    def __init__(self, indptr: np.ndarray[Any, Any], data: Any, indices: Any, width: int) -> None:
        self._starts, self._data, self._indices, self.width = indptr, data, indices, width

    def __call__(self, start: int, stop: int) -> Any:
        """Return rows ``start`` to ``stop`` (exclusive) as a CSR matrix."""
        places = self._starts[start : stop + 1] if stop > start else self._starts[:1]
        low, high = int(places[0]), int(places[-1])
        data, indices = np.asarray(self._data[low:high]), np.asarray(self._indices[low:high])
        _refuse_columns(indices, self.width)
        return csr(data, indices, (places - low).astype(indices.dtype, copy=False), self.width)

    def counts(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return how many values each of some rows has."""
        counted: np.ndarray[Any, Any] = self._starts[rows + 1] - self._starts[rows]
        return counted

    def into(self, rows: np.ndarray[Any, Any], data: np.ndarray[Any, Any], indices: np.ndarray[Any, Any]) -> None:
        """Read rows, given in ascending order, into arrays that have as many places as the rows have values."""
        at = 0
        for run in runs(rows):
            first, last = int(run[0]), int(run[-1]) + 1
            low, high = int(self._starts[first]), int(self._starts[last])
            values, columns = self._data[low:high], self._indices[low:high]
            if len(run) < last - first:
                wanted = np.zeros(last - first, bool)
                wanted[run - first] = True
                kept = np.repeat(wanted, np.diff(self._starts[first : last + 1]))
                values, columns = values[kept], columns[kept]
            end = at + len(values)
            data[at:end], indices[at:end] = values, columns
            at = end
        _refuse_columns(indices, self.width)


class Room:
    """Arrays for the rows of several files one below the other, which grow as they must and are used again.

    Parameters
    ----------
    width
        Columns that are wanted.
    dtype
        Of the values.
    """

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        self._width = width
        self._data, self._indices = np.empty(0, dtype), np.empty(0, np.int32)
        self._counts: list[np.ndarray[Any, Any]] = []
        self._end = 0

    def add(self, rows: CsrRows, which: np.ndarray[Any, Any], places: np.ndarray[Any, Any] | None) -> None:
        """Read some rows of a matrix.

        Parameters
        ----------
        rows
            The matrix.
        which
            The rows, in ascending order.
        places
            Where its columns stand among those that are wanted, -1 for nowhere; None where they are the same.
        """
        expected = self._width if places is None else len(places)
        if rows.width != expected:
            raise ValueError(f"it has {rows.width:,} columns for {expected:,} variables")
        counts = rows.counts(which)
        data, indices = self._next(int(counts.sum()))
        rows.into(which, data, indices)
        if places is not None:
            counts = _placed(data, indices, counts, places)
        self._counts.append(counts)
        self._end += int(counts.sum())

    def reserve(self, count: int) -> None:
        """Make room for as many values."""
        if count > len(self._data):
            self._data, self._indices = (_longer(one, count, self._end) for one in (self._data, self._indices))

    def _next(self, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        end = self._end + count
        if end > len(self._data):
            self.reserve(max(end, 2 * len(self._data)))
        return self._data[self._end : end], self._indices[self._end : end]

    def taken(self) -> Any:
        """Return the rows that were added as a CSR matrix, which holds good until others are added, and begin anew."""
        ends = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._counts]))
        kind = np.int32 if self._end <= np.iinfo(np.int32).max else np.int64
        made = csr(self._data[: self._end], self._indices[: self._end], ends.astype(kind), self._width)
        self._counts, self._end = [], 0
        return made


def _longer(one: np.ndarray[Any, Any], length: int, used: int) -> np.ndarray[Any, Any]:
    made = np.empty(length, one.dtype)
    made[:used] = one[:used]
    return made


def _placed(
    data: np.ndarray[Any, Any],
    indices: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    places: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Put columns where they stand among those that are wanted, without the others; return how many each row has."""
    columns = places[indices]
    kept = columns >= 0
    if kept.all():
        indices[:] = columns
        return counts
    before = np.concatenate([[0], np.cumsum(kept)])
    fewer = int(before[-1])
    data[:fewer], indices[:fewer] = data[kept], columns[kept]
    return np.diff(before[np.concatenate([[0], np.cumsum(counts)])])


def csr(data: np.ndarray[Any, Any], indices: np.ndarray[Any, Any], indptr: np.ndarray[Any, Any], width: int) -> Any:
    """Return a CSR matrix of its three arrays, none of which is copied or looked through."""
    from scipy.sparse import csr_matrix

    found = csr_matrix((len(indptr) - 1, width), dtype=data.dtype)
    # set one by one: the constructor would look through all of them again
    found.data, found.indices, found.indptr = data, indices, indptr
    return found
