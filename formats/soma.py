"""TileDB-SOMA experiments, and single SOMA data frames and arrays: folders, made in Python or R.

``load`` returns an ``AnnData`` of an experiment with one measurement, a ``MuData`` of one with several, and an Arrow
table of a data frame or array. ``open`` returns the SOMA object for reading, which closes at the end of a ``with``
block. Needs the extra ``tiledbsoma``. In SQL ``obs."key"`` are the observations; ``var."key/RNA"`` are the variables of
a measurement, and ``var."key"`` those of the only one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from formats.base import ColumnInfo, Description, Format, new_path, reading
from formats.convert import convert
from formats.frames import columns_of, dtype_name
from formats.lazydataset import LazyDataset
from formats.limits import refuse_oversize
from formats.tiledb import inside_uris, is_tiledb, reached_by_tiledb, uri_of
from formats.tiledbcontext import context_of, soma_context
from lakehouse.errors import InvalidFile, LakehouseError, NotFound, UnknownFormat, did_you_mean, shown
from lakehouse.optional import require

__all__ = ["SomaFormat"]

_KIND = "soma_object_type"
_JOIN = "soma_joinid"
_NAMES = ("obs_id", "var_id", "_index", "index")
_PIECES = {"soma.init_buffer_bytes": str(32 << 20)}
"""What is read at once of a column that is streamed; SOMA's own choice is a gigabyte."""
_BYTES_PER_VALUE = 24
"""What a stored value takes while it is read: itself and two coordinates."""


