"""Rows of single-cell files, read where they lie: h5ad, zarr and SOMA behind one small face.

A reader holds an open file and is neither pickled nor shared with a forked process: :func:`open_cells` opens another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from formats.base import reading
from formats.csrrows import CsrRows, runs
from formats.hdf5 import opened_checked
from formats.registry import by_name
from formats.zarrstore import open_store, quiet
from lakehouse.errors import InputError, InvalidFile, did_you_mean, shown

__all__ = ["FORMATS", "Cells", "open_cells", "stacked"]

FORMATS = ("h5ad", "zarr-anndata", "soma")
"""Names of the formats whose rows are read so."""


class Cells(ABC):
    """The observations of one file.

    Arrays are called ``X``, ``layers/NAME`` and ``obsm/NAME``; rows of them are a CSR matrix or an array. Frames in obsm
    are none.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.format, self.path = by_name(name), path

    @abstractmethod
    def read(self, array: str, start: int, stop: int) -> Any:
        """Return rows ``start`` to ``stop`` (exclusive) of an array."""

    def csr(self, array: str) -> CsrRows | None:
        """Return the rows of an array where they can be read as CSR into arrays that are there already."""
        return None

    @abstractmethod
    def arrays(self) -> list[str]:
        """Return the names of all arrays."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def obs(self, columns: Collection[str] | None = None) -> pa.Table:
        """Return the observations, their names first; of columns those named in lower case, all where none are given."""
        return self._axis("obs_table", columns)

    def var(self) -> pa.Table:
        """Return the variables, their names first."""
        return self._axis("var_table", None)

    def _axis(self, method: str, columns: Collection[str] | None) -> pa.Table:
        table: Callable[..., Any] = getattr(self.format, method)
        if "columns" in signature(table).parameters:
            made: pa.Table = table(self.path, columns=columns)
            return made
        found = table(self.path)
        names: list[str] = found.schema.names
        wanted = [names[0], *(name for name in names[1:] if columns is None or name.lower() in columns)]
        return found.to_table(columns=wanted) if hasattr(found, "to_table") else found.select(wanted)

    def take(self, array: str, rows: np.ndarray[Any, Any]) -> Any:
        """Return some rows of an array, given in ascending order; what lies close together is read in one piece."""
        if not len(rows):
            return self.read(array, 0, 0)
        found = []
        for run in runs(rows):
            first, last = int(run[0]), int(run[-1]) + 1
            piece = self.read(array, first, last)
            found.append(piece if len(run) == last - first else piece[run - first])
        return found[0] if len(found) == 1 else stacked(found)


def stacked(pieces: list[Any]) -> Any:
    """Return matrices one below the other; sparse as CSR if one of them is."""
    if any(hasattr(piece, "tocsr") for piece in pieces):
        from scipy import sparse

        return sparse.vstack([sparse.csr_matrix(piece) for piece in pieces], format="csr")
    return np.concatenate(pieces)


def _with_columns(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return rows of one value each as a matrix, as anndata gives them."""
    return rows[:, None] if rows.ndim == 1 else rows


