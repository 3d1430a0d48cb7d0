"""What was measured: sets of genes, proteins or features, deduplicated by content, and the modality they are of."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from types import new_class
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.errors import InputError, shown
from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import Column, Reference, column, reference
from registries.conditions import LEADING, SHARE
from registries.meta import Link
from registries.record import Record, Saved

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["ArtifactFeatureSet", "FeatureSet", "Modality", "complete_members", "member_table", "member_uid"]


class Modality(Record, natural=("name",)):
    """A kind of measurement, such as rna, protein or atac.

    Examples
    --------
    >>> Modality(name="rna").name
    'rna'
    """

    name: Column[str] = column(doc="Unique, in Unicode normal form C.", unique=True)
    description: Column[str | None] = column(doc="What it means.", default=None)


class FeatureSet(Record, links={}):
    """What was measured: members out of one registry; sets with the same members and modality are one record.

    Make one with :meth:`of`.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> genes = [lake.Gene(symbol=name, ensembl_gene_id=name).save() for name in ("CD8A", "CD4")]
    >>> measured = lake.FeatureSet.of(genes, modality="rna").save()
    >>> lake.FeatureSet.of(reversed(genes), modality="rna").save() == measured
    True
    >>> lake.close()
    """

    registry: Column[str] = column(doc="The registry of its members, such as Gene.")
    n: Column[int] = column(doc="Members.")
    hash: Column[str] = column(doc="Computed from the uids of its members, in order.")
    modality: Reference[str | None] = reference("modality", doc="What kind of measurement it is of.", default=None)

    _members: pa.Array | None = None
    _modality_name: str | None = None

    @classmethod
    def of(
        cls,
        members: Iterable[Record] | pa.Array,
        *,
        modality: str | Modality | None = None,
        registry: str | type[Record] | None = None,
    ) -> FeatureSet:
        """Return the set of some saved records.

        Parameters
        ----------
        members
            Records of one registry, or with ``registry`` their uids, also as an Arrow array.
        modality
            A modality, or the name of one, which is saved with the set where it is not there yet.
        registry
            Of the members, where these are uids.

        Raises
        ------
        InputError
            When a record is not saved, or of another registry than the rest.
        """
        if registry is None:
            uids, found = _uids_of(members)
        else:
            found = registry if isinstance(registry, type) else _named(registry)
            uids = pa.array(members, pa.string())
        if not found.meta.measured:
            known = ", ".join(sorted(r.__name__ for r in REGISTRIES.values() if r.meta.measured))
            raise InputError(f"{found.__name__} is not measured: members come from one of {known}")
        uids = pc.unique(uids)
        uids = uids.take(pc.sort_indices(uids))
        digest = derived_uid("members", found.meta.table, *uids.to_pylist())
        made = cls(registry=found.__name__, n=len(uids), hash=digest[:16])
        made._members = uids
        if isinstance(modality, str):
            made._modality_name = modality
        elif modality is not None:
            made.modality = modality.uid if modality.is_saved else made._uid_of(made.meta.columns["modality"], modality)
        return made

    @classmethod
    def is_made_of_columns(cls) -> bool:
        """Return whether a record comes of its columns alone: a set has members."""
        return False

    def plan_save(self, txn: Transaction, home: Instance, *, look: bool = True) -> Saved:
        """Save modality, set and members, unless the same set is there."""
        if self._modality_name is not None:
            self._values["modality"] = home.bound(Modality)(name=self._modality_name).plan_save(txn, home).row["uid"]
        return super().plan_save(txn, home, look=look)

    def own_uid(self) -> str:
        """Return the uid that follows from members and modality."""
        return derived_uid("feature_set", self.registry, self.hash, self.modality or "")

    def find(self, snapshot: Any) -> dict[str, Any] | None:
        """Return the row of the same set."""
        row: dict[str, Any] | None = snapshot.get("feature_set", self.own_uid())
        return row

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the set and its members."""
        del uid, fresh
        if self._members is None:
            raise InputError(f"{self!r} has no members: make it with FeatureSet.of(records)")
        saved = super().plan_insert(txn, home, self.own_uid(), fresh=False)
        registry = _named(self.registry)
        txn.insert(member_table(registry.meta.table), _member_rows(registry, self._members, saved.row), fresh=True)
        return saved

    @property
    def members(self) -> Any:
        """The query for its members."""
        registry = _named(self.registry)
        home = self.home_of()
        return home.bound(registry).filter(feature_sets__uid=self.uid)


