"""A lake: tables that commit as one, kept in a folder with a catalog beside them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lakehouse.engine.background import BackgroundPublisher
from lakehouse.engine.catalog import Catalog, CommitInfo
from lakehouse.engine.catalogs import catalog_of, place_of
from lakehouse.engine.commit import Committer
from lakehouse.engine.folder import LocalFolder
from lakehouse.engine.history import Changes, History
from lakehouse.engine.home import Home
from lakehouse.engine.lease import Lease
from lakehouse.engine.moments import At, resolved
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.engine.retention import Retention
from lakehouse.engine.revert import Reversal
from lakehouse.engine.scan import Scanner
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.sql import TableName, UserSql
from lakehouse.engine.state import StateCache
from lakehouse.engine.table import TableSpec
from lakehouse.engine.tags import Tags
from lakehouse.engine.transaction import Transaction
from lakehouse.errors import (
    Busy,
    ConfigurationError,
    Conflict,
    InputError,
    IntegrityError,
    LakehouseError,
    ReadOnly,
)

if TYPE_CHECKING:
    import duckdb

__all__ = ["Lake"]

T = TypeVar("T")


class Lake:
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

    def __init__(self, root: Path, catalog: Catalog, options: Options, *, user: str, read_only: bool) -> None:
        self.root, self.options, self.read_only = root, options, read_only
        folder = LocalFolder(root)
        self.catalog, self.schemas = catalog, Schemas(catalog)
        self.states, self._scanner = StateCache(folder, options), Scanner()
        self._user_sql = UserSql()
        self._lease = Lease(catalog, options)
        self.publisher = Publisher(folder, catalog, self.schemas, self.states, self._lease, options)
        self.retention = Retention(folder, catalog, self.schemas, self._lease, self.publisher, options)
        self.committer = Committer(folder, catalog, self.schemas, self.states, options, user)
        self._history = History(catalog, self.schemas, self.states)
        self.tags = Tags(catalog, lambda: self.user)
        self._background = BackgroundPublisher(self.catalog, self.publisher, options)
        self._local, self._pid = threading.local(), os.getpid()
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
    ) -> Self:
        """Create a lake, or open the one that is there.

        Parameters
        ----------
        root
            A local folder; made when absent.
        specs
            Tables; their Delta tables appear with their first publication.
        catalog
            Where the SQLite file goes, or the ``postgresql://`` URL of a database, with ``?schema=`` for a schema of
            a certain name; default: a file in the root. A password is kept in this process's memory alone.
        options
            Thresholds and time-outs of this process.
        user
            Stamped on commits.
        mode
            Permissions of the catalog file; default 0600, or 0660 in a folder with the setgid bit.

        Raises
        ------
        Unsupported
            When the catalog would lie on a network file system.
        """
        folder = Path(root).expanduser().absolute()
        place = place_of(catalog, str(folder)) if catalog is not None else None
        Home.made(folder, place, options or Options(), mode=mode)
        return cls.open(folder, specs, options=options, user=user)

    @classmethod
    def open(
        cls,
        root: str | Path,
        specs: Iterable[TableSpec] = (),
        *,
        options: Options | None = None,
        user: str = "",
        read_only: bool = False,
    ) -> Self:
        """Open a lake; only the catalog is read.

        Raises
        ------
        InstanceNotFound
            When the folder is no lake.
        NewerFormat
            When a newer version of this program wrote it.
        ConfigurationError
            When the folder is a copy of another lake that is still there.
        """
        home = Home.found(Path(root).expanduser().absolute())
        catalog = catalog_of(home.catalog, options or Options(), read_only=read_only)
        if not catalog.exists():
            catalog.close()
            raise IntegrityError(f"{catalog.name} is empty: restore it from a backup")
        lake = cls(home.root, catalog, options or Options(), user=user, read_only=read_only)
        try:
            if lake.id != home.lake:
                raise ConfigurationError(
                    f"{catalog.name} is the catalog of lake {lake.id}, not of {home.lake} in {home.root}"
                )
            if not read_only:
                home.settle(catalog)
                lake.ensure(specs)
        except BaseException:
            lake.close()
            raise
        return lake

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

    def snapshot(self, at: At = None) -> Snapshot:
        """Return all tables at one commit.

        Parameters
        ----------
        at
            A commit (its id), a time (aware, or text in ISO 8601; the newest commit at or before it), or the name of
            a tag. Default: the head, or inside ``with lake.transaction()`` that transaction's own view.

        Raises
        ------
        Expired
            When a table is read at a commit that is no longer retained.
        """
        if at is None and (txn := self._open_transaction()) is not None:
            return txn.snapshot
        with self.catalog.read(brief=True) as session:
            self.schemas.refresh(session)
            commit = resolved(session, at)
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
        return self._history.changes(self.snapshot(0), since, until, table)

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

    # -- writing ---------------------------------------------------------------------------------------------------
    def begin(self, *, client_txn: str | None = None, message: str = "", serializable: bool = False) -> Transaction:
        """Begin a transaction on the head; hand it to :meth:`commit`. See :meth:`transaction` for ``serializable``."""
        if self.read_only:
            raise ReadOnly(f"{self.root} is open for reading only: open it without read_only=True")
        with self.catalog.read(brief=True) as session:
            self.schemas.refresh(session)
            base = Snapshot(self.catalog, self.schemas, self.states, self._scanner, session.head())
        return Transaction(base, self.schemas, client_txn=client_txn, message=message, serializable=serializable)

    def commit(self, txn: Transaction) -> int:
        """Commit a transaction and return the commit's id; a retry with the same ``client_txn`` returns the first's."""
        if txn.state == "rolled back":
            raise LakehouseError("this transaction is rolled back: begin a new one")
        done = self.committer.commit(txn)
        txn.state, txn.outcome = "committed", done
        self._background.poke()
        return done

    def run(self, plan: Callable[[Transaction], T], *, message: str = "", serializable: bool = False) -> T:
        """Plan and commit; after a conflict plan again on a newer snapshot.

        Parameters
        ----------
        plan
            Gets a transaction, reads and changes through it, and may be called several times. Inside
            ``with lake.transaction()`` it joins that one.
        serializable
            Whether everything that it reads must be the same still when it is committed.

        Raises
        ------
        Conflict
            When planning again cannot help.
        """
        if (txn := self._open_transaction()) is not None:
            _refuse_weaker(txn, serializable=serializable)
            return txn.run(plan)
        return self._attempt(lambda fresh: fresh.run(plan), message, serializable=serializable)

    def _attempt(self, body: Callable[[Transaction], T], message: str, *, serializable: bool = False) -> T:
        for attempt in range(self.options.attempts):
            txn = self.begin(message=message, serializable=serializable)
            try:
                with self._joined(txn):
                    result = body(txn)
                self.commit(txn)
            except Conflict as error:
                if not error.transient:
                    raise
                time.sleep(random.uniform(0, min(0.0005 * 2**attempt, 0.05)))
                continue
            return result
        raise Busy(f"gave up after {self.options.attempts} conflicts with other writers: try again")

    @contextmanager
    def transaction(self, message: str = "", *, serializable: bool = False) -> Iterator[Transaction]:
        """Commit all that the block does as one; nested blocks are savepoints.

        On a conflict at the end, what was done through :meth:`run` is planned again; other reads of the block are not
        repeated.

        Parameters
        ----------
        serializable
            Whether everything that the block reads (rows looked up, tables queried, also through :meth:`sql`) must be
            the same still when it is committed: then all blocks in this mode are as if one had run after the other.
            Without it two blocks may each read what the other one changes (write skew). A block that read outside
            :meth:`run` is not planned again after such a conflict.

        Raises
        ------
        ChangedSinceRead
            In the serialisable mode: what was read has changed since.
        """
        if (outer := self._open_transaction()) is not None:
            _refuse_weaker(outer, serializable=serializable)
            with outer.savepoint():
                yield outer
            return
        txn = self.begin(message=message, serializable=serializable)
        try:
            with self._joined(txn):
                yield txn
        except BaseException:
            txn.state = "rolled back"
            raise
        try:
            self.commit(txn)
        except Conflict as error:
            txn.state = "rolled back"
            if not (error.transient and txn.replayable):
                raise
            plans = list(txn.plans)
            self._attempt(lambda fresh: [fresh.run(plan) for plan in plans], message, serializable=serializable)
            txn.state = "committed"

    @contextmanager
    def _joined(self, txn: Transaction) -> Iterator[None]:
        """Let what the block saves and reads be of this transaction."""
        self._local.txn = txn
        try:
            yield
        finally:
            self._local.txn = None

    def _open_transaction(self) -> Transaction | None:
        if self._pid != os.getpid():  # a fork inside a transaction does not inherit it
            self._local, self._pid = threading.local(), os.getpid()
        txn: Transaction | None = getattr(self._local, "txn", None)
        return txn

    def revert(self, at: At, *, message: str = "", kept: Collection[str] = ()) -> int:
        """Undo one commit by another, and return that one's id; a revert can be reverted.

        Parameters
        ----------
        at
            The commit to undo.
        message
            Kept with the new commit; default: which commit it undoes.
        kept
            Tables whose inserted rows stay.

        Raises
        ------
        Conflict
            When something later depends on it: a row that it touched was changed since (``ChangedSinceRead``), is
            referred to (``StillReferenced``), refers to what is gone (``ReferenceMissing``), or its unique value or
            key is taken by another (``Duplicate``).
        Expired
            When its changes are no longer retained.
        """
        if self._open_transaction() is not None:
            raise InputError("a revert is a commit of its own: leave the transaction first")
        reversal = Reversal.of(self._history, self.snapshot(0), at, kept)
        try:
            return self._attempt(reversal.run, message or reversal.message).outcome
        except Conflict as error:
            raise reversal.told(error) from error

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

    def vacuum(self) -> int | None:
        """Drop what no retained commit needs; returns the number of files deleted, None when the lease is taken."""
        return self.retention.vacuum()


def _refuse_weaker(outer: Transaction, *, serializable: bool) -> None:
    if serializable and outer.reads is None:
        raise InputError("the transaction around this one is not serialisable: ask for it there")
