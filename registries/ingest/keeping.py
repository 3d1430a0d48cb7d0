"""Making sure, right before rows are committed, that bytes lie where the rows will say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from formats.remote import is_remote
from formats.storage import Storage
from lakehouse.errors import InvalidFile, NotFound, shown
from registries.ingest.batch import Batch
from registries.ingest.findings import Finding
from registries.ingest.plan import Plan
from registries.ingest.reading import reread
from registries.ingest.remote import local_copy
from registries.ingest.storing import put

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Kept", "kept"]

Kept = tuple[list[str], dict[int, tuple[str, str]]]
"""The path of each row in its storage, and what is wrong by row: a reason and a message."""
_THREADS = 16


def kept(home: Instance, batch: Batch) -> Kept:
    """Return where bytes lie, having made sure that they do.

    A file that stays where it lies may have been written to since it was read; an object that was stored a while ago
    may have been taken by a vacuum, as no row refers to it yet, and is stored again.
    """
    stores = {uid: home.stores.of(uid) for uid in set(batch.storages)}
    paths: list[str] = [there or stored or "" for there, stored in zip(batch.lies_at, batch.found.stored, strict=True)]
    faults: dict[int, tuple[str, str]] = {}
    for row in _doubtful(batch, paths, stores):
        try:
            paths[row] = _again(home, batch, row, stores[batch.storages[row]])
        except (InvalidFile, NotFound) as error:
            faults[row] = "changed", str(error)
    return paths, faults


def _doubtful(batch: Batch, paths: list[str], stores: dict[str, Storage]) -> Iterator[int]:
    """Yield rows whose bytes are not seen to be as they were; of plain files this takes one call of the system each."""
    found, far, stat = batch.found, list[int](), os.stat
    roots = {uid: f"{store.root}/" if store.local else None for uid, store in stores.items()}
    columns = (batch.storages, batch.lies_at, batch.paths, found.size, found.mtime, found.ctime, found.n_files)
    for row, (uid, lies_at, path, size, mtime, ctime, n_files) in enumerate(zip(*columns, strict=True)):
        root = roots[uid]
        if n_files is not None or root is None or not paths[row]:
            far.append(row)
            continue
        try:
            if lies_at is None:
                if stat(root + paths[row]).st_size == size:
                    continue
            else:
                now = stat(path)
                if now.st_mtime_ns == mtime and now.st_size == size and now.st_ctime_ns == ctime:
                    continue
        except OSError:  # gone, or out of reach: told as what is not held
            pass
        yield row
    yield from _not_held(batch, far, paths, stores)


def _not_held(batch: Batch, rows: list[int], paths: list[str], stores: dict[str, Storage]) -> Iterator[int]:
    """Yield those of some rows that a storage does not hold whole; stores that answer slowly are asked at once."""

    def holds(row: int) -> bool:
        store, path, n_files = stores[batch.storages[row]], paths[row], batch.found.n_files[row]
        if not path:
            return False
        size = batch.found.size[row]
        return store.holds(path, size) if n_files is None else store.holds_folder(path, size, n_files)

    if not rows:
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from (row for row, held in zip(rows, pool.map(holds, rows), strict=True) if not held)


def _again(home: Instance, batch: Batch, row: int, store: Storage) -> str:
    """Look at the bytes of a row once more, and store them where that is to be done."""
    found, path, lies_at = batch.found[row], batch.paths[row], batch.lies_at[row]
    if lies_at is None:
        return put(store, local_copy(path, Plan(remote=home.remote)) if is_remote(path) else path, found)
    if _is_same(path, found):
        return lies_at
    raise InvalidFile(f"{shown(path)} is gone or changed since it was read: run it again when it stays")


def _is_same(path: str, found: Finding) -> bool:
    """Tell whether a file has the content that was read, though its times are others: it may have been linked to."""
    return found.mtime is not None and reread(path) == found.hash
