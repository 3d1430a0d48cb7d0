"""Records for many values at once: those that are there, and those that ``save()`` would make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from registries.bulk import VISIBLE, arrow_of, checked_columns, insert_rows, known_rows
from registries.column import MISSING
from registries.names import check_name

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = ["RecordSet", "from_frame", "from_values"]

R = TypeVar("R", bound="Record")
_MANY = 1_000


class RecordSet(Sequence[R], Generic[R]):
    """What ``Registry.from_values`` and ``from_df`` return: records in input order; nothing is written before ``save()``.

    Examples
    --------
    >>> import tempfile
    >>> from registries.instance import Instance
    >>> lake = Instance.create(tempfile.mkdtemp())
    >>> _ = lake.ULabel(name="fed").save()
    >>> found = lake.ULabel.from_values(["treated", "fed", None, "treated"])
    >>> found.values, found.unknown
    (['treated', 'fed'], ['treated'])
    >>> [label.name for label in found.save()]
    ['treated', 'fed']
    >>> lake.close()
    """

    def __init__(self, registry: type[R], home: Instance, field: str, columns: pa.Table, known: pa.Table) -> None:
        self._registry, self._home, self._field = registry, home, field
        self._columns, self._known = columns, known
        self._records: list[R] | None = None

    @property
    def values(self) -> list[Any]:
        """The distinct values, in input order."""
        listed: list[Any] = self._columns[self._field].to_pylist()
        return listed

    @property
    def unknown(self) -> list[Any]:
        """The values that no record has, in input order."""
        missing: list[Any] = self._columns[self._field].filter(pc.invert(self._is_known)).to_pylist()
        return missing

    @property
    def _is_known(self) -> pa.ChunkedArray:
        return pc.is_in(self._columns[self._field], self._known[self._field].combine_chunks())

    def save(self) -> RecordSet[R]:
        """Save the records that are not there yet, all in one commit; return the set."""
        home, registry = self._home, self._registry
        if self._known.num_rows != self._columns.num_rows:
            if registry.is_plain():
                self._known = home.run(self._plan)
            else:
                home.save([record for record in self if not record.is_saved])
                self._known = self._found()
        self._records = None
        return self

    def _plan(self, txn: Transaction) -> pa.Table:
        meta = self._registry.meta
        values = self._columns[self._field].combine_chunks()
        known = known_rows(txn.snapshot, meta.table, self._field, values)
        fresh = self._columns.filter(pc.invert(pc.is_in(values, known[self._field].combine_chunks())))
        made = insert_rows(txn, self._home, meta, checked_columns(meta, fresh))
        return pa.concat_tables([known, made])

    def _found(self) -> pa.Table:
        values = self._columns[self._field].combine_chunks()
        return known_rows(self._home.snapshot(), self._registry.meta.table, self._field, values)

    def _made(self) -> list[R]:
        if self._records is None:
            rows = {row[self._field]: row for row in reversed(self._whole(self._known).to_pylist())}
            self._records = [
                self._registry.from_row(row, self._home)
                if (row := rows.get(given[self._field])) is not None
                else self._registry(**given)
                for given in self._columns.to_pylist()
            ]
        return self._records

    def _whole(self, known: pa.Table) -> pa.Table:
        """Return the rows with all columns, where only names were read so far."""
        if known.num_columns == len(self._registry.meta.columns):
            return known
        self._known = self._found()
        return self._known

    def __len__(self) -> int:
        return int(self._columns.num_rows)

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[R]: ...
    def __getitem__(self, index: int | slice) -> R | Sequence[R]:
        return self._made()[index]

    def __iter__(self) -> Iterator[R]:
        return iter(self._made())

    def df(self) -> Any:
        """Return what is given as a pandas DataFrame, with ``uid`` where the record is there."""
        places = pc.index_in(self._columns[self._field], self._known[self._field].combine_chunks())
        uids = self._known["uid"].take(places)
        return self._columns.add_column(0, "uid", uids).to_pandas()

    def __repr__(self) -> str:
        missing = self.unknown
        listed = ", ".join(shown(value, 40) for value in missing[:5]) + (", …" if len(missing) > 5 else "")
        tail = f", {len(missing):,} unknown: {listed}; save() makes them" if missing else ""
        return f"<{len(self):,} {self._registry.meta.name} records{tail}>"


def from_values(registry: type[R], home: Instance, values: Any, field: str | None) -> RecordSet[R]:
    """Return the records for some values; see ``Record.from_values``."""
    meta = registry.meta
    name = meta.title if field is None else field
    column = meta.columns.get(name)
    if column is None or not column.init:
        raise UnknownField(f"{meta.name} has no field {shown(name)}{did_you_mean(name, meta.columns)}")
    wanted = _distinct(values, f"{meta.name}.{name}")
    columns = pa.table({name: _checked(wanted, f"{meta.name}.{name}") if pa.types.is_string(wanted.type) else wanted})
    if len(wanted) <= _MANY:
        return RecordSet(
            registry, home, name, columns, known_rows(home.snapshot(), meta.table, name, columns[name].combine_chunks())
        )
    live = ' where "deleted_at" is null' if "deleted_at" in meta.columns else ""
    statement = f"select uid, {quoted(name)} from {quoted(meta.table)}{live}"
    every = home.snapshot().arrow(statement, tables=[meta.table])
    known = every.filter(pc.is_in(every[name], columns[name].combine_chunks()))
    return RecordSet(registry, home, name, columns, known)


def _distinct(values: Any, where: str) -> pa.Array:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InputError(f"{where}: a list, array, series or column of values is accepted, not {shown(values)}")
    try:
        found = _as_arrow(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise InputError(f"{where}: the values are of mixed types, or no text: {error}") from error
    if isinstance(found.type, pa.DictionaryType):
        found = found.cast(found.type.value_type)
    if pa.types.is_null(found.type) or pa.types.is_large_string(found.type) or pa.types.is_string_view(found.type):
        found = found.cast(pa.string())
    found = pc.unique(found).drop_null()
    return found.filter(pc.not_equal(found, "")) if pa.types.is_string(found.type) else found


def _as_arrow(values: Any) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    if type(values).__module__.startswith("polars"):
        return values.to_arrow()
    if hasattr(values, "to_numpy") and hasattr(values, "index"):  # of pandas: its missing values become nulls
        found = pa.Array.from_pandas(values)
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return pa.array(values if hasattr(values, "__len__") else list(values), from_pandas=True)


def _checked(values: pa.Array, where: str) -> pa.Array:
    if pc.all(pc.match_substring_regex(values, VISIBLE)).as_py() is not False:
        return values
    return pc.unique(pa.array([check_name(value, where) for value in values.to_pylist()], pa.string()))


def from_frame(registry: type[R], home: Instance, frame: Any) -> RecordSet[R]:
    """Return the records for the rows of a frame; see ``Record.from_df``."""
    meta = registry.meta
    columns = checked_columns(meta, arrow_of(_filled(meta, frame), f"{meta.name}.from_df"))
    name = meta.title
    if name not in columns.column_names:
        raise InputError(f"{meta.name}.from_df needs a column {name!r}, by which records are told apart")
    values = columns[name].combine_chunks()
    first = pc.index_in(pc.unique(values), values)
    if len(first) < len(values):
        columns = columns.take(first)
        values = columns[name].combine_chunks()
    return RecordSet(registry, home, name, columns, known_rows(home.snapshot(), meta.table, name, values))


def _filled(meta: Meta, frame: Any) -> Any:
    """Return rows as dicts with the same fields each: what one of them does not give has its default."""
    if not isinstance(frame, Sequence) or not all(isinstance(row, Mapping) for row in frame):
        return frame
    named = {name for row in frame for name in row}
    default = {n: c.initial for n, c in meta.columns.items() if n in named and c.default is not MISSING}
    return [default | dict(row) for row in frame]
