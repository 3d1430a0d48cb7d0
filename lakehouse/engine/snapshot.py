"""A snapshot: every table of the lake at one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import Catalog, Session
from lakehouse.engine.changes import Segment
from lakehouse.engine.moments import is_readable
from lakehouse.engine.pruning import Among, Bound, Demand, Keep, best_first, within
from lakehouse.engine.scan import Scanner, Source, quoted, source_of
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.state import StateCache, TableState
from lakehouse.errors import DataLoss, Expired, InputError, InvalidQuery, shown

__all__ = ["Order", "Snapshot"]

T = TypeVar("T")
_FEW = 64
_PICKED = 10_000  # uids that are picked out one by one sooner than all rows are gone through
_ANY: Mapping[str, Sequence[Demand]] = {}


@dataclass(frozen=True)
class Order:
    """The first order of a query with a limit."""

    table: str
    column: str
    descending: bool
    limit: int
    bounds: tuple[Demand, ...] = ()
    """What the query demands of every row."""


class Snapshot:
    """The lake at a commit; states of tables are fetched when first asked for and never change.

    Examples
    --------
    >>> import tempfile
    >>> from lakehouse.engine import Lake, TableSpec
    >>> schema = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
    >>> lake = Lake.create(tempfile.mkdtemp(), [TableSpec("label", schema)])
    >>> _ = lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "treated"}]))
    >>> lake.snapshot().get("label", "a")
    {'uid': 'a', 'name': 'treated'}
    >>> lake.close()
    """

    def __init__(
        self,
        catalog: Catalog,
        schemas: Schemas,
        states: StateCache,
        scanner: Scanner,
        commit: int,
    ) -> None:
        self.commit = commit
        self._catalog, self._schemas, self._cache, self._scanner = catalog, schemas, states, scanner
        self._states: dict[str, TableState] = {}
        self._ahead: dict[str, TableState] = {}

    @property
    def moves(self) -> bool:
        """Whether it shows the writes of a transaction that is still open."""
        return False

    @property
    def untracked(self) -> Snapshot:
        """The same without noting what is read."""
        return self

    def __repr__(self) -> str:
        return f"Snapshot(commit={self.commit})"

    def moved_to(self, commit: int) -> Snapshot:
        """Return the lake at another commit."""
        return Snapshot(self._catalog, self._schemas, self._cache, self._scanner, commit)

    @property
    def scanner(self) -> Scanner:
        """The engine's own DuckDB."""
        return self._scanner

    def session(self) -> AbstractContextManager[Session]:
        """Open a reading session of the catalog."""
        return self._catalog.read()

    @property
    def at(self) -> datetime | None:
        """When the commit was made (UTC); None for the empty lake."""
        with self._catalog.read() as session:
            info = session.commit(self.commit)
        return info.at if info else None

    @property
    def tables(self) -> list[str]:
        """The names of all tables."""
        return self._schemas.names()

    def schema(self, table: str) -> pa.Schema:
        """Return a table's columns at this commit."""
        return self.state(table).table.schema

    def state(self, table: str) -> TableState:
        """Return a table's base and tail."""
        if (known := self._states.get(table)) is None and (known := self._ahead.pop(table, None)) is None:
            versions = self._schemas.versions(table)
            try:
                with self._catalog.read() as session:
                    known = self._cache.load(session, versions, self.commit)
            except DataLoss as error:  # the keys of a staged change, swept while they were read
                raise self.missing_file(error) from error
        self._states[table] = known
        return known

    def fetch(self, session: Session, tables: Iterable[str]) -> None:
        """Fetch the states of tables in a session that is open anyway; what cannot be had is left for when it is asked for."""
        for table in tables:
            if table not in self._states and self._schemas.has(table):
                with suppress(DataLoss):  # told once the table is read
                    self._ahead[table] = self._cache.load(session, self._schemas.versions(table), self.commit)

    @property
    def fetched(self) -> tuple[str, ...]:
        """The tables whose states are here."""
        return (*self._states, *self._ahead)

    @property
    def asked(self) -> tuple[str, ...]:
        """The tables whose states were asked for; what was only fetched is not among them."""
        return tuple(self._states)

    def is_large(self, table: str) -> bool:
        """Whether the published rows of a table are too many to be kept in memory."""
        return not self.state(table).base.small

    # -- point look-ups --------------------------------------------------------------------------------------------
    def get(self, table: str, uid: str) -> dict[str, Any] | None:
        """Return one row, or None."""
        rows = self.lookup(table, "uid", [uid]).to_pylist()
        return rows[0] if rows else None

    def lookup(self, table: str, column: str, values: Sequence[object]) -> pa.Table:
        """Return the rows whose column holds one of the values.

        Small tables answer from memory (some 10 microseconds), large ones by a scan of the files that may hold them.
        """
        return self._again(lambda: self._matching(self.state(table), column, values))

    def held(self, table: str, column: str, values: Sequence[object]) -> pa.ChunkedArray:
        """Return those of some values that a row's column holds, each once: what is asked where most of them are new."""

        def found() -> pa.ChunkedArray:
            state = self.state(table)
            if state.in_memory:
                return self._matching(state, column, values)[column]
            state.check_column(column)
            wanted = _admitted(state, column, values)
            if not wanted:
                return state.table.schema.empty_table()[column]
            return self._scan_for(state, column, wanted, quoted(column))[column]

        return pa.chunked_array([pc.unique(self._again(found))])

    def _matching(self, state: TableState, column: str, values: Sequence[object]) -> pa.Table:
        state.check_column(column)
        wanted = _admitted(state, column, values)
        if not wanted:
            return state.table.schema.empty_table()
        return state.lookup(column, wanted) if state.in_memory else self._scan_for(state, column, wanted)

    def _scan_for(self, state: TableState, column: str, values: list[object], asked: str = "*") -> pa.Table:
        keep = within([_demand(column, values)])
        name, sql_column = state.table.name, quoted(column)
        sources = {name: source_of(state, keep)}
        if len(values) <= _FEW:  # as equalities they reach zone maps and bloom filters
            test = " OR ".join([f"{sql_column} = ?"] * len(values))
            return self._scanner.run(sources, f"SELECT {asked} FROM {quoted(name)} WHERE {test}", values)
        wanted = pa.table({"v": pa.array(values, state.table.schema.field(column).type)})
        sources["_wanted"] = Source("SELECT v FROM _wanted_values", {"_wanted_values": wanted})
        return self._scanner.run(
            sources, f"SELECT t.{asked} FROM {quoted(name)} t SEMI JOIN _wanted w ON t.{sql_column} = w.v"
        )

    def across(self, table: str, column: str, values: Sequence[str], others: Sequence[str]) -> pa.Table | None:
        """Return ``uid`` and other columns of the rows whose column holds one of the values, from memory.

        None where a scan serves better; see :class:`~lakehouse.engine.crossing.Crossings`.
        """
        return self._again(lambda: self._scanner.crossings.find(self.state(table), column, values, others))

    def rows(self, table: str) -> pa.Table:
        """Return all rows, in no particular order; small tables answer from memory."""
        state = self.state(table)
        if not state.in_memory:
            return self.arrow(f"SELECT * FROM {quoted(table)}", tables=[table])
        if not state.base.files:
            return state.tail.rows
        base = state.base.table()
        if len(state.tail.hidden):
            base = base.filter(pc.invert(pc.is_in(base["uid"], state.tail.hidden_after(-1))))
        return pa.concat_tables([base, state.tail.rows]) if len(state.tail.rows) else base

    def column(self, table: str, name: str) -> pa.ChunkedArray:
        """Return a column of all rows, in no particular order; small tables answer from memory."""
        state = self.state(table)
        state.check_column(name)
        if state.in_memory and not len(state.tail.hidden):
            parts = [state.tail.rows[name], *([state.base.table()[name]] if state.base.files else [])]
            chunks = [chunk for part in parts for chunk in part.chunks]
            return pa.chunked_array(chunks, state.table.schema.field(name).type)
        return self.arrow(f"SELECT {quoted(name)} FROM {quoted(table)}", tables=[table])[name]

    def missing(self, table: str, uids: pa.Array) -> list[str]:
        """Return those of the uids that are not in the table."""
        wanted = uids if len(uids) == 1 and not uids.null_count else pc.unique(uids).drop_null()
        return self._again(lambda: self._absent(table, wanted))

    def _absent(self, table: str, wanted: pa.Array) -> list[str]:
        state = self.state(table)
        if len(wanted) <= _FEW and state.in_memory:
            return [uid for uid in wanted.to_pylist() if not state.contains(uid)]
        found = self.held(table, "uid", wanted.to_pylist())
        absent: list[str] = wanted.filter(pc.invert(pc.is_in(wanted, found.combine_chunks()))).to_pylist()
        return absent

    def changes_since(self, table: str, commit: int) -> list[Segment] | None:
        """Return what was done to a table after a commit, in order; None where that is not retained any more."""
        versions = self._schemas.versions(table)
        with self._catalog.read() as session:
            if commit < session.meta().oldest_readable:  # a tag keeps a commit, not what came after it
                return None
            return session.segments(table, commit, self.commit, versions)

    def written(self, table: str) -> Sequence[Segment]:
        """Return what a transaction that is still open did to a table."""
        del table
        return ()

    # -- queries ---------------------------------------------------------------------------------------------------
    def source(self, table: str) -> Source:
        """Return a table as SQL over its files and its tail."""
        return self._again(lambda: source_of(self.state(table)))

    def arrow(
        self,
        sql: str,
        params: Sequence[Any] = (),
        tables: Sequence[str] = (),
        *,
        bounds: Mapping[str, Sequence[Demand]] = _ANY,
    ) -> pa.Table:
        """Run a query over tables on the engine's own connection.

        Parameters
        ----------
        sql
            A SELECT; it sees ``tables`` under their names.
        params
            Bound to ``?``.
        bounds
            By table: what ``sql`` itself demands of every row of it that matters, so that files without such rows
            need not be read. Where ``sql`` names a table twice, they have to hold for both.

        Raises
        ------
        InvalidQuery, Expired, DataLoss
        """
        keep = {table: within(wanted) for table, wanted in bounds.items() if wanted}
        return self._again(lambda: self._run(sql, params, tables, keep))

    def first(self, order: Order, sql: str, params: Sequence[Any], tables: Sequence[str]) -> pa.Table:
        """Run a query that asks for the first rows of an order; of a large table the likely files are read first.

        Parameters
        ----------
        order
            What ``sql`` orders by first, nulls last, and how many rows it is limited to. It names the table once.
        """
        return self._again(lambda: self._first(order, sql, params, tables))

    def _first(self, order: Order, sql: str, params: Sequence[Any], tables: Sequence[str]) -> pa.Table:
        bounded = within(order.bounds)
        if self.state(order.table).base.small:
            return self._run(sql, params, tables, {order.table: bounded})
        files = [file for file in self.state(order.table).base.files if bounded(file)]
        for stage in best_first(files, order.column, descending=order.descending):
            keep = {order.table: lambda file, stage=stage: bounded(file) and stage.keep(file)}
            found = self._run(sql, params, tables, keep)
            if len(found) >= order.limit and (not len(found) or stage.settles(found[order.column][-1].as_py())):
                return found
        return self._run(sql, params, tables, {order.table: bounded})

    def _run(self, sql: str, params: Sequence[Any], tables: Sequence[str], keep: Mapping[str, Keep]) -> pa.Table:
        sources = {name: self._source_for(name, keep.get(name)) for name in dict.fromkeys(tables)}
        try:
            return self._scanner.run(sources, sql, params)
        except duckdb.IOException:
            raise
        except duckdb.Error as error:
            raise InvalidQuery(f"{error}") from error

    def _source_for(self, table: str, keep: Keep | None) -> Source:
        """Return a table as SQL; of a small one of which some uids are asked for, these rows alone."""
        state = self.state(table)
        wanted = getattr(keep, "uids", None)
        if wanted is None or not state.in_memory or len(wanted) > _PICKED:
            return source_of(state, keep)
        name = f"_picked_{table}"
        return Source(f"SELECT * FROM {quoted(name)}", {name: state.lookup("uid", list(wanted))})

    def for_query(self, query: str, views: Mapping[str, str]) -> Snapshot:
        """Return the snapshot that a user's query is to be run on."""
        del query, views
        return self

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        count: int = self.arrow(f"SELECT count(*) AS n FROM {quoted(table)}", tables=[table])["n"][0].as_py()
        return count

    def forget(self) -> None:
        """Drop what was fetched, to fetch it anew: a vacuum takes files of an older publication than it now needs."""
        self._states.clear()
        self._ahead.clear()

    def _again(self, body: Callable[[], T]) -> T:
        """Run ``body``, and once more if a file was gone from under it."""
        try:
            return body()
        except (duckdb.IOException, DataLoss) as error:
            if isinstance(found := self.missing_file(error), Expired):
                raise found from error
        self.forget()
        try:
            return body()
        except (duckdb.IOException, DataLoss) as error:
            raise self.missing_file(error) from error

    def missing_file(self, error: Exception) -> Exception:
        """Return what a missing file means: expiry below ``oldest_readable``, a loss above it."""
        with self._catalog.read() as session:
            if is_readable(session, self.commit):
                return DataLoss(str(error))
            oldest = session.meta().oldest_readable
        return Expired(f"commit {self.commit} is no longer readable, the oldest is {oldest}: take a new snapshot")


def _admitted(state: TableState, column: str, values: Sequence[object]) -> list[object]:
    """Return the distinct values that are not null; raises ``InputError`` for what the column cannot hold."""
    kind = state.table.schema.field(column).type
    if kind == pa.string() and _are_ascii(values):
        return list(dict.fromkeys(values))
    try:
        wanted = list(dict.fromkeys(v for v in values if v is not None))
        pa.array(wanted, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{state.table.name}.{column} holds {kind}, not {shown(list(values))}: {error}") from error
    return wanted


def _are_ascii(values: Sequence[Any]) -> bool:
    """Tell whether values are texts that Arrow takes as they are."""
    try:
        return all(map(str.isascii, values))
    except TypeError:  # one is no text
        return False


def _demand(column: str, values: Sequence[object]) -> Demand:
    """Return what looking for values of one column demands of it."""
    if texts := [value for value in values if isinstance(value, str)]:
        return Among(column, sorted(texts))
    try:
        return Bound(column, min(values), max(values))  # type: ignore[type-var]
    except TypeError:  # lists and maps have no order
        return Bound(column)
