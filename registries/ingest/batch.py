"""Files that were read and are registered together, as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from registries.ingest.entries import Entries, Note, picked
from registries.ingest.findings import Columns, Findings, array_of

__all__ = ["Batch"]

T = TypeVar("T")
_NUMBERS = frozenset({"size", "mtime", "ctime", "n_rows", "n_files"})


@dataclass(slots=True)
class Batch:
    """Files, what was found in them, and where their bytes are to be registered; a row is a file.

    Attributes
    ----------
    paths, keys
        As in the entries.
    notes
        By row.
    found
        What was found.
    storages
        Uid of the storage of each.
    lies_at
        Path in it of what stays where it lies; None where the bytes were stored, or are yet to be.
    states
        By row, as in the entries.
    """

    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: dict[int, Note] = field(default_factory=dict)
    found: Findings = field(default_factory=Findings)
    storages: list[str] = field(default_factory=list)
    lies_at: list[str | None] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    _arrays: dict[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def add(self, entries: Entries, places: Sequence[int], columns: Columns) -> None:
        """Take in entries with what was found in them."""
        begin = len(self.paths)
        self.paths += picked(entries.paths, places)
        self.keys += picked(entries.keys, places)
        self.notes.update(_moved(entries.notes, places, begin))
        self.states.update(_moved(entries.states, places, begin))
        self.found.extend(columns)

    def array(self, name: str) -> pa.Array:
        """Return paths, keys, or a field of what was found, of a batch that is complete; made once."""
        if name not in self._arrays:
            values = getattr(self, name) if name in ("paths", "keys") else getattr(self.found, name)
            self._arrays[name] = array_of(values, pa.int64() if name in _NUMBERS else pa.string())
        return self._arrays[name]

    def without(self, rows: Mapping[int, object]) -> Batch:
        """Return the batch without some rows."""
        if not rows:
            return self
        kept = [row for row in range(len(self)) if row not in rows]
        notes, states = _kept(self.notes, kept), _kept(self.states, kept)
        storages = [self.storages[row] for row in kept] if self.storages else []
        lies_at = [self.lies_at[row] for row in kept] if self.lies_at else []
        paths, keys = [self.paths[row] for row in kept], [self.keys[row] for row in kept]
        return Batch(paths, keys, notes, self.found.take(kept), storages, lies_at, states)

    def bad(self) -> list[int]:
        """Return the rows of what is kept in quarantine, or failed."""
        reasons = self.found.reason
        return [row for row, reason in enumerate(reasons) if reason is not None] if any(reasons) else []


def _kept(given: Mapping[int, T], rows: Sequence[int]) -> dict[int, T]:
    """Return by its new row what is given by row."""
    return {n: given[row] for n, row in enumerate(rows) if row in given} if given else {}


def _moved(given: Mapping[int, T], places: Sequence[int], begin: int) -> dict[int, T]:
    """Return by row what is given by place."""
    return {begin + n: given[place] for n, place in enumerate(places) if place in given} if given else {}
