"""Migrations: what an instance lacks that the program, or a user's own registries, declare; and how it gets it.

Columns that may be null are added by metadata alone. All else (a column of another type or name, one that must have a
value or is given up, a unique key over rows that are there) writes the rows of a table anew, all in one commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine import TableSpec
from lakehouse.engine.arrow import pc
from lakehouse.engine.migrate import TableChange, migrate, parts_of
from lakehouse.engine.schemas import Schemas
from lakehouse.errors import ConfigurationError, InputError
from registries.binding import REGISTRIES
from registries.column import MISSING
from registries.custom import wanted
from registries.opened import OLDER_CATALOG
from registries.record import Record
from registries.retyped import retyped, values_lost

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Applied", "Migration", "Step", "planned"]


@dataclass(frozen=True)
class Step:
    """What happens to one table.

    Attributes
    ----------
    table
        The table.
    what
        What happens, in words.
    rewrites
        Whether its rows are written anew.
    loses
        What would be lost, in words; empty where nothing is.
    """

    table: str
    what: str
    rewrites: bool = False
    loses: str = ""

    def __str__(self) -> str:
        how = " (rows are written anew)" if self.rewrites else ""
        return f"{self.table}: {self.what}{how}" + (f"; LOSES {self.loses}" if self.loses else "")


@dataclass(frozen=True)
class Applied:
    """What a migration did.

    Attributes
    ----------
    commit
        The commit that made it; the one before it shows all as it was (``at=commit - 1``).
    steps
        What was done.
    """

    commit: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Migration:
    """A plan: what would be done, and :meth:`apply`, which does it.

    Attributes
    ----------
    steps
        What happens, table by table; none where the instance is up to date.
    """

    home: Instance = field(repr=False)
    steps: tuple[Step, ...] = ()
    changes: tuple[TableChange, ...] = field(default=(), repr=False)
    own: frozenset[str] = field(default=frozenset(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.steps)) or "nothing to migrate: the instance is up to date"

    @property
    def losses(self) -> list[str]:
        """What would be lost."""
        return [f"{step.table}: {step.loses}" for step in self.steps if step.loses]

    def apply(self, *, allow_loss: bool = False, message: str = "") -> Applied:
        """Make the changes in one commit.

        Parameters
        ----------
        allow_loss
            Whether values may be lost; snapshots from before show them still.
        message
            Kept with the commit.

        Raises
        ------
        InputError
            When values would be lost.
        OlderFormat
            When the instance was opened as it is, for reading: ``lh.migrate()`` opens it for this.
        Duplicate, ReferenceMissing
            When rows break a rule that is new.
        """
        if self.losses and not allow_loss:
            raise InputError(
                f"this migration would lose {'; '.join(self.losses)}: pass allow_loss=True if that is meant (at= still "
                "shows it as it was before)"
            )
        if not self.steps:
            return Applied(self.home.lake.head(), ())
        self.home.refuse_reading_only()
        said = message or "migration: " + "; ".join(str(step) for step in self.steps)[:2_000]
        commit = migrate(self.home.lake, self.changes, message=said)
        self.home.bind_all(self.own)
        return Applied(commit, self.steps)


def planned(home: Instance, registries: Iterable[type[Record]] = (), *, others: bool = True) -> Migration:
    """Return what an instance lacks.

    Parameters
    ----------
    registries
        Registries of users' own that are to be added, or whose declaration has changed. Of these, columns that the
        class no longer has are given up; of all others they stay.
    others
        Whether the other registries of users' own are looked at, too. What the process declares of these may have come
        with another instance, which has one of the same name.
    """
    schemas = Schemas(home.lake.catalog)  # as they are kept: readers of an older instance see more columns than it has
    with home.lake.catalog.read() as session:
        schemas.refresh(session)
    given = {registry.meta.table for registry in registries}
    own = {table for table in schemas.names() if table in REGISTRIES and REGISTRIES[table].meta.origin} | given
    steps, changes = list[Step](), list[TableChange]()
    if home.older.startswith(OLDER_CATALOG):
        steps.append(Step("catalog", "its format is brought up to date"))
    for spec in wanted(schemas, own):
        if not others and REGISTRIES[spec.name].meta.origin and spec.name not in given:
            continue
        found = _of_table(home, schemas, spec, drops=spec.name in given)
        if found is not None:
            steps.append(found[0])
            changes.append(found[1])
    return Migration(home, tuple(steps), tuple(changes), frozenset(own))


def _of_table(home: Instance, schemas: Schemas, spec: TableSpec, *, drops: bool) -> tuple[Step, TableChange] | None:
    if spec.name not in schemas.names():
        return Step(spec.name, f"a new table with {len(spec.schema)} columns"), TableChange(spec)
    current = schemas.current(spec.name).spec
    change = _Change(home, current, spec, REGISTRIES[spec.name], drops=drops)
    if not change.rewrites:
        after = spec.after(current)
        if after is current:
            return None
        return Step(spec.name, change.told or "another declaration"), TableChange(spec)
    step = Step(spec.name, change.told, rewrites=True, loses=change.lost())
    return step, TableChange(change.target, change.rewritten)


class _Change:
    """The difference between what an instance has of a table, and what is declared."""

    def __init__(
        self, home: Instance, current: TableSpec, spec: TableSpec, registry: type[Record], *, drops: bool
    ) -> None:
        self._home, self._current, self._spec, self._registry = home, current, spec, registry
        have, want = set(current.schema.names), set(spec.schema.names)
        columns = registry.meta.columns
        self.renamed = {n: c.was for n, c in columns.items() if c.was in have and c.was not in want and n not in have}
        gone = [name for name in current.schema.names if name not in want and name not in self.renamed.values()]
        self.dropped = gone if drops else []
        kept = [current.schema.field(name) for name in gone if not drops]
        self.added = [name for name in spec.schema.names if name not in have and name not in self.renamed]
        self.retyped = [n for n in spec.schema.names if n in have and self._type(n) != spec.schema.field(n).type]
        self.tightened = [
            name
            for name in spec.schema.names
            if name in have and current.schema.field(name).nullable != spec.schema.field(name).nullable
        ]
        self.filled = [name for name in self.added if not spec.schema.field(name).nullable]
        unique = spec.unique if drops else tuple(dict.fromkeys((*spec.unique, *current.unique)))
        references = dict(spec.references) if drops else {**current.references, **spec.references}
        self.target = replace(spec, schema=pa.schema([*spec.schema, *kept]), unique=unique, references=references)
        self.ruled = self._rules_that_change()

    def _type(self, name: str) -> pa.DataType:
        return self._current.schema.field(name).type

    def _rules_that_change(self) -> list[str]:
        old, new, added = self._current, self.target, set(self.added)
        changed = [f"{','.join(g)} becomes unique" for g in new.unique if g not in old.unique and not added & set(g)]
        changed += [f"{','.join(g)} need not be unique" for g in old.unique if g not in new.unique]
        for column, table in new.references.items():
            if column not in added and old.references.get(column) != table and column not in self.renamed:
                changed.append(f"{column} refers to {table}")
        return changed + [f"{c} refers to nothing" for c in old.references if c not in new.references]

    @property
    def rewrites(self) -> bool:
        """Whether rows have to be written anew."""
        return bool(self.dropped or self.retyped or self.tightened or self.renamed or self.filled or self.ruled)

    @property
    def told(self) -> str:
        """What happens, in words."""
        said = [f"{old} is called {new}" for new, old in self.renamed.items()]
        said += [f"{n} becomes {self._spec.schema.field(n).type} (was {self._type(n)})" for n in self.retyped]
        said += [f"{n} is added" for n in self.added] + [f"{n} is given up" for n in self.dropped]
        may = {True: "may be missing", False: "must have a value"}
        said += [f"{n} {may[self._spec.schema.field(n).nullable]}" for n in self.tightened]
        return ", ".join(said + self.ruled)

    def lost(self) -> str:
        """Return how many values of which columns would be lost, in words."""
        counts = dict.fromkeys((*self.dropped, *self.retyped), 0)
        for part in parts_of(self._home.snapshot().state(self._current.name)) if counts else ():
            for name in self.dropped:
                counts[name] += len(part) - part[name].null_count
            for name in self.retyped:
                counts[name] += values_lost(part[name], self._spec.schema.field(name).type)
        return ", ".join(f"{count:,} values of {name}" for name, count in counts.items() if count)

    def rewritten(self, rows: pa.Table) -> pa.Table:
        """Return rows as they are kept from now on."""
        columns = [self._column(rows, item) for item in self.target.schema]
        return pa.Table.from_arrays(columns, schema=self.target.schema)

    def _column(self, rows: pa.Table, item: pa.Field) -> pa.ChunkedArray:
        name = self.renamed.get(item.name, item.name)
        default = self._default(item)
        if name not in rows.schema.names:
            if default is None and not item.nullable and len(rows):
                raise ConfigurationError(
                    f"{self._spec.name}.{item.name} must have a value, and {len(rows):,} rows have none: declare a default, "
                    "or let it be None"
                )
            return pa.chunked_array([pa.array([default] * len(rows), item.type)])
        column = retyped(rows[name], item.type)
        if item.nullable or not column.null_count:
            return column
        if default is None:
            raise ConfigurationError(
                f"{self._spec.name}.{item.name} must have a value, and {column.null_count:,} rows have none: declare a "
                "default, or let it be None"
            )
        return _filled(column, default)

    def _default(self, item: pa.Field) -> Any:
        declared = self._registry.meta.columns.get(item.name)
        return None if declared is None or declared.default is MISSING else declared.initial


def _filled(column: pa.ChunkedArray, default: Any) -> pa.ChunkedArray:
    if pa.types.is_nested(column.type):
        values = [default if value is None else value for value in column.to_pylist()]
        return pa.chunked_array([pa.array(values, column.type)])
    return pc.fill_null(column, pa.scalar(default, column.type))
