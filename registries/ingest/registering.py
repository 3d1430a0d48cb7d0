"""Registering what was found: many artifacts in one transaction, as columns."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from formats.storage import Storage
from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, InvalidFile, NotFound
from lakehouse.ids import with_version
from registries.bulk import new_uids
from registries.curated import annotate_with
from registries.feature import Feature
from registries.ingest.manifest import Entry
from registries.ingest.report import Outcome
from registries.ingest.work import Finding, put
from registries.links import link_uid
from registries.schema import ArtifactSchema, Schema
from validation import Spec

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Registering", "Wanted", "newest_by_key"]

_QUARANTINE = "quarantined"


@dataclass(frozen=True)
class Wanted:
    """A file that was read, and where its bytes are to be registered.

    Attributes
    ----------
    lies_at
        Its path in the storage, for what stays where it lies.
    bad
        Whether it is kept in quarantine.
    """

    entry: Entry
    found: Finding
    storage: str
    lies_at: str | None = None
    bad: bool = False

    @property
    def key(self) -> str:
        """The key that it gets."""
        return f"quarantine/{self.entry.key}" if self.bad else self.entry.key

    @property
    def path(self) -> str | None:
        """Where its bytes lie in the storage; None where they are yet to be stored."""
        return self.lies_at or self.found.stored


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
    """

    def __init__(
        self,
        home: Instance,
        message: str,
        *,
        labels: Mapping[str, str],
        schema: Schema | None,
        spec: Spec | None,
        create_labels: bool = False,
    ) -> None:
        self._home, self._message, self._labels = home, message, labels
        self._schema, self._spec, self._create = schema, spec, create_labels

    def register(self, wanted: Sequence[Wanted]) -> list[Outcome]:
        """Save artifacts for files, all in one commit, and return what became of each.

        What has the same content under its key already stays as it is; so a run that was killed changes nothing twice.
        """
        if not wanted:
            return []
        outcomes: list[Outcome] = []

        def plan(txn: Transaction) -> None:
            outcomes[:] = self._plan(txn, wanted)

        if not any(one.entry.features or one.found.collected for one in wanted):
            with self._home.transaction(self._message):
                self._home.run(plan)
            return outcomes
        with self._home.transaction(self._message):
            self._home.run(plan)
            if self._schema is not None and not self._schema.is_saved:  # one that is shipped
                self._schema.save()
            for one, outcome in zip(wanted, outcomes, strict=True):
                self._annotate(one, outcome)
        return outcomes

    def _plan(self, txn: Transaction, wanted: Sequence[Wanted]) -> list[Outcome]:
        txn.storing()
        stores: dict[str, Storage] = {}
        stored = [self._kept(one, stores) for one in wanted]
        known = newest_by_key(txn.snapshot, [one.key for one in wanted])
        fresh = iter(new_uids(len(wanted)).to_pylist())
        outcomes, rows, places = [], [], []
        for place, one in enumerate(wanted):
            before = known.get(one.key)
            if before is not None and before.live is not None and same(one.found, before.live):
                outcomes.append(_outcome(one, before.live["uid"], "unchanged"))
                continue
            uid = next(fresh) if before is None else with_version(before.uid, before.version + 1)
            version = 0 if before is None else before.version + 1
            outcomes.append(_outcome(one, uid, "new" if before is None else "new version"))
            rows.append({"uid": uid, "version": version, "path": stored[place]})
            places.append(place)
        if rows:
            self._insert(txn, [wanted[place] for place in places], rows)
        self._label(txn, wanted, outcomes)
        return outcomes

    def _kept(self, one: Wanted, stores: dict[str, Storage]) -> str:
        """Return where the bytes lie in the storage, having made sure that they do: a vacuum may have come between."""
        if (store := stores.get(one.storage)) is None:
            store = stores[one.storage] = self._home.stores.of(one.storage)
        path = one.path
        if path is not None:
            if _is_whole(store, path, one.found):
                return path
            if one.lies_at is not None:
                raise InvalidFile(f"{one.entry.path} is gone or changed since it was read: run it again when it stays")
        return put(store, one.entry.path, one.found)

    def _insert(self, txn: Transaction, wanted: Sequence[Wanted], rows: Sequence[Mapping[str, Any]]) -> None:
        home, count = self._home, len(rows)
        storages = {one.storage: home.stores.ensured(txn, one.storage) for one in wanted}
        findings = [one.found for one in wanted]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("uid", "version", "path")}
        columns |= {
            name: [getattr(f, name) for f in findings] for name in ("hash", "size", "suffix", "n_rows", "n_files")
        }
        columns |= {
            "format": ["blob" if one.bad else one.found.format for one in wanted],
            "kind": ["blob" if one.bad else one.found.kind for one in wanted],
            "key": [one.key for one in wanted],
            "description": [one.found.message if one.bad else one.entry.description for one in wanted],
            "storage": [storages[one.storage] for one in wanted],
            "hash_kind": ["blake3" if f.n_files is None else "blake3-folder" for f in findings],
        }
        schema = txn.snapshot.schema("artifact")
        stamps = _stamps(home, txn, count)
        table = pa.table(
            [
                stamps[f.name]
                if f.name in stamps
                else pa.array(columns[f.name], f.type)
                if f.name in columns
                else pa.nulls(count, f.type)
                for f in schema
            ],
            schema=schema,
        )
        first = pa.array([row["version"] == 0 for row in rows], pa.bool_())
        for part, fresh in ((table.filter(first), True), (table.filter(pc.invert(first)), False)):
            if len(part):
                txn.insert("artifact", part, fresh=fresh)

    # Labels and values

    def _label(self, txn: Transaction, wanted: Sequence[Wanted], outcomes: Sequence[Outcome]) -> None:
        pairs: dict[str, tuple[str, str]] = {}
        for one, outcome in zip(wanted, outcomes, strict=True):
            names = (_QUARANTINE,) if one.bad else one.entry.labels
            for name in names:
                assert outcome.uid is not None
                label = self._labels[name]
                pairs[link_uid(outcome.uid, label, None)] = outcome.uid, label
        if not pairs:
            return
        for uid in txn.snapshot.lookup("artifact_ulabel", "uid", list(pairs))["uid"].to_pylist():
            del pairs[uid]
        if pairs:
            columns = {
                "uid": pa.array(list(pairs)),
                "artifact": pa.array([artifact for artifact, _ in pairs.values()]),
                "ulabel": pa.array([label for _, label in pairs.values()]),
            }
            txn.insert("artifact_ulabel", pa.table({**columns, **_stamps(self._home, txn, len(pairs))}))

    def _annotate(self, one: Wanted, outcome: Outcome) -> None:
        """Record values of features, and what the schema says of the content, of an artifact."""
        if one.bad or outcome.uid is None or not (one.entry.features or one.found.collected):
            return
        artifact: Artifact = self._home.Artifact.get(outcome.uid)
        try:
            if one.entry.features:
                values: dict[str | Feature, Any] = dict(one.entry.features.items())
                artifact.features.add_values(values, create=self._create)
        except (InputError, NotFound) as error:
            error.add_note(f"in the features of {one.entry.path}")
            raise
        if one.found.collected is not None and self._spec is not None and outcome.outcome != "unchanged":
            annotate_with(artifact, self._spec, one.found.collected, self._home)
            if self._schema is not None:
                made: Any = self._home.bound(ArtifactSchema)
                made(artifact=artifact, schema=self._schema, status="valid").save()

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


