"""Arrays and groups of arrays in zarr, version 2 or 3: folders, or zip files called ``.zarr.zip``.

``load`` returns a NumPy array, or a dict of them for a group; ``open`` the ``zarr.Array`` or ``zarr.Group``, which
reads the chunks that are asked for. NumPy arrays are written as version 3, in chunks and, where they are many, in
shards.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from formats.base import Description, Format, is_instance_of, new_path, reading
from formats.convert import convert
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.opened import closing
from formats.pixels import ImageFile, write_pixels
from formats.zarrmeta import is_store, read_nodes
from formats.zarrstore import edited_store, open_store, quiet
from lakehouse.errors import LakehouseError, UnknownFormat

__all__ = ["ZarrFormat", "describe_arrays"]

_SHARDS_FROM = 256 << 20
"""Bytes of an array from which on chunks are put into shards, so that files stay few."""


class ZarrFormat(Format):
    """Arrays in zarr.

    ``describe`` reads metadata alone: one document where it is consolidated, else one per node, 16 MB at most each.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.zarr"
    >>> ZarrFormat().write(np.ones((4, 2)), path)
    >>> ZarrFormat().describe(path).shape
    (4, 2)
    """

    name: ClassVar[str] = "zarr"
    kind: ClassVar[str] = "array"
    suffixes: ClassVar[tuple[str, ...]] = (".zarr",)
    types: ClassVar[tuple[str, ...]] = ("zarr.Array", "zarr.Group", "numpy.ndarray", "formats.pixels.ImageFile")

    def recognizes(self, path: Path) -> bool:
        """Tell whether the folder or zip file has zarr's metadata."""
        return is_store(path)

    def write(self, obj: object, path: Path) -> None:
        """Write a NumPy array or the pixels of an image, or copy a zarr array or group as it is."""
        self.check_accepts(obj)
        with new_path(path), quiet():
            try:
                _write(obj, path)
            except (OSError, MemoryError, Warning, LakehouseError):
                raise
            except Exception as error:  # zarr has no error in common
                raise UnknownFormat(f"this array cannot be stored in zarr: {str(error)[:300]}") from error

    def load(self, path: Path) -> Any:
        """Return an array, or a dict of arrays and dicts for a group."""
        top = read_nodes(path, self.name)
        refuse_oversize(path, top.declared_bytes(), hint="open() reads it piecewise")
        with reading(path, self.name), quiet():
            return _loaded(open_store(path, self.name, top))

    def load_as(self, path: Path, form: str) -> Any:
        """Return an array as ``numpy``, or one of one or two dimensions as a table."""
        return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return the ``zarr.Array`` or ``zarr.Group``."""
        with quiet():
            found = open_store(path, self.name)
        return closing(found, found.store.close)

    def edit(self, path: Path) -> AbstractContextManager[Any]:
        """Return what gives the ``zarr.Array`` or ``zarr.Group`` for reading and writing; not of a zip file."""
        return edited_store(path, self.name)

    def reads_remote(self, path: Path) -> bool:
        """Say yes of a folder: the chunks that are asked for."""
        return path.is_dir()

    def describe(self, path: Path) -> Description:
        """Read names, types, shapes, chunks and codecs."""
        top = read_nodes(path, self.name)
        return describe_arrays(top, self.name, self.kind)


def describe_arrays(top: Node, name: str, kind: str) -> Description:
    """Return the description of an array, or of a group with the arrays in it."""
    if top.is_array:
        rows = top.shape[0] if top.shape else None
        attributes = {"dtype": top.dtype} | ({"storage": top.storage} if top.storage else {})
        fields = tuple(Node(member, None, {}, inner, dtype).element() for member, dtype, inner in top.fields)
        return Description(name, kind, rows, top.shape, fields, attributes=attributes)
    slots: dict[str, Any] = {}
    for array in top.arrays():
        group = array.path.rpartition("/")[0] or "/"
        slots.setdefault(group, []).append(array.element())
    return Description(name, kind, slots={group: tuple(parts) for group, parts in slots.items()})


def _write(obj: Any, path: Path) -> None:
    import zarr

    if is_instance_of(obj, "zarr.Group"):
        _copy_group(obj, zarr.create_group(path, attributes=dict(obj.attrs), zarr_format=obj.metadata.zarr_format))
        return
    if is_instance_of(obj, "zarr.Array"):
        _copy_array(obj, path, None)
        return
    if isinstance(obj, ImageFile):
        write_pixels(obj.path, path)
        return
    if obj.dtype.hasobject:
        raise UnknownFormat(f"an array of {obj.dtype} holds Python objects, which only pickles could: convert it first")
    shards: Any = "auto" if obj.nbytes >= _SHARDS_FROM and obj.ndim else None
    zarr.create_array(path, data=obj, shards=shards, zarr_format=3)


def _copy_group(source: Any, target: Any) -> None:
    for name, member in source.members():
        if is_instance_of(member, "zarr.Group"):
            _copy_group(member, target.create_group(name, attributes=dict(member.attrs)))
        else:
            _copy_array(member, target.store, f"{target.path}/{name}".lstrip("/"))


def _copy_array(source: Any, store: Any, name: str | None) -> None:
    """Copy an array chunk by chunk, with the same chunks, shards and codecs."""
    import zarr

    target = zarr.from_array(store, data=source, name=name, write_data=False)
    step = (target.shards or target.chunks or (1,))[0]
    for start in range(0, source.shape[0], step) if source.shape else ():
        target[start : start + step] = source[start : start + step]
    if not source.shape:
        target[()] = source[()]


def _loaded(found: Any) -> Any:
    if not is_instance_of(found, "zarr.Group"):
        return found[()] if not found.shape else found[:]
    return {name: _loaded(member) for name, member in found.members()}
