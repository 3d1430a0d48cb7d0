"""TileDB arrays, dense and sparse, and groups of them: folders, written since 2017.

``load`` returns a NumPy array for a dense array of one attribute, a dict of arrays for one of several, and a pandas
``DataFrame`` for a sparse one; for a group, a dict of these. ``open`` returns the ``tiledb.Array`` or ``tiledb.Group``
for reading, which closes at the end of a ``with`` block. NumPy arrays are written dense, SciPy's matrices sparse; names
inside hold the time of writing, so two stores of equal arrays differ.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from formats.base import ColumnInfo, Description, Format, is_instance_of, new_path, reading
from formats.convert import convert
from formats.limits import refuse_oversize
from formats.paths import text_of
from formats.remotepath import RemotePath
from formats.tiledbcontext import context_of
from lakehouse.errors import InvalidFile, LakehouseError, NotFound, UnknownFormat, shown

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TileDBFormat", "inside_uris", "is_tiledb", "reached_by_tiledb", "uri_of"]

_MARKS = ("__schema", "__array_schema.tdb", "__tiledb_group.tdb", "__group")
_SPARSE = ("scipy.sparse.spmatrix", "scipy.sparse.sparray")
_SCHEMES = {"s3": "s3", "gs": "gcs", "az": "azure", "abfs": "azure"}
"""What TileDB calls the protocols of stores that it reaches itself."""
_MOST_ARRAYS = 1000
_MAX_DEPTH = 16


class TileDBFormat(Format):
    """TileDB arrays and groups.

    ``describe`` reads schemas and the metadata of fragments, some kilobytes for each array.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.tiledb"
    >>> TileDBFormat().write(np.ones((4, 2)), path)
    >>> TileDBFormat().describe(path).shape
    (4, 2)
    """

    name: ClassVar[str] = "tiledb"
    kind: ClassVar[str] = "array"
    suffixes: ClassVar[tuple[str, ...]] = (".tiledb", ".tdb")
    types: ClassVar[tuple[str, ...]] = ("numpy.ndarray", *_SPARSE)

    def recognizes(self, path: Path) -> bool:
        """Tell whether a folder is an array or group."""
        return is_tiledb(path)

    def write(self, obj: object, path: Path) -> None:
        """Write a NumPy array or a SciPy matrix."""
        self.check_accepts(obj)
        with new_path(path):
            try:
                _write(obj, path)
            except (OSError, MemoryError, Warning, LakehouseError):
                raise
            except Exception as error:  # TileDBError has no base of its own
                raise UnknownFormat(f"this array cannot be stored in TileDB: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return arrays, frames for sparse ones, and a dict for a group."""
        with reading(path, self.name):
            refuse_oversize(path, sum(_declared(array) for _, array in _arrays(path)), hint="open() reads it piecewise")
            return _loaded(path)

    def load_as(self, path: Path, form: str) -> Any:
        """Return an array as ``numpy``, or as a table where it is one."""
        table = self.table(path)
        return convert(self.load(path) if table is None else table, form, path)

    def open(self, path: Path) -> Any:
        """Return the array or group for reading."""
        with reading(path, self.name):
            _check(path)
            import tiledb

            uri, ctx = uri_of(path), context_of(path)
            is_group = tiledb.object_type(uri, ctx=ctx) == "group"
            return tiledb.Group(uri, "r", ctx=ctx) if is_group else tiledb.open(uri, ctx=ctx)

    def edit(self, path: Path) -> Any:
        """Return the array or group for writing, as TileDB has it: reading is for :meth:`open`."""
        with reading(path, self.name):
            _check(path)
            import tiledb

            uri, ctx = uri_of(path), context_of(path)
            is_group = tiledb.object_type(uri, ctx=ctx) == "group"
            return tiledb.Group(uri, "w", ctx=ctx) if is_group else tiledb.open(uri, "w", ctx=ctx)

    def reads_remote(self, path: Path) -> bool:
        """Say yes where TileDB reaches the store itself: the tiles that are asked for."""
        return reached_by_tiledb(path)

    def describe(self, path: Path) -> Description:
        """Read schemas: dimensions, attributes, filters and tiles."""
        with reading(path, self.name):
            found = dict(_described(path))
        if list(found) == [""]:
            return found[""]
        slots = {name: d.columns or (ColumnInfo(name, str(d.attributes)),) for name, d in found.items()}
        return Description(self.name, self.kind, slots=slots, attributes={"arrays": len(found)})

    def table(self, path: Path, *, columns: Collection[str] | None = None) -> pa.Table | None:
        """Return a sparse array, or a dense one of one dimension with named attributes, as a table for SQL.

        Parameters
        ----------
        path
            Of the array.
        columns
            Names in lower case, of attributes that are wanted; all, where none are given or none is among them.
        """
        import pyarrow as pa

        with reading(path, self.name):
            if not _is_array(path):
                return None
            with self.open(path) as array:
                schema = array.schema
                if not schema.sparse and (array.ndim != 1 or schema.attr(0).isanon):
                    return None
                names = [schema.attr(number).name for number in range(schema.nattr)]
                wanted = names if columns is None else [name for name in names if name.lower() in columns] or names
                refuse_oversize(path, _declared(array, wanted), hint="open() reads it piecewise")
                if array.nonempty_domain() is None and not schema.sparse:
                    raise InvalidFile(f"{shown(str(path))} has no cells: nothing was ever written")
                part = array.query(attrs=wanted)
                return pa.Table.from_pandas(_frame(part.df[:])) if schema.sparse else pa.table(part[:])


