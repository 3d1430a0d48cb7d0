"""The annotation tables of an AnnData file (``obs`` and ``var``), in every layout since 2017.

- anndata 0.5: a compound dataset whose first member is the index; categories lie in ``uns``
- anndata 0.7: a group with ``column-order``; categories lie in ``__categories``
- since 0.8: a group whose columns each name their encoding
"""

from __future__ import annotations

from typing import Any

import h5py
import pyarrow as pa

from formats.base import ColumnInfo
from formats.hdf5 import dtype_name

__all__ = ["axis_columns", "axis_length", "axis_table"]


def axis_length(axis: Any) -> int:
    """Return the number of observations or variables.

    Raises
    ------
    ValueError
        The axis has no index.
    """
    if isinstance(axis, h5py.Dataset):
        return _length(axis)
    index = axis.get(_index_name(axis))
    if index is None:
        raise ValueError(f"{axis.name} has no index")
    if isinstance(index, h5py.Group):  # a categorical or nullable index
        index = index["codes"] if "codes" in index else index["values"]
    return _length(index)


def axis_columns(axis: Any, uns: Any) -> tuple[ColumnInfo, ...]:
    """Return the columns of an axis without reading them.

    Parameters
    ----------
    axis
        ``obs`` or ``var`` of a file.
    uns
        The file's ``uns`` group or ``None``; old files keep categories there.
    """
    if isinstance(axis, h5py.Dataset):
        names = (axis.dtype.names or ())[1:]
        return tuple(ColumnInfo(name, _compound_dtype(axis.dtype[name], name, uns)) for name in names)
    return tuple(ColumnInfo(name, _column_dtype(axis[name])) for name in _column_names(axis))


def axis_table(axis: Any, uns: Any, index_name: str) -> pa.Table:
    """Read an axis as an Arrow table whose first column is the index.

    Parameters
    ----------
    axis, uns
        As for :func:`axis_columns`.
    index_name
        The name of the first column if the file gives the index none of its own.
    """
    if isinstance(axis, h5py.Dataset):
        return _compound_table(axis, uns, index_name)
    from anndata.io import read_elem

    frame: Any = read_elem(axis)
    index = frame.index
    name = index.name if index.name not in {None, "index", "_index"} else index_name
    table = pa.Table.from_pandas(frame, preserve_index=False)
    # not add_column: a table without columns has forgotten its length
    names = [_free_name(str(name), table.column_names), *table.column_names]
    return pa.Table.from_arrays([pa.chunked_array([pa.array(index)]), *table.columns], names)


def _length(dataset: Any) -> int:
    if len(dataset.shape) != 1:
        raise ValueError(f"{dataset.name} has {len(dataset.shape)} dimensions where one is expected")
    return int(dataset.shape[0])


def _index_name(axis: Any) -> str:
    name = axis.attrs.get("_index", "_index")
    return name.decode() if isinstance(name, bytes) else str(name)


def _column_names(axis: Any) -> list[str]:
    order = axis.attrs.get("column-order")
    if order is None:
        return [name for name in axis if name not in {_index_name(axis), "__categories"}]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in order]


def _column_dtype(column: Any) -> str:
    if isinstance(column, h5py.Dataset):
        return "category" if "categories" in column.attrs else dtype_name(column.dtype)
    encoding = column.attrs.get("encoding-type", "")
    if encoding == "categorical" or "codes" in column:
        return "category"
    if encoding == "nullable-string-array":
        return "string"
    return dtype_name(column["values"].dtype) if "values" in column else str(encoding or "unknown")


def _compound_dtype(dtype: Any, name: str, uns: Any) -> str:
    return "category" if _old_categories(uns, name) is not None else dtype_name(dtype)


def _old_categories(uns: Any, column: str) -> Any:
    found = uns.get(f"{column}_categories") if isinstance(uns, h5py.Group) else None
    return found if isinstance(found, h5py.Dataset) else None


def _compound_table(axis: Any, uns: Any, index_name: str) -> pa.Table:
    rows = axis[()]
    index, *names = rows.dtype.names
    columns = {_free_name(index_name, names): _texts(rows[index])}
    for name in names:
        categories = _old_categories(uns, name)
        columns[name] = _texts(rows[name]) if categories is None else _categorical(rows[name], categories)
    return pa.table(columns)


def _texts(values: Any) -> pa.Array:
    if values.dtype.kind == "S":
        return pa.array([value.decode("utf-8", "replace") for value in values.tolist()])
    if values.dtype.kind == "O":
        return pa.array([value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values])
    return pa.array(list(values)) if values.ndim > 1 else pa.array(values)


def _categorical(codes: Any, categories: Any) -> pa.Array:
    indices = pa.array(codes, mask=codes < 0)  # -1 stands for a missing value
    return pa.DictionaryArray.from_arrays(indices, _texts(categories[()]))


def _free_name(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_"
    return name
