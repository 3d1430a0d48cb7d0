"""What a registry's declaration comes to: its table, columns, natural key and links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from lakehouse.engine import TableSpec
from registries.column import Column
from registries.declared import declaration_of

if TYPE_CHECKING:
    from registries.conditions import Condition
    from registries.record import Record

__all__ = ["Link", "Lookup", "Meta", "own_attribute", "table_name"]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Lookup(Protocol):
    """Makes the condition of a look-up that is neither a column nor a link."""

    def __call__(self, meta: Meta, rest: list[str], value: object, lookup: Any, /) -> Condition:
        """Return the condition on rows of ``meta``; ``rest`` is what follows the first part of ``lookup``."""
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """A many-to-many relation that look-ups may cross.

    Attributes
    ----------
    table
        The link table.
    near
        Its column that holds the uid of this side.
    far
        Its column that holds the uid of the other side.
    target
        The table of the other side.
    via
        Where ``near`` is no record of this side: the link that leads to it.
    """

    table: str
    near: str
    far: str
    target: str
    via: Link | None = None


@dataclass(frozen=True, slots=True)
class Meta:
    """The declaration of a registry.

    Attributes
    ----------
    registry
        The class, not bound to an instance.
    table
        The SQL name: singular snake case.
    columns
        By name, in order; ``uid`` is the first.
    natural
        The columns by which ``save()`` finds a record that is already there; empty where there is no such thing.
    unique
        Column groups that no two live rows share.
    links
        Many-to-many relations by the name that look-ups use.
    derived
        Yes-or-no properties that are computed and never stored: the SQL for each.
    comment
        One line on what the registry records.
    carried
        Where artifacts carry its records as labels, the plural by which they do, such as ``cell_types``.
    measured
        Where feature sets have its records as members, the plural by which they do, such as ``genes``.
    computed
        Further look-ups by their first part: what makes the condition of the rest.
    origin
        Of a user's own registry, where it was declared, such as ``mymodule:Assay``; empty of built-in ones.
    """

    registry: type[Record]
    table: str
    columns: Mapping[str, Column[Any]]
    natural: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    links: dict[str, Link]
    derived: Mapping[str, str]
    comment: str
    carried: str = ""
    measured: str = ""
    computed: Mapping[str, Lookup] = field(default_factory=dict)
    origin: str = ""

    @property
    def title(self) -> str:
        """The column by which people call its records."""
        names = (own_attribute(self.registry, "label_field"), "name", "key", "handle", "root")
        return next((name for name in names if name in self.columns), "uid")

    @property
    def link_column(self) -> str:
        """The column by which tables of links and values refer to its records; every row has another ``run``."""
        return "subject" if self.table == "run" else self.table

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.registry.__name__

    @property
    def entrances(self) -> list[str]:
        """Everything that a look-up may begin with."""
        return [*self.columns, *self.links, *self.derived, *self.computed]

    def spec(self) -> TableSpec:
        """Return what the engine needs to keep the table."""
        single = tuple((column.name,) for column in self.columns.values() if column.unique)
        return TableSpec(
            name=self.table,
            schema=pa.schema([column.field for column in self.columns.values()]),
            unique=(*single, *self.unique),
            references={c.name: c.references for c in self.columns.values() if c.references is not None},
            comment=self.comment,
            declaration=declaration_of(self) if self.origin else {},
        )


def own_attribute(registry: type, name: str) -> Any:
    """Return what a class or one above it says under a name, or None; registries look for near names on ``getattr``."""
    return next((vars(one)[name] for one in registry.__mro__ if name in vars(one)), None)


def table_name(class_name: str) -> str:
    """Return the singular snake case of a class name.

    Examples
    --------
    >>> table_name("FeatureSet"), table_name("ULabel")
    ('feature_set', 'ulabel')
    """
    return _HUMP.sub("_", class_name).lower()