@dataclass(frozen=True)
class Known:
    """What there is under a key: the newest uid and version, and the newest row outside the trash."""

    uid: str
    version: int
    live: Mapping[str, Any] | None


_LOOKED_AT = ("uid", "key", "version", "hash", "hash_kind", "size", "suffix", "deleted_at")


def newest_by_key(snapshot: Snapshot, keys: Sequence[str]) -> dict[str, Known]:
    """Return what there is under each of some keys."""
    rows = snapshot.lookup("artifact", "key", list(keys)).select(list(_LOOKED_AT)).to_pylist()
    found: dict[str, Known] = {}
    for row in sorted(rows, key=lambda row: int(row["version"])):
        before = found.get(row["key"])
        live = row if row["deleted_at"] is None else before.live if before is not None else None
        found[row["key"]] = Known(row["uid"], row["version"], live)
    return found


def same(found: Finding, row: Mapping[str, Any]) -> bool:
    """Tell whether a row has the content that was found."""
    kind = "blake3" if found.n_files is None else "blake3-folder"
    wanted = (kind, found.hash, found.size, found.suffix)
    return wanted == (row["hash_kind"], row["hash"], row["size"], row["suffix"])


def _is_whole(store: Storage, path: str, found: Finding) -> bool:
    """Tell whether the bytes are there; of a local file in one call of the system."""
    if found.n_files is not None:
        return store.holds_folder(path, found.size, found.n_files)
    if not store.local:
        return store.holds(path, found.size)
    try:
        return os.stat(f"{store.root}/{path}").st_size == found.size  # noqa: PTH116  half a millisecond less
    except OSError:
        return False


def _outcome(one: Wanted, uid: str, outcome: str) -> Outcome:
    made = Outcome(one.entry.path, one.key, outcome, uid, one.found.hash, one.found.size)
    if one.bad:
        return replace(made, outcome="quarantined", reason=one.found.reason, message=one.found.message)
    return made


def _stamps(home: Instance, txn: Transaction, count: int) -> dict[str, pa.Array]:
    return {
        "created_at": pa.repeat(pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC")), count),
        "created_by": pa.repeat(pa.scalar(home.ensure_user(txn)), count),
        "run": pa.repeat(pa.scalar(home.run_uid, pa.string()), count),
    }
