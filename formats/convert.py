"""One object in another library's form: what ``load(as_=...)`` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from formats.base import is_instance_of
from formats.frames import pandas_ready, to_arrow
from formats.limits import refuse_oversize
from lakehouse.errors import Unsupported, did_you_mean, shown

__all__ = ["FORMS", "LAZY_FORMS", "check_form", "convert", "table_of_records"]

FORMS = ("pandas", "polars", "arrow", "numpy")
"""What ``load(as_=...)`` takes."""

LAZY_FORMS = ("polars", "arrow", "duckdb")
"""What ``open(as_=...)`` takes for tables."""


def check_form(form: str, choices: tuple[str, ...] = FORMS) -> str:
    """Return a form, or raise :class:`~lakehouse.errors.Unsupported` naming the choices."""
    if form not in choices:
        raise Unsupported(f"as_ = {shown(form)} is no form that this is read as{did_you_mean(str(form), choices)}")
    return form


def convert(obj: Any, form: str, path: Path) -> Any:
    """Return an object that was loaded in one of :data:`FORMS`.

    Parameters
    ----------
    obj
        A frame of pandas, Polars or Arrow, a NumPy array, an AnnData, or a list of records.
    form
        ``pandas``, ``polars``, ``arrow`` or ``numpy``.
    path
        Where it was loaded from, for messages.

    Raises
    ------
    Unsupported
        There is no such form, or this object has none.

    Examples
    --------
    >>> import pandas as pd
    >>> convert(pd.DataFrame({"a": [1, 2]}), "arrow", Path("x.csv")).num_rows
    2
    """
    check_form(form)
    if form == "numpy":
        return _as_numpy(obj, path)
    table = _as_table(obj, path)
    if form == "polars":
        import polars as pl

        return pl.from_arrow(table)
    return pandas_ready(table).to_pandas() if form == "pandas" else table


def table_of_records(rows: list[dict[str, Any]]) -> pa.Table:
    """Return dicts as a table that has every name that any of them has; a column without any value is text.

    Examples
    --------
    >>> table_of_records([{"a": 1}, {"b": "x"}]).column_names
    ['a', 'b']
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    return pa.table({name: c.cast(pa.string()) if pa.types.is_null(c.type) else c for name, c in columns.items()})


def _as_table(obj: Any, path: Path) -> pa.Table:
    if is_instance_of(obj, "numpy.ndarray"):
        return _table_of_array(obj, path)
    if is_instance_of(obj, "anndata.AnnData"):
        _refuse_dense(obj, path)
        obj = obj.to_df()
    if isinstance(obj, list) and all(isinstance(row, dict) for row in obj):
        return table_of_records(obj)
    if isinstance(obj, pa.Table) or hasattr(obj, "columns"):
        return to_arrow(obj)
    raise _none(obj, path)


def _table_of_array(array: Any, path: Path) -> pa.Table:
    if array.ndim not in ((1,) if array.dtype.names else (1, 2)):
        raise Unsupported(f"{shown(str(path))} has {array.ndim} dimensions, which is no table: leave as_ out")
    try:
        if array.dtype.names:
            return pa.table({name: _column(array[name]) for name in array.dtype.names})
        if array.ndim == 1:
            return pa.table({"value": _column(array)})
        return pa.table({str(number): _column(array[:, number]) for number in range(array.shape[1])})
    except (pa.ArrowException, NotImplementedError, OverflowError) as error:
        raise Unsupported(
            f"{shown(str(path))} holds {array.dtype}, for which a table has no type ({error}): leave as_ out"
        ) from error


def _column(values: Any) -> pa.Array:
    """Return an array of one dimension, or with an inner shape per row, with the type that it has in NumPy."""
    # Arrow knows the machine's own order of bytes alone
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    # Python's numbers would be 64 bits wide all of them, and times in nanoseconds plain numbers
    return pa.array(native if native.ndim == 1 else list(native) if native.ndim == 2 else native.tolist())


def _as_numpy(obj: Any, path: Path) -> Any:
    import numpy as np

    if is_instance_of(obj, "anndata.AnnData"):
        _refuse_dense(obj, path)
        return obj.to_df().to_numpy()
    if isinstance(obj, list):
        if not all(isinstance(row, dict) for row in obj):
            raise _none(obj, path)
        return pandas_ready(table_of_records(obj)).to_pandas().to_numpy()
    if hasattr(obj, "to_numpy") and hasattr(obj, "columns") and not isinstance(obj, pa.Table):
        return obj.to_numpy()
    if isinstance(obj, pa.Table):
        return pandas_ready(obj).to_pandas().to_numpy()
    if isinstance(obj, np.ndarray):
        return obj
    raise _none(obj, path)


def _refuse_dense(adata: Any, path: Path) -> None:
    if adata.X is None:
        raise Unsupported(f"{shown(str(path))} has no X, so it is no table: load it without as_")
    declared = adata.shape[0] * adata.shape[1] * adata.X.dtype.itemsize
    refuse_oversize(path, declared, hint="load it without as_, which keeps X sparse")


def _none(obj: object, path: Path) -> Unsupported:
    return Unsupported(
        f"{shown(str(path))} is read as {type(obj).__module__}.{type(obj).__qualname__}, which is no table or array: "
        "leave as_ out"
    )
