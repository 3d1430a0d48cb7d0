"""The labels of an artifact, a run, a transform or a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, MultipleFound, RecordNotFound, shown
from registries.binding import REGISTRIES
from registries.dtype import Choice, DType
from registries.dtypes import parse_dtype
from registries.feature import Feature
from registries.feature_set import complete_members
from registries.label import ULabel
from registries.links import HOLDERS, complete, label_registries, link_table, link_uid
from registries.names import check_name
from registries.query import Query
from registries.record import Record
from registries.retrieve import near_misses
from registries.values import HOLDERS as VALUED
from registries.values import value_table

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = [
    "Labels",
    "Under",
    "attach",
    "check_admitted",
    "feature_row",
    "label_named",
    "names_of",
    "remove_annotations",
    "saved_in",
]


@dataclass(frozen=True)
class Under:
    """The categorical feature that labels are values of."""

    uid: str
    name: str
    dtype: DType


class Labels:
    """What ``artifact.labels`` is: the labels that a saved artifact carries; the same of a run, a transform and a dataset.

    ``artifact.labels`` is of all registries, ``artifact.ulabels`` and its like of one.

    Parameters
    ----------
    holder
        What carries them.
    registry
        The one whose records these are; all, where none is given.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> artifact = lake.Artifact(b"1,2", key="raw.bin").save()
    >>> artifact.labels.add(["treated", "donor 1"], create=True)
    >>> [label.name for label in artifact.ulabels.get()]
    ['donor 1', 'treated']
    >>> artifact.labels.remove("treated")
    >>> lake.Artifact.filter(ulabels__name="donor 1").count()
    1
    >>> lake.close()
    """

    def __init__(self, holder: Record, registry: type[Record] | None = None) -> None:
        self._holder, self._one = holder, registry

    def add(
        self,
        labels: str | Record | Iterable[str | Record],
        *,
        feature: str | Feature | None = None,
        create: bool = False,
    ) -> None:
        """Add labels, all in one commit; those that it carries already stay.

        Parameters
        ----------
        labels
            Names or records, one or several. Names are looked for in the registries of the feature, else in ULabel.
        feature
            The categorical feature that the labels are values of.
        create
            Whether to save labels that are not known yet, in the first registry of the feature.

        Raises
        ------
        RecordNotFound
            When a name is not known, with the near ones.
        InputError
            When a record is not saved, or is no value of the feature.
        """
        home, wanted = self._home(), _several(labels)

        def plan(txn: Transaction) -> None:
            under = feature_row(txn.snapshot, home, feature)
            for table, uids in self._resolve(txn, home, wanted, under, create=create).items():
                self._link(txn, home, table, uids, under)

        home.run(plan)

    def add_from(self, other: Record) -> None:
        """Add all labels of another artifact, run, transform or dataset, under the same features."""
        if getattr(getattr(other, "meta", None), "table", None) not in HOLDERS:
            raise InputError(f"add_from({shown(other)}): one of {', '.join(HOLDERS.values())} is accepted")
        home = self._home()
        saved_in(home, other)

        def plan(txn: Transaction) -> None:
            admitted = {registry.meta.table for registry in self._registries()}
            for link in Labels(other, self._one)._links(txn.snapshot):
                if link["table"] in admitted:
                    self._link_row(txn, home, link["table"], link["label"], link["feature"])

        home.run(plan)

    def get(self, *, feature: str | Feature | None = None) -> list[Any]:
        """Return the labels by name, or those under one feature."""
        under = feature_row(self._home().snapshot(), self._home(), feature)
        return list(dict.fromkeys(label for label, own in self.pairs() if under is None or own == under.uid))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get())

    def __len__(self) -> int:
        return len(self.get())

    def __contains__(self, label: object) -> bool:
        """Whether it carries a label: a record, or its name."""
        return any(label in (one, one.value(one.meta.title)) for one in self.get())

    def pairs(self) -> list[tuple[Any, str | None]]:
        """Return the labels by name, each with the uid of its feature; as often as it is carried."""
        home = self._home()
        snapshot = home.snapshot()
        links = list(self._links(snapshot))
        found: dict[tuple[str, str], Record] = {}
        for table in {link["table"] for link in links}:
            registry = home.bound(REGISTRIES[table])
            uids = list({link["label"] for link in links if link["table"] == table})
            for row in snapshot.lookup(table, "uid", uids).to_pylist():
                found[table, row["uid"]] = registry.from_row(row, home)
        pairs = [(found[link["table"], link["label"]], link["feature"]) for link in links]
        return sorted(pairs, key=lambda pair: (str(pair[0].value(pair[0].meta.title)), pair[0].meta.table))

    def all(self) -> dict[str | None, list[str]]:
        """Return the names of the labels by the name of their feature; None is for labels under no feature."""
        snapshot = self._home().snapshot()
        links = list(self._links(snapshot))
        features: dict[str | None, str | None] = {None: None}
        features.update(names_of(snapshot, "feature", {link["feature"] for link in links} - {None}))
        names = {
            table: names_of(snapshot, table, {link["label"] for link in links if link["table"] == table})
            for table in {link["table"] for link in links}
        }
        grouped: dict[str | None, list[str]] = {}
        for link in links:
            grouped.setdefault(features[link["feature"]], []).append(names[link["table"]][link["label"]])
        return {name: sorted(grouped[name]) for name in sorted(grouped, key=lambda name: name or "")}

    def remove(self, labels: str | Record | Iterable[str | Record], *, feature: str | Feature | None = None) -> None:
        """Remove labels under one feature, or, where none is given, wherever they are carried.

        Raises
        ------
        RecordNotFound
            When a name is not known.
        """
        home, wanted = self._home(), _several(labels)

        def plan(txn: Transaction) -> None:
            under = feature_row(txn.snapshot, home, feature)
            found = self._named(txn.snapshot, home, wanted)
            for link in list(self._links(txn.snapshot)):
                if (link["table"], link["label"]) in found and (under is None or link["feature"] == under.uid):
                    txn.delete(link_table(self._holder.meta.table, link["table"]), [link["uid"]])

        home.run(plan)

    # Links

    def _home(self) -> Instance:
        if not self._holder.is_saved:
            raise InputError(f"{self._holder!r} is not saved: call its save() before labelling it")
        return self._holder.home_of()

    def _registries(self) -> list[type[Record]]:
        return [self._one] if self._one is not None else label_registries()

    def _links(self, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
        """Yield the links with uid, table, label and feature."""
        mine, holder, column = self._holder.uid, self._holder.meta.table, self._holder.meta.link_column
        for registry in self._registries():
            table = registry.meta.table
            for row in snapshot.lookup(link_table(holder, table), column, [mine]).to_pylist():
                yield {"uid": row["uid"], "table": table, "label": row[table], "feature": row["feature"]}

    def _link(self, txn: Transaction, home: Instance, table: str, labels: Sequence[str], under: Under | None) -> None:
        for label in labels:
            self._link_row(txn, home, table, label, under.uid if under else None)

    def _link_row(self, txn: Transaction, home: Instance, table: str, label: str, feature: str | None) -> None:
        holder, mine = self._holder.meta.table, self._holder.uid
        links = link_table(holder, table)
        uid = link_uid(mine, label, feature, links)
        if not len(txn.snapshot.lookup(links, "uid", [uid])):
            link = REGISTRIES[links](**{self._holder.meta.link_column: mine, table: label, "feature": feature})
            link.plan_insert(txn, home, uid, fresh=False)

    # Resolving

    def _resolve(
        self, txn: Transaction, home: Instance, wanted: list[str | Record], under: Under | None, *, create: bool
    ) -> dict[str, list[str]]:
        """Return the uids of labels by table, making those that are not known where that is asked for."""
        choices = self._choices(under)
        found: dict[str, list[str]] = {}
        for label in wanted:
            if isinstance(label, Record):
                self._check_kind(label, choices, under)
                found.setdefault(label.meta.table, []).append(saved_in(home, label))
        names = list(dict.fromkeys(check_name(one, "ULabel.name") for one in wanted if isinstance(one, str)))
        for table, uid in _by_name(txn, home, names, choices, create=create):
            found.setdefault(table, []).append(uid)
        for table, uids in found.items():
            _check_filters(txn, home, table, uids, choices, under)
        return found

    def _choices(self, under: Under | None) -> tuple[Choice, ...]:
        named = under.dtype.choices if under is not None else ()
        if self._one is not None:
            mine = self._one.meta.table
            if named and all(choice.table != mine for choice in named):
                assert under is not None
                raise InputError(f"Feature {shown(under.name)} has dtype {str(under.dtype)!r}: no {mine} is among it")
            return tuple(choice for choice in named if choice.table == mine) or (Choice(mine),)
        return named

    def _check_kind(self, label: Record, choices: Sequence[Choice], under: Under | None) -> None:
        table = label.meta.table
        if choices and all(choice.table != table for choice in choices):
            listed = " or ".join(str(choice) for choice in choices)
            raise InputError(f"{label!r} is a {label.meta.name}: {listed} is accepted here")
        admitted = label_registries()
        if table not in {registry.meta.table for registry in admitted}:
            names = ", ".join(registry.meta.name for registry in admitted)
            raise InputError(f"{label!r} is no label of {self._holder.meta.table}s: {names} are")

    def _named(self, snapshot: Snapshot, home: Instance, wanted: list[str | Record]) -> set[tuple[str, str]]:
        found = {(label.meta.table, saved_in(home, label)) for label in wanted if isinstance(label, Record)}
        names = [check_name(label, "ULabel.name") for label in wanted if isinstance(label, str)]
        missing = set(names)
        for registry in self._registries() if names else ():
            title = registry.meta.title
            rows = snapshot.lookup(registry.meta.table, title, names).to_pylist()
            found |= {(registry.meta.table, row["uid"]) for row in rows}
            missing -= {row[title] for row in rows}
        if missing:
            raise _unknown(snapshot, self._one or ULabel, sorted(missing), wanted=False)
        return found

    def __repr__(self) -> str:
        if not self._holder.is_saved:
            return "Labels()"
        parts = [f"{name or 'labels'}: {', '.join(labels)}" for name, labels in self.all().items()]
        return f"Labels({'; '.join(parts)})"


def attach() -> None:
    """Give what carries labels an attribute for the labels of each registry that is declared by now."""
    complete()
    complete_members()
    for holder in HOLDERS:
        for registry in label_registries():
            cls, name = REGISTRIES[holder], registry.meta.carried
            if not hasattr(cls, name):
                doc = f"The labels out of {registry.meta.name} that it carries."
                setattr(cls, name, property(partial(Labels, registry=registry), doc=doc))


def remove_annotations(txn: Transaction, holder: Record) -> None:
    """Delete the labels and values of a record, which go with it."""
    mine, column = holder.meta.table, holder.meta.link_column
    tables = [link_table(mine, registry.meta.table) for registry in label_registries()]
    for table in (*tables, *([value_table(mine)] if mine in VALUED else [])):
        if uids := txn.snapshot.lookup(table, column, [holder.uid])["uid"].to_pylist():
            txn.delete(table, uids)


def _several(labels: object) -> list[str | Record]:
    given: list[Any] = (
        [labels] if isinstance(labels, str | Record) or not isinstance(labels, Iterable) else list(labels)
    )
    for label in given:
        if not isinstance(label, str | Record):
            raise InputError(f"{shown(label)} is a {type(label).__name__}: a label is a name or a ULabel")
    return given


def _by_name(
    txn: Transaction, home: Instance, names: list[str], choices: Sequence[Choice], *, create: bool
) -> Iterator[tuple[str, str]]:
    """Yield table and uid of each name, from the first registry that has it."""
    waiting = names
    for choice in choices or (Choice("ulabel"),):
        meta = choice.registry.meta
        rows = txn.snapshot.lookup(meta.table, meta.title, waiting).to_pylist() if waiting else []
        if choice.lookups and rows:
            kept = _meeting(txn, home, choice, [row["uid"] for row in rows])
            rows = [row for row in rows if row["uid"] in kept]
        known: dict[str, str] = {}
        for row in rows:
            if known.setdefault(row[meta.title], row["uid"]) != row["uid"]:
                raise MultipleFound(f"several {meta.name} records are called {shown(row[meta.title])}: give the record")
        yield from ((meta.table, uid) for uid in known.values())
        waiting = [name for name in waiting if name not in known]
    if waiting and not create:
        raise _unknown(txn.snapshot, choices[0].registry if choices else ULabel, waiting)
    registry: Any = home.bound(choices[0].registry if choices else ULabel)
    for name in waiting:
        yield registry.meta.table, registry(**{registry.meta.title: name}).plan_save(txn, home).row["uid"]


def label_named(txn: Transaction, home: Instance, name: str, under: Under, *, create: bool) -> tuple[str, str]:
    """Return table and uid of the label that a value of a categorical feature names, as :meth:`Labels.add` finds it."""
    choices = under.dtype.choices
    ((table, uid),) = _by_name(txn, home, [check_name(name, f"feature {under.name!r}")], choices, create=create)
    _check_filters(txn, home, table, [uid], choices, under)
    return table, uid


def _meeting(txn: Transaction, home: Instance, choice: Choice, uids: list[str]) -> set[str]:
    """Return those of the uids whose records meet a choice's look-ups, with what the transaction itself wrote."""
    query = Query.of(choice.registry, home).filter(uid__in=uids, **dict(choice.lookups))
    return set(query.rows(txn.snapshot)["uid"].to_pylist())


