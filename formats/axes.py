"""Reading the annotation tables of an AnnData file (``obs`` and ``var``), in every layout since 2017."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa

__all__ = ["axis_names", "axis_table"]


def axis_names(axis: Any) -> list[str]:
    """Read the names of an axis.

    Parameters
    ----------
    axis
        ``obs`` or ``var`` of an HDF5 file or a zarr store.
    """
    if not hasattr(axis, "keys"):
        return [str(name) for name in _texts(axis[axis.dtype.names[0]]).to_pylist()]
    from anndata.io import read_elem

    name = axis.attrs.get("_index", "_index")
    names: Any = read_elem(axis[name.decode() if isinstance(name, bytes) else name])
    return [str(name) for name in names]


def axis_table(axis: Any, uns: Any, index_name: str, columns: Collection[str] | None = None) -> pa.Table:
    """Read an axis as an Arrow table whose first column is the index.

    Parameters
    ----------
    axis
        ``obs`` or ``var`` of an HDF5 file or a zarr store.
    uns
        The file's ``uns`` group or ``None``; old files keep categories there.
    index_name
        The name of the first column if the file gives the index none of its own.
    columns
        Names in lower case, of columns that are wanted beside the index; all, where none are given.
    """
    if not hasattr(axis, "keys"):
        return _compound_table(axis, uns, index_name)
    frame = _frame(axis, columns)
    index = frame.index
    name = index.name if index.name not in {None, "index", "_index"} else index_name
    table = pa.Table.from_pandas(frame, preserve_index=False)
    # not add_column: a table without columns has forgotten its length
    names = [_free_name(str(name), table.column_names), *table.column_names]
    return pa.Table.from_arrays([pa.chunked_array([pa.array(index)]), *table.columns], names)


def _frame(axis: Any, columns: Collection[str] | None) -> Any:
    """Read an axis as pandas, of one in today's layout only the columns that are wanted."""
    from anndata.io import read_elem

    if columns is None or "__categories" in axis or "_index" not in axis.attrs or "column-order" not in axis.attrs:
        return read_elem(axis)
    import pandas as pd

    names = [_text(name) for name in axis.attrs["column-order"]]
    index = _text(axis.attrs["_index"])
    wanted = {name: read_elem(axis[name]) for name in names if name.lower() in columns}
    return pd.DataFrame(wanted, index=pd.Index(read_elem(axis[index]), name=None if index == "_index" else index))


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _old_categories(uns: Any, column: str) -> Any:
    found = uns.get(f"{column}_categories") if hasattr(uns, "keys") else None
    return found if found is not None and not hasattr(found, "keys") else None


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
