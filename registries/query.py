"""A lazy, immutable query over one registry."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from lakehouse.engine.pruning import Demand
from lakehouse.engine.scan import quoted
from lakehouse.engine.snapshot import Order
from lakehouse.errors import InputError, MultipleFound, RecordNotFound, UnknownField, did_you_mean, shown
from registries.binding import REGISTRIES
from registries.conditions import Condition, both, either, opposite, settled
from registries.display import html_table
from registries.dtype import DType
from registries.dtypes import parse_dtype
from registries.expressions import Q
from registries.frames import to_pandas
from registries.lookups import condition
from registries.near import near_misses
from registries.related import include_in
from registries.renamed import no_such
from registries.rows import live
from registries.search.asking import LEAST, MOST, search
from registries.search.hits import Hits
from registries.times import At, point

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from lakehouse.engine import Snapshot
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["Query", "check_limit"]

R = TypeVar("R", bound="Record")
_MOST = 2**63 - 1
_MOST_PICKED = 10_000
_SHOWN = 10  # rows in a notebook
_TRASH = "deleted_at"
_LIVE = Condition('"deleted_at" is null')


@dataclass(frozen=True)
class Query(Generic[R]):
    """What ``Registry.filter(...)`` returns: nothing is read until one of the ends is called.

    The ends are ``df`` (pandas), ``pl`` (Polars), ``arrow``, ``all``, ``one``, ``one_or_none``, ``first``, ``count``
    and ``exists``; ``sql`` and ``parameters`` are the statement. Rows come in no particular order unless
    ``order_by`` or ``limit`` is used; with ``limit`` alone they come by uid.
    """

    registry: type[R]
    home: Instance
    conditions: tuple[Condition, ...] = ()
    asked: tuple[tuple[str, object], ...] = ()
    order: tuple[str, ...] = ()
    most: int | None = None
    when: int | dt.datetime | None = None
    skip: int = 0
    unlike: tuple[str, ...] = ()

    @classmethod
    def of(cls, registry: type[R], home: Instance) -> Query[R]:
        """Return the query for all records of a registry in an instance."""
        found = cls(registry, home)
        if _TRASH in registry.meta.columns:  # unless it is asked for, what is in the trash is not seen
            return replace(found, conditions=(_LIVE,))
        return found

    @property
    def with_trash(self) -> Query[R]:
        """The query for what is in the trash as well."""
        return replace(self, conditions=tuple(part for part in self.conditions if part is not _LIVE))

    # Refining

    def filter(self, *conditions: Q, **lookups: Any) -> Query[R]:
        """Return the query that asks for these conditions and look-ups too."""
        wanted = Q(*conditions, **lookups)
        asked = (*lookups.items(), *(("", part) for part in conditions))
        found = tuple(self._lookup(lookup, value) for lookup, value in wanted.lookups)
        found += tuple(self._part(part) for part in wanted.parts)
        base = self.with_trash if _names_trash(wanted) else self
        return replace(base, conditions=base.conditions + found, asked=self.asked + asked)

    def exclude(self, *conditions: Q, **lookups: Any) -> Query[R]:
        """Return the query without the records that meet all of these."""
        return self.filter(~Q(*conditions, **lookups))

    def _part(self, wanted: Q) -> Condition:
        own = [self._lookup(lookup, value) for lookup, value in wanted.lookups]
        parts = own + [self._part(part) for part in wanted.parts]
        if wanted.joint == "not":
            return opposite(parts[0])
        return either(parts) if wanted.joint == "or" else both(parts)

    def _lookup(self, lookup: str, value: object) -> Condition:
        found = condition(self.registry.meta, lookup, value, self._feature)
        self._refuse_foreign(value)
        return found

    def _feature(self, name: str) -> tuple[str, DType]:
        """Return uid and dtype of a feature."""
        snapshot = self.home.snapshot(self.when)
        rows = snapshot.lookup("feature", "name", [unicodedata.normalize("NFC", name)]).to_pylist()
        if not rows:
            near = near_misses(snapshot, REGISTRIES["feature"], "name", [name])
            raise RecordNotFound(f"no Feature is called {shown(name)}{near}")
        return rows[0]["uid"], parse_dtype(rows[0]["dtype"])

    def _refuse_foreign(self, value: object) -> None:
        home = getattr(value, "_home", None)
        if home is not None and home is not self.home:
            raise InputError(
                f"{value!r} belongs to the instance at {home.root}, not to {self.home.root}: look it up there"
            )

    def order_by(self, *columns: str) -> Query[R]:
        """Return the query ordered by columns, descending where a name begins with ``-``; nulls come last."""
        for name in columns:
            self._check_order(name)
        return replace(self, order=columns)

    def _check_order(self, name: object) -> None:
        meta = self.registry.meta
        if not isinstance(name, str) or name.removeprefix("-") not in meta.columns:
            near = did_you_mean(str(name).removeprefix("-"), meta.columns)
            raise UnknownField(f"{meta.name} cannot be ordered by {shown(name)}{near}")

    def limit(self, n: int) -> Query[R]:
        """Return the query for at most ``n`` records."""
        check_limit(n)
        return replace(self, most=n)

    def distinct(self, *columns: str) -> Query[R]:
        """Return the query for one record per combination of values of columns: the first in the order asked for.

        Records never repeat: without columns this is the same query.
        """
        for name in columns:
            self._check_order(name)
        return replace(self, unlike=columns)

    def __getitem__(self, which: int | slice) -> Any:
        """Return the query for some records by their place in the order, or the one at a place."""
        if isinstance(which, slice):
            return self._sliced(which)
        _check_place(which)
        found = self._sliced(slice(which, which + 1)).all()
        if not found:
            raise RecordNotFound(f"{self!r} has no record at {which:,}: it has {self.count():,}")
        return found[0]

    def _sliced(self, part: slice) -> Query[R]:
        start, stop = part.start or 0, part.stop
        _check_place(start)
        if part.step not in (None, 1):
            raise InputError(f"[{part.start}:{part.stop}:{part.step}]: a step is not accepted")
        if stop is not None:
            _check_place(stop)
        left = None if self.most is None else max(0, self.most - start)
        wanted = left if stop is None else max(0, stop - start)
        most = wanted if left is None or wanted is None else min(left, wanted)
        return replace(self, skip=self.skip + start, most=most)

    def at(self, when: At) -> Query[R]:
        """Return the query as of a commit (its id, or one of ``lh.snapshots()``), a time (UTC) or a tag."""
        moment = point(when)
        if isinstance(moment, str):  # a tag may be moved: the query goes on showing the commit that it names now
            moment = self.home.snapshot(moment).commit
        return replace(self, when=moment)

    # The statement

    @property
    def sql(self) -> str:
        """The SQL text, with ``?`` for each of ``parameters``."""
        return self._statement("*")

    @property
    def parameters(self) -> list[Any]:
        """The values that are bound to the statement, in order."""
        return [value for part in self.conditions for value in part.parameters]

    def _statement(self, columns: str) -> str:
        unlike = f"distinct on ({', '.join(map(quoted, self.unlike))}) " if self.unlike else ""
        parts = [f"select {unlike}{columns} from {quoted(self.registry.meta.table)}"]
        if self.conditions:
            parts.append("where " + " and ".join(f"({part.sql})" for part in self.conditions))
        if self.order or self.unlike or self._is_cut:
            parts.append("order by " + ", ".join(_direction(name) for name in (*self.order, "uid")))
        if self.most is not None:
            parts.append(f"limit {self.most}")
        if self.skip:
            parts.append(f"offset {self.skip}")
        return " ".join(parts)

    @property
    def _is_cut(self) -> bool:
        return self.most is not None or self.skip > 0

    def rows(self, snapshot: Snapshot) -> pa.Table:
        """Return the rows at a snapshot, such as that of a transaction."""
        return self._settled(snapshot)._rows(snapshot)

    def _rows(self, snapshot: Snapshot) -> pa.Table:
        """Return the rows, in order if one is asked for."""
        if (picked := self._picked(snapshot)) is not None:
            return picked
        if not (self.order or self.unlike or self._is_cut) and all(part is _LIVE for part in self.conditions):
            return (
                live(snapshot.rows(self.registry.meta.table))
                if self.conditions
                else snapshot.rows(self.registry.meta.table)
            )
        table, bounds = self.registry.meta.table, self._bounds()
        if self.most is None or bounds is None or self.unlike:
            return snapshot.arrow(self.sql, self.parameters, self._tables(), bounds={table: bounds or ()})
        name = self.order[0] if self.order else "uid"
        order = Order(table, name.removeprefix("-"), name.startswith("-"), self.most, bounds)
        return snapshot.first(order, self.sql, self.parameters, self._tables())

    def _picked(self, snapshot: Snapshot) -> pa.Table | None:
        """Return the rows of a small registry that are asked for by value alone; None where more is asked for."""
        asked = [part for part in self.conditions if part is not _LIVE]
        table = self.registry.meta.table
        if len(asked) != 1 or asked[0].equals is None or self.order or self.unlike or self._is_cut:
            return None
        column, values = asked[0].equals
        if snapshot.is_large(table) or len(values) > _MOST_PICKED:
            return None
        rows = snapshot.lookup(table, column, values)
        return live(rows) if len(asked) < len(self.conditions) else rows

    def _tables(self) -> list[str]:
        return sorted({self.registry.meta.table}.union(*(part.tables for part in self.conditions)))

    def _bounds(self) -> tuple[Demand, ...] | None:
        """Return what every row has to meet; None when a condition reads the same registry, for all of its rows."""
        if any(self.registry.meta.table in part.tables for part in self.conditions):
            return None
        return tuple(bound for part in self.conditions for bound in part.bounds)

    def _settled(self, snapshot: Snapshot) -> Query[R]:
        """Return the query with related records found beforehand where they are few: then few files are read."""
        table = self.registry.meta.table
        return replace(self, conditions=tuple(settled(snapshot, part, table) for part in self.conditions))

    # Ends

    def search(
        self,
        text: str,
        *,
        limit: int = MOST,
        field: str | Iterable[str] | None = None,
        min_score: float = LEAST,
    ) -> Hits[R]:
        """Return those of the records that are nearest to a text, the nearest first; parameters as for ``Record.search``."""
        uids = frozenset(self.rows(self.home.snapshot(self.when))["uid"].to_pylist())
        return search(
            self.registry, self.home, text, limit=limit, field=field, min_score=min_score, among=uids, at=self.when
        )

    def arrow(self, *, include: str | Sequence[str] = ()) -> pa.Table:
        """Return the rows as a pyarrow Table.

        Parameters
        ----------
        include
            Related columns to add, such as ``created_by__handle`` (one value) or ``ulabels__name`` (a list), and
            ``features`` for a column per feature that has values.
        """
        snapshot = self._seen()
        found = self.rows(snapshot)
        return include_in(snapshot, self.registry.meta, found, include) if include else found

    def df(self, *, include: str | Sequence[str] = ()) -> pd.DataFrame:
        """Return the rows as a pandas DataFrame; ``include`` as for :meth:`arrow`."""
        return to_pandas(self.arrow(include=include))

    def pl(self, *, include: str | Sequence[str] = ()) -> pl.DataFrame:
        """Return the rows as a Polars DataFrame; ``include`` as for :meth:`arrow`."""
        import polars

        frame = polars.from_arrow(self.arrow(include=include))
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    def all(self) -> list[R]:
        """Return the records."""
        return [self.registry.from_row(row, self.home) for row in self.arrow().to_pylist()]

    def __iter__(self) -> Iterator[R]:
        return iter(self.all())

    def first(self) -> R | None:
        """Return the first record (by uid, unless ordered), or None."""
        found = self.limit(1 if self.most is None else min(1, self.most)).all()
        return found[0] if found else None

    def one_or_none(self) -> R | None:
        """Return the only record, or None where there is none.

        Raises
        ------
        MultipleFound
            When there are several.
        """
        found = self.limit(2 if self.most is None else min(2, self.most)).all()
        if len(found) > 1:
            raise MultipleFound(f"{self._shape()} meets {self.count()} records: narrow it, or use first() or all()")
        return found[0] if found else None

    def one(self) -> R:
        """Return the only record.

        Raises
        ------
        RecordNotFound
            When there is none.
        MultipleFound
            When there are several.
        """
        found = self.one_or_none()
        if found is None:
            raise RecordNotFound(f"{self._shape()} meets no record: widen it, or use one_or_none()")
        return found

    def count(self) -> int:
        """Return the number of records."""
        snapshot = self._seen()
        return self._settled(snapshot)._count(snapshot)

    def _seen(self) -> Snapshot:
        """Return what is looked at, with what steps of this process left behind where runs are asked for."""
        if self.when is None and any(table.startswith("run") for table in self._tables()):
            self.home.settle_runs()
        return self.home.snapshot(self.when)

    def _count(self, snapshot: Snapshot) -> int:
        if (picked := self._picked(snapshot)) is not None:
            return len(picked)
        table = self.registry.meta.table
        if self._is_cut or self.unlike:
            statement = f"select count(*) as n from ({self._statement('uid')})"
        else:
            statement = replace(self, order=())._statement("count(*) as n")
        found = snapshot.arrow(statement, self.parameters, self._tables(), bounds={table: self._bounds() or ()})
        return int(found["n"][0].as_py())

    def exists(self) -> bool:
        """Return whether there is any record."""
        return self.first() is not None

    def __bool__(self) -> bool:
        raise InputError(f"{self!r} has no truth value: use .exists() or .count()")

    def _shape(self) -> str:
        asked = ", ".join(f"{lookup}={shown(value, 40)}" if lookup else repr(value) for lookup, value in self.asked)
        return f"{self.registry.meta.name}.filter({asked})"

    def _repr_html_(self) -> str:
        found = self.limit(_SHOWN if self.most is None else min(_SHOWN, self.most)).arrow()
        columns = [name for name in found.column_names if found[name].null_count < max(1, len(found))]
        rows = zip(*(found[name].to_pylist() for name in columns), strict=True)
        return html_table(f"{self.registry.meta.name}: {self.count():,} records", columns, rows)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what a name that there is not is called here."""
            raise AttributeError(no_such("Query", name, dir(type(self))))

    def __repr__(self) -> str:
        order = f".order_by({', '.join(map(repr, self.order))})" if self.order else ""
        most = "" if self.most is None else f".limit({self.most})"
        most += f".distinct({', '.join(map(repr, self.unlike))})" if self.unlike else ""
        most += f"[{self.skip}:]" if self.skip else ""
        when = "" if self.when is None else f".at({str(self.when)!r})"
        return f"<Query {self._shape()}{order}{most}{when}>"


def _names_trash(wanted: Q) -> bool:
    named = any(lookup.partition("__")[0] == _TRASH for lookup, _ in wanted.lookups)
    return named or any(_names_trash(part) for part in wanted.parts)


def _direction(name: str) -> str:
    return quoted(name.removeprefix("-")) + (" desc" if name.startswith("-") else "") + " nulls last"


def check_limit(n: object) -> None:
    """Refuse what is no number of rows."""
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST:
        raise InputError(f"limit({shown(n)}): a whole number from 0 to 2**63 - 1 is accepted")


def _check_place(n: object) -> None:
    """Refuse what is no place in an order."""
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST:
        raise InputError(
            f"[{shown(n)}]: a place is a whole number from 0; to count from the end, turn order_by() around"
        )
