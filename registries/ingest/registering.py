"""Registering what was found: many artifacts in one transaction, as columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.ids import with_version
from registries.bulk import new_uids
from registries.curated import Collected
from registries.ingest.annotating import Annotating, stamps_of
from registries.ingest.batch import Batch
from registries.ingest.conforming import Conforming
from registries.ingest.entries import Note
from registries.ingest.findings import array_of
from registries.ingest.keeping import Keeping
from registries.ingest.lookout import Lookout
from registries.schema import Schema
from validation import Spec

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["Registered", "Registering", "columns_of", "newest_by_key", "same"]

_FOUND = ("hash", "hash_kind", "size", "suffix", "format", "kind", "n_rows", "n_files")


@dataclass(slots=True)
class Registered:
    """What became of the rows of a batch: uid and outcome of each, and what is wrong by row."""

    uids: list[str | None]
    outcomes: list[str]
    faults: Mapping[int, tuple[str, str]]


class Registering:
    """Registers files of one run.

    Parameters
    ----------
    home
        The instance.
    message
        Kept with each commit.
    labels
        Uids of labels by name.
    schema, spec
        What files were validated by.
    create_labels
        Whether values of categorical features that are not known are made.
    lookout
        Looks at files once more, right before their rows are committed.
    """

    def __init__(
        self,
        home: Instance,
        message: str,
        *,
        lookout: Lookout,
        labels: Mapping[str, str],
        schema: Schema | None,
        spec: Spec | None,
        create_labels: bool = False,
    ) -> None:
        self._home, self._message = home, message
        self._schema, self._lookout = schema, lookout
        self._annotating = Annotating(home, labels, create=create_labels)
        self._conforming = None if spec is None else Conforming(home, schema, spec, self._annotating)

    def register(self, batch: Batch) -> Registered:
        """Save artifacts for files, all in one commit, and return what became of each.

        What has the same content under its key already stays as it is; so a run that was killed changes nothing twice.
        """
        found = Registered([], [], {})

        def plan(txn: Transaction) -> None:
            nonlocal found
            found = self._plan(txn, batch)

        with self._home.transaction(self._message):
            self._home.run(plan)
            if self._conforming is not None and any(batch.found.collected):
                self._conforming.record(self._collected(batch, found))
        return found

    def _collected(self, batch: Batch, found: Registered) -> dict[str, Collected]:
        """Return by artifact what is to be recorded of its content; without a schema to tell, of new content alone."""
        rows = zip(found.uids, batch.found.collected, found.outcomes, strict=True)
        return {
            uid: collected
            for uid, collected, outcome in rows
            if uid is not None and collected and (self._schema is not None or outcome != "unchanged")
        }

    def label(self, uids: Sequence[str], notes: Mapping[int, Note]) -> None:
        """Give labels and values to artifacts that are there, by their place among the uids, in one commit."""
        with self._home.transaction(self._message):
            self._home.run(lambda txn: self._annotating.annotate(txn, uids, notes, ()))

    def _plan(self, txn: Transaction, batch: Batch) -> Registered:
        txn.storing()
        keeping = Keeping(self._home, batch, self._lookout)
        count, keys, bad = len(batch), _keys(batch), set(batch.bad())
        known = newest_by_key(txn.snapshot, keys)
        made = new_uids(count)
        uids: list[str | None] = made.to_pylist()
        paths, faults = keeping.kept()
        outcomes, versions = ["new"] * count, [0] * count
        for row in (row for row, key in enumerate(keys) if key in known) if known else ():
            before = known[keys[row]]
            if before.live is not None and same(batch, row, before.live):
                outcomes[row], uids[row] = "unchanged", before.live["uid"]
            else:
                outcomes[row], versions[row] = "new version", before.version + 1
                uids[row] = with_version(before.uid, versions[row])
        for row in faults:
            outcomes[row], uids[row] = "failed", None
        fresh: Sequence[int] = range(count)
        if known or faults:
            fresh = [row for row in fresh if outcomes[row].startswith("new")]
        if fresh:
            named = {"uid": uids if known or faults else made, "key": keys if bad else batch.array("keys")}
            self._insert(txn, batch, fresh, {**named, "version": versions, "path": paths})
        self._annotating.annotate(txn, uids, batch.notes, bad)
        for row in bad - faults.keys():
            outcomes[row] = "quarantined"
        return Registered(uids, outcomes, faults)

    def _insert(self, txn: Transaction, batch: Batch, rows: Sequence[int], columns: dict[str, Any]) -> None:
        home, bad = self._home, batch.bad()
        storages = {uid: home.stores.ensured(txn, uid) for uid in dict.fromkeys(batch.storages)}
        columns |= {name: batch.array(name) for name in _FOUND}
        if bad:
            columns |= {name: _blobs(getattr(batch.found, name), bad) for name in ("format", "kind")}
        columns["storage"] = [storages[uid] for uid in batch.storages]
        if batch.notes or bad:
            columns["description"] = _descriptions(batch, bad)
        table = _table(txn.snapshot.schema("artifact"), columns, stamps_of(home, txn, len(batch)), len(batch))
        if len(rows) < len(batch):
            table = table.take(pa.array(rows, pa.int64()))
        if not any(columns["version"]):
            txn.insert("artifact", table, fresh=True)
            return
        first = pc.equal(table["version"], 0)
        for part, fresh in ((table.filter(first), True), (table.filter(pc.invert(first)), False)):
            if len(part):
                txn.insert("artifact", part, fresh=fresh)

    def trash(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Move artifacts to the trash, given by their rows, all in one commit."""
        when = dt.datetime.now(dt.UTC)

        def plan(txn: Transaction) -> None:
            now = {
                row["uid"]: row for row in txn.snapshot.lookup("artifact", "uid", [r["uid"] for r in rows]).to_pylist()
            }
            mine = [now[row["uid"]] for row in rows if row["uid"] in now and now[row["uid"]]["deleted_at"] is None]
            if mine:
                txn.upsert("artifact", [row | {"deleted_at": when} for row in mine], as_read=mine)

        with self._home.transaction(f"{self._message}: vanished"):
            self._home.run(plan)