class SomaFormat(Format):
    """SOMA experiments.

    ``describe`` reads the schemas of all arrays and the metadata of their fragments, some kilobytes for each.
    """

    name: ClassVar[str] = "soma"
    kind: ClassVar[str] = "SOMA"
    suffixes: ClassVar[tuple[str, ...]] = (".soma",)
    types: ClassVar[tuple[str, ...]] = ("anndata.AnnData",)

    def recognizes(self, path: Path) -> bool:
        """Tell whether a TileDB folder says that it is a SOMA object."""
        if not is_tiledb(path):
            return False
        import tiledb

        try:
            uri, ctx = uri_of(path), context_of(path)
            is_group = tiledb.object_type(uri, ctx=ctx) == "group"
            opened = tiledb.Group(uri, ctx=ctx) if is_group else tiledb.open(uri, ctx=ctx)
            with opened as found:
                return _KIND in found.meta
        except tiledb.TileDBError:  # whoever reads it next says what is wrong
            return False

    def write(self, obj: object, path: Path) -> None:
        """Write an AnnData as an experiment with the measurement ``RNA``; it stays as it was."""
        self.check_accepts(obj)
        require("tiledbsoma", "tiledbsoma")
        import tiledbsoma.io

        adata: Any = obj
        with new_path(path), _known():
            try:
                tiledbsoma.io.from_anndata(str(path.absolute()), adata.copy(), "RNA", context=soma_context(path))
            except (OSError, MemoryError, Warning, LakehouseError):
                raise
            except Exception as error:  # its writers have no error in common
                raise UnknownFormat(f"this AnnData cannot be stored as SOMA: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return an AnnData, a MuData, or an Arrow table."""
        with reading(path, self.name), _known(), self.open(path) as found:
            if not hasattr(found, "ms"):
                return found.read().concat() if _is_frame(found) else found.read().tables().concat()
            refuse_oversize(path, sum(_values(array) for _, array in _matrices(found)) * _BYTES_PER_VALUE)
            loaded = {name: _anndata(found, name) for name in found.ms}
            if len(loaded) == 1:
                return next(iter(loaded.values()))
        return require("mudata", "mudata").MuData(loaded)

    def load_as(self, path: Path, form: str) -> Any:
        """Return X of an experiment, or a data frame, as ``pandas``, ``polars``, ``arrow`` or ``numpy``."""
        return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return the experiment, data frame or array for reading."""
        with reading(path, self.name), _known():
            if not path.exists():
                raise NotFound(f"no folder at {shown(str(path))}")
            if not is_tiledb(path):
                raise ValueError("it is no TileDB folder, as a SOMA experiment is")
            inside_uris(path)
            return _opened(path)

    def edit(self, path: Path) -> Any:
        """Return the experiment, data frame or array for writing, as SOMA has it: reading is for :meth:`open`."""
        with self.open(path):
            pass  # which checks it
        return _opened(path, "w")

    def reads_remote(self, path: Path) -> bool:
        """Say yes where TileDB reaches the store itself: what is asked for."""
        return reached_by_tiledb(path)

    def describe(self, path: Path) -> Description:
        """Read schemas and counts."""
        with self.open(path) as found, reading(path, self.name):
            if not hasattr(found, "ms"):
                return self._of_array(found)
            n_obs = int(found.obs.count)
            slots = {"obs": _columns(found.obs)} | _slots(found)
            shape = (n_obs, int(next(iter(found.ms.values())).var.count)) if len(found.ms) == 1 else None
            return Description(
                self.name,
                self.kind,
                n_obs,
                shape,
                slots=slots,
                attributes={"measurements": ", ".join(found.ms)},
                read_names=lambda axis: self._names(path, axis),
            )

    def table(self, path: Path) -> LazyDataset | None:
        """Return a data frame for SQL, of which the columns are read that a scan asks for; ``None`` for an experiment."""
        with self.open(path) as found:
            if not _is_frame(found):
                return None
            return self._lazy(path, found.schema, found.schema.names, lambda opened: opened)

    def obs_table(self, path: Path, *, part: str | None = None) -> LazyDataset:
        """Return the observations for SQL, read when they are scanned; all measurements share them."""
        with self.open(path) as found, reading(path, self.name):
            if part is not None:
                _measurement(found, part, path)
            schema = _experiment(found).obs.schema
            return self._lazy(path, schema, _axis(schema), lambda opened: opened.obs)

    def var_table(self, path: Path, *, part: str | None = None) -> LazyDataset:
        """Return the variables of a measurement for SQL, read when they are scanned."""
        with self.open(path) as found, reading(path, self.name):
            schema = _measurement(_experiment(found), part, path).var.schema
            return self._lazy(path, schema, _axis(schema), lambda opened: _measurement(opened, part, path).var)

    def _lazy(self, path: Path, schema: pa.Schema, names: list[str], pick: Callable[[Any], Any]) -> LazyDataset:
        """Return a dataset over a data frame, which is opened for each scan and read piece by piece."""

        def batches(wanted: list[str]) -> Iterator[pa.RecordBatch]:
            with reading(path, self.name), _known(), _opened(path, more=_PIECES) as found:
                for table in pick(found).read(column_names=wanted):
                    yield from table.select(wanted).to_batches()

        return LazyDataset(pa.schema([schema.field(name) for name in names]), batches)

    def _names(self, path: Path, axis: str) -> list[str]:
        table = self.obs_table(path) if axis == "obs" else self.var_table(path)
        return [str(name) for name in table.to_table(columns=table.schema.names[:1]).column(0).to_pylist()]

    def _of_array(self, found: Any) -> Description:
        columns = tuple(column for column in columns_of(found.schema) if column.name != _JOIN)
        frame = _is_frame(found)
        rows = int(found.count) if frame else int(found.shape[0])
        shape = (rows, len(columns)) if frame else tuple(int(length) for length in found.shape)
        return Description(self.name, self.kind, rows, shape, columns, attributes={"type": str(found.soma_type)})


def _opened(path: Path, mode: str = "r", more: Mapping[str, str] | None = None) -> Any:
    soma: Any = require("tiledbsoma", "tiledbsoma")
    return soma.open(uri_of(path), mode, context=soma_context(path, more))


def _experiment(found: Any) -> Any:
    if not hasattr(found, "ms"):
        raise ValueError("it is no experiment, so it has no axes")
    return found


def _measurement(found: Any, name: str | None, path: Path) -> Any:
    names = list(found.ms)
    if name is None and len(names) == 1:
        return found.ms[names[0]]
    if name is None or name not in names:
        asked = "name one of its measurements" if name is None else f"it has no measurement {shown(name)}"
        raise InvalidFile(f"{shown(str(path))}: {asked}{did_you_mean(name or '', names)}")
    return found.ms[name]


def _is_frame(found: Any) -> bool:
    return hasattr(found, "index_column_names")


def _axis(schema: pa.Schema) -> list[str]:
    """Return the columns of an axis: its names first, and without SOMA's own number of the row."""
    first = [name for name in _NAMES if name in schema.names][:1]
    return [*first, *(name for name in schema.names if name not in (_JOIN, *first))]


def _columns(frame: Any) -> tuple[ColumnInfo, ...]:
    return tuple(ColumnInfo(f.name, dtype_name(f.type)) for f in frame.schema if f.name != _JOIN)


def _slots(found: Any) -> dict[str, tuple[ColumnInfo, ...]]:
    slots: dict[str, tuple[ColumnInfo, ...]] = {}
    for name, measurement in found.ms.items():
        slots[f"{name}/var"] = _columns(measurement.var)
    for name, array in _matrices(found):
        group, _, last = name.rpartition("/")
        info = ColumnInfo(last, f"{dtype_name(array.schema.field('soma_data').type)} {_layout(array)} {_shape(array)}")
        slots[group] = (*slots.get(group, ()), info)
    return slots


def _matrices(found: Any) -> Iterator[tuple[str, Any]]:
    for name, measurement in found.ms.items():
        for slot in ("X", "obsm", "varm", "obsp", "varp"):
            if slot in measurement:
                for inner, array in measurement[slot].items():
                    yield f"{name}/{slot}/{inner}", array


def _layout(array: Any) -> str:
    return "sparse" if array.is_sparse else "dense"


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in array.shape)


def _values(array: Any) -> int:
    if array.is_sparse:
        return int(array.nnz)
    rows, columns = (*_shape(array), 1)[:2]
    return rows * columns


def _anndata(found: Any, name: str) -> Any:
    import tiledbsoma.io

    measurement = found.ms[name]
    layers = list(measurement.X) if "X" in measurement else []
    first = "data" if "data" in layers else next(iter(layers), None)
    others = [layer for layer in layers if layer != first]
    return tiledbsoma.io.to_anndata(found, name, X_layer_name=first, extra_X_layer_names=others)


@contextmanager
def _known() -> Iterator[None]:
    """Silence what tiledbsoma says of libraries that it uses, and of nothing else."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="tiledbsoma")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="tiledbsoma")
        yield
