"""An instance: a lake, its storage, and the registries bound to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from formats.remote import RemoteOptions
from lakehouse.config import current_user, warns_of_close_names
from lakehouse.engine import Batch, Changes, CommitInfo, Lake, Snapshot, Tag, Transaction
from lakehouse.engine.backup import BackupReport
from lakehouse.engine.compaction import Compacted
from lakehouse.engine.findings import CheckReport
from lakehouse.engine.grants import Right, grant
from lakehouse.errors import InputError, InvalidName, did_you_mean, shown
from lakehouse.ids import derived_uid
from lakehouse.types import Progress
from registries import artifact, dataset, feature, feature_set, label, ontology, schema, storage, transform, user
from registries import run as runs
from registries.bound import BoundRegistries
from registries.lineage.active import Active, inside
from registries.lineage.environment import Environment
from registries.lineage.tracking import Tracking
from registries.merging import merge
from registries.names import check_message, check_name
from registries.opened import opened_lake
from registries.places import catalog_file, check_path, instance_root, refusing
from registries.query import check_limit
from registries.record import Record
from registries.search.asking import LEAST, MOST, search_all
from registries.search.hits import Hits
from registries.sql.answer import Answer
from registries.sql.attach import attach as attach_to
from registries.sql.contents import CONTENTS
from registries.sql.export import Exported, export_sql
from registries.sql.running import run_sql
from registries.sql.saved import View
from registries.stored import Stored
from registries.stores import Stores
from registries.times import At, point
from registries.upkeep import InstanceVacuum, Upkeep
from registries.writing import Writer

if TYPE_CHECKING:
    import duckdb

__all__ = ["Instance"]

T = TypeVar("T")
R = TypeVar("R", bound=Record)

_SHARED = frozenset({"user", "storage"})
"""Tables of rows that a first save makes along the way and that later saves count on: a revert leaves them."""


class Instance(BoundRegistries):
    """A lake with its registries: what ``lh.init``, ``lh.connect`` and ``lh.open`` return.

    Examples
    --------
    >>> import tempfile
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> with lake.transaction("two labels"):
    ...     _ = lake.save([lake.ULabel(name="treated"), lake.ULabel(name="control")])
    >>> lake.ULabel.filter(name__startswith="treat").count()
    1
    >>> lake.sql("select count(*) from ulabel").fetchall()
    [(2,)]
    >>> lake.close()
    """

    User: type[user.User]
    Storage: type[storage.Storage]
    Artifact: type[artifact.Artifact]
    File: type[artifact.Artifact]
    Dataset: type[dataset.Dataset]
    ULabel: type[label.ULabel]
    Feature: type[feature.Feature]
    FeatureSet: type[feature_set.FeatureSet]
    Modality: type[feature_set.Modality]
    Schema: type[schema.Schema]
    Transform: type[transform.Transform]
    Run: type[runs.Run]
    Environment: type[Environment]
    View: type[View]
    Source: type[ontology.Source]
    BFXPipeline: type[ontology.BFXPipeline]
    BioSample: type[ontology.BioSample]
    CellLine: type[ontology.CellLine]
    CellMarker: type[ontology.CellMarker]
    CellType: type[ontology.CellType]
    DevelopmentalStage: type[ontology.DevelopmentalStage]
    Disease: type[ontology.Disease]
    Drug: type[ontology.Drug]
    Ethnicity: type[ontology.Ethnicity]
    ExperimentalFactor: type[ontology.ExperimentalFactor]
    Gene: type[ontology.Gene]
    Organism: type[ontology.Organism]
    Pathway: type[ontology.Pathway]
    Phenotype: type[ontology.Phenotype]
    Protein: type[ontology.Protein]
    Tissue: type[ontology.Tissue]

    def __init__(
        self,
        lake: Lake,
        *,
        user: str,
        remote: RemoteOptions | None = None,
        own: Iterable[str] = (),
        older: str = "",
    ) -> None:
        self.lake, self.handle, self.remote = lake, user, remote
        self.older = older
        """Why it is open for reading only, where it has to be migrated first."""
        lake.stamp_runs(lambda: self.run_uid)
        self.user_uid = derived_uid("user", self.handle)
        self.warns = warns_of_close_names()
        """Whether saving tells of names that are close to the new one."""
        self.cold_checks: dict[str, int] = {}
        """By table: how often its names were compared before it was searched."""
        self._writer = Writer(self)
        self._upkeep = Upkeep(self)
        self.stores = Stores(self, self._writer)
        self._bound: dict[str, type[Record]] = {}
        self.bind_all(own)
        self.File = self.Artifact
        self.tracking = Tracking(self)
        self.readers: list[Callable[[Stored], object]] = [self.tracking.read]
        """Are told of each artifact whose content was read by ``load``, ``open``, ``stage`` or SQL."""

    @classmethod
    def create(
        cls,
        root: str | os.PathLike[str],
        *,
        catalog: str | os.PathLike[str] | None = None,
        user: str | None = None,
        remote: RemoteOptions | None = None,
    ) -> Self:
        """Create an instance in a folder or bucket, or open the one that is there."""
        handle, folder = _handle(user), instance_root(root)
        place = catalog_file(catalog) if catalog is not None else None
        with refusing(folder):
            found = opened_lake(folder, read_only=False, create=True, user=handle, catalog=place, remote=remote)
        return cls(found.lake, user=handle, remote=remote, own=found.own, older=found.older)

    @classmethod
    def open(
        cls,
        root: str | os.PathLike[str],
        *,
        read_only: bool = False,
        catalog: str | os.PathLike[str] | None = None,
        user: str | None = None,
        remote: RemoteOptions | None = None,
        upgrade: bool = False,
    ) -> Self:
        """Open the instance that lies in a folder or bucket, or, for reading, on a web server.

        One that an older version of this program made is opened for reading only, but to be migrated (``upgrade``).
        """
        handle, folder = _handle(user), instance_root(root)
        place = catalog_file(catalog) if catalog is not None else None
        with refusing(folder):
            found = opened_lake(
                folder,
                read_only=read_only,
                create=False,
                user=handle,
                catalog=place,
                remote=remote,
                upgrade=upgrade,
            )
        return cls(found.lake, user=handle, remote=remote, own=found.own, older=found.older)

    def close(self) -> None:
        """Close it, and finish what is tracked; its records and queries can no longer be used."""
        self.tracking.close()
        self.lake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracking.close(error)
        self.close()

    def __repr__(self) -> str:
        return f"<Instance {self.root}{' (read only)' if self.read_only else ''}>"

    # Reading

    def snapshot(self, at: At = None) -> Snapshot:
        """Return all tables as of a commit, time or tag; now, with the writes of an open transaction, where none is given."""
        return self.lake.snapshot(at)

    def snapshots(self, limit: int | None = None) -> list[CommitInfo]:
        """Return the commits, the newest first."""
        if limit is not None:
            check_limit(limit)
        return self.lake.commits(limit)

    def sql(
        self,
        query: str,
        params: list[Any] | dict[str, Any] | None = None,
        *,
        at: At = None,
        tables: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Run a DuckDB SELECT over the registries, the contents of artifacts and the caller's own tables.

        Parameters
        ----------
        query
            Sees each registry under its SQL name (``artifact``, ``ulabel``, ...), the views ``artifact_latest``,
            ``artifact_all`` (as ``dataset_latest`` and ``dataset_all``), ``artifact_label`` (as ``run_label`` and ``transform_label`` of all registries), ``artifact_feature`` and ``registry_column`` (what each column means), and ``content."key"``, ``obs."key"``, ``var."key"``.
        params
            Values for ``?`` or ``$name``.
        at
            A commit, a time (UTC) or the name of a tag; now, where none is given.
        tables
            The caller's own data by name: pandas or Polars frames, Arrow tables, DuckDB relations, queries.

        Raises
        ------
        InvalidQuery
            When the statement cannot run, or reaches outside the instance.
        """
        return run_sql(self, query, params, at=at, tables=tables)

    def attach(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        name: str = "lake",
        at: At = None,
        contents: int | None = CONTENTS,
    ) -> None:
        """Make everything that ``sql`` sees a database of somebody's DuckDB connection; see ``lh.attach``."""
        attach_to(self, connection, name=name, at=at, contents=contents)

    def export_sql(self, target: str | os.PathLike[str], *, contents: int | None = None) -> Exported:
        """Write a ``.duckdb`` file, or ``.sql`` text, of views over the published files of one snapshot.

        Plain DuckDB reads them, without this program. Everything is published first. The files that they name by
        their whole paths stay until a vacuum deletes them: export again then, or tag the commit to keep them.
        ``content."key"`` is there for parquet, csv and tsv files on a disk, not for other formats (nor ``obs`` and
        ``var``) nor for what lies in a bucket; searches compare every name, and take as long.

        Parameters
        ----------
        target
            A new file.
        contents
            Of how many of the newest tables the content is to be there; of all, where nothing is given.

        Raises
        ------
        InputError
            When it is there already, or ends in something else.
        Unsupported
            For a ``.duckdb`` file of an instance in a bucket: ``.sql`` works there.
        """
        return export_sql(self, target, contents=contents)

    def search(self, text: str, *, limit: int = MOST, min_score: float = LEAST) -> Hits[Any]:
        """Return the records of all registries that are nearest to a text; see ``lh.search``."""
        return search_all(self, text, limit=limit, min_score=min_score)

    def settle_runs(self) -> None:
        """Write what steps left behind and waits, before somebody asks for it."""
        if not (self.tracking.recorder.is_empty or self.read_only or self.gathers):
            self.tracking.recorder.try_to_flush()

    # Writing

    def save(self, records: Iterable[R]) -> list[R]:
        """Save records in one commit, all or none, and return them."""
        return self._writer.save(records)

    def merge(self, gone: R, kept: R) -> R:
        """Let everything that refers to one record refer to another; see ``Record.merge_into``."""
        return merge(gone, kept)

    def change(self, records: Iterable[Record], plan: Callable[[Transaction], object]) -> None:
        """Run a plan that takes over rows into records; they are as before where it is undone."""
        self._writer.change(records, plan)

    def run(self, plan: Callable[[Transaction], T]) -> T:
        """Run a plan in a transaction, or in the one that is open; it may run again after a conflict."""
        return self._writer.run(plan)

    def transaction(self, message: str = "", *, serializable: bool = False) -> AbstractContextManager[Transaction]:
        """Make one commit of everything that is saved inside; an exception takes all of it back.

        Parameters
        ----------
        message
            Kept with the commit.
        serializable
            Whether everything that is read inside must be the same still at the end; see ``lh.transaction``.
        """
        return self._writer.transaction(message, serializable=serializable)

    def batch(self, *, every: int = 100, seconds: float = 1.0, message: str = "") -> AbstractContextManager[Batch]:
        """Gather the saves inside in groups, each of them one commit; see ``lh.batch``."""
        return self._writer.batch(every=every, seconds=seconds, message=message)

    def revert(self, at: At, *, message: str = "") -> int:
        """Undo one commit by another, and return that one's id; see ``lh.revert``."""
        check_message(message)
        return self.lake.revert(point(at), message=message, kept=_SHARED)

    def flush(self) -> int:
        """Publish everything to Delta now; return the commit up to which it is published."""
        self.lake.flush_batch()
        return self.lake.flush()

    # History

    def tag(self, name: str, at: At = None, *, message: str = "", move: bool = False) -> Tag:
        """Name a commit, which then stays readable; see ``lh.tag``."""
        self.refuse_reading_only()
        if not isinstance(name, str):
            raise InvalidName(f"tag {shown(name)} is a {type(name).__name__}: text is accepted")
        check_message(message)
        self.lake.flush_batch()
        return self.lake.tags.add(check_name(name, "tag"), point(at), message=message, move=move)

    def tags(self) -> list[Tag]:
        """Return the tags, by commit."""
        return self.lake.tags.list()

    def untag(self, name: str) -> None:
        """Drop a tag."""
        self.refuse_reading_only()
        self.lake.tags.drop(name)

    def changes(self, since: At = None, until: At = None, *, table: str | type[Record] | None = None) -> Changes:
        """Return the rows that were changed in a range of commits, before and after; see ``lh.changes``."""
        name = table.meta.table if isinstance(table, type) and issubclass(table, Record) else table
        return self.lake.changes(point(since), point(until), table=name)

    # Maintenance

    def compact(self) -> Compacted:
        """Rewrite data files of tables that are small or overlap, so that look-ups and scans open fewer of them."""
        self.refuse_reading_only()
        return self.lake.compact()

    def vacuum(
        self, *, retention: float | None = None, dry_run: bool = False, progress: Progress | None = None
    ) -> InstanceVacuum:
        """Drop commits older than the retention, and files and stored objects that nothing needs any more.

        Parameters
        ----------
        retention
            How long commits stay readable, in seconds; a week, where none is given.
        dry_run
            Only say what would be dropped.
        progress
            Is told of the objects deleted.

        Raises
        ------
        Busy
            When another process is publishing or vacuuming.
        """
        return self._upkeep.vacuum(retention=retention, dry_run=dry_run, progress=progress)

    def check(self, *, deep: bool = False, progress: Progress | None = None) -> CheckReport:
        """Find what is missing, damaged or contradicts itself in tables and storage; nothing is changed.

        Parameters
        ----------
        deep
            Read every file and compare contents; else sizes are compared.
        progress
            Is told of the data files, then of the stored artifacts that are done.
        """
        return self._upkeep.check(deep=deep, progress=progress)

    def backup(self, target: str | os.PathLike[str], *, progress: Progress | None = None) -> BackupReport:
        """Copy the catalog to a new file, as of one commit, while others go on saving.

        What it names lies beside it, in ``tables`` and ``storage``: a copy of the instance needs them too, copied
        after the backup was made.

        Parameters
        ----------
        target
            The new file.
        progress
            Is told of the pages copied.

        Raises
        ------
        InputError
            When the file is there already.
        Unsupported
            When the catalog is no SQLite file.
        """
        self.lake.flush_batch()
        return self._upkeep.backup(Path(check_path(target, "target")).absolute(), progress=progress)

    def grant(self, role: str, right: str = "read", *, create: bool = False) -> None:
        """Set what a role may do with a catalog in Postgres; the server holds it up, whatever program asks.

        Parameters
        ----------
        role
            A role of the database; users get its rights by ``GRANT role TO user``.
        right
            ``none``, ``read``, ``write`` (save and publish, but change nothing that was committed) or ``admin``
            (change tables and vacuum).
        create
            Make the role, without a login, where it does not exist.

        Raises
        ------
        Unsupported
            When the catalog is a SQLite file.
        InputError, NotFound, ReadOnly
        """
        rights = [one.value for one in Right]
        if right not in rights or not isinstance(role, str):
            raise InputError(f"grant({shown(role)}, {shown(right)}){did_you_mean(str(right), rights)}")
        self.refuse_reading_only()
        grant(self.lake.catalog, role, Right(right), create=create)

    # Provenance

    @property
    def run_uid(self) -> str | None:
        """The run that records saved now belong to."""
        found = self.tracking.current
        return found.uid if found is not None else None

    @property
    def gathers(self) -> bool:
        """Whether this thread has a transaction or a batch open, whose end decides about what is saved."""
        return self._writer.is_open or self.lake.seen_transaction() is not None

    @contextmanager
    def use_run(self, running: runs.Run) -> Iterator[None]:
        """Let records that are saved inside belong to a run."""
        if not running.is_saved or running.home_of() is not self:
            raise InputError(f"{running!r} is not saved in the instance at {self.root}: save it there first")
        with inside(Active(self, running.uid)):
            yield

    def note_read(self, artifact: Stored) -> None:
        """Tell the readers that the content of an artifact was read, or is about to be, piece by piece."""
        for told in self.readers:
            told(artifact)

    def ensure_user(self, txn: Transaction) -> str:
        """Return the uid of the one who works here, with a row in the same transaction if there is none yet."""
        if self._writer.is_new("user", self.user_uid, txn):
            self.User(handle=self.handle).plan_insert(txn, self, self.user_uid, fresh=False)
        return self.user_uid


def _handle(user: object) -> str:
    if user is not None and not isinstance(user, str):
        raise InputError(f"user = {shown(user)} is a {type(user).__name__}: str or None is accepted")
    return current_user(user)
