"""AnnData in HDF5 (``.h5ad``), from anndata 0.5 to today's.

``load`` returns an ``AnnData`` in memory, ``open`` one whose ``X`` stays in the file (close it with
``adata.file.close()``). ``describe`` reads the structure with h5py and never a matrix.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import pyarrow as pa

from formats.axes import axis_columns, axis_length, axis_table
from formats.base import ColumnInfo, Description, Format, new_file, reading
from formats.hdf5 import checked, dtype_name, refuse_declared
from lakehouse.errors import UnknownFormat

__all__ = ["H5adFormat"]

_ALIGNED = ("layers", "obsm", "varm", "obsp", "varp")
_STAYS_IN_FILE = ("/X", "/raw/X", "/raw.X")


class H5adFormat(Format):
    """Annotated matrices in HDF5."""

    name: ClassVar[str] = "h5ad"
    kind: ClassVar[str] = "AnnData"
    suffixes: ClassVar[tuple[str, ...]] = (".h5ad",)
    types: ClassVar[tuple[str, ...]] = ("anndata.AnnData",)

    def write(self, obj: object, path: Path) -> None:
        """Write an AnnData, which stays as it was: texts become categories in the file only."""
        self.check_accepts(obj)
        adata: Any = obj
        adata = adata.copy() if adata.is_view and not adata.isbacked else adata
        with new_file(path), _unchanged(adata), _known_warnings():
            try:
                adata.write_h5ad(path)
            except (OSError, MemoryError, Warning):
                raise
            except Exception as error:  # anndata's writers have no error in common
                raise UnknownFormat(f"this AnnData cannot be stored as .h5ad: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return an ``AnnData`` in memory."""
        return self._read(path, backed=None)

    def open(self, path: Path) -> Any:
        """Return an ``AnnData`` whose ``X`` stays in the file."""
        return self._read(path, backed="r")

    def _read(self, path: Path, *, backed: Literal["r"] | None) -> Any:
        with checked(path, self.name) as file:
            self._describe(file)
            refuse_declared(file, path, skip=_STAYS_IN_FILE if backed else ())
        import anndata

        with reading(path, self.name), _known_warnings():
            return anndata.read_h5ad(path, backed=backed)

    def describe(self, path: Path) -> Description:
        """Read names, types and shapes."""
        with checked(path, self.name) as file:
            return self._describe(file)

    def _describe(self, file: h5py.File) -> Description:
        if "obs" not in file or "var" not in file:
            raise ValueError("it has no obs and var, so it holds no AnnData")
        n_obs, n_vars = axis_length(file["obs"]), axis_length(file["var"])
        matrix = _shape(file["X"]) if "X" in file else None
        if matrix is not None and matrix != (n_obs, n_vars):
            raise ValueError(f"X has the shape {matrix}, obs and var have {(n_obs, n_vars)}")
        slots = {name: parts for name, parts in _slots(file).items() if parts}
        return Description(self.name, self.kind, n_obs, (n_obs, n_vars), (), slots)

    def obs_table(self, path: Path) -> pa.Table:
        """Return the observations for SQL; the index is the first column, ``obs_id`` unless it has a name."""
        return self._axis_table(path, "obs")

    def var_table(self, path: Path) -> pa.Table:
        """Return the variables for SQL; the index is the first column, ``var_id`` unless it has a name."""
        return self._axis_table(path, "var")

    def _axis_table(self, path: Path, axis: str) -> pa.Table:
        with checked(path, self.name) as file, _known_warnings():
            self._describe(file)
            refuse_declared(file[axis], path)
            return axis_table(file[axis], file.get("uns"), f"{axis}_id")


def _slots(file: h5py.File) -> dict[str, tuple[ColumnInfo, ...]]:
    uns = file.get("uns")
    slots = {
        "X": (ColumnInfo("X", _element(file["X"])),) if "X" in file else (),
        "obs": axis_columns(file["obs"], uns),
        "var": axis_columns(file["var"], uns),
    }
    slots |= {name: _members(file.get(name)) for name in _ALIGNED}
    slots["uns"] = _members(uns)
    raw = file["raw/X"] if "raw/X" in file else file.get("raw.X")
    slots["raw"] = (ColumnInfo("X", _element(raw)),) if raw is not None else ()
    return slots


def _members(slot: Any) -> tuple[ColumnInfo, ...]:
    if slot is None:
        return ()
    if isinstance(slot, h5py.Dataset):  # anndata 0.5 kept obsm as one compound dataset
        members = slot.dtype.fields or {}
        return tuple(_legacy_member(name, kind[0], slot.shape) for name, kind in members.items())
    return tuple(ColumnInfo(name, _element(slot[name])) for name in slot)


def _legacy_member(name: str, dtype: Any, shape: tuple[int, ...]) -> ColumnInfo:
    return ColumnInfo(name, f"{dtype_name(dtype.base)} {shape + dtype.shape}")


def _element(item: Any) -> str:
    if isinstance(item, h5py.Dataset):
        return f"{dtype_name(item.dtype)} {item.shape}" if item.shape else dtype_name(item.dtype)
    layout = item.attrs.get("encoding-type", item.attrs.get("h5sparse_format", "dict"))
    if "data" in item and "indptr" in item:
        return f"{dtype_name(item['data'].dtype)} {str(layout).removesuffix('_matrix')} {_shape(item)}"
    return str(layout)


def _shape(item: Any) -> tuple[int, ...]:
    if isinstance(item, h5py.Dataset):
        return tuple(int(length) for length in item.shape)
    shape = item.attrs.get("shape", item.attrs.get("h5sparse_shape"))
    if shape is None:
        raise ValueError(f"{item.name} states no shape")
    return tuple(int(length) for length in shape)


@contextmanager
def _known_warnings() -> Iterator[None]:
    """Silence what anndata says of every element of an old file, and of nothing else."""
    from anndata import OldFormatWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldFormatWarning)
        warnings.filterwarnings("ignore", r"Moving element from \.uns\[", FutureWarning)
        yield


@contextmanager
def _unchanged(adata: Any) -> Iterator[None]:
    """Put text columns back that anndata turns into categories in the caller's own object while it writes."""
    frames = [adata.obs, adata.var, *([adata.raw.var] if adata.raw is not None else [])]
    before = [frame.copy(deep=False) for frame in frames]
    try:
        yield
    finally:
        for frame, old in zip(frames, before, strict=True):
            for name in old.columns[old.dtypes.ne(frame.dtypes)]:
                frame[name] = old[name]
