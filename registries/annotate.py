"""The labels of an artifact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, RecordNotFound, shown
from registries.feature import Feature
from registries.label import ULabel
from registries.links import ArtifactULabel, link_uid
from registries.names import check_name
from registries.record import Record
from registries.retrieve import near_misses

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Labels"]

_LINKS = "artifact_ulabel"


class Labels:
    """What ``artifact.labels`` is: the labels that a saved artifact carries.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> artifact = lake.Artifact(b"1,2", key="raw.bin").save()
    >>> artifact.labels.add(["treated", "donor 1"], create=True)
    >>> [label.name for label in artifact.labels.get()]
    ['donor 1', 'treated']
    >>> artifact.labels.remove("treated")
    >>> lake.Artifact.filter(ulabels__name="donor 1").count()
    1
    >>> lake.close()
    """

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def add(
        self,
        labels: str | ULabel | Iterable[str | ULabel],
        *,
        feature: str | Feature | None = None,
        create: bool = False,
    ) -> None:
        """Add labels, all in one commit; those that it carries already stay.

        Parameters
        ----------
        labels
            Names or records, one or several.
        feature
            The categorical feature that the labels are values of.
        create
            Whether to save labels that are not known yet.

        Raises
        ------
        RecordNotFound
            When a name is not known, with the near ones.
        """
        home, wanted = self._home(), _several(labels)

        def plan(txn: Transaction) -> None:
            under = _feature(txn.snapshot, home, feature)
            found = _resolve(txn, home, wanted, create=create)
            self._link(txn, home, found, under)

        home.run(plan)

    def _link(self, txn: Transaction, home: Instance, labels: list[str], feature: str | None) -> None:
        mine = self._artifact.uid
        rows = {link_uid(mine, label, feature): label for label in labels}
        there = set(txn.snapshot.lookup(_LINKS, "uid", list(rows))["uid"].to_pylist())
        for uid, label in rows.items():
            if uid not in there:
                link = ArtifactULabel(artifact=mine, ulabel=label, feature=feature)
                link.plan_insert(txn, home, uid, fresh=False)

    def get(self, *, feature: str | Feature | None = None) -> list[ULabel]:
        """Return the labels by name, or those under one feature."""
        home = self._home()
        snapshot = home.snapshot()
        links = snapshot.lookup(_LINKS, "artifact", [self._artifact.uid]).to_pylist()
        if feature is not None:
            under = _feature(snapshot, home, feature)
            links = [link for link in links if link["feature"] == under]
        rows = snapshot.lookup("ulabel", "uid", list({link["ulabel"] for link in links})).to_pylist()
        return [home.ULabel.from_row(row, home) for row in sorted(rows, key=lambda row: str(row["name"]))]

    def all(self) -> dict[str | None, list[str]]:
        """Return the names of the labels by the name of their feature; None is for labels under no feature."""
        home = self._home()
        snapshot = home.snapshot()
        links = snapshot.lookup(_LINKS, "artifact", [self._artifact.uid]).to_pylist()
        names = _names(snapshot, "ulabel", {link["ulabel"] for link in links})
        features: dict[str | None, str | None] = {None: None}
        features.update(_names(snapshot, "feature", {link["feature"] for link in links} - {None}))
        grouped: dict[str | None, list[str]] = {}
        for link in links:
            grouped.setdefault(features[link["feature"]], []).append(names[link["ulabel"]])
        return {name: sorted(grouped[name]) for name in sorted(grouped, key=lambda name: name or "")}

    def remove(self, labels: str | ULabel | Iterable[str | ULabel], *, feature: str | Feature | None = None) -> None:
        """Remove labels under one feature, or, where none is given, wherever the artifact carries them.

        Raises
        ------
        RecordNotFound
            When a name is not known.
        """
        home, wanted = self._home(), _several(labels)

        def plan(txn: Transaction) -> None:
            found = set(_resolve(txn, home, wanted, create=False))
            under = _feature(txn.snapshot, home, feature)
            links = txn.snapshot.lookup(_LINKS, "artifact", [self._artifact.uid]).to_pylist()
            gone = [k["uid"] for k in links if k["ulabel"] in found and (feature is None or k["feature"] == under)]
            if gone:
                txn.delete(_LINKS, gone)

        home.run(plan)

    def _home(self) -> Instance:
        if not self._artifact.is_saved:
            raise InputError(f"{self._artifact!r} is not saved: call its save() before labelling it")
        return self._artifact.home_of()

    def __repr__(self) -> str:
        if not self._artifact.is_saved:
            return "Labels()"
        parts = [f"{name or 'labels'}: {', '.join(labels)}" for name, labels in self.all().items()]
        return f"Labels({'; '.join(parts)})"


def _several(labels: object) -> list[str | ULabel]:
    given: list[Any] = (
        [labels] if isinstance(labels, str | Record) or not isinstance(labels, Iterable) else list(labels)
    )
    for label in given:
        if not isinstance(label, str | ULabel):
            raise InputError(f"{shown(label)} is a {type(label).__name__}: a label is a name or a ULabel")
    return given


def _resolve(txn: Transaction, home: Instance, wanted: list[str | ULabel], *, create: bool) -> list[str]:
    """Return the uids of labels, in order, making those that are not known where that is asked for."""
    names = list(dict.fromkeys(check_name(label, "ULabel.name") for label in wanted if isinstance(label, str)))
    known = {row["name"]: row["uid"] for row in txn.snapshot.lookup("ulabel", "name", names).to_pylist()}
    unknown = [name for name in names if name not in known]
    if unknown and not create:
        near = near_misses(txn.snapshot, ULabel, "name", unknown)
        listed = ", ".join(shown(name) for name in unknown[:5]) + (", …" if len(unknown) > 5 else "")
        raise RecordNotFound(
            f"no ULabel is called {listed}{near} To make it, pass create=True or save ULabel(name=...)"
        )
    for name in unknown:
        known[name] = home.ULabel(name=name).plan_save(txn, home).row["uid"]
    return [known[check_name(label)] if isinstance(label, str) else _saved_in(home, label) for label in wanted]


def _saved_in(home: Instance, record: Record) -> str:
    if not record.is_saved:
        raise InputError(f"{record!r} is not saved: call its save() first")
    if record.home_of() is not home:
        raise InputError(f"{record!r} belongs to the instance at {record.home_of().root}, not to {home.root}")
    return record.uid


def _feature(snapshot: Snapshot, home: Instance, feature: str | Feature | None) -> str | None:
    """Return the uid of a categorical feature."""
    if feature is None:
        return None
    if isinstance(feature, Feature):
        uid, name, dtype = _saved_in(home, feature), feature.name, feature.dtype
    else:
        name = check_name(feature, "Feature.name")
        rows = snapshot.lookup("feature", "name", [name]).to_pylist()
        if not rows:
            near = near_misses(snapshot, Feature, "name", [name])
            raise RecordNotFound(
                f"no Feature is called {shown(name)}{near} To make it, save Feature(name=..., dtype='cat[ULabel]')"
            )
        uid, dtype = rows[0]["uid"], rows[0]["dtype"]
    if "cat" not in dtype:
        raise InputError(f"Feature {shown(name)} has dtype {dtype!r}: labels go under one of dtype 'cat[ULabel]'")
    return str(uid)


def _names(snapshot: Snapshot, table: str, uids: set[str]) -> dict[str, str]:
    rows = snapshot.lookup(table, "uid", sorted(uids))
    return dict(zip(rows["uid"].to_pylist(), rows["name"].to_pylist(), strict=True))
