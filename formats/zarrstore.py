"""Opening zarr stores with zarr: folders and zip files, for reading, with every type that the file may hold.

zarr 3.1 calls a compound type ``structured`` and does not know the name ``struct`` that later versions write. One such
array makes the consolidated metadata, and with it the whole store, unreadable; so its documents are read in the older
spelling.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from formats.base import reading
from formats.nodes import Node
from formats.remotepath import is_remote_path
from formats.zarrmeta import read_nodes
from lakehouse.errors import Unsupported, shown

__all__ = ["edited_store", "open_store", "quiet"]


def open_store(path: Path, name: str, top: Node | None = None) -> Any:
    """Return a zarr ``Group`` or ``Array`` for reading; the metadata is checked first.

    Parameters
    ----------
    path
        A folder or a zip file.
    name
        The format's name for messages.
    top
        Its structure, where it was read already.
    """
    compound = any(array.dtype == "compound" for array in (top or read_nodes(path, name)).arrays())
    import zarr
    from zarr.storage import LocalStore, ZipStore

    with reading(path, name):
        store: Any = _remote(path) if is_remote_path(path) else None
        if store is None:
            store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
        return zarr.open(_translating(store) if compound else store, mode="r")


@contextmanager
def edited_store(path: Path, name: str) -> Iterator[Any]:
    """Yield a zarr ``Group`` or ``Array`` for reading and writing; its metadata is consolidated anew where it was.

    Parameters
    ----------
    path
        A folder of the caller's.
    name
        The format's name for messages.
    """
    if not path.is_dir():
        raise Unsupported(f"{shown(str(path))} is a zip file, which is written whole: save a folder instead")
    top = read_nodes(path, name)
    import zarr

    with quiet():
        with reading(path, name):
            found: Any = _writable(path, is_array=top.is_array)
        yield found
        found.store.close()
        if (path / ".zmetadata").exists() or _is_consolidated(path / "zarr.json"):
            zarr.consolidate_metadata(path)


def _writable(path: Path, *, is_array: bool) -> Any:
    import zarr

    if is_array:
        return zarr.open_array(path, mode="r+")
    return zarr.open_group(path, mode="r+", use_consolidated=False)


def _is_consolidated(top: Path) -> bool:
    return top.is_file() and json.loads(top.read_bytes()).get("consolidated_metadata") is not None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what zarr says of layouts that have no specification yet, and of nothing else."""
    with warnings.catch_warnings():
        for known in ("Consolidated metadata is currently not part", "does not have a Zarr V3 spec", "Duplicate name:"):
            warnings.filterwarnings("ignore", f"(?s).*{known}")
        for coming in ("Writing zarr v2 data will", "zarr v3 autosharding will be", "Automatic shard shape"):
            warnings.filterwarnings("ignore", f"(?s).*{coming}")
        yield


def _remote(path: Any) -> Any:
    """Return a store over a folder in a bucket, which asks through the client that everything else uses."""
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
    from zarr.storage import FsspecStore

    return FsspecStore(AsyncFileSystemWrapper(path.fs, asynchronous=True), read_only=True, path=path.address)


def _translating(store: Any) -> Any:
    from zarr.storage import WrapperStore

    class Translating(WrapperStore):  # type: ignore[type-arg]
        """Reads ``struct`` as ``structured``."""

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            found = await super().get(key, prototype, byte_range)
            if found is None or not key.endswith("zarr.json"):
                return found
            data = found.to_bytes()
            translated = json.dumps(_translated(json.loads(data))).encode() if b'"struct"' in data else data
            return prototype.buffer.from_bytes(translated)

    return Translating(store)


def _translated(document: Any) -> Any:
    """Return a document of metadata with every compound type in the older spelling."""
    if isinstance(document, list):
        return [_translated(inner) for inner in document]
    if not isinstance(document, dict):
        return document
    found = {name: _translated(inner) for name, inner in document.items()}
    kind = document.get("data_type")
    if isinstance(kind, dict) and kind.get("name") == "struct":
        members = [(m["name"], m["data_type"]) for m in kind["configuration"]["fields"]]
        found["data_type"] = {"name": "structured", "configuration": {"fields": [list(member) for member in members]}}
        found["fill_value"] = _fill(members, document.get("fill_value"))
    return found


def _fill(members: list[tuple[str, Any]], stated: Any) -> str:
    """Return the bytes of a fill value as the older spelling has them."""
    import numpy as np

    dtype = np.dtype([(name, _native(kind)) for name, kind in members])
    value = np.zeros((), dtype)
    for name, inner in stated.items() if isinstance(stated, dict) else ():
        value[name] = inner
    return base64.b64encode(value.tobytes()).decode()


def _native(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    length = int(kind["configuration"]["length_bytes"])
    return f"U{length // 4}" if kind["name"] == "fixed_length_utf32" else f"S{length}"
