"""Where the bytes of files are registered: in the storage where they lie, or in one that they are copied to."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.keys import check_key, suffix_of
from formats.remote import is_remote
from formats.storage import Storage as ObjectStore
from lakehouse.errors import InvalidKey, LakehouseError, shown
from registries.ingest.batch import Batch
from registries.ingest.entries import Source

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Group", "Placing"]

_PLAIN = (string.ascii_lowercase + string.digits + "_./\n-").encode()
_UNEVEN = ("/.", "./", "//", ".\n", "\n.", "\n/", "/\n", "_delta_log")
_LONGEST = 200
Group = tuple[Sequence[int], str | None, bool]
"""Places of entries; the root of the storage in which URLs lie, if these are such; whether they are to be copied."""
_Place = tuple[str, str]


class Placing:
    """The storages of one run.

    Parameters
    ----------
    home
        The instance.
    storage
        What was asked for; the default, where nothing was.
    source
        What is ingested.
    """

    def __init__(self, home: Instance, storage: Any, source: Source) -> None:
        self._home, self._asked = home, storage is not None
        self._uid, store = home.stores.chosen(storage)
        self.copies_to: str | None = None if store.protocol == "memory" else store.root
        """Root of the storage that workers copy to; None where what is copied is held in this process."""
        self._folders: dict[str, _Place | None] = {}
        folder = source.folder
        self._top = None if folder is None else str(folder).rstrip("/") + "/"
        self._whole = self._placed(str(folder)) if folder is not None else None

    def _placed(self, folder: str) -> _Place | None:
        """Return storage and path in it of a folder; None where it lies in none, or another was asked for."""
        found = self._holding(folder)
        if found is None or (self._asked and found[0] != self._uid):
            return None
        return found[0], found[2].removesuffix("_")

    def _holding(self, folder: str) -> tuple[str, ObjectStore, str] | None:
        if not is_remote(folder):
            return self._home.stores.holding(Path(folder) / "_")
        try:
            return self._home.stores.holding_url(f"{folder}/_")
        except InvalidKey:
            return None

    def _inside(self, path: str) -> _Place | None:
        """Return storage and path in it of a file that lies in a storage."""
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._placed(folder or "/")
        found = self._folders[folder]
        if found is None or (os.path.islink(path) and not is_remote(path)):  # noqa: PTH114  what a link leads to is copied
            return None
        return found[0], found[1] + name

    def groups(self, paths: Sequence[str], places: Sequence[int]) -> list[Group]:
        """Return entries that are read in one way together."""
        if self._top is not None:
            return [(places, None, self._whole is None)]
        found: dict[tuple[str | None, bool, bool], list[int]] = {}
        for place in places:
            there, url = self._inside(paths[place]), is_remote(paths[place])
            root = self._home.stores.of(there[0]).root if url and there is not None else None
            found.setdefault((root, there is None, url), []).append(place)
        return [(places, root, copied) for (root, copied, _), places in found.items()]

    def place(self, batch: Batch) -> dict[int, tuple[str, str]]:
        """Settle the storage of each row, and its key; return what is not admitted by row: a reason and a message."""
        if self._top is not None:
            uid, inside = self._whole or (self._uid, None)
            batch.storages = [uid] * len(batch)
            begin = len(self._top)
            batch.lies_at = [None if inside is None else inside + path[begin:] for path in batch.paths]
        else:
            places = [self._inside(path) for path in batch.paths]
            batch.storages = [self._uid if place is None else place[0] for place in places]
            batch.lies_at = [None if place is None else place[1] for place in places]
        return _check_keys(batch, renamed=self._top is None)


def _check_keys(batch: Batch, *, renamed: bool) -> dict[int, tuple[str, str]]:
    """Bring keys into their normal form; return what is wrong with them by row."""
    faults: dict[int, tuple[str, str]] = {}
    for row in range(len(batch)) if renamed or not _are_plain(batch.keys) else ():
        try:
            if not _are_plain([batch.keys[row]]):
                batch.keys[row] = check_key(batch.keys[row])
            _refuse_other_suffix(batch, row)
        except LakehouseError as error:
            faults[row] = "refused", str(error)
    if len(set(batch.keys)) < len(batch):  # names that differ only in how letters are composed
        seen: dict[str, int] = {}
        for row, key in enumerate(batch.keys):
            if row not in faults and seen.setdefault(key, row) != row:
                faults[row] = "refused", f"{shown(batch.paths[row])} has the key of {shown(batch.paths[seen[key]])}"
    return faults


def _are_plain(keys: Sequence[str]) -> bool:
    """Tell whether keys need no further look: letters, digits and no more than a dot within a name."""
    text = ("\n" + "\n".join(keys) + "\n").lower()
    if not text.isascii() or text.encode().translate(None, _PLAIN) or any(piece in text for piece in _UNEVEN):
        return False
    return "\n\n" not in text and max(map(len, keys), default=0) <= _LONGEST


def _refuse_other_suffix(batch: Batch, row: int) -> None:
    key, path, suffix = batch.keys[row], batch.paths[row], batch.found.suffix[row]
    if path.endswith(key) or batch.found.reason[row] is not None:
        return
    named = suffix_of(key)
    if named and named != suffix:
        raise InvalidKey(f"key {key!r} ends in {named!r} and the file in {suffix!r}: let them agree")