def _keys(batch: Batch) -> list[str]:
    """Return the keys that artifacts get; what is bad goes to quarantine."""
    bad = set(batch.bad())
    return [f"quarantine/{key}" if row in bad else key for row, key in enumerate(batch.keys)] if bad else batch.keys


def columns_of(batch: Batch, found: Registered) -> dict[str, Sequence[Any]]:
    """Return the outcomes of a batch as columns."""
    reasons, messages = list(batch.found.reason), list(batch.found.message)
    for row, (reason, message) in found.faults.items():
        reasons[row], messages[row] = reason, message
    return {
        "path": batch.paths,
        "key": _keys(batch),
        "outcome": found.outcomes,
        "uid": found.uids,
        "hash": batch.found.hash,
        "size": batch.found.size,
        "reason": reasons,
        "message": messages,
    }


def _blobs(values: list[str], bad: Sequence[int]) -> list[str]:
    """Return formats or kinds, of which those of what cannot be read are none."""
    found = list(values)
    for row in bad:
        found[row] = "blob"
    return found


def _descriptions(batch: Batch, bad: Sequence[int]) -> list[str | None]:
    found: list[str | None] = [None] * len(batch)
    for row, note in batch.notes.items():
        found[row] = note.description
    for row in bad:
        found[row] = batch.found.message[row]
    return found


def _table(schema: pa.Schema, columns: Mapping[str, Any], stamps: Mapping[str, pa.Array], count: int) -> pa.Table:
    arrays = []
    for field in schema:
        if field.name in stamps:
            arrays.append(stamps[field.name])
        elif field.name in columns:
            arrays.append(array_of(columns[field.name], field.type))
        else:
            arrays.append(pa.nulls(count, field.type))
    return pa.table(arrays, schema=schema)


@dataclass(frozen=True)
class Known:
    """What there is under a key: the newest uid and version, and the newest row outside the trash."""

    uid: str
    version: int
    live: Mapping[str, Any] | None


_LOOKED_AT = ("uid", "key", "version", "hash", "hash_kind", "size", "suffix", "deleted_at")


def newest_by_key(snapshot: Snapshot, keys: Sequence[str]) -> dict[str, Known]:
    """Return what there is under each of some keys."""
    there = snapshot.held("artifact", "key", list(keys)).to_pylist()  # of many files that are ingested most are new
    rows = snapshot.lookup("artifact", "key", there).select(list(_LOOKED_AT)).to_pylist()
    found: dict[str, Known] = {}
    for row in sorted(rows, key=lambda row: int(row["version"])):
        before = found.get(row["key"])
        live = row if row["deleted_at"] is None else before.live if before is not None else None
        found[row["key"]] = Known(row["uid"], row["version"], live)
    return found


def same(batch: Batch, row: int, live: Mapping[str, Any]) -> bool:
    """Tell whether an artifact's row has the content that was found."""
    found = batch.found
    wanted = (found.hash_kind[row], found.hash[row], found.size[row], found.suffix[row])
    return wanted == (live["hash_kind"], live["hash"], live["size"], live["suffix"])
