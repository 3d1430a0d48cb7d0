"""Datasets: immutable, versioned sets of artifacts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from lakehouse.errors import InputError, shown
from lakehouse.ids import stem, version_of
from lakehouse.types import Progress
from registries.annotate import Labels
from registries.artifact import Artifact
from registries.column import Column, Reference, column, reference
from registries.dataset import consolidate, loading, scanning
from registries.dataset.describing import DatasetDescription, describe
from registries.dataset.mapped import MappedDataset
from registries.dataset.members import Members, artifacts_of
from registries.dataset.selection import Selection
from registries.dataset.versions import latest_row, most_members, next_version, refuse_built_on
from registries.features import Features
from registries.label import ULabel
from registries.lineage.graph import Node
from registries.lineage.traced import Traced
from registries.meta import Link
from registries.names import check_name
from registries.record import Record, Saved
from registries.trash import destroyed, restored, trashed

if TYPE_CHECKING:
    from pathlib import Path

    from lakehouse.engine import Snapshot, Transaction
    from registries.column import Column as Declared
    from registries.instance import Instance
    from registries.query import Query

__all__ = ["Dataset", "DatasetFeatureSet", "DatasetMember"]


_LATEST = (
    '"deleted_at" is null and "uid" in '
    '(select max("uid") from "dataset" where "deleted_at" is null group by substr("uid", 1, 16))'
)


class Dataset(
    Record,
    Traced,
    unique=(("name", "version"),),
    derived={"is_latest": _LATEST},
    links={"artifacts": Link("dataset_member", "dataset", "artifact", "artifact")},
):
    """A set of artifacts under a name, which never changes: :meth:`append` makes its next version.

    Saving other artifacts under a known name makes a next version, too: one that keeps all members of before only
    adds to them, any other begins anew. In SQL the members of each version are the view ``dataset_artifact``.

    Parameters
    ----------
    source
        Artifacts, a query for artifacts, or frames or AnnData objects, which are saved under ``{name}/...``.
    name
        What it is called; versions share it.
    description
        What it is.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> dataset = lake.Dataset([pd.DataFrame({"age": [31]}), pd.DataFrame({"age": [45]})], name="donors").save()
    >>> dataset.load()["age"].tolist()
    [31, 45]
    >>> longer = dataset.append(pd.DataFrame({"age": [27]}))
    >>> (dataset.version, len(dataset)), (longer.version, len(longer))
    ((0, 2), (1, 3))
    >>> lake.close()
    """

    name: Column[str] = column(doc="What it is called; versions share it.")
    description: Column[str | None] = column(doc="What it is.", default=None)
    kind: Column[str] = column(doc="What its members are: dataframe, AnnData, ..., or mixed.", init=False)
    n_artifacts: Column[int] = column(doc="Members.", init=False)
    n_rows: Column[int | None] = column(doc="Rows or observations of all members, where known.", init=False)
    size: Column[int] = column(doc="Bytes of all members.", init=False)
    base: Column[str] = column(doc="The version that its members begin with: those since then are its own.", init=False)
    version: Column[int] = column(doc="Counts the contents of a name; the first is 0.", init=False)
    deleted_at: Column[dt.datetime | None] = column(
        doc="When it was moved to the trash, UTC; null for what is live.", default=None, init=False
    )

    _source: Any = None
    _adds: bool = False
    _artifacts: list[Artifact] | None = None

    def __init__(self, source: Any, *, name: str, description: str | None = None) -> None:
        super().__init__(name=name, description=description)
        self._source = source

    def assign(self, declared: Declared[Any], value: Any) -> None:
        """Set a column; the name of a saved dataset stays."""
        if declared.name == "name" and self.is_saved:
            raise InputError(f"{self!r} keeps its name: save its members under another one instead")
        super().assign(declared, value)

    # Lineage

    def lineage_start(self, snapshot: Snapshot) -> list[str]:
        """Return its members."""
        return Members(self.to_row()).uids(snapshot)

    def lineage_node(self) -> Node:
        """Return how it is shown."""
        details = {"uid": self.uid, "name": self.name, "version": str(self.version), "members": f"{self.n_artifacts:,}"}
        details |= {} if self.deleted_at is None else {"state": "in the trash"}
        note = f"dataset, version {self.version}, {self.n_artifacts:,} members"
        return Node(self.uid, "dataset", self.name, note, "dataset", "", details)

    # Saving

    def save(self, *, near: bool | None = None) -> Self:
        """Save the dataset, in one commit with the artifacts that come of frames; see the class for versions.

        Raises
        ------
        InputError
            When there are no members, or some are neither artifacts nor frames.
        """
        if self.is_saved or self._source is None:
            return super().save(near=near)
        self.check()
        home = self.home_of()
        with home.transaction(f"dataset {self.name}"):
            return super().save(near=near)

    def check(self) -> None:
        """Check the name."""
        super().check()
        self._values["name"] = check_name(self.name, "Dataset.name")

    def prepare(self, home: Instance) -> None:
        """Find the members, and save those that are frames."""
        if self.is_saved or self._artifacts is not None:
            return
        home.refuse_reading_only()
        self._artifacts = artifacts_of(home, self._source, self.name, begin=self._begin)

    def _begin(self) -> int:
        """Return the number of the first artifact that is made of a frame."""
        return most_members(self.home_of().snapshot(), self.name) if self._adds else 0

    def release(self) -> None:
        """Let go of what it was made from."""
        self._source = self._artifacts = None

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the newest row of the name, where it has the same members."""
        if self._adds or self._artifacts is None:  # planning finds what is new
            return None
        latest = latest_row(snapshot, self.name)
        if latest is None or {one.uid for one in self._artifacts} != set(Members(latest).uids(snapshot)):
            return None
        return latest

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row with the members that are new to it."""
        if self._artifacts is None:
            raise InputError(f"{self!r} has no members: make it with Dataset(artifacts, name=...)")
        found = next_version(txn, home, self.name, self._artifacts, adds=self._adds)
        before, added = found.before, found.added
        if before is not None and not added:
            return Saved(dict(before), found=True)
        uid, fresh = found.uid or uid, fresh and found.uid is None
        self._values |= Members.totals(before, added) | {"base": before["base"] if before else uid}
        self._values["version"] = version_of(uid)
        saved = super().plan_insert(txn, home, uid, fresh=fresh)
        Members(saved.row).add(txn, home, added, before["n_artifacts"] if before else 0)
        return saved

    def append(self, source: Any, *, description: str | None = None) -> Self:
        """Save a next version with further members, and return it; this one stays as it is.

        The members that are there already are not read, so it costs the same however many there are. It adds to the
        newest version of the name, whoever made that: of two who append at once, both add. What is a member already
        is passed over; where nothing is new, the newest version is returned.

        Parameters
        ----------
        source
            As for ``Dataset(...)``; one artifact or frame will do.
        description
            Of the new version; that of this one, where none is given.
        """
        home = self._need_saved().home_of()
        text = self.description if description is None else description
        made = home.bound(type(self))(source, name=self.name, description=text)
        vars(made)["_adds"] = True
        return made.save()

    # Trash

    def delete(self, *, permanent: bool = False) -> None:
        """Move this version to the trash, where ``filter``, ``get(name=)`` and the view ``dataset`` no longer see it.

        Its artifacts stay, and so do its later versions. An artifact may go to the trash while it is a member: it is
        read as before; deleted for good it cannot be.

        Parameters
        ----------
        permanent
            Delete it for good with its labels and values.

        Raises
        ------
        StillReferenced
            When it is to be deleted for good, and later versions build on it.
        ChangedSinceRead
            When somebody else changed it since it was read.
        """
        if permanent:
            destroyed(self._need_saved(), lambda txn: refuse_built_on(txn, self.to_row()))
        else:
            trashed(self._need_saved())

    def restore(self) -> Self:
        """Take it out of the trash."""
        restored(self._need_saved())
        return self

    # Annotation

    @property
    def labels(self) -> Labels:
        """The labels that it carries itself; those of its members are theirs."""
        return Labels(self)

    @property
    def ulabels(self) -> Labels:
        """The universal labels that it carries itself."""
        return Labels(self, ULabel)

    @property
    def features(self) -> Features:
        """The values of features that it has itself."""
        return Features(self)

    # Members

    @property
    def members(self) -> Members:
        """What says which artifacts belong to it."""
        return Members(self._need_saved().to_row())

    def _need_saved(self) -> Self:
        if not self.is_saved:
            raise InputError(f"{self!r} is not saved: call its save() first")
        return self

    @property
    def artifacts(self) -> Query[Artifact]:
        """The query for its artifacts."""
        return self.members.query(self.home_of())

    def ordered(self) -> list[Artifact]:
        """Return its artifacts in the order in which they were added."""
        return self.members.ordered(self.home_of())

    def __len__(self) -> int:
        return self.n_artifacts

    def __bool__(self) -> bool:
        return True

    @property
    def versions(self) -> list[Self]:
        """All versions that are not in the trash, the first one first."""
        home = self._need_saved().home_of()
        return home.bound(type(self)).filter(uid__startswith=stem(self.uid)).order_by("uid").all()

    @property
    def is_latest(self) -> bool:
        """Whether it is not in the trash, and no newer version is outside."""
        home = self._need_saved().home_of()
        newest = home.bound(type(self)).filter(uid__startswith=stem(self.uid)).order_by("-uid").first()
        return newest is not None and newest.uid == self.uid

    def describe(self) -> DatasetDescription:
        """Return what is recorded of it and of its members: a tree that reads well as text, in notebooks and terminals.

        No member is read, so it costs some milliseconds however large they are.

        Examples
        --------
        >>> import tempfile
        >>> import pandas as pd
        >>> from registries.instance import Instance
        >>> lake = Instance.create(tempfile.mkdtemp(), user="ada")
        >>> dataset = lake.Dataset([pd.DataFrame({"age": [31]}), pd.DataFrame({"age": [45]})], name="donors").save()
        >>> print(dataset.describe())  # doctest: +ELLIPSIS
        Dataset donors
        ├── General
        │   ├── uid: ...
        │   ├── name: donors
        │   ├── kind: dataframe
        │   ├── rows: 2
        │   ├── size: ...
        │   └── version: 0 (latest)
        ├── Provenance
        │   ├── created: ... UTC
        │   └── by: ada
        └── Members (2 parquet)
            ├── donors/000000.parquet
            └── donors/000001.parquet
        >>> lake.close()
        """
        return describe(self._need_saved())

    def feature_sets(self) -> dict[str, Any]:
        """Return by slot the query for all that was measured in any member: the union of their feature sets."""
        return self.members.feature_sets(self.home_of())

    # Reading

    def load(self, *, join: str = "outer", as_: str | None = None, labels: bool = True) -> Any:
        """Return all members in memory as one: a pandas DataFrame, or an AnnData.

        Rows carry the uid of their artifact in the column ``artifact_uid``, and its labels and values in one column
        per feature (labels under no feature in ``labels``), where the data have no column of that name. An AnnData is
        that of ``anndata.concat``, but that text becomes categories; frames in obsm, obsp, raw and uns are left out.

        Parameters
        ----------
        join
            ``outer`` keeps columns or variables of any member, ``inner`` those of all.
        as_
            Another form of tables: ``pandas``, ``polars`` or ``arrow``.
        labels
            Whether to add labels and values.
        """
        return loading.load(self, join=join, as_=as_, labels=labels)

    def open(self, *, as_: str | None = None, join: str = "outer") -> Any:
        """Return all members lazily as one.

        Tables are a Polars ``LazyFrame`` over the rows of all members, with ``artifact_uid``. Members that are small
        are merged into few files in the cache at first use, so that thousands of them are scanned as fast as one.
        AnnData members are a :class:`~registries.dataset.selection.Selection` of all observations, read where they lie.

        Parameters
        ----------
        as_
            Another form of tables: ``polars``, ``arrow`` (a dataset) or ``duckdb`` (a relation).
        join
            Of AnnData members: ``inner`` or ``outer`` join of variables.
        """
        if self.kind == "dataframe":
            return scanning.open_tables(self, as_=as_)
        if as_ is not None:
            raise InputError(f"{self.name} has members of kind {self.kind}, which have no form {shown(as_)}")
        return self.query(join=join)

    def stage(self, *, progress: Progress | None = None) -> list[Path]:
        """Return where the bytes of each member lie in the local file system; remote ones are copied to the cache.

        Parameters
        ----------
        progress
            Is told of the members that are done.
        """
        return loading.stage(self, progress)

    def query(self, *, obs: str | None = None, var: Iterable[str] | None = None, join: str = "outer") -> Selection:
        """Return the observations of all AnnData members that meet a condition, without reading any X.

        Parameters
        ----------
        obs
            A condition in SQL on columns of obs, ``artifact_uid``, labels and values: ``"cell_type == 'T cell'"``.
        var
            Names of variables that are wanted; all, where none are given.
        join
            ``outer`` keeps variables of any member, ``inner`` those of all.

        Raises
        ------
        InvalidQuery
            When the condition names a column that no member has, or is no condition.
        """
        return Selection(self, obs=obs, var=var, join=join)

    def mapped(
        self,
        *,
        obs: Iterable[str] = (),
        encode: bool | Iterable[str] = True,
        layers: Iterable[str] = ("X",),
        obsm: Iterable[str] = (),
        where: str | None = None,
        join: str = "inner",
        var: Iterable[str] | None = None,
        columns: Iterable[str] | None = None,
    ) -> MappedDataset:
        """Return an indexable reader of single observations and shuffled batches, for training loops.

        Parameters
        ----------
        obs
            Columns of obs that come with each observation.
        encode
            Which of them come as codes (``reader.categories`` has the names); with True those that are text.
        layers
            ``X`` and names of layers.
        obsm
            Names of arrays in obsm.
        where
            A condition in SQL on obs, as for :meth:`query`.
        join
            ``inner`` or ``outer`` join of variables; what a member does not measure is 0.
        var
            Names of variables that are wanted, in this order.
        columns
            Of members that are tables: which columns; those that all have, where none are given.
        """
        return MappedDataset.of(
            self,
            obs=tuple(obs),
            encode=encode if isinstance(encode, bool) else tuple(encode),
            layers=tuple(layers),
            obsm=tuple(obsm),
            where=where,
            join=join,
            var=None if var is None else tuple(var),
            columns=None if columns is None else tuple(columns),
        )

    # Consolidation

    def to_zarr(self, path: str | Path, *, join: str = "outer", progress: Progress | None = None) -> Path:
        """Write all AnnData members as one AnnData in a new zarr store, member by member, and return its path.

        Arrays have a type that holds the values of every member, and variables their columns. What a member does not
        have, of variables or with ``outer`` of layers and obsm, is NaN; where an array is sparse, 0.

        Parameters
        ----------
        path
            A folder that is not there yet.
        join
            ``outer`` or ``inner`` join of variables.
        progress
            Is told of the observations written.
        """
        return consolidate.to_zarr(self, path, join=join, progress=progress)

    def to_tiledbsoma(self, path: str | Path, *, join: str = "outer", progress: Progress | None = None) -> Path:
        """Write all AnnData members as one SOMA experiment, member by member, and return its path; see :meth:`to_zarr`."""
        return consolidate.to_tiledbsoma(self, path, join=join, progress=progress)

    def to_delta(self, path: str | Path, *, progress: Progress | None = None) -> Path:
        """Write the rows of all tables, with ``artifact_uid``, as one new Delta table, and return its path.

        Parameters
        ----------
        path
            A folder that is not there yet.
        progress
            Is told of the members written.
        """
        return consolidate.to_delta(self, path, progress=progress)


class DatasetMember(Record):
    """That an artifact is a member of a dataset, from the version on that added it."""

    dataset: Reference[str] = reference("dataset", doc="The version that added it.")
    artifact: Reference[str] = reference("artifact", doc="The artifact.")
    position: Column[int] = column(doc="Its place among the members, from 0.")


class DatasetFeatureSet(Record):
    """That a feature set was measured in a member of a dataset, from the version on that added the first such."""

    dataset: Reference[str] = reference("dataset", doc="The version that added it.")
    feature_set: Reference[str] = reference("feature_set", doc="What was measured.")
    slot: Column[str] = column(doc="Such as columns, obs or var.")


Artifact.meta.links["datasets"] = Link("dataset_member", "artifact", "dataset", "dataset")
