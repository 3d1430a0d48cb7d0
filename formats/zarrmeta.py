"""The structure of a zarr store, version 2 or 3, read from its JSON alone.

A folder or a zip file; zarr itself is not needed, so types that it does not know are described, too. Bounds: 16 MB of
metadata in one document, 10,000 nodes, 64 levels. A filter that unpickles is refused.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from formats.base import reading
from formats.limits import refuse_bomb
from formats.nodes import Node
from formats.remotepath import RemotePath, is_remote_path
from lakehouse.errors import InvalidFile, shown

__all__ = ["MARKS", "is_store", "read_nodes"]

MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Files of which the top of a store has one."""

_MOST_BYTES = 16 << 20
_MOST_NODES = 10_000
_MAX_DEPTH = 64
_MAX_RATIO = 1100
"""What deflate reaches at most; a zip file that claims more lies."""


class _Tree(Protocol):
    def read(self, name: str) -> bytes | None: ...

    def folders(self, prefix: str) -> Iterable[str]: ...


def is_store(path: Path) -> bool:
    """Tell whether a folder or zip file is a zarr store."""
    if path.is_dir():
        return any((path / mark).is_file() for mark in MARKS)
    if is_remote_path(path) or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as packed:
        return any(mark in packed.NameToInfo for mark in MARKS)


def read_nodes(path: Path, name: str) -> Node:
    """Return the structure of a store.

    Parameters
    ----------
    path
        A folder or a zip file.
    name
        The format's name for messages.

    Raises
    ------
    InvalidFile
        There is no store, its metadata is beyond the bounds or contradicts itself, or a filter would unpickle.
    NotFound
        Nothing is there.
    """
    with reading(path, name):
        path.stat()  # so that a missing one is told as such
        return _read(path)


def _read(path: Path) -> Node:
    with _opened(path) as tree:
        modern = tree.read("zarr.json") is not None  # as zarr itself decides where a store has the files of both
        top = _document(tree, "", modern=modern)
        if top is None:
            raise ValueError("it has neither zarr.json nor .zgroup nor .zarray")
        known = _consolidated(tree, top, modern=modern)
        return _Reader(path, tree, known, modern=modern).node("", top, 0)


class _Reader:
    """Makes nodes of documents, and counts them."""

    def __init__(self, path: Path, tree: _Tree, known: Mapping[str, Any] | None, *, modern: bool) -> None:
        self._path, self._tree, self._count, self._modern = path, tree, 0, modern
        self._known, self._below = known, _grouped(known or {})

    def node(self, path: str, found: dict[str, Any], depth: int) -> Node:
        self._count += 1
        if self._count > _MOST_NODES or depth > _MAX_DEPTH:
            raise InvalidFile(
                f"{shown(str(self._path))} holds more than {_MOST_NODES:,} nodes or {_MAX_DEPTH} levels at "
                f"{shown('/' + path)}: store it as several"
            )
        attributes = found.get("attributes") or {}
        if "shape" in found:
            self._refuse_pickles(found, path)
            return _array(path, found, attributes)
        children = {}
        for name in sorted(self._names(path)):
            inner = f"{path}/{name}".lstrip("/")
            document = self._known.get(inner) if self._known is not None else self._document(inner)
            if document is not None:
                children[name] = self.node(inner, document, depth + 1)
        return Node(path, children, attributes)

    def _document(self, path: str) -> dict[str, Any] | None:
        return _document(self._tree, path, modern=self._modern)

    def _names(self, path: str) -> Iterable[str]:
        return self._below.get(path, ()) if self._known is not None else self._tree.folders(path)

    def _refuse_pickles(self, found: dict[str, Any], path: str) -> None:
        if any("pickle" in name.lower() for name in _codecs(found)):
            raise InvalidFile(
                f"{shown(str(self._path))} unpickles the values of {shown('/' + path)}, which could run any program: "
                "write it anew with texts as vlen-utf8"
            )


def _array(path: str, found: dict[str, Any], attributes: dict[str, Any]) -> Node:
    shape = tuple(int(length) for length in found["shape"])
    if any(length < 0 for length in shape):
        raise ValueError(f"/{path} has the shape {shape}")
    stated = found["data_type"] if "data_type" in found else found["dtype"]
    dtype, size, fields = _dtype(stated)
    return Node(path, None, attributes, shape, dtype, size, fields, _storage(found))


def _dtype(stated: Any) -> tuple[str, int, tuple[tuple[str, str, tuple[int, ...]], ...]]:
    """Return name, bytes and members of a type as either version writes it."""
    import numpy as np

    if isinstance(stated, list):  # members of version 2: name, type, shape
        inner = [(str(m[0]), *_dtype(m[1])[:2], tuple(m[2]) if len(m) > 2 else ()) for m in stated]
        return _compound(inner)
    if isinstance(stated, dict):
        return _named_dtype(stated)
    if stated in ("|O", "string", "variable_length_bytes", "bytes"):
        return "binary" if "bytes" in stated else "string", 8, ()
    try:
        dtype = np.dtype(stated)
    except TypeError:
        return str(stated), 8, ()
    return "string" if dtype.kind in "SU" else str(dtype.name), dtype.itemsize, ()


def _named_dtype(stated: dict[str, Any]) -> tuple[str, int, tuple[tuple[str, str, tuple[int, ...]], ...]]:
    name, options = str(stated.get("name", "unknown")), stated.get("configuration") or {}
    if name in ("struct", "structured"):
        members = [(m["name"], m["data_type"]) if isinstance(m, dict) else (m[0], m[1]) for m in options["fields"]]
        return _compound([(str(member), *_dtype(kind)[:2], ()) for member, kind in members])
    if name in ("fixed_length_utf32", "null_terminated_bytes"):
        return "string", int(options.get("length_bytes", 8)), ()
    return (f"datetime64[{options.get('unit', 's')}]" if "datetime" in name else name), 8, ()


