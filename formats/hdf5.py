"""HDF5 files from strangers.

A file may point into other files, link in circles or declare arrays of any size. :func:`checked` opens one for
reading after looking at its structure, which takes no data into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

import h5py
from h5py import h5d, h5g, h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

from formats.base import reading
from formats.limits import refuse_oversize
from formats.nodes import Node
from formats.remotepath import is_remote_path
from lakehouse.errors import InvalidFile, shown

__all__ = ["checked", "dtype_name", "opened_checked", "refuse_declared"]

_ENCODING = frozenset(
    {"encoding-type", "_index", "column-order", "shape", "h5sparse_format", "h5sparse_shape", "mod-order", "axis"}
)
"""Attributes that are read; others may be large."""

_FILTERS = {1: "gzip", 4: "szip", 32_000: "lzf"}
"""Filters that compress, by their number in HDF5."""
_WITHIN = (h5l.TYPE_HARD, h5l.TYPE_SOFT)
_MAX_DEPTH = 64
_MOST_AGAIN = 100_000
"""Members that are come by a second time, through further links to their group: a few links make them 2 to the 64."""


@contextmanager
def checked(path: Path, name: str) -> Iterator[tuple[h5py.File, Node]]:
    """Open an HDF5 file for reading, and close it again.

    Parameters
    ----------
    path
        A local file, or a remote one that is read in ranges.
    name
        The format's name for messages.

    Yields
    ------
    tuple
        The file, and its structure, which is used while the file is open.

    Raises
    ------
    InvalidFile
        It is no HDF5 file, refers to another file, or links in a circle.
    """
    with reading(path, name), _opened(path) as file:
        yield file, _Walk(file, path).top()


def opened_checked(path: Path) -> tuple[h5py.File, Node]:
    """Return an open file that was looked at as :func:`checked` does, and its structure; the caller closes it."""
    file = _opened(path)
    try:
        return file, _Walk(file, path).top()
    except BaseException:
        file.close()
        raise


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


def refuse_declared(node: Node | None, path: Path, *, skip: tuple[str, ...] = ()) -> None:
    """Raise :class:`~lakehouse.errors.InvalidFile` if a part of a file declares more than fits into memory.

    Parameters
    ----------
    node
        The part; ``None``, where there is none, is no valid file either.
    path
        The file, named in messages.
    skip
        Paths, such as ``X``, of what is not read and hence not counted.
    """
    if node is None:
        raise ValueError("it lacks a part that is asked for")
    hint = "open() reads X piecewise" if not skip else "it holds too much besides X"
    refuse_oversize(path, node.declared_bytes(skip), hint=hint)


@lru_cache(256)
def dtype_name(dtype: Any) -> str:
    """Return the name of a NumPy or HDF5 type as every format calls it.

    Examples
    --------
    >>> import numpy as np
    >>> dtype_name(np.dtype("<f4")), dtype_name(np.dtype("S5"))
    ('float32', 'string')
    """
    if dtype.kind in "biuf":  # most of them
        return str(dtype.name)
    if h5py.check_string_dtype(dtype) is not None or dtype.kind in "SUO":
        return "string"
    return "compound" if dtype.names else str(dtype.name)


class _Walk:
    """Looks at all links and datasets once; what lies below the names of h5py is several times as fast as these."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self._file, self._path = file, path
        self._seen, self._again = set[int](), 0

    def top(self) -> Node:
        """Return the structure of the file."""
        return self._group(self._file.id, h5o.get_info(self._file.id).addr, "", ())

    def _group(self, found: Any, here: int, at: str, above: tuple[int, ...]) -> Node:
        """Return the structure of a group that lies at an address, without a slash at the beginning of its path."""
        self._again += len(found) + 1 if here in self._seen else 0
        self._seen.add(here)
        if here in above or len(above) > _MAX_DEPTH or self._again > _MOST_AGAIN:
            self._refuse_knots(at, circle=here in above, depth=len(above))
        children, links, below = dict[str, Node](), list[tuple[bytes, int, int]](), (*above, here)
        # names, kinds and, of hard links, addresses in one go
        found.links.iterate(lambda raw, link: links.append((raw, link.type, link.u)), info=True)
        for raw, kind, address in links:
            name = raw.decode("utf-8", "surrogateescape")
            inner = f"{at}/{name}" if at else name
            if kind not in _WITHIN:
                self._refuse(inner, "refers to another file at {}: write it anew as one file")
            child = self._child(found, raw, inner)
            if isinstance(child, h5d.DatasetID):
                children[name] = self._array(child, inner)
            elif isinstance(child, h5g.GroupID):  # a named type is neither
                there = address if kind == h5l.TYPE_HARD else h5o.get_info(child).addr
                children[name] = self._group(child, there, inner, below)
        return Node(at, children, _Attributes(self._file, at))

    def _array(self, found: Any, at: str) -> Node:
        stated, dtype = found.get_create_plist(), found.dtype  # an address in the file says nothing: HDF5 goes by this
        if stated.get_external_count() > 0 or stated.get_layout() == h5d.VIRTUAL:
            self._refuse(at, "keeps the data of {} in another file: write it anew as one file")
        members = dtype.fields or {}
        fields = tuple((name, dtype_name(kind[0].base), tuple(kind[0].shape)) for name, kind in members.items())
        attributes, shape = _Attributes(self._file, at), found.shape or ()
        return Node(at, None, attributes, shape, dtype_name(dtype), dtype.itemsize, fields, storage=_storage(stated))

    def _refuse_knots(self, at: str, *, circle: bool, depth: int) -> NoReturn:
        if circle:
            self._refuse(at, "links in a circle at {}: write it anew without links")
        if depth > _MAX_DEPTH:
            self._refuse(at, f"nests more than {_MAX_DEPTH} groups at {{}}")
        self._refuse(at, "links to the same groups over and over, as {}: write it anew without links")

    def _child(self, group: Any, name: bytes, at: str) -> Any:
        try:
            return h5o.open(group, name)
        except (KeyError, OSError, RuntimeError) as error:
            self._refuse(at, "has a link that leads nowhere at {}", error)

    def _refuse(self, at: str, fault: str, cause: Exception | None = None) -> NoReturn:
        raise InvalidFile(f"{shown(str(self._path))} {fault.format(shown('/' + at))}") from cause


class _Attributes(Mapping[str, Any]):
    """The attributes of an element that say how it is encoded, each read when it is asked for: there are many."""

    def __init__(self, top: Any, path: str) -> None:
        self._top, self._path = top, path

    @cached_property
    def _found(self) -> Any:
        return (self._top[self._path] if self._path else self._top).attrs

    def __getitem__(self, name: str) -> Any:
        if name == "categories":  # a reference into the file, of which it counts that it is there
            return self._found.get_id(name) is not None
        if name not in _ENCODING:
            raise KeyError(name)
        return _plain(self._found[name])

    def __contains__(self, name: object) -> bool:
        return name in (*_ENCODING, "categories") and name in self._found

    def __iter__(self) -> Iterator[str]:
        return (name for name in (*_ENCODING, "categories") if name in self._found)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_plain(inner) for inner in value.tolist()] if hasattr(value, "tolist") and value.ndim else value


def _storage(stated: Any) -> str:
    chunks = f"chunks {tuple(stated.get_chunk())}" if stated.get_layout() == h5d.CHUNKED else ""
    filters = (stated.get_filter(number)[0] for number in range(stated.get_nfilters()))
    packed = next((_FILTERS[code] for code in filters if code in _FILTERS), "")
    return ", ".join(part for part in (chunks, packed) if part)