def check_admitted(txn: Transaction, home: Instance, table: str, uids: list[str], under: Under) -> None:
    """Refuse labels of a registry, or some of them, that are no values of a feature.

    Raises
    ------
    InputError
        Naming them, and the dtype of the feature.
    """
    choices = under.dtype.choices
    if all(choice.table != table for choice in choices):
        raise InputError(f"Feature {shown(under.name)} has dtype {str(under.dtype)!r}: no {table} is among it")
    _check_filters(txn, home, table, uids, choices, under)


def _check_filters(
    txn: Transaction, home: Instance, table: str, uids: list[str], choices: Sequence[Choice], under: Under | None
) -> None:
    mine = [choice for choice in choices if choice.table == table]
    if under is None or not mine or any(not choice.lookups for choice in mine):
        return
    admitted = set().union(*(_meeting(txn, home, choice, uids) for choice in mine))
    if wrong := [uid for uid in uids if uid not in admitted]:
        names = names_of(txn.snapshot, table, set(wrong))
        listed = ", ".join(shown(name) for name in list(names.values())[:5])
        raise InputError(f"{listed} is no value of feature {shown(under.name)}: its dtype is {str(under.dtype)!r}")


def _unknown(
    snapshot: Snapshot, registry: type[Record], unknown: Sequence[str], *, wanted: bool = True
) -> RecordNotFound:
    meta = registry.meta
    near = near_misses(snapshot, registry, meta.title, unknown)
    listed = ", ".join(shown(name) for name in unknown[:5]) + (", …" if len(unknown) > 5 else "")
    make = f" To make it, pass create=True or save {meta.name}({meta.title}=...)" if wanted else ""
    return RecordNotFound(f"no {meta.name} is called {listed}{near}{make}")


