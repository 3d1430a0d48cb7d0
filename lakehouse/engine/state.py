"""The state of a table at a commit: the base of a publication and the tail above it, decoded once and reused."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa

from lakehouse.engine.arrow import pc, picked
from lakehouse.engine.catalog import Publication, Session
from lakehouse.engine.changes import DataFile, Segment
from lakehouse.engine.datafile import read_column, read_rows
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.forks import HELD
from lakehouse.engine.moments import refuse_expired
from lakehouse.engine.options import Options
from lakehouse.engine.table import TableVersion
from lakehouse.engine.tail import Tail
from lakehouse.errors import UnknownField, did_you_mean, shown

__all__ = ["Base", "StateCache", "TableState"]


@dataclass(frozen=True)
class Base:
    """The published files of a table at one Delta version; small ones are kept in memory."""

    folder: Folder
    files: tuple[DataFile, ...]
    schema: pa.Schema
    small: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _kept: dict[str, pa.Table] = field(default_factory=dict, repr=False, compare=False)
    _index: dict[str, dict[object, list[int]]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def rows(self) -> int:
        """Published rows."""
        return sum(f.rows for f in self.files)

    def table(self) -> pa.Table:
        """Return all rows, read once; to be asked of small bases only."""
        with self._lock:
            if "rows" not in self._kept:
                parts = [read_rows(self.folder, f, self.schema) for f in self.files]
                self._kept["rows"] = pa.concat_tables(
                    parts or [pa.Table.from_batches([], self.schema)]
                ).combine_chunks()
            return self._kept["rows"]

    def positions(self, column: str, values: list[object]) -> list[int]:
        """Return the positions in :meth:`table` of rows whose column holds one of the values."""
        rows = self.table()
        with self._lock:
            if (index := self._index.get(column)) is None:
                index = {}
                for position, value in enumerate(rows[column].to_pylist()):
                    index.setdefault(value, []).append(position)
                self._index[column] = index
        return [position for value in values for position in index.get(value, ())]


@dataclass(frozen=True)
class TableState:
    """A table at a commit."""

    table: TableVersion
    commit: int
    publication: Publication | None
    base: Base
    tail: Tail
    versions: tuple[TableVersion, ...]
    """All schema versions of the table, oldest first."""

    def older_columns(self, version: int) -> frozenset[str]:
        """Return the columns that files of a schema version have."""
        return frozenset(next(v for v in self.versions if v.version == version).schema.names)

    @property
    def published(self) -> int:
        """The commit that the base shows."""
        return self.publication.commit if self.publication else 0

    @property
    def version(self) -> int:
        """The Delta version of the base, -1 when the table was never published."""
        return self.publication.version if self.publication else -1

    def with_pending(self, segments: list[Segment]) -> TableState:
        """Return the state as an uncommitted transaction sees it."""
        return replace(self, tail=self.tail.branched().advance(segments))

    @property
    def is_empty(self) -> bool:
        """Whether it certainly has no row."""
        return not (self.base.files or self.tail.staged or len(self.tail.rows))

    @property
    def in_memory(self) -> bool:
        """Whether every row can be looked up without reading files."""
        return self.base.small and not self.tail.staged

    def lookup(self, column: str, values: list[object]) -> pa.Table:
        """Return the rows whose column holds one of the values; only for states :attr:`in_memory`."""
        self.check_column(column)
        found = self.tail.lookup(column, values)
        if not self.base.files or not (positions := self.base.positions(column, values)):
            return found
        below = picked(self.base.table(), positions)
        if len(self.tail.hidden):
            below = below.filter(pc.invert(pc.is_in(below["uid"], self.tail.hidden_after(-1))))
        return pa.concat_tables([found, below]) if len(found) else below

    def contains(self, uid: str) -> bool:
        """Whether there is a row; only for states :attr:`in_memory`."""
        if self.tail.holds(uid):
            return True
        if not self.base.files or not self.base.positions("uid", [uid]):
            return False
        return not len(self.tail.hidden) or pc.index(self.tail.hidden["uid"], uid).as_py() < 0

    def check_column(self, column: str) -> None:
        """Raise ``UnknownField`` when the table has no such column."""
        if self.table.schema.get_field_index(column) < 0:
            msg = f"table {self.table.name!r} has no column {shown(column)}"
            raise UnknownField(msg + did_you_mean(column, self.table.schema.names))


class StateCache:
    """States by table, advanced by the change rows since the last one asked for; publishing invalidates none."""

    def __init__(self, root: Folder, options: Options) -> None:
        self._root, self._options = root, options
        self._lock = threading.Lock()
        self._newest: dict[str, TableState] = {}
        self._bases: OrderedDict[tuple[str, int, int], Base] = OrderedDict()
        HELD.add(self)

    def after_fork(self) -> None:
        """Replace mutexes: a thread that stayed in the parent may hold them."""
        self._lock = threading.Lock()
        for base in (*self._bases.values(), *(state.base for state in self._newest.values())):
            object.__setattr__(base, "_lock", threading.Lock())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._newest.clear()
            self._bases.clear()

    def load(self, session: Session, versions: list[TableVersion], commit: int) -> TableState:
        """Return a table's state at a commit.

        Parameters
        ----------
        session
            A reading session; what is fetched here is consistent with its other answers.
        versions
            The table's schema versions, oldest first.

        Raises
        ------
        Expired
            When the commit is older than what is retained.
        """
        refuse_expired(session, commit)
        table = _in_force(versions, commit)
        publication = session.publication(table.name, commit)
        known = self._newest.get(table.name)
        if known is None or known.publication != publication or known.commit > commit or known.table != table:
            known = self._from_base(session, tuple(versions), table, publication)
        if known.commit < commit:
            segments = session.segments(table.name, known.commit, commit, versions)
            read = partial(self.column, table.name)
            known = replace(known, commit=commit, tail=known.tail.advance(segments, read))
        with self._lock:
            newest = self._newest.get(table.name)
            if newest is None or newest.commit <= commit:
                self._newest[table.name] = known
        return known

    def _from_base(
        self, session: Session, versions: tuple[TableVersion, ...], table: TableVersion, publication: Publication | None
    ) -> TableState:
        published = publication.commit if publication else 0
        begin = max((v.since - 1 for v in versions if v.renews and v.version <= table.version), default=0)
        key = (table.name, publication.version if publication else -1, table.version)
        with self._lock:
            base = self._bases.get(key)
        if base is None:
            files = tuple(session.files(table.name, published)) if publication and published > begin else ()
            small = sum(f.rows for f in files) <= self._options.small_rows
            small = small and sum(f.size for f in files) <= self._options.small_bytes
            base = Base(table_folder(self._root, table.name), files, table.schema, small)
            with self._lock:
                self._bases[key] = base
                while len(self._bases) > 64:
                    self._bases.popitem(last=False)
        return TableState(table, max(published, begin), publication, base, Tail.empty(table.schema), versions)

    def column(self, table: str, file: DataFile, column: str) -> pa.ChunkedArray:
        """Return a column of a data file."""
        return read_column(table_folder(self._root, table), file, column)

    def rows(self, table: str, file: DataFile, schema: pa.Schema) -> pa.Table:
        """Return the rows of a data file with the columns of ``schema``."""
        return read_rows(table_folder(self._root, table), file, schema)


def _in_force(versions: list[TableVersion], commit: int) -> TableVersion:
    """Return the schema in force at a commit; the first one also before its table was made."""
    return next((v for v in reversed(versions) if v.since <= commit), versions[0])
