"""Any HDF5 file: ``.h5``, ``.hdf5``, ``.hdf``.

``open`` returns an ``h5py.File`` for reading, ``load`` its datasets in a dict of dicts, and ``write`` takes such a
dict of NumPy arrays. Files that refer to other files are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import h5py

from formats.base import Description, Format, new_file, reading
from formats.hdf5 import checked, opened_checked, refuse_declared
from formats.zarr import describe_arrays
from lakehouse.errors import UnknownFormat, shown

__all__ = ["Hdf5Format"]


class Hdf5Format(Format):
    """HDF5 files of any layout.

    ``describe`` reads the headers of groups and datasets, some hundred bytes each, and no data.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.h5"
    >>> Hdf5Format().write({"a": np.arange(3), "b": {"c": np.ones((2, 2))}}, path)
    >>> Hdf5Format().describe(path).slots["b"]
    (ColumnInfo(name='c', dtype='float64 (2, 2)'),)
    """

    name: ClassVar[str] = "hdf5"
    kind: ClassVar[str] = "array"
    suffixes: ClassVar[tuple[str, ...]] = (".h5", ".hdf5", ".hdf")
    types: ClassVar[tuple[str, ...]] = ("builtins.dict",)

    def write(self, obj: object, path: Path) -> None:
        """Write a dict of arrays and dicts."""
        self.check_accepts(obj)
        assert isinstance(obj, dict)
        with new_file(path):
            try:
                # without times, so that equal arrays are equal bytes
                with h5py.File(path, "w", track_order=False) as file:
                    _put(file, obj)
            except (TypeError, ValueError) as error:
                raise UnknownFormat(f"this dict cannot be stored in HDF5: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return all datasets, in dicts for groups."""
        with checked(path, self.name) as (file, top):
            refuse_declared(top, path)
            return _loaded(file)

    def open(self, path: Path) -> h5py.File:
        """Return the file, for reading; it closes at the end of a ``with`` block."""
        with reading(path, self.name):
            return opened_checked(path)[0]

    def edit(self, path: Path) -> h5py.File:
        """Return the file, for reading and writing."""
        with checked(path, self.name):
            pass  # so that a link never leads what is written out of the file
        return h5py.File(path, "r+")

    def reads_remote(self, path: Path) -> bool:
        """Say yes: the chunks that are asked for."""
        return True

    def describe(self, path: Path) -> Description:
        """Read names, types, shapes, chunks and compression."""
        with checked(path, self.name) as (_, top):
            return describe_arrays(top, self.name, self.kind)


def _put(group: Any, items: dict[Any, Any]) -> None:
    for name, value in items.items():
        if not isinstance(name, str) or not name or "/" in name or name in {".", ".."}:
            raise ValueError(f"{shown(name)} is no name in HDF5")
        if isinstance(value, dict):
            _put(group.create_group(name), value)
        else:
            group.create_dataset(name, data=value, track_times=False)


def _loaded(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Dataset):
            found[name] = (
                item.asstr()[()] if h5py.check_string_dtype(item.dtype) and item.shape is not None else item[()]
            )
        elif isinstance(item, h5py.Group):
            found[name] = _loaded(item)
    return found