def saved_in(home: Instance, record: Record) -> str:
    """Return the uid of a record that is saved in an instance, or say what is wrong with it."""
    if not record.is_saved:
        raise InputError(f"{record!r} is not saved: call its save() first")
    if record.home_of() is not home:
        raise InputError(f"{record!r} belongs to the instance at {record.home_of().root}, not to {home.root}")
    return record.uid


def feature_row(snapshot: Snapshot, home: Instance, feature: str | Feature | None) -> Under | None:
    """Return a categorical feature by name or record."""
    if feature is None:
        return None
    if isinstance(feature, Feature):
        found = Under(saved_in(home, feature), feature.name, parse_dtype(feature.dtype))
    else:
        found = _feature_called(snapshot, feature)
    if not found.dtype.is_categorical:
        raise InputError(
            f"Feature {shown(found.name)} has dtype {str(found.dtype)!r}: labels go under one of dtype 'cat[ULabel]'"
        )
    return found


def _feature_called(snapshot: Snapshot, feature: object) -> Under:
    if not isinstance(feature, str):
        raise InputError(f"feature = {shown(feature)}: the name of a feature or a Feature is accepted")
    name = check_name(feature, "Feature.name")
    rows: Sequence[Mapping[str, Any]] = snapshot.lookup("feature", "name", [name]).to_pylist()
    if not rows:
        near = near_misses(snapshot, Feature, "name", [name])
        raise RecordNotFound(
            f"no Feature is called {shown(name)}{near} To make it, save Feature(name=..., dtype='cat[ULabel]')"
        )
    return Under(rows[0]["uid"], name, parse_dtype(rows[0]["dtype"]))


def names_of(snapshot: Snapshot, table: str, uids: set[str]) -> dict[str, str]:
    """Return what records are called, by uid."""
    title = REGISTRIES[table].meta.title
    rows = snapshot.lookup(table, "uid", sorted(uids))
    return {uid: str(name) for uid, name in zip(rows["uid"].to_pylist(), rows[title].to_pylist(), strict=True)}
