"""What a transaction sees: its planning snapshot with its own writes on top, and, on request, a record of its reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.changes import Segment
from lakehouse.engine.mentioned import TABLE
from lakehouse.engine.pending import Pending
from lakehouse.engine.pruning import Demand
from lakehouse.engine.requirements import LookupUntouched, Requirement, TableUntouched
from lakehouse.engine.scan import Source
from lakehouse.engine.snapshot import Order, Snapshot
from lakehouse.engine.state import TableState

__all__ = ["Reads", "TrackedView", "TransactionView"]

_MANY = 10_000
"""Of a look-up for more values than this, the whole table counts as read."""


class TransactionView(Snapshot):
    """The planning snapshot with the transaction's own writes on top; it moves with them."""

    def __init__(self, base: Snapshot, log: Mapping[str, list[Segment]]) -> None:
        super().__init__(base._catalog, base._schemas, base._cache, base._scanner, base.commit)
        self._base, self._log = base, log
        self._moved: dict[str, tuple[int, TableState]] = {}
        self.pending: Pending | None = None
        """Rows that the transaction collects just now."""
        self.write_pending: Callable[[str], None] = _nothing_to_write
        """Writes what is collected for a table."""

    @property
    def moves(self) -> bool:
        """Whether it shows the writes of a transaction that is still open."""
        return True

    def written(self, table: str) -> Sequence[Segment]:
        """Return what the transaction did to a table."""
        self.write_pending(table)
        return self._log.get(table, ())

    def forget(self) -> None:
        """Drop what was fetched, to fetch it anew."""
        self._base.forget()
        self.reset()

    def reset(self) -> None:
        """Forget what was folded, after a savepoint was undone."""
        self._moved.clear()

    def state(self, table: str) -> TableState:
        """Return a table as the transaction sees it."""
        self.write_pending(table)
        return self._written(table)

    def get(self, table: str, uid: str) -> dict[str, Any] | None:
        """Return one row, or None."""
        if self.pending is None:
            return super().get(table, uid)
        found = self._found(self.pending, table, "uid", [uid])
        return dict(found[0]) if found else None

    def lookup(self, table: str, column: str, values: Sequence[object]) -> pa.Table:
        """Return the rows whose column holds one of the values."""
        if self.pending is None or not all(isinstance(value, str) for value in values):
            return super().lookup(table, column, values)
        found = self._found(self.pending, table, column, values)
        schema = self._written(table).table.schema
        return pa.Table.from_pylist(found, schema) if found else schema.empty_table()

    def held(self, table: str, column: str, values: Sequence[object]) -> pa.ChunkedArray:
        """Return those of some values that a row's column holds, each once."""
        if self.pending is None:
            return super().held(table, column, values)
        return pa.chunked_array([pc.unique(self.lookup(table, column, values)[column])])

    def _found(self, pending: Pending, table: str, column: str, values: Sequence[object]) -> list[Mapping[str, Any]]:
        return pending.find(table, column, values, lambda asked: self._below(table, column, asked).to_pylist())

    def _below(self, table: str, column: str, values: Sequence[object]) -> pa.Table:
        """Return rows without those that are collected."""
        return self._again(lambda: self._matching(self._written(table), column, values))

    def _written(self, table: str) -> TableState:
        log = self._log.get(table)
        if not log:
            return self._base.state(table)
        done, state = self._moved.get(table) or (0, self._base.state(table))
        if done < len(log):
            state = state.with_pending(log[done:])
            self._moved[table] = len(log), state
        return state


def _nothing_to_write(table: str) -> None:
    """Stand for writing, where nothing is collected."""


class Reads:
    """What a serialisable transaction has read: look-ups by value where it can be told, else whole tables.

    What a savepoint read counts also when it is undone: the block around it may have acted on it.

    Parameters
    ----------
    planning
        Tells whether a plan is running, which will read again when it is run again.
    """

    def __init__(self, planning: Callable[[], bool]) -> None:
        self._planning = planning
        self._tables: set[str] = set()
        self._lookups: dict[tuple[str, str], tuple[set[object], set[str]]] = {}
        self.repeatable = True
        """Whether every read was made by a plan."""

    def whole(self, tables: Iterable[str]) -> None:
        """Note that tables were read by a query."""
        self._note()
        self._tables.update(tables)

    def lookup(self, table: str, column: str, values: Iterable[object], found: Iterable[str]) -> None:
        """Note that the rows with some values were looked up, and which there were."""
        self._note()
        asked, there = self._lookups.setdefault((table, column), (set(), set()))
        asked.update(values)
        there.update(found)

    def _note(self) -> None:
        self.repeatable = self.repeatable and self._planning()

    def requirements(self) -> list[Requirement]:
        """Return what has to hold for the reads to be those of the commit itself."""
        found: list[Requirement] = [TableUntouched(table) for table in sorted(self._tables)]
        for (table, column), (values, uids) in self._lookups.items():
            if table not in self._tables:
                found.append(LookupUntouched(table, column, frozenset(values), frozenset(uids)))
        return found