def is_tiledb(path: Path) -> bool:
    """Tell whether a folder is an array or group of TileDB, without loading it."""
    return path.is_dir() and any((path / mark).exists() for mark in _MARKS)


def reached_by_tiledb(path: Path) -> bool:
    """Tell whether a remote path is a folder of TileDB in a store that TileDB reaches itself."""
    found: object = path
    if not isinstance(found, RemotePath) or found.scheme not in _SCHEMES:
        return False
    # TileDB sends credentials to Azure whatever is wished
    hidden = found.options.anonymous and _SCHEMES[found.scheme] == "azure"
    return not hidden and path.is_dir() and is_tiledb(path)


def inside_uris(path: Path) -> None:
    """Check that the members of a group, and theirs, lie inside it.

    Raises
    ------
    InvalidFile
        A member lies elsewhere, or there are too many levels.
    """
    import tiledb

    ctx, waiting = context_of(path), [(path, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise InvalidFile(f"{shown(str(path))} nests more than {_MAX_DEPTH} groups")
        if tiledb.object_type(uri_of(here), ctx=ctx) != "group":
            continue
        if {"?", "#"}.intersection(str(here)):
            raise InvalidFile(
                f"{shown(str(here))}: TileDB takes ? and # in the path of a group for parts of a URL: rename it"
            )
        with tiledb.Group(uri_of(here), "r", ctx=ctx) as group:
            for member in group:
                where = _inside(member.uri, path)
                if where is None:
                    raise InvalidFile(
                        f"{shown(str(path))} refers to {shown(member.name or 'a member')} elsewhere: write it anew with "
                        "members inside it, under relative names"
                    )
                waiting.append((where, depth + 1))


def _inside(uri: str, top: Path) -> Path | None:
    """Return the path of a member, or ``None`` if it lies outside of the folder."""
    found: object = top
    if isinstance(found, RemotePath):
        rest = uri.removeprefix(uri_of(top) + "/")
        return None if rest == uri or ".." in rest.split("/") else (found / rest).as_path()
    where = _local(uri)
    inside = where is not None and Path(os.path.realpath(where)).is_relative_to(os.path.realpath(top))
    return Path(where) if where is not None and inside else None


def _local(uri: str) -> str | None:
    """Return the path that TileDB calls by a URI, in which it encodes nothing, or ``None`` if it is not local."""
    path = uri.removeprefix("file://")
    return path if path.startswith("/") else None


def uri_of(path: Path) -> str:
    """Return what TileDB calls a path."""
    found: object = path
    if isinstance(found, RemotePath):
        container, _, inside = found.uri.partition("://")[2].partition("/")  # the account is told by the context
        return f"{_SCHEMES[found.scheme]}://{container.partition('@')[0]}/{inside}"
    return text_of(path, "TileDB")  # absolute, since a relative one may hold what TileDB takes for a scheme


def _check(path: Path) -> None:
    if not path.exists():
        raise NotFound(f"no folder at {shown(str(path))}")
    if not is_tiledb(path):
        raise ValueError("it is no array or group of TileDB")
    inside_uris(path)


def _is_array(path: Path) -> bool:
    import tiledb

    return bool(tiledb.object_type(uri_of(path), ctx=context_of(path)) == "array")


def _arrays(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the name and the open array of each; the name of a single one is empty."""
    import tiledb

    _check(path)
    waiting, count = [("", path)], 0
    while waiting:
        name, here = waiting.pop(0)
        count += 1
        if count > _MOST_ARRAYS:
            raise InvalidFile(f"{shown(str(path))} holds more than {_MOST_ARRAYS:,} arrays: store it as several")
        if _is_array(here):
            with tiledb.open(uri_of(here), ctx=context_of(path)) as array:
                yield name, array
        else:
            waiting += [(f"{name}/{inner.name}".lstrip("/"), inner) for inner in sorted(_members(here), key=str)]


def _members(group: Path) -> list[Path]:
    import tiledb

    found: list[Path | None] = []
    # groups of 2020 list no members
    tiledb.ls(uri_of(group), lambda uri, kind: found.append(_inside(uri, group)), ctx=context_of(group))
    return [inner for inner in found if inner is not None and is_tiledb(inner)]


def _described(path: Path) -> Iterator[tuple[str, Description]]:
    for name, array in _arrays(path):
        schema = array.schema
        columns = tuple(
            ColumnInfo(attribute.name or "value", _dtype(attribute.dtype), _filters(attribute))
            for attribute in (schema.attr(number) for number in range(schema.nattr))
        )
        dimensions = tuple(schema.domain.dim(number) for number in range(array.ndim))
        shape = None if schema.sparse else tuple(int(length) for length in array.shape)
        yield (
            name,
            Description(
                "tiledb",
                "array",
                _cells(array) if schema.sparse else shape[0] if shape else None,
                shape,
                columns,
                attributes={
                    "layout": "sparse" if schema.sparse else "dense",
                    "dimensions": ", ".join(map(_dimension, dimensions)),
                    "tiles": str(tuple(str(d.tile) for d in dimensions)),
                },
            ),
        )


def _dimension(dimension: Any) -> str:
    """Return name, type and, of what is not text, the first and last coordinate that there may be."""
    kind = _dtype(dimension.dtype)
    if kind == "string":
        return f"{dimension.name} string"
    first, last = dimension.domain
    return f"{dimension.name} {kind} {first} to {last}"


def _dtype(dtype: Any) -> str:
    return "string" if dtype.kind in "SU" else str(dtype.name)


def _filters(attribute: Any) -> str:
    return ", ".join(str(one).partition("Filter")[0].lower() for one in attribute.filters)


def _cells(array: Any) -> int:
    import tiledb

    return int(sum(tiledb.array_fragments(array.uri, ctx=array.ctx).cell_num))


def _declared(array: Any, names: Collection[str] | None = None) -> int:
    """Return the bytes that the written part of attributes takes: TileDB keeps no cells that were never written."""
    attributes = [array.schema.attr(number) for number in range(array.schema.nattr)]
    width: int = sum(max(one.dtype.itemsize, 1) for one in attributes if names is None or one.name in names)
    if array.schema.sparse:
        coordinates: int = 8 * array.ndim
        return _cells(array) * (width + coordinates)
    return math.prod(int(length) for length in array.shape) * width if array.nonempty_domain() is not None else 0


def _loaded(path: Path) -> Any:
    found: dict[str, Any] = {}
    for name, array in _arrays(path):
        if array.nonempty_domain() is None and not array.schema.sparse:
            raise InvalidFile(f"{shown(str(path))} has no cells in {shown(name or 'it')}: nothing was ever written")
        found[name] = _frame(array.df[:]) if array.schema.sparse else array[:]
    return found[""] if list(found) == [""] else found


def _frame(frame: Any) -> Any:
    """Return a frame whose coordinates are columns."""
    return frame if list(frame.index.names) == [None] else frame.reset_index()


def _write(obj: Any, path: Path) -> None:
    import tiledb

    if not is_instance_of(obj, "numpy.ndarray"):
        _write_sparse(obj.tocoo(), path)
        return
    if obj.dtype.hasobject or not obj.ndim or not obj.size:
        raise UnknownFormat(f"TileDB stores no array of {obj.dtype} with the shape {obj.shape}: write it as .npy")
    tiledb.from_numpy(uri_of(path), obj).close()


def _write_sparse(matrix: Any, path: Path) -> None:
    import tiledb

    if not all(matrix.shape):
        raise UnknownFormat(f"TileDB stores no matrix with the shape {matrix.shape}")
    import numpy as np

    dimensions = [
        tiledb.Dim(name=name, domain=(0, length - 1), tile=min(length, 1024), dtype=np.dtype("int64"))
        for name, length in zip(("row", "column"), matrix.shape, strict=True)
    ]
    value = tiledb.Attr(name="value", dtype=matrix.dtype, filters=tiledb.FilterList([tiledb.ZstdFilter()]))
    tiledb.Array.create(uri_of(path), tiledb.ArraySchema(tiledb.Domain(*dimensions), attrs=[value], sparse=True))
    with tiledb.open(uri_of(path), "w") as array:
        array[matrix.row, matrix.col] = matrix.data
