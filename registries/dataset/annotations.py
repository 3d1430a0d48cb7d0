"""What artifacts say of their rows: labels and values of features, one column each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from registries.annotate import names_of
from registries.dtypes import parse_dtype
from registries.kinds import read_value
from registries.links import label_registries, link_table

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["UID", "annotated", "columns_of"]

UID = "artifact_uid"
"""The column of the uid of a row's artifact."""
_LABELS = "labels"
_BETWEEN = ", "


def annotated(snapshot: Snapshot, uids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return by name of a feature, and ``labels`` for labels under none, what each artifact has of it.

    Several labels under one feature are joined by commas.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, uid, label in _labels(snapshot, uids):
        values = found.setdefault(name, {})
        values[uid] = f"{values[uid]}{_BETWEEN}{label}" if uid in values else label
    for name, uid, value in _values(snapshot, uids):
        found.setdefault(name, {})[uid] = value
    return dict(sorted(found.items()))


def columns_of(found: dict[str, dict[str, Any]], uid: str, taken: Sequence[str] = ()) -> dict[str, Any]:
    """Return the value of each column for one artifact, without the columns that its data have themselves."""
    return {name: values.get(uid) for name, values in found.items() if name not in taken} | {UID: uid}


def _labels(snapshot: Snapshot, uids: Sequence[str]) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for registry in label_registries():
        table = registry.meta.table
        links = snapshot.lookup(link_table("artifact", table), "artifact", list(uids)).to_pylist()
        if not links:
            continue
        labels = names_of(snapshot, table, {link[table] for link in links})
        features = names_of(snapshot, "feature", {link["feature"] for link in links} - {None})
        found += [(features.get(x["feature"], _LABELS), x["artifact"], labels[x[table]]) for x in links]
    return sorted(found)


def _values(snapshot: Snapshot, uids: Sequence[str]) -> list[tuple[str, str, Any]]:
    rows = snapshot.lookup("artifact_value", "artifact", list(uids)).to_pylist()
    if not rows:
        return []
    wanted = sorted({row["feature"] for row in rows})
    features = {row["uid"]: row for row in snapshot.lookup("feature", "uid", wanted).to_pylist()}
    found: dict[tuple[str, str], Any] = {}
    for row in sorted(rows, key=lambda row: (row["artifact"], row["position"])):
        feature = features[row["feature"]]
        dtype, key = parse_dtype(feature["dtype"]), (feature["name"], row["artifact"])
        value = read_value(dtype, row)
        found[key] = [*found.get(key, []), value] if dtype.many else value
    return [(name, uid, value) for (name, uid), value in found.items()]