class ArtifactFeatureSet(Record):
    """That a feature set was measured in an artifact, and in which slot of it."""

    artifact: Reference[str] = reference("artifact", doc="The artifact.")
    feature_set: Reference[str] = reference("feature_set", doc="What was measured.")
    slot: Column[str] = column(doc="Such as columns, obs, var or a modality's var.")


def member_table(registry: str) -> str:
    """Return the name of the table with the members of feature sets that are of one registry.

    Examples
    --------
    >>> member_table("gene")
    'feature_set_gene'
    """
    return f"feature_set_{registry}"


def complete_members() -> None:
    """Declare the tables of members for all registries that are declared by now."""
    sets = Link("artifact_feature_set", "artifact", "feature_set", "feature_set")
    artifact, mine = REGISTRIES["artifact"].meta, FeatureSet.meta
    artifact.links.setdefault("feature_sets", sets)
    mine.links.setdefault("artifacts", Link("artifact_feature_set", "feature_set", "artifact", "artifact"))
    for registry in [r for r in REGISTRIES.values() if r.meta.measured]:
        meta = registry.meta
        table = member_table(meta.table)
        if table not in REGISTRIES:
            made = new_class(f"FeatureSet{meta.name}", (Record,), {"table": table}, partial(_body, meta.table))
            made.__module__ = __name__
            LEADING.add((table, meta.table))
        members = Link(table, "feature_set", meta.table, meta.table)
        mine.links.setdefault(meta.measured, members)
        meta.links.setdefault("feature_sets", Link(table, meta.table, "feature_set", "feature_set"))
        if meta.measured != "features":  # there the name of a feature follows
            artifact.links.setdefault(meta.measured, Link(table, "feature_set", meta.table, meta.table, via=sets))


def _body(member: str, namespace: dict[str, Any]) -> None:
    namespace.update(
        __doc__=f"That a {member} is a member of a feature set; its uid begins with that of the {member}.",
        __module__=__name__,
        __annotations__={"feature_set": Reference[str], member: Reference[str]},
        feature_set=reference("feature_set", doc="The feature set."),
        **{member: reference(member, doc=f"The {member}.")},
    )


def member_uid(member: str, feature_set: str) -> str:
    """Return the uid of the row that says that a record is a member of a set; see ``_member_rows``."""
    return member[SHARE] + feature_set[SHARE]


def _member_rows(registry: type[Record], members: pa.Array, row: dict[str, Any]) -> pa.Table:
    """Return rows whose uids begin with the random part of their member's: look-ups by member read one place."""
    count = len(members)
    begin = pc.utf8_slice_codeunits(members, SHARE.start, SHARE.stop)
    uids = pc.binary_join_element_wise(begin, pa.scalar(row["uid"][SHARE]), "")
    same = {name: pa.repeat(pa.scalar(row[name], kind), count) for name, kind in _STAMPS.items()}
    return pa.table({"uid": uids, "feature_set": pa.repeat(row["uid"], count), registry.meta.table: members, **same})


_STAMPS = {"created_at": pa.timestamp("us", "UTC"), "created_by": pa.string(), "run": pa.string()}


def _uids_of(members: Any) -> tuple[pa.Array, type[Record]]:
    found: list[Any] = list(members) if isinstance(members, Iterable) and not isinstance(members, str) else [members]
    if not found:
        raise InputError("FeatureSet.of([]): a set has at least one member")
    for record in found:
        if not isinstance(record, Record):
            raise InputError(f"FeatureSet.of([...{shown(record)}...]): records are accepted")
        if not record.is_saved:
            raise InputError(f"{record!r} is not saved: call its save() first")
        if record.meta.table != found[0].meta.table:
            raise InputError(f"FeatureSet.of mixes {found[0].meta.name} and {record.meta.name}: make a set of each")
    return pa.array([record.uid for record in found], pa.string()), REGISTRIES[found[0].meta.table]


def _named(name: str) -> type[Record]:
    found = next((registry for registry in REGISTRIES.values() if registry.__name__ == name), None)
    if found is None:
        raise InputError(f"registry {shown(name)} is not known: name one such as 'Gene'")
    return found
