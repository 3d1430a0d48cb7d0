"""What need not be read again: files as an earlier run saw them, whose artifacts are there as they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registries.ingest.registering import Wanted, newest_by_key, same
from registries.ingest.report import Outcome

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.ingest.manifest import Entry
    from registries.ingest.state import State

__all__ = ["Seen", "remembered", "rows_of", "unchanged", "would_be"]

_ALL = (
    "select key, arg_max(uid, version) as uid, arg_max(hash, version) as hash, arg_max(size, version) as size "
    'from "artifact" where deleted_at is null and key is not null group by key'
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as an earlier run saw it."""

    key: str
    stat: tuple[int, int, int]
    hash: str
    reason: str | None
    message: str | None
    schema: str


def remembered(state: State) -> dict[str, Seen]:
    """Return by path what earlier runs saw."""
    table = state.load()
    columns = [
        table[name].to_pylist() for name in ("key", "size", "mtime", "ctime", "hash", "reason", "message", "schema")
    ]
    return {
        path: Seen(key, (size, mtime, ctime), digest, reason, message, schema)
        for path, key, size, mtime, ctime, digest, reason, message, schema in zip(
            table["path"].to_pylist(), *columns, strict=True
        )
    }


def unchanged(
    snapshot: Snapshot, entries: Sequence[Entry], known: Mapping[str, Seen]
) -> tuple[list[Entry], list[Outcome]]:
    """Return the entries that are to be read, and the outcomes of those that are as they were."""
    if not known:
        return list(entries), []
    there = snapshot.arrow(_ALL, tables=["artifact"])
    rows = dict(
        zip(
            there["key"].to_pylist(),
            zip(*(there[n].to_pylist() for n in ("uid", "hash", "size")), strict=True),
            strict=True,
        )
    )
    rest: list[Entry] = []
    outcomes: list[Outcome] = []
    for entry in entries:
        seen, row = known.get(entry.path), rows.get(entry.key)
        if (
            seen is not None
            and row is not None
            and entry.stat == seen.stat
            and seen.reason is None
            and row[1] == seen.hash
            and entry.is_plain
        ):
            outcomes.append(Outcome(entry.path, entry.key, "unchanged", row[0], row[1], row[2]))
        else:
            rest.append(entry)
    return rest, outcomes


def would_be(snapshot: Snapshot, wanted: Sequence[Wanted]) -> list[Outcome]:
    """Return the outcomes that registering would have."""
    known = newest_by_key(snapshot, [one.key for one in wanted])
    found = []
    for one in wanted:
        before = known.get(one.key)
        outcome, uid = "new" if before is None else "new version", None
        if before is not None and before.live is not None and same(one.found, before.live):
            outcome, uid = "unchanged", before.live["uid"]
        if one.bad:
            outcome = "quarantined"
        found.append(
            Outcome(
                one.entry.path,
                one.key,
                outcome,
                uid,
                one.found.hash,
                one.found.size,
                one.found.reason,
                one.found.message,
            )
        )
    return found


def rows_of(snapshot: Snapshot, seen: Iterable[Seen]) -> dict[str, dict[str, Any]]:
    """Return by key the newest rows of artifacts whose content is what was seen: what somebody changed since is his."""
    wanted = {one.key: one for one in seen if one.reason is None}
    found = newest_by_key(snapshot, list(wanted))
    uids = [k.live["uid"] for key, k in found.items() if k.live is not None and k.live["hash"] == wanted[key].hash]
    return {row["key"]: row for row in snapshot.lookup("artifact", "uid", uids).to_pylist()}
