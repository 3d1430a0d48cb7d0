"""Labels and values of features of many artifacts, written together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from registries.annotate import Under, label_named
from registries.dtypes import parse_dtype
from registries.ingest.entries import Note
from registries.kinds import check_value, column_of
from registries.links import link_table, link_uid
from registries.values import value_table, value_uid

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["QUARANTINE", "Annotating", "Links", "link", "stamps_of"]

QUARANTINE = "quarantined"
"""The label of what is kept though it could not be read."""
Links: TypeAlias = dict[str, dict[str, tuple[str, str, str | None]]]
"""By the registry of labels, and by uid: artifact, label and feature."""
_Values = dict[tuple[str, str], tuple[str, list[Any]]]
_VALUES = value_table("artifact")


class Annotating:
    """Annotates the artifacts of one run.

    Parameters
    ----------
    labels
        Uids of labels by name.
    create
        Whether values of categorical features that are not known are made.
    """

    def __init__(self, home: Instance, labels: Mapping[str, str], *, create: bool) -> None:
        self._home, self._labels, self._create = home, labels, create

    def annotate(
        self, txn: Transaction, uids: Sequence[str | None], notes: Mapping[int, Note], bad: Collection[int]
    ) -> None:
        """Write what notes say of artifacts, by their place among the uids; what is bad gets a label that says so."""
        links: Links = {}
        for row in bad:
            if (uid := uids[row]) is not None:
                link(links, "ulabel", uid, self._labels[QUARANTINE], None)
        there = {uid: note for row, note in notes.items() if row not in bad and (uid := uids[row]) is not None}
        for uid, note in there.items():
            for name in note.labels:
                link(links, "ulabel", uid, self._labels[name], None)
        values = self._sorted(txn, there, links)
        for table, wanted in links.items():
            self.write_links(txn, table, wanted)
        if values:
            self._write_values(txn, values)

    def _sorted(self, txn: Transaction, notes: Mapping[str, Note], links: Links) -> _Values:
        """Return values of features; those of categorical ones are labels, and are added to the links."""
        features = _features(txn, notes.values())
        known: dict[tuple[str, str], tuple[str, str]] = {}
        values: _Values = {}
        for uid, note in notes.items():
            for name, value in (note.features or {}).items():
                under = features[name]
                if not under.dtype.is_categorical:
                    values[uid, under.uid] = (
                        column_of(under.dtype),
                        check_value(under.dtype, value, f"feature {name!r}"),
                    )
                    continue
                for label in [value] if isinstance(value, str) else value:
                    if (name, label) not in known:
                        known[name, label] = label_named(txn, self._home, label, under, create=self._create)
                    table, target = known[name, label]
                    link(links, table, uid, target, under.uid)
        return values

    def write_links(self, txn: Transaction, label: str, wanted: dict[str, tuple[str, str, str | None]]) -> None:
        """Write links with labels of one registry; those that are there stay."""
        table = link_table("artifact", label)
        for uid in txn.snapshot.lookup(table, "uid", list(wanted))["uid"].to_pylist():
            del wanted[uid]
        if wanted:
            artifacts, labels, features = zip(*wanted.values(), strict=True)
            columns = {"uid": list(wanted), "artifact": artifacts, label: labels, "feature": features}
            rows = {name: pa.array(values, pa.string()) for name, values in columns.items()}
            txn.insert(table, pa.table({**rows, **stamps_of(self._home, txn, len(wanted))}))

    def _write_values(self, txn: Transaction, values: _Values) -> None:
        """Write values, each in place of the one before; those that are there stay."""
        before: dict[tuple[str, str], list[dict[str, Any]]] = {}
        found = txn.snapshot.lookup(_VALUES, "artifact", list({uid for uid, _ in values})).to_pylist()
        for row in sorted(found, key=lambda row: int(row["position"])):
            before.setdefault((row["artifact"], row["feature"]), []).append(row)
        other = {
            pair: kept for pair, kept in values.items() if [row[kept[0]] for row in before.get(pair, ())] != kept[1]
        }
        if gone := [row["uid"] for pair in other for row in before.get(pair, ())]:
            txn.delete(_VALUES, gone)
        rows = [
            {
                "uid": value_uid(*pair, position),
                "artifact": pair[0],
                "feature": pair[1],
                "position": position,
                column: item,
            }
            for pair, (column, items) in other.items()
            for position, item in enumerate(items)
        ]
        if rows:
            stamps = stamps_of(self._home, txn, len(rows))
            schema = txn.snapshot.schema(_VALUES)
            arrays = [
                stamps[field.name]
                if field.name in stamps
                else pa.array([row.get(field.name) for row in rows], field.type)
                for field in schema
            ]
            txn.insert(_VALUES, pa.table(arrays, schema=schema))


def link(links: Links, table: str, artifact: str, label: str, feature: str | None) -> None:
    """Add a link of an artifact with a label of a registry, under a feature or none."""
    uid = link_uid(artifact, label, feature, link_table("artifact", table))
    links.setdefault(table, {})[uid] = artifact, label, feature


def _features(txn: Transaction, notes: Iterable[Note]) -> dict[str, Under]:
    names = sorted({name for note in notes for name in note.features or ()})
    rows = txn.snapshot.lookup("feature", "name", names).to_pylist() if names else []
    return {row["name"]: Under(row["uid"], row["name"], parse_dtype(row["dtype"])) for row in rows}


def stamps_of(home: Instance, txn: Transaction, count: int) -> dict[str, pa.Array]:
    """Return the columns that say when, by whom and in which run so many rows were made."""
    return {
        "created_at": pa.repeat(pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC")), count),
        "created_by": pa.repeat(pa.scalar(home.ensure_user(txn)), count),
        "run": pa.repeat(pa.scalar(home.run_uid, pa.string()), count),
    }