def _compound(
    members: list[tuple[str, str, int, tuple[int, ...]]],
) -> tuple[str, int, tuple[tuple[str, str, tuple[int, ...]], ...]]:
    size = sum(bytes_ * math.prod(shape) for _, _, bytes_, shape in members)
    return "compound", size, tuple((name, dtype, shape) for name, dtype, _, shape in members)


def _codecs(found: dict[str, Any]) -> list[str]:
    """Return the names of all filters and compressors, outer ones first."""
    stated = [*(found.get("codecs") or ()), *(found.get("filters") or ()), found.get("compressor")]
    names = []
    for codec in stated:
        if isinstance(codec, dict):
            names.append(str(codec.get("name", codec.get("id", ""))))
            inner = codec.get("configuration") or {}
            names += _codecs({"codecs": inner.get("codecs")}) if isinstance(inner, dict) else []
    return names


def _storage(found: dict[str, Any]) -> str:
    grid = (found.get("chunk_grid") or {}).get("configuration") or {}
    chunks = grid.get("chunk_shape", found.get("chunks"))
    names = [name for name in _codecs(found) if name not in {"bytes", "vlen-utf8", "crc32c", "sharding_indexed"}]
    parts = [f"chunks {_tuple(chunks)}"] if chunks else []
    shard = next((c for c in found.get("codecs") or () if c.get("name") == "sharding_indexed"), None)
    if shard is not None:
        inner = (shard.get("configuration") or {}).get("chunk_shape")
        parts = [f"shards {_tuple(chunks)}", f"chunks {_tuple(inner)}"]
    return ", ".join(parts + names)


def _tuple(lengths: Any) -> tuple[int, ...]:
    return tuple(int(length) for length in lengths or ())


def _document(tree: _Tree, prefix: str, *, modern: bool) -> dict[str, Any] | None:
    """Return what a node says of itself in the version of the store, or ``None`` if there is none.

    What it says in the other version is not looked at, since zarr does not either.
    """
    start = f"{prefix}/" if prefix else ""
    if modern:
        data = tree.read(start + "zarr.json")
        return None if data is None else _parsed(data)
    data = tree.read(start + ".zarray") or tree.read(start + ".zgroup")
    if data is None:
        return None
    attributes = tree.read(start + ".zattrs")
    return _parsed(data) | {"attributes": _parsed(attributes) if attributes else {}}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("its metadata nests too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("its metadata is no JSON object")  # noqa: TRY004  it is the file that is wrong
    return found


def _consolidated(tree: _Tree, top: dict[str, Any], *, modern: bool) -> dict[str, Any] | None:
    """Return the documents of all nodes by path where the top has them."""
    if modern:
        inner = top.get("consolidated_metadata")
        return dict(inner.get("metadata") or {}) if isinstance(inner, dict) else None
    data = tree.read(".zmetadata")
    if data is None:
        return None
    found: dict[str, Any] = {}
    for name, document in (_parsed(data).get("metadata") or {}).items():
        path, _, kind = name.rpartition("/")
        node = found.setdefault(path, {})
        node.update({"attributes": document} if kind == ".zattrs" else document)
    return found


def _grouped(known: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of children by the path of their group."""
    below: dict[str, list[str]] = {}
    for path in known:
        if path:
            group, _, name = path.rpartition("/")
            below.setdefault(group, []).append(name)
    return below


@contextmanager
def _opened(path: Path) -> Iterator[_Tree]:
    if is_remote_path(path):
        yield _Remote(cast("Any", path))
    elif path.is_dir():
        yield _Folder(path)
    else:
        with zipfile.ZipFile(path) as packed:
            yield _Zip(packed, path)


class _Folder:
    def __init__(self, top: Path) -> None:
        self._top = top

    def read(self, name: str) -> bytes | None:
        try:
            with (self._top / name).open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ValueError(f"{name} is no regular file")
                data = file.read(_MOST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return _small(data, name)

    def folders(self, prefix: str) -> Iterable[str]:
        with os.scandir(self._top / prefix) as entries:
            return [entry.name for entry in entries if entry.is_dir()]


class _Remote:
    def __init__(self, top: RemotePath) -> None:
        self._top = top

    def read(self, name: str) -> bytes | None:
        inner = self._top / name
        if not inner.is_file():
            return None
        if inner.size > _MOST_BYTES:
            raise ValueError(f"{name} has more than {_MOST_BYTES >> 20} MB")
        return inner.read_bytes()

    def folders(self, prefix: str) -> Iterable[str]:
        return list((self._top / prefix if prefix else self._top).folders())


class _Zip:
    def __init__(self, packed: zipfile.ZipFile, path: Path) -> None:
        self._packed, self._below = packed, dict[str, set[str]]()
        for info in packed.infolist():
            parts = info.filename.split("/")
            if info.filename.startswith("/") or ".." in parts or "\\" in info.filename:
                raise InvalidFile(f"{shown(str(path))} has a member that climbs out, {shown(info.filename)}")
            if info.file_size > 1 << 20 and info.file_size > info.compress_size * _MAX_RATIO:
                refuse_bomb(path)
            for depth, part in enumerate(parts[:-1]):
                self._below.setdefault("/".join(parts[:depth]), set()).add(part)

    def read(self, name: str) -> bytes | None:
        if name not in self._packed.NameToInfo:
            return None
        with self._packed.open(name) as file:
            return _small(file.read(_MOST_BYTES + 1), name)

    def folders(self, prefix: str) -> Iterable[str]:
        return self._below.get(prefix, ())


def _small(data: bytes, name: str) -> bytes:
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{name} has more than {_MOST_BYTES >> 20} MB")
    return data