class TrackedView(TransactionView):
    """The same, noting what is read through it."""

    def __init__(self, base: Snapshot, log: Mapping[str, list[Segment]], reads: Reads) -> None:
        super().__init__(base, log)
        self._reads, self._plain = reads, TransactionView(base, log)

    @property
    def untracked(self) -> Snapshot:
        """The same without noting what is read."""
        return self._plain

    def reset(self) -> None:
        """Forget what was folded, after a savepoint was undone."""
        super().reset()
        self._plain.reset()

    def lookup(self, table: str, column: str, values: Sequence[object]) -> pa.Table:
        """Return the rows whose column holds one of the values."""
        found = self._plain.lookup(table, column, values)
        kind = self._plain.schema(table).field(column).type
        if len(values) > _MANY or pa.types.is_floating(kind) or pa.types.is_nested(kind):
            self._reads.whole([table])
        else:
            asked = [value for value in pa.array(values, kind).to_pylist() if value is not None]
            self._reads.lookup(table, column, asked, found["uid"].to_pylist())
        return found

    def held(self, table: str, column: str, values: Sequence[object]) -> pa.ChunkedArray:
        """Return those of some values that a row's column holds, each once."""
        return pa.chunked_array([pc.unique(self.lookup(table, column, values)[column])])

    def across(self, table: str, column: str, values: Sequence[str], others: Sequence[str]) -> pa.Table | None:
        """Return ``uid`` and other columns of the rows whose column holds one of the values, from memory."""
        found = self._plain.across(table, column, values, others)
        if found is not None and len(values) <= _MANY:
            self._reads.lookup(table, column, values, found["uid"].to_pylist())
        elif found is not None:
            self._reads.whole([table])
        return found

    def rows(self, table: str) -> pa.Table:
        """Return all rows, in no particular order."""
        self._reads.whole([table])
        return self._plain.rows(table)

    def column(self, table: str, name: str) -> pa.ChunkedArray:
        """Return a column of all rows, in no particular order."""
        self._reads.whole([table])
        return self._plain.column(table, name)

    def missing(self, table: str, uids: pa.Array) -> list[str]:
        """Return those of the uids that are not in the table."""
        if len(uids) > _MANY:
            self._reads.whole([table])
        else:
            asked = uids.drop_null().to_pylist()
            self._reads.lookup(table, "uid", asked, asked)
        return self._plain.missing(table, uids)

    def written(self, table: str) -> Sequence[Segment]:
        """Return what the transaction did to a table, of which an index then has all other rows."""
        self._reads.whole([table])
        return self._plain.written(table)

    def source(self, table: str) -> Source:
        """Return a table as SQL over its files and its tail."""
        self._reads.whole([table])
        return self._plain.source(table)

    def arrow(
        self,
        sql: str,
        params: Sequence[Any] = (),
        tables: Sequence[str] = (),
        *,
        bounds: Mapping[str, Sequence[Demand]] | None = None,
    ) -> pa.Table:
        """Run a query over tables on the engine's own connection."""
        self._reads.whole(tables)
        return self._plain.arrow(sql, params, tables, bounds=bounds or {})

    def first(self, order: Order, sql: str, params: Sequence[Any], tables: Sequence[str]) -> pa.Table:
        """Run a query that asks for the first rows of an order."""
        self._reads.whole(tables)
        return self._plain.first(order, sql, params, tables)

    def for_query(self, query: str, views: Mapping[str, str]) -> Snapshot:
        """Note the tables that a user's query names, and return the snapshot that it is run on."""
        self._reads.whole(_named(query, self.tables, views))
        return self._plain


def _named(query: str, tables: Sequence[str], views: Mapping[str, str]) -> list[str]:
    """Return the tables that a query names, also through views; all of them where that cannot be told."""
    inner = {name.lower(): sql for name, sql in views.items()}
    waiting, named = [query], set[str]()
    connection = duckdb.connect()
    try:
        while waiting:
            for found in map(str.lower, connection.get_table_names(waiting.pop())):
                name = found.removeprefix(TABLE)  # a view stands in the place of a table
                if name not in named and name in inner:
                    waiting.append(inner[name])
                named.add(name)
    except (duckdb.Error, UnicodeEncodeError):  # whoever runs the query says what is wrong with it
        return list(tables)
    finally:
        connection.close()
    return [table for table in tables if table in named]