class _GroupCells(Cells):
    """In the layout of anndata, in HDF5 or zarr."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self._top: Any
        if name == "h5ad":
            with reading(path, name):
                self._top = opened_checked(path)[0]
            self._close = self._top.close
        else:
            with reading(path, name), quiet():
                self._top = open_store(path, name)
            self._close = self._top.store.close
        self._rows: dict[str, Callable[[int, int], Any]] = {}

    def arrays(self) -> list[str]:
        found = ["X"] if "X" in self._top else []
        for slot in ("layers", "obsm"):
            group = self._top.get(slot, ())
            if hasattr(group, "dtype"):  # anndata 0.5 kept obsm as one compound array
                found += [f"{slot}/{name}" for name in group.dtype.names or ()]
            else:
                found += [f"{slot}/{name}" for name in group if not self._is_frame(f"{slot}/{name}")]
        return found

    def _is_frame(self, array: str) -> bool:
        encoding: object = self._top[array].attrs.get("encoding-type", "")
        return encoding == "dataframe"

    def read(self, array: str, start: int, stop: int) -> Any:
        with reading(self.path, self.format.name):
            return self._known(array)(start, stop)

    def csr(self, array: str) -> CsrRows | None:
        with reading(self.path, self.format.name):
            rows = self._known(array)
        return rows if isinstance(rows, CsrRows) else None

    def _known(self, array: str) -> Callable[[int, int], Any]:
        if (rows := self._rows.get(array)) is None:
            rows = self._rows[array] = self._reader(array)
        return rows

    def _reader(self, array: str) -> Callable[[int, int], Any]:
        if array not in self.arrays():
            raise InputError(f"{shown(str(self.path))} has no array {shown(array)}{did_you_mean(array, self.arrays())}")
        slot, _, field = array.partition("/")
        if field and hasattr(whole := self._top[slot], "dtype"):
            return lambda start, stop: _with_columns(np.asarray(whole[start:stop][field]))
        item = self._top[array]
        encoding = str(item.attrs.get("encoding-type", "") or item.attrs.get("h5sparse_format", ""))
        if encoding.startswith("csr"):
            return CsrRows(np.asarray(item["indptr"][:]), item["data"], item["indices"], self._width(item))
        if encoding.startswith("csc"):  # its rows lie all over the file: it is read once, and turned
            from anndata.io import sparse_dataset

            whole = sparse_dataset(item).to_memory().tocsr()
            return CsrRows(whole.indptr, whole.data, whole.indices, whole.shape[1])
        if not hasattr(item, "ndim") or item.ndim < 1:
            raise InvalidFile(f"{shown(str(self.path))}: {array} is no array whose rows can be read")
        return lambda start, stop: np.asarray(item[start:stop])

    def _width(self, item: Any) -> int:
        shape = item.attrs.get("shape")
        return int((shape if shape is not None else item.attrs["h5sparse_shape"])[1])

    def close(self) -> None:
        self._rows.clear()
        self._close()


class _SomaCells(Cells):
    """A SOMA experiment with one measurement."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self._top = self.format.open(path)
        names = list(getattr(self._top, "ms", ()))
        if len(names) != 1:
            self._top.close()
            raise InvalidFile(f"{shown(str(path))} has {len(names)} measurements: rows of one are read")
        self._measured = self._top.ms[names[0]]
        ids = self._top.obs.read(column_names=["soma_joinid"]).concat()["soma_joinid"].to_numpy()
        self._ids = None if np.array_equal(ids, np.arange(len(ids))) else ids
        if self._ids is not None:
            raise InvalidFile(f"{shown(str(path))} numbers its observations with gaps: write it anew")

    def arrays(self) -> list[str]:
        layers = list(self._measured.X) if "X" in self._measured else []
        first = self._first(layers)
        found = ["X"] * bool(layers) + [f"layers/{name}" for name in layers if name != first]
        return found + [f"obsm/{name}" for name in (self._measured.obsm if "obsm" in self._measured else ())]

    def _first(self, layers: list[str]) -> str:
        return "data" if "data" in layers else next(iter(layers), "")

    def read(self, array: str, start: int, stop: int) -> Any:
        if array not in self.arrays():
            raise InputError(f"{shown(str(self.path))} has no array {shown(array)}{did_you_mean(array, self.arrays())}")
        slot, _, name = array.partition("/")
        if slot == "obsm":
            item = self._measured.obsm[name]
            return self._rows(item, start, stop).toarray() if item.is_sparse else self._dense(item, start, stop)
        layers = self._measured.X
        item = layers[name or self._first(list(layers))]
        return self._rows(item, start, stop) if item.is_sparse else self._dense(item, start, stop)

    def _dense(self, item: Any, start: int, stop: int) -> Any:
        if stop <= start:
            return np.zeros((0, int(item.shape[1])), _soma_type(item))
        return item.read((slice(start, stop - 1),)).to_numpy()

    def _rows(self, item: Any, start: int, stop: int) -> Any:
        from scipy.sparse import csr_matrix

        width = int(item.shape[1])
        if stop <= start:
            return csr_matrix((0, width), dtype=_soma_type(item))
        with reading(self.path, self.format.name):
            found = item.read((slice(start, stop - 1),)).tables().concat()
        rows, columns = found["soma_dim_0"].to_numpy() - start, found["soma_dim_1"].to_numpy()
        width = max(width, int(columns.max()) + 1 if len(columns) else 0)
        return csr_matrix((found["soma_data"].to_numpy(), (rows, columns)), shape=(stop - start, width))

    def close(self) -> None:
        self._top.close()


def _soma_type(item: Any) -> Any:
    return item.schema.field("soma_data").type.to_pandas_dtype()


def open_cells(name: str, path: Path) -> Cells:
    """Return a reader of the rows of a file.

    Parameters
    ----------
    name
        One of :data:`FORMATS`.
    path
        A local file or folder.

    Raises
    ------
    InputError
        When the format has no rows of cells.

    Examples
    --------
    >>> import tempfile
    >>> import anndata, numpy, scipy.sparse
    >>> path = Path(tempfile.mkdtemp()) / "x.h5ad"
    >>> anndata.AnnData(scipy.sparse.csr_matrix(numpy.eye(3, dtype="float32"))).write_h5ad(path)
    >>> cells = open_cells("h5ad", path)
    >>> cells.take("X", numpy.array([0, 2])).toarray()[:, 2].tolist()
    [0.0, 1.0]
    >>> cells.close()
    """
    if name not in FORMATS:
        raise InputError(f"{shown(str(path))} is {shown(name)}: rows of cells are read from {', '.join(FORMATS)}")
    return _SomaCells(name, path) if name == "soma" else _GroupCells(name, path)
