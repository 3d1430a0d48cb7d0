"""The values of features that an artifact, a run or a dataset has, and what was measured in it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, RecordNotFound, shown
from lakehouse.ids import derived_uid
from registries.annotate import Labels, saved_in
from registries.binding import REGISTRIES
from registries.dtype import DType
from registries.dtypes import parse_dtype
from registries.feature import Feature
from registries.feature_set import ArtifactFeatureSet, FeatureSet
from registries.kinds import check_value, column_of, read_value
from registries.names import check_name
from registries.record import Record
from registries.renamed import no_such
from registries.retrieve import near_misses
from registries.values import value_table, value_uid

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["Features"]

_log = logging.getLogger("lakehouse")


class Features:
    """What ``artifact.features`` is: values by feature; the same of a run and a dataset.

    Values of categorical features are labels and gather; another value of any other feature replaces the one before.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.Feature(name="temperature", dtype=float, unit="degC").save()
    >>> artifact = lake.Artifact(b"1,2", key="raw.bin").save()
    >>> artifact.features.add_values({"temperature": 21.5})
    >>> artifact.features.get_values()
    {'temperature': 21.5}
    >>> lake.Artifact.filter(features__temperature__gt=21).count()
    1
    >>> lake.close()
    """

    def __init__(self, holder: Record) -> None:
        self._holder = holder

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what a name that there is not is called here."""
            raise AttributeError(no_such("Features", name, dir(type(self))))

    # Values

    def add_values(self, values: Mapping[str | Feature, Any], *, create: bool = False) -> None:
        """Set values by feature, all in one commit.

        Parameters
        ----------
        values
            By the name of a feature, or the feature itself: a value of its dtype; names or records for a categorical.
        create
            Whether to save labels that are not known yet.

        Raises
        ------
        RecordNotFound
            When a feature or a label is not known, with the near ones.
        InputError
            When a value is not of the feature's dtype.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"add_values({shown(values)}): a dict of values by feature is accepted")
        home = self._home()

        def plan(txn: Transaction) -> None:
            for row, value in self._paired(txn.snapshot, home, values):
                if parse_dtype(row["dtype"]).is_categorical:
                    labels = Labels(self._holder)
                    labels.add(value, feature=home.Feature.from_row(row, home), create=create)
                else:
                    self._set(txn, home, row, value)

        home.run(plan)

    def get_values(self) -> dict[str, Any]:
        """Return the values by the name of their feature; of categoricals the names of the labels."""
        home = self._home()
        snapshot = home.snapshot()
        rows = self._rows(snapshot)
        features = {r["uid"]: r for r in snapshot.lookup("feature", "uid", [r["feature"] for r in rows]).to_pylist()}
        found: dict[str, Any] = {}
        for row in sorted(rows, key=lambda row: row["position"]):
            feature = features[row["feature"]]
            dtype = parse_dtype(feature["dtype"])
            if dtype.many:
                found.setdefault(feature["name"], []).append(read_value(dtype, row))
            else:
                found[feature["name"]] = read_value(dtype, row)
        for name, labels in Labels(self._holder).all().items():
            if name is not None:
                found[name] = labels[0] if len(labels) == 1 else labels
        return dict(sorted(found.items()))

    def remove_values(self, features: str | Feature | Iterable[str | Feature]) -> None:
        """Remove the values, and the labels, of one or several features.

        Raises
        ------
        RecordNotFound
            When a feature is not known.
        """
        home = self._home()
        named = [features] if isinstance(features, str | Feature) else list(features)

        def plan(txn: Transaction) -> None:
            for row, _ in self._paired(txn.snapshot, home, dict.fromkeys(named)):
                gone = [mine["uid"] for mine in self._rows(txn.snapshot) if mine["feature"] == row["uid"]]
                if gone:
                    txn.delete(self._table, gone)
                if parse_dtype(row["dtype"]).is_categorical:
                    labels, feature = Labels(self._holder), home.Feature.from_row(row, home)
                    labels.remove(labels.get(feature=feature), feature=feature)

        home.run(plan)

    # Sets

    def add_set(self, measured: FeatureSet, *, slot: str) -> FeatureSet:
        """Record what was measured, in one commit with the set where it is new; return the set.

        Parameters
        ----------
        measured
            A feature set, saved or not.
        slot
            Where in the artifact its members stand: ``columns``, ``obs``, ``var``, ``rna/var``, ... Another set in
            the same slot is replaced.
        """
        home = self._home()
        name = check_name(slot, "slot")
        if self._holder.meta.table != "artifact" or getattr(measured, "meta", None) is not FeatureSet.meta:
            raise InputError(f"add_set({shown(measured)}): a FeatureSet is accepted, by an artifact")
        uid = derived_uid("artifact_feature_set", self._holder.uid, name)
        link = {"artifact": self._holder.uid, "slot": name}

        def plan(txn: Transaction) -> None:
            if not measured.is_saved:
                measured.settle(measured.plan_save(txn, home), home)
            before = txn.snapshot.get("artifact_feature_set", uid)
            if before is not None and before["feature_set"] == measured.uid:
                return
            if before is not None:
                txn.delete("artifact_feature_set", [uid])
            ArtifactFeatureSet(**link, feature_set=measured.uid).plan_insert(txn, home, uid, fresh=False)

        home.change([measured], plan)
        return measured

    def sets(self) -> dict[str, FeatureSet]:
        """Return what was measured, by slot."""
        home = self._home()
        snapshot = home.snapshot()
        links = snapshot.lookup("artifact_feature_set", "artifact", [self._holder.uid]).to_pylist()
        rows = snapshot.lookup("feature_set", "uid", [link["feature_set"] for link in links]).to_pylist()
        found = {row["uid"]: home.FeatureSet.from_row(row, home) for row in rows}
        return {link["slot"]: found[link["feature_set"]] for link in sorted(links, key=lambda link: link["slot"])}

    # Rows

    @property
    def _table(self) -> str:
        return value_table(self._holder.meta.table)

    def _home(self) -> Instance:
        if not self._holder.is_saved:
            raise InputError(f"{self._holder!r} is not saved: call its save() before giving it values")
        return self._holder.home_of()

    def _rows(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = snapshot.lookup(
            self._table, self._holder.meta.link_column, [self._holder.uid]
        ).to_pylist()
        return found

    def _paired(
        self, snapshot: Snapshot, home: Instance, values: Mapping[str | Feature, Any]
    ) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the row of each feature and what goes with it."""
        for feature in values:
            if not isinstance(feature, str | Feature):
                raise InputError(f"{shown(feature)} is a {type(feature).__name__}: a feature is a name or a Feature")
        names = {one: check_name(one, "Feature.name") for one in values if isinstance(one, str)}
        rows = {row["name"]: row for row in snapshot.lookup("feature", "name", list(names.values())).to_pylist()}
        if unknown := [name for name in names.values() if name not in rows]:
            near = near_misses(snapshot, Feature, "name", unknown)
            listed = ", ".join(map(shown, unknown[:5])) + (", …" if len(unknown) > 5 else "")
            raise RecordNotFound(f"no Feature is called {listed}{near} To make one, save Feature(name=..., dtype=...)")
        for feature, value in values.items():
            if isinstance(feature, str):
                yield rows[names[feature]], value
            else:
                saved_in(home, feature)
                yield feature.to_row(), value

    def _set(self, txn: Transaction, home: Instance, feature: Mapping[str, Any], value: Any) -> None:
        dtype = parse_dtype(feature["dtype"])
        kept = check_value(dtype, value, f"feature {feature['name']!r}")
        before = [row for row in self._rows(txn.snapshot) if row["feature"] == feature["uid"]]
        before.sort(key=lambda row: int(row["position"]))
        column = column_of(dtype)
        if [row[column] for row in before] == kept:
            return
        if before:
            _log.info("feature %s of %s: %s is replaced", feature["name"], self._holder.uid, _shown(dtype, before))
            txn.delete(self._table, [row["uid"] for row in before])
        for position, item in enumerate(kept):
            row = REGISTRIES[self._table](
                **{self._holder.meta.link_column: self._holder.uid, "feature": feature["uid"], column: item},
                position=position,
            )
            row.plan_insert(txn, home, value_uid(self._holder.uid, feature["uid"], position), fresh=not before)

    def __repr__(self) -> str:
        if not self._holder.is_saved:
            return "Features()"
        return f"Features({', '.join(f'{name}={shown(value)}' for name, value in self.get_values().items())})"


def _shown(dtype: DType, rows: list[dict[str, Any]]) -> str:
    return shown([read_value(dtype, row) for row in rows] if dtype.many else read_value(dtype, rows[0]))
