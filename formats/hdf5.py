"""HDF5 files from strangers.

A file may point into other files, link in circles or declare arrays of any size. :func:`checked` opens one for
reading after looking at its structure, which takes no data into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]

from formats.base import reading
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.remotepath import is_remote_path
from lakehouse.errors import InvalidFile, shown

__all__ = ["checked", "declared_bytes", "dtype_name", "node_of", "opened_checked", "refuse_declared"]

_ENCODING = frozenset(
    {"encoding-type", "_index", "column-order", "shape", "h5sparse_format", "h5sparse_shape", "mod-order", "axis"}
)
"""Attributes that are read; others may be large."""

_MAX_DEPTH = 64
_MOST_AGAIN = 100_000
"""Members that are come by a second time, through further links to their group: a few links make them 2 to the 64."""


@contextmanager
def checked(path: Path, name: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, and close it again.

    Parameters
    ----------
    path
        A local file.
    name
        The format's name for messages.

    Raises
    ------
    InvalidFile
        It is no HDF5 file, refers to another file, or links in a circle.
    """
    with reading(path, name), _opened(path) as file:
        _walk(file, path, lambda _dataset: None)
        yield file


def opened_checked(path: Path) -> h5py.File:
    """Return an open file that was looked at as :func:`checked` does; the caller closes it."""
    file = _opened(path)
    try:
        _walk(file, path, lambda _dataset: None)
    except BaseException:
        file.close()
        raise
    return file


def _opened(path: Path) -> h5py.File:
    """Open a file for reading with the usual flags, and with others only where locking is what fails.

    A file that this process has open already can only be opened with the same flags once more. Without locks it can be
    read while another process writes, and on file systems that know none.
    """
    if is_remote_path(path):
        return h5py.File(path.open("rb"), "r")
    for locking in (None, False):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "lock" not in str(error):
                raise
    return h5py.File(path, "r", locking=True)


def declared_bytes(group: Any, path: Path, *, skip: tuple[str, ...] = ()) -> int:
    """Return the bytes that the datasets of a group declare, whether or not they were ever written.

    Parameters
    ----------
    group
        A group or dataset of a file that :func:`checked` opened.
    path
        The file, named in messages.
    skip
        Full names, such as ``/X``, of what is not read and hence not counted.
    """
    total = 0

    def add(dataset: Any) -> None:
        nonlocal total
        name = dataset.name
        if not any(name == left_out or name.startswith(left_out + "/") for left_out in skip):
            total += dataset.size * dataset.dtype.itemsize if dataset.size else 0

    if isinstance(group, h5py.Dataset):
        add(group)
    else:
        _walk(group, path, add)
    return total


def refuse_declared(group: Any, path: Path, *, skip: tuple[str, ...] = ()) -> None:
    """Raise :class:`~lakehouse.errors.InvalidFile` if a group declares more than fits into memory."""
    hint = "open() reads X piecewise" if not skip else "it holds too much besides X"
    refuse_oversize(path, declared_bytes(group, path, skip=skip), hint=hint)


def dtype_name(dtype: Any) -> str:
    """Return the name of a NumPy or HDF5 type as every format calls it.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_name(np.dtype("<f4")), dtype_name(np.dtype("S5"))
    ('float32', 'string')
    """
    if h5py.check_string_dtype(dtype) is not None or dtype.kind in "SUO":
        return "string"
    return "compound" if dtype.names else str(dtype.name)


def node_of(item: Any, path: str = "") -> Node:
    """Return the structure of a group or dataset of a file that :func:`checked` opened."""
    attributes = {name: _plain(item.attrs[name]) for name in item.attrs if name in _ENCODING}
    if "categories" in item.attrs:
        attributes["categories"] = True  # a reference into the file, of which it counts that it is there
    if not isinstance(item, h5py.Dataset):
        children = {name: node_of(item[name], f"{path}/{name}".lstrip("/")) for name in item if _is_part(item[name])}
        return Node(path, children, attributes)
    members = item.dtype.fields or {}
    fields = tuple((name, dtype_name(kind[0].base), tuple(kind[0].shape)) for name, kind in members.items())
    shape = tuple(int(length) for length in item.shape or ())
    return Node(
        path, None, attributes, shape, dtype_name(item.dtype), item.dtype.itemsize, fields, storage=_storage(item)
    )


def _is_part(item: Any) -> bool:
    return isinstance(item, h5py.Group | h5py.Dataset)  # a named type is neither


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_plain(inner) for inner in value.tolist()] if hasattr(value, "tolist") and value.ndim else value


def _storage(dataset: Any) -> str:
    chunks = f"chunks {tuple(dataset.chunks)}" if dataset.chunks else ""
    return ", ".join(part for part in (chunks, dataset.compression or "") if part)


def _walk(group: Any, path: Path, visit: Callable[[Any], None]) -> None:
    seen, again = set[int](), 0

    def look(group: Any, above: tuple[int, ...]) -> None:
        nonlocal again
        here = h5o.get_info(group.id).addr
        again += len(group) + 1 if here in seen else 0
        seen.add(here)
        _refuse_knots(group, path, circle=here in above, depth=len(above), again=again)
        for name in group:
            child = _child(group, name, path)
            if isinstance(child, h5py.Group):
                look(child, (*above, here))
            elif isinstance(child, h5py.Dataset):
                _check_inside(child, path)
                visit(child)

    look(group, ())


def _refuse_knots(group: Any, path: Path, *, circle: bool, depth: int, again: int) -> None:
    if circle:
        raise InvalidFile(f"{shown(str(path))} links in a circle at {shown(group.name)}: write it anew without links")
    if depth > _MAX_DEPTH:
        raise InvalidFile(f"{shown(str(path))} nests more than {_MAX_DEPTH} groups at {shown(group.name)}")
    if again > _MOST_AGAIN:
        raise InvalidFile(
            f"{shown(str(path))} links to the same groups over and over, as {shown(group.name)}: write it anew without links"
        )


def _child(group: Any, name: str, path: Path) -> Any:
    full = f"{group.name.rstrip('/')}/{name}"
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise InvalidFile(f"{shown(str(path))} refers to another file at {shown(full)}: write it anew as one file")
    try:
        return group[name]
    except (KeyError, OSError, RuntimeError) as error:
        raise InvalidFile(f"{shown(str(path))} has a link that leads nowhere at {shown(full)}") from error


def _check_inside(dataset: Any, path: Path) -> None:
    if dataset.external or dataset.is_virtual:
        raise InvalidFile(
            f"{shown(str(path))} keeps the data of {shown(dataset.name)} in another file: write it anew as one file"
        )
