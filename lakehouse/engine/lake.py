"""A lake: tables that commit as one, kept in a folder with a catalog beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from formats.remote import RemoteOptions
from lakehouse.engine.at_once import AtOnce
from lakehouse.engine.background import BackgroundPublisher
from lakehouse.engine.catalog import Catalog, CommitInfo
from lakehouse.engine.commit import Committer
from lakehouse.engine.compaction import Compacted, Compactor
from lakehouse.engine.crossing import Crossings
from lakehouse.engine.folder import Folder
from lakehouse.engine.history import Changes, History
from lakehouse.engine.lease import Lease
from lakehouse.engine.moments import At, resolved
from lakehouse.engine.opening import Opened, make, opened
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.engine.retention import Retention
from lakehouse.engine.scan import Scanner
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.sql import TableName, UserSql
from lakehouse.engine.state import StateCache
from lakehouse.engine.table import TableSpec
from lakehouse.engine.tags import Tags
from lakehouse.engine.writing import Writing
from lakehouse.errors import (
    Busy,
    ReadOnly,
)

if TYPE_CHECKING:
    import duckdb

__all__ = ["Lake"]

T = TypeVar("T")


class Lake(Writing):
    """An open lake; safe to use from many threads, and in a forked child (which never publishes).

    Make one with :meth:`create` or :meth:`open`; it is a context manager that closes itself.

    Examples
    --------
    >>> import pyarrow as pa, tempfile
    >>> schema = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
    >>> specs = [TableSpec("label", schema, unique=(("name",),)), TableSpec("note", schema)]
    >>> lake = Lake.create(tempfile.mkdtemp(), specs)
    >>> with lake.transaction(message="two tables, one commit"):
    ...     _ = lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "treated"}]))
    ...     _ = lake.run(lambda txn: txn.insert("note", [{"uid": "n", "name": "first"}]))
    >>> [c.message for c in lake.commits(limit=1)]
    ['two tables, one commit']
    >>> lake.sql("select count(*) as n from label join note on true").fetchall()
    [(1,)]
    >>> lake.close()
    """

    def __init__(self, folder: Folder, catalog: Catalog, options: Options, *, user: str, read_only: bool) -> None:
        self.folder, self.root, self.options, self.read_only = folder, folder.place, options, read_only
        self.catalog, self.schemas = catalog, Schemas(catalog)
        self.states, self._scanner = StateCache(folder, options), Scanner(Crossings(options.crossing_rows))
        self._user_sql = UserSql()
        self._lease = Lease(catalog, options)
        self.publisher = Publisher(folder, catalog, self.schemas, self.states, self._lease, options)
        self.retention = Retention(folder, catalog, self.schemas, self._lease, self.publisher, options)
        self._compactor = Compactor(folder, catalog, self.schemas, self.states, self._lease, self.publisher, options)
        self.committer = Committer(folder, catalog, self.schemas, self.states, options, user)
        self.history = History(catalog, self.schemas, self.states)
        self.tags = Tags(catalog, lambda: self.user)
        self._background = BackgroundPublisher(self.catalog, self.publisher, options)
        self.at_once: AtOnce | None = None
        Writing.__init__(self)
        with catalog.read() as session:
            self.id = session.meta().lake
            self.schemas.refresh(session)

    def __repr__(self) -> str:
        return f"Lake({str(self.root)!r}{', read_only=True' if self.read_only else ''})"

    @property
    def user(self) -> str:
        """Who is stamped on commits."""
        return self.committer.user

    @user.setter
    def user(self, user: str) -> None:
        self.committer.user = user

    def stamp_runs(self, running: Callable[[], str | None]) -> None:
        """Let commits carry the run that ``running()`` names in the thread that commits."""
        self.committer.running = running

    # -- opening ---------------------------------------------------------------------------------------------------
    @classmethod
    def create(
        cls,
        root: str | Path,
        specs: Iterable[TableSpec] = (),
        *,
        catalog: str | Path | None = None,
        options: Options | None = None,
        user: str = "",
        mode: int | None = None,
        remote: RemoteOptions | None = None,
    ) -> Self:
        """Create a lake, or open the one that is there.

        Parameters
        ----------
        root
            A local folder, made when absent, ``s3://`` or ``gs://bucket/prefix``, or ``az://container/prefix``.
        specs
            Tables; their Delta tables appear with their first publication.
        catalog
            Where the SQLite file goes, or the ``postgresql://`` URL of a database, with ``?schema=`` for a schema of
            a certain name; default: a file in the root, for a bucket in the user's data folder. A password is kept in
            this process's memory alone.
        options
            Thresholds and time-outs of this process.
        user
            Stamped on commits.
        mode
            Permissions of the catalog file; default 0600, or 0660 in a folder with the setgid bit.
        remote
            How a bucket is reached; default: as the environment says.

        Raises
        ------
        Unsupported
            When the catalog would lie on a network file system, or the bucket's store ignores conditional writes.
        """
        make(root, options or Options(), catalog=catalog, mode=mode, remote=remote)
        return cls.open(root, specs, options=options, user=user, remote=remote)

    @classmethod
    def open(
        cls,
        root: str | Path,
        specs: Iterable[TableSpec] = (),
        *,
        options: Options | None = None,
        user: str = "",
        read_only: bool = False,
        catalog: str | Path | None = None,
        remote: RemoteOptions | None = None,
        upgrade: bool = False,
    ) -> Self:
        """Open a lake; only the catalog is read, or ``head.json`` of a remote one whose catalog is not here.

        Parameters
        ----------
        upgrade
            Bring a catalog of an older format to this one: programs of that time can no longer use it.

        Raises
        ------
        InstanceNotFound
            When the folder is no lake.
        NewerFormat
            When a newer version of this program wrote it.
        OlderFormat
            When an older version wrote it, and it is to be written to without an upgrade.
        ConfigurationError
            When the folder is a copy of another lake that is still there.
        """
        settings = options or Options()
        found = opened(root, settings, read_only=read_only, catalog=catalog, remote=remote, upgrade=upgrade)
        try:
            lake = cls(found.folder, found.catalog, settings, user=user, read_only=read_only)
        except BaseException:
            found.catalog.close()
            raise
        try:
            found.check(lake.id)
            if not read_only:
                lake._begin_writing(found, specs)
        except BaseException:
            lake.close()
            raise
        return lake

    def _begin_writing(self, found: Opened, specs: Iterable[TableSpec]) -> None:
        self.at_once = found.at_once(self.publisher, self.id, self.options)
        if self.at_once is not None:
            self._lease.guard = self.at_once.before
            self.at_once.before()
        found.settle()
        self.ensure(specs)
        if self.at_once is not None:
            self.at_once.after(self.head())

    def close(self) -> None:
        """Finish background publishing and close all handles."""
        self._background.close()
        self._scanner.close()
        self._user_sql.close()
        self.states.clear()
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- tables ----------------------------------------------------------------------------------------------------
    def ensure(self, specs: Iterable[TableSpec]) -> None:
        """Make the catalog know tables, and add the columns that the program has and the instance lacks.

        Raises
        ------
        ConfigurationError
            When a table differs by more than added columns.
        """
        if self.read_only and (lacking := [spec.name for spec in specs if self.schemas.differs(spec)]):
            raise ReadOnly(f"{self.root} is open for reading only and lacks {lacking}")
        self.schemas.ensure(specs, user=self.user)

    # -- reading ---------------------------------------------------------------------------------------------------
    def head(self) -> int:
        """Return the newest commit."""
        with self.catalog.read(brief=True) as session:
            return session.head()

    def snapshot(self, at: At = None, *, tables: Collection[str] = ()) -> Snapshot:
        """Return all tables at one commit.

        Parameters
        ----------
        at
            A commit (its id), a time (aware, or text in ISO 8601; the newest commit at or before it), or the name of
            a tag. Default: the head, or inside ``with lake.transaction()`` that transaction's own view.
        tables
            Those that are certainly going to be read.

        Raises
        ------
        Expired
            When a table is read at a commit that is no longer retained.
        """
        if at is None and (txn := self.seen_transaction()) is not None:
            return txn.snapshot
        with self.catalog.read(brief=True) as session:
            self.schemas.refresh(session)
            found = self.at_commit(resolved(session, at))
            found.fetch(session, tables)
        return found

    def at_commit(self, commit: int) -> Snapshot:
        """Return all tables at a commit that is known to exist."""
        return Snapshot(self.catalog, self.schemas, self.states, self._scanner, commit)

    def pinned(self, at: int | None = None, *, seconds: float = 3600.0) -> AbstractContextManager[int]:
        """Keep a commit (default: the head) readable inside a block, and for ``seconds`` at most."""
        return self.retention.pinned(at, seconds)

    def commits(self, limit: int | None = None) -> list[CommitInfo]:
        """Return the newest commits, newest first."""
        with self.catalog.read() as session:
            return session.commits(limit)

    def changes(self, since: At = None, until: At = None, *, table: str | None = None) -> Changes:
        """Return the rows that were changed after one point in history and up to another, with their values.

        Parameters
        ----------
        since
            A commit, a time or a tag; what came after it counts. Default: the oldest commit that is retained.
        until
            A commit, a time or a tag; the last one that counts. Default: the head.
        table
            One table; its values come as structs. Default: all of them, with values as JSON text.

        Raises
        ------
        Expired
            When the changes since then are no longer retained.
        """
        return self.history.changes(self.snapshot(0), since, until, table)

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        at: At = None,
        tables: Mapping[TableName, Any] | None = None,
        views: Mapping[str, str] | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Run one SELECT over all tables, in a DuckDB of its own that reads nothing else; see ``engine.sql``."""
        return self._user_sql.run(self.snapshot(at), query, params, tables=tables, views=views)

    # -- maintenance -----------------------------------------------------------------------------------------------
    def flush(self, *, timeout: float = 60.0) -> int:
        """Publish everything committed so far to Delta; returns the commit that all tables now show.

        Raises
        ------
        Busy
            When another process kept the lease for ``timeout`` seconds.
        """
        wanted, deadline = self.head(), time.monotonic() + timeout
        while (done := self.publisher.publish()) is None or done < wanted:
            if time.monotonic() > deadline:
                raise Busy(f"another process has been publishing {self.root} for {timeout:g} s: try again")
            time.sleep(0.02)
        return done

    def compact(self, *, timeout: float = 60.0) -> Compacted:
        """Rewrite data files that are small or whose uids overlap, a group at a time; what tables hold stays the same.

        Files that were replaced stay for readers of earlier versions until a vacuum. Others commit and publish in
        between.

        Raises
        ------
        Busy
            When another process kept the lease for ``timeout`` seconds.
        """
        return self._compactor.run(timeout)

    def vacuum(self) -> int | None:
        """Drop what no retained commit needs; returns the number of files deleted, None when the lease is taken."""
        return self.retention.vacuum()
