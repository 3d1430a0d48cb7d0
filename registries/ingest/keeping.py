"""Making sure, right before rows are committed, that bytes lie where the rows will say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from formats.remote import is_remote
from formats.storage import Storage
from lakehouse.errors import InvalidFile, NotFound, shown
from registries.ingest.batch import Batch
from registries.ingest.entries import picked
from registries.ingest.findings import Finding
from registries.ingest.lookout import Lookout
from registries.ingest.plan import Plan
from registries.ingest.reading import reread
from registries.ingest.remote import local_copy
from registries.ingest.storing import put

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Keeping", "Kept"]

Kept = tuple[list[str], dict[int, tuple[str, str]]]
"""The path of each row in its storage, and what is wrong by row: a reason and a message."""
_THREADS = 16


class Keeping:
    """Finds out where bytes lie, and makes sure that they do.

    A file that stays where it lies may have been written to since it was read; an object that was stored a while ago
    may have been taken by a vacuum, as no row refers to it yet, and is stored again.

    Parameters
    ----------
    home
        The instance.
    batch
        Files that were read.
    lookout
        Begins at once to look at those that stay where they lie.
    """

    def __init__(self, home: Instance, batch: Batch, lookout: Lookout) -> None:
        self._home, self._batch = home, batch
        self._stores = {uid: home.stores.of(uid) for uid in set(batch.storages)}
        stored = batch.found.stored
        self._paths = [there or copied or "" for there, copied in zip(batch.lies_at, stored, strict=True)]
        self._near: Sequence[int] = range(len(batch))
        self._copied, self._far = list[int](), list[int]()
        self._sort()
        found = batch.found
        columns: Any = (batch.paths, found.size, found.mtime, found.ctime)
        times: Any = tuple(picked(column, self._near) for column in columns)
        self._written_to = lookout.ask(times)

    def _sort(self) -> None:
        """Tell files that stay where they lie on this machine, most often all, from copies, and from folders and URLs."""
        batch, near = self._batch, list[int]()
        is_local = {uid: store.local for uid, store in self._stores.items()}
        n_files = batch.found.n_files
        if all(is_local.values()) and None not in batch.lies_at and n_files.count(None) == len(batch):
            return
        for row, (uid, lies_at, files) in enumerate(zip(batch.storages, batch.lies_at, n_files, strict=True)):
            if files is not None or not is_local[uid] or not self._paths[row]:
                self._far.append(row)
            else:
                (self._copied if lies_at is None else near).append(row)
        self._near = near

    def kept(self) -> Kept:
        """Return where bytes lie, and what is wrong with some."""
        faults: dict[int, tuple[str, str]] = {}
        for row in self._doubtful():
            try:
                self._paths[row] = _again(self._home, self._batch, row, self._stores[self._batch.storages[row]])
            except (InvalidFile, NotFound) as error:
                faults[row] = "changed", str(error)
        return self._paths, faults

    def _doubtful(self) -> Iterator[int]:
        """Yield rows whose bytes are not seen to be as they were."""
        batch, stores = self._batch, self._stores
        yield from (self._near[row] for row in self._written_to())
        for row in self._copied:
            if not stores[batch.storages[row]].holds(self._paths[row], batch.found.size[row]):
                yield row
        yield from _not_held(batch, self._far, self._paths, stores)


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
