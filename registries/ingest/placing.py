"""Where the bytes of files are registered: in the storage where they lie, or in one that they are copied to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.keys import check_key, suffix_of
from lakehouse.errors import InvalidKey
from registries.ingest.manifest import Entry
from registries.ingest.registering import Wanted
from registries.ingest.work import Finding

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Placing"]

_PART = r"[A-Za-z0-9_-](?:[A-Za-z0-9_.-]{0,200}[A-Za-z0-9_-])?"
_PLAIN = re.compile(rf"{_PART}(?:/{_PART}){{0,8}}")
"""Keys that need no further look, unless they name a reserved folder."""


class Placing:
    """The storages of one run.

    Parameters
    ----------
    home
        The instance.
    storage
        What was asked for; the default, where nothing was.
    folder
        The folder that is ingested, if it is one.
    """

    def __init__(self, home: Instance, storage: Any, folder: Path | None) -> None:
        self._home, self._asked = home, storage is not None
        self._uid, store = home.stores.chosen(storage)
        self.copies_to: str | None = None if store.protocol == "memory" else store.root
        """Root of the storage that workers copy to; None where what is copied is held in this process."""
        self._folders: dict[str, tuple[str, str] | None] = {}
        self._top = None if folder is None else str(folder).rstrip("/") + "/"
        self._whole = self._placed(folder) if folder is not None else None

    def _placed(self, folder: Path) -> tuple[str, str] | None:
        """Return storage and path in it of a folder; None where it lies in none, or another was asked for."""
        found = self._home.stores.holding(folder / "_")
        if found is None or (self._asked and found[0] != self._uid):
            return None
        return found[0], found[2].removesuffix("_")

    def inside(self, path: str) -> tuple[str, str] | None:
        """Return storage and path in it of a file that lies in a storage."""
        if self._top is not None:
            if self._whole is None:
                return None
            return self._whole[0], self._whole[1] + path[len(self._top) :]
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._placed(Path(folder or "/"))
        found = self._folders[folder]
        if found is None or os.path.islink(path):  # noqa: PTH114  what a link leads to is copied
            return None
        return found[0], found[1] + name

    def wanted(self, entry: Entry, found: Finding) -> Wanted:
        """Return a file as it is to be registered.

        Raises
        ------
        InvalidKey
            When its key is not admitted, or has another suffix than the file.
        """
        bad = found.reason is not None
        if not _PLAIN.fullmatch(entry.key) or "_delta_log" in entry.key:
            entry.key = check_key(entry.key)
        named = suffix_of(entry.key) if entry.key != entry.path and not entry.path.endswith(entry.key) else found.suffix
        if named and named != found.suffix and not bad:
            raise InvalidKey(f"key {entry.key!r} ends in {named!r} and the file in {found.suffix!r}: let them agree")
        place = self.inside(entry.path)
        if place is None:
            return Wanted(entry, found, self._uid, None, bad)
        return Wanted(entry, found, place[0], place[1], bad)
