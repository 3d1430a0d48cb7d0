"""What need not be read again: files as an earlier run saw them, whose artifacts are there as they were."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registries.ingest.registering import Registered, newest_by_key, same

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.engine import Snapshot
    from registries.ingest.batch import Batch
    from registries.ingest.entries import Entries

__all__ = ["Memory", "Screened", "rows_of", "screened", "times_of", "would_be"]

_ALL = (
    "select key, arg_max(uid, version) as uid, arg_max(hash, version) as hash, arg_max(size, version) as size "
    'from "artifact" where deleted_at is null and key is not null group by key'
)
Times = tuple[int, int, int]
"""Size, time of change and time of the entry, of a file."""


class Memory:
    """What earlier runs saw, as columns, and the row of each path."""

    def __init__(self, table: pa.Table, schema: str) -> None:
        self._table, self._columns = table, dict[str, list[Any]]()
        self._schema = schema
        self.rows: dict[str, int] = {path: row for row, path in enumerate(table["path"].to_pylist())}

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any]:
        """Return a column."""
        if name not in self._columns:
            self._columns[name] = self._table[name].to_pylist()
        return self._columns[name]

    def is_seen(self, row: int, path: str, state: str | None) -> bool:
        """Tell whether a file, or an object of which its bucket tells a state, is as it was seen."""
        if state is not None:
            return bool(self.column("state")[row] == state)
        times: Times = self.column("size")[row], self.column("mtime")[row], self.column("ctime")[row]
        return times_of(path) == times

    def counts(self, row: int) -> bool:
        """Tell whether what was seen was judged by the schema of this run."""
        return bool(self.column("schema")[row] == self._schema)


@dataclass(slots=True)
class Screened:
    """Places of entries that are to be read, and of those that are as they were, with uid, hash and size.

    Attributes
    ----------
    failed
        By place: why a file could not be read, which has not changed since.
    """

    rest: Sequence[int] = ()
    unchanged: list[int] = field(default_factory=list)
    rows: list[tuple[str, str, int]] = field(default_factory=list)
    failed: dict[int, tuple[str, str]] = field(default_factory=dict)


def times_of(path: str) -> Times | None:
    """Return size and times of a file; None where there is none, or it is a folder."""
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def screened(snapshot: Snapshot, entries: Entries, places: Sequence[int], memory: Memory) -> Screened:
    """Sort entries into those that are to be read, and those that are as they were."""
    if not memory:
        return Screened(rest=places)
    found, rest = Screened(), list[int]()
    there = snapshot.arrow(_ALL, tables=["artifact"])
    columns = (there[name].to_pylist() for name in ("key", "uid", "hash", "size"))
    artifacts = {key: (uid, digest, size) for key, uid, digest, size in zip(*columns, strict=True)}
    hashes, reasons, messages = memory.column("hash"), memory.column("reason"), memory.column("message")
    for place in places:
        path = entries.paths[place]
        row = memory.rows.get(path)
        if row is None or not memory.counts(row) or not memory.is_seen(row, path, entries.states.get(place)):
            rest.append(place)
        elif reasons[row] == "unreadable":
            found.failed[place] = reasons[row], messages[row]
        elif (
            reasons[row] is None
            and (artifact := artifacts.get(entries.keys[place])) is not None
            and artifact[1] == hashes[row]
        ):
            found.unchanged.append(place)
            found.rows.append(artifact)
        else:
            rest.append(place)
    found.rest = rest
    return found


def would_be(snapshot: Snapshot, batch: Batch) -> Registered:
    """Return the outcomes that registering would have."""
    bad = set(batch.bad())
    keys = [f"quarantine/{key}" if row in bad else key for row, key in enumerate(batch.keys)]
    known = newest_by_key(snapshot, keys)
    uids: list[str | None] = [None] * len(batch)
    outcomes = ["new"] * len(batch)
    for row, key in enumerate(keys):
        if (before := known.get(key)) is not None:
            outcomes[row] = "new version"
            if before.live is not None and same(batch, row, before.live):
                outcomes[row], uids[row] = "unchanged", before.live["uid"]
        if row in bad:
            outcomes[row] = "quarantined"
    return Registered(uids, outcomes, {})


def rows_of(snapshot: Snapshot, hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return by key the newest rows of artifacts whose hash is what was seen: what somebody changed since is his."""
    found = newest_by_key(snapshot, list(hashes))
    uids = [one.live["uid"] for key, one in found.items() if one.live is not None and one.live["hash"] == hashes[key]]
    return {row["key"]: row for row in snapshot.lookup("artifact", "uid", uids).to_pylist()}
