"""What a schema found in files: labels, feature sets and that they conform, recorded of many artifacts together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.ids import derived_uid
from registries.annotate import check_admitted, feature_row
from registries.curated import Collected, feature_of, labels_named
from registries.dtypes import parse_dtype
from registries.feature import Feature
from registries.feature_set import FeatureSet
from registries.ingest.annotating import Annotating, Links, link, stamps_of
from registries.schema import Schema
from validation import Rule, Slot, Spec

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["Conforming"]

_SETS, _STATUS = "artifact_feature_set", "artifact_schema"
_Part = tuple[dict[str, list[str]], list[str]]


class Conforming:
    """Records what one schema found.

    Parameters
    ----------
    schema
        The record, where there is one.
    spec
        What it says.
    annotating
        Writes the links of labels.
    """

    def __init__(self, home: Instance, schema: Schema | None, spec: Spec, annotating: Annotating) -> None:
        self._home, self._schema, self._spec, self._annotating = home, schema, spec, annotating

    def record(self, found: Mapping[str, Collected]) -> None:
        """Write what was collected of artifacts, by their uids; of which it is recorded already is passed over."""
        if self._schema is not None and not self._schema.is_saved:  # one that is shipped
            self._schema.save()
        done = self._told(self._home.snapshot(), list(found))
        wanted = {uid: collected for uid, collected in found.items() if uid not in done}
        if wanted:
            self._home.run(lambda txn: self._plan(txn, wanted))

    def _told(self, snapshot: Snapshot, uids: Sequence[str]) -> set[str]:
        """Return the artifacts of which it is recorded that they conform to the schema."""
        if self._schema is None:
            return set()
        rows = snapshot.lookup(_STATUS, "uid", [self._status_uid(uid) for uid in uids]).to_pylist()
        return {row["artifact"] for row in rows if row["status"] == "valid"}

    def _status_uid(self, artifact: str) -> str:
        assert self._schema is not None
        return derived_uid(_STATUS, artifact, self._schema.uid)

    def _plan(self, txn: Transaction, wanted: Mapping[str, Collected]) -> None:
        links: Links = {}
        sets: dict[tuple[str, str], str] = {}
        known: dict[tuple[str, tuple[str, ...]], str] = {}
        for name, slot in self._spec.slots.items():
            there = {uid: collected[name] for uid, collected in wanted.items() if name in collected}
            for rule in slot.rules if there else ():
                self._label(txn, rule, there, links)
            sets |= {(uid, name): made for uid, made in self._measured(txn, slot, there, known)}
        for table, rows in links.items():
            self._annotating.write_links(txn, table, rows)
        self._write_sets(txn, sets)
        if self._schema is not None:
            self._write_status(txn, list(wanted))

    def _label(self, txn: Transaction, rule: Rule, there: Mapping[str, _Part], links: Links) -> None:
        """Add the labels that a column names, which are looked for once for all artifacts."""
        mine = {uid: found[rule.name] for uid, (found, _) in there.items() if rule.registries and rule.name in found}
        if not mine:
            return
        under = feature_row(txn.snapshot, self._home, feature_of(rule, self._home))
        assert under is not None
        labels = labels_named(rule, list(dict.fromkeys(chain.from_iterable(mine.values()))), self._home)
        for table in {table for table, _ in labels.values()}:
            check_admitted(txn, self._home, table, sorted({uid for t, uid in labels.values() if t == table}), under)
        for artifact, names in mine.items():
            for label in (labels[name] for name in names if name in labels):
                link(links, label[0], artifact, label[1], under.uid)

    def _measured(
        self, txn: Transaction, slot: Slot, there: Mapping[str, _Part], known: dict[tuple[str, tuple[str, ...]], str]
    ) -> list[tuple[str, str]]:
        """Return the feature set of each artifact: the features that columns are, or the genes that an axis names."""
        rule = slot.index
        names = dict.fromkeys(chain.from_iterable(index for _, index in there.values())) if rule is not None else {}
        genes = labels_named(rule, list(names), self._home, first=True) if rule is not None and names else {}
        features = {
            one.name: feature_of(one, self._home).uid
            for one in slot.rules
            if any(one.name in found and not (index and rule) for found, index in there.values())
        }
        made = []
        for artifact, (found, index) in there.items():
            registry: type[Record] = Feature
            uids = {features[name] for name in found if name in features}
            if index and rule is not None:
                registry = parse_dtype(f"cat[{rule.registries[0]}]").choices[0].registry
                uids = {genes[name][1] for name in index if name in genes} if registry.meta.measured else set()
            if uids:
                made.append((artifact, self._set_of(txn, registry, tuple(sorted(uids)), known)))
        return made

    def _set_of(
        self,
        txn: Transaction,
        registry: type[Record],
        uids: tuple[str, ...],
        known: dict[tuple[str, tuple[str, ...]], str],
    ) -> str:
        """Return the uid of a set, saved once though many artifacts have it."""
        pair = registry.meta.table, uids
        if pair not in known:
            made: Any = self._home.bound(FeatureSet).of(pa.array(uids, pa.string()), registry=registry)
            known[pair] = made.plan_save(txn, self._home).row["uid"]
        return known[pair]

    def _write_sets(self, txn: Transaction, sets: Mapping[tuple[str, str], str]) -> None:
        """Link artifacts with what was measured, each slot with one set."""
        wanted = {derived_uid(_SETS, artifact, slot): (artifact, made, slot) for (artifact, slot), made in sets.items()}
        for row in txn.snapshot.lookup(_SETS, "uid", list(wanted)).to_pylist():
            if wanted[row["uid"]][1] == row["feature_set"]:
                del wanted[row["uid"]]
            else:
                txn.delete(_SETS, [row["uid"]])
        self._insert(txn, _SETS, ("artifact", "feature_set", "slot"), wanted)

    def _write_status(self, txn: Transaction, artifacts: Sequence[str]) -> None:
        """Say that artifacts conform, also where it was said that they do not."""
        assert self._schema is not None
        wanted = {self._status_uid(uid): (uid, self._schema.uid, "valid", 0) for uid in artifacts}
        before = txn.snapshot.lookup(_STATUS, "uid", list(wanted)).to_pylist()
        if before:
            changed = {"status": "valid", "n_faults": 0, "run": self._home.run_uid}
            txn.upsert(_STATUS, [row | changed for row in before], as_read=before)
        rest = {uid: row for uid, row in wanted.items() if uid not in {row["uid"] for row in before}}
        self._insert(txn, _STATUS, ("artifact", "schema", "status", "n_faults"), rest)

    def _insert(self, txn: Transaction, table: str, names: Sequence[str], rows: Mapping[str, tuple[Any, ...]]) -> None:
        if not rows:
            return
        columns = dict(zip(names, map(list, zip(*rows.values(), strict=True)), strict=True)) | {"uid": list(rows)}
        stamps = stamps_of(self._home, txn, len(rows))
        schema = txn.snapshot.schema(table)
        arrays = [
            stamps[field.name] if field.name in stamps else pa.array(columns[field.name], field.type)
            for field in schema
        ]
        txn.insert(table, pa.table(arrays, schema=schema))
