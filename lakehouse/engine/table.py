"""What a registry table is: its columns, unique groups and references."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import pyarrow as pa

from lakehouse.engine.encoding import Encoder
from lakehouse.errors import ConfigurationError, InvalidName, shown

__all__ = ["KEYS", "TableSpec", "TableVersion"]

KEYS = pa.schema([pa.field("uid", pa.string(), nullable=False)])
"""The schema of a delete segment."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class TableSpec:
    """The declaration of a table.

    Parameters
    ----------
    name
        Snake case, at most 63 characters.
    schema
        Its first column is ``uid`` (string, not null); column comments stand in the field metadata as ``comment``.
    unique
        Groups of columns whose values, joined, are unique over the live rows; a null in the group exempts the row.
    references
        Column to the table whose ``uid`` it holds; null is allowed.
    comment
        What the table records.
    declaration
        What else those above want kept with it, as JSON holds it: what a user's own registry is, for instance.

    Raises
    ------
    InvalidName, ConfigurationError
        When the declaration contradicts itself.

    Examples
    --------
    >>> schema = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
    >>> TableSpec("label", schema, unique=(("name",),)).unique
    (('name',),)
    """

    name: str
    schema: pa.Schema
    unique: tuple[tuple[str, ...], ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    declaration: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = f"table name {shown(self.name)} is not snake case of at most 63 characters, such as 'cell_type'"
            raise InvalidName(msg)
        if self.schema.names[:1] != ["uid"] or self.schema.field("uid").type != pa.string():
            raise ConfigurationError(f"table {self.name!r}: the first column must be uid (string)")
        if len(set(map(str.lower, self.schema.names))) != len(self.schema.names):
            raise ConfigurationError(f"table {self.name!r}: column names repeat (case does not count)")
        for column in {c for group in self.unique for c in group} | set(self.references):
            if column not in self.schema.names:
                raise ConfigurationError(f"table {self.name!r}: no column {column!r} among {self.schema.names}")
        for item in self.schema:
            if not _is_storable(item.type):
                raise ConfigurationError(
                    f"{self.name}.{item.name}: a registry holds no {item.type}; choose string, binary, bool, an int, "
                    "float32 or float64, decimal128, date32, timestamp('us'), timestamp('us', 'UTC'), "
                    "or list, map and struct of these"
                )

    def rules(self) -> str:
        """Return all but the columns as JSON text."""
        rules = {"unique": self.unique, "references": dict(self.references), "comment": self.comment}
        more = {"declaration": dict(self.declaration)} if self.declaration else {}
        return json.dumps(rules | more, sort_keys=True)

    @classmethod
    def restore(cls, name: str, schema: pa.Schema, rules: str) -> TableSpec:
        """Rebuild a declaration from its columns and :meth:`rules`."""
        parts = json.loads(rules)
        unique = tuple(tuple(group) for group in parts["unique"])
        return cls(name, schema, unique, parts["references"], parts["comment"], parts.get("declaration", {}))

    def added_to(self, older: TableSpec) -> list[pa.Field]:
        """Return the columns that this declaration adds to an older one.

        Raises
        ------
        ConfigurationError
            When the change is more than an addition of nullable columns.
        """
        mine = {item.name: item for item in self.schema}
        for item in older.schema:
            if (new := mine.get(item.name)) is not None and new.type != item.type:
                msg = (
                    f"{self.name}.{item.name} is {item.type} in the instance and {new.type} in the program; "
                    "only additions of nullable columns are automatic: add a new column instead"
                )
                raise ConfigurationError(msg)
        added = [item for item in self.schema if item.name not in older.schema.names]
        for item in added:
            if not item.nullable:
                raise ConfigurationError(f"{self.name}.{item.name}: an added column must be nullable")
        return added

    def says_what(self, other: TableSpec) -> bool:
        """Whether another declaration says the same, comments aside; quicker than to work out a difference."""
        mine, theirs = ((one.unique, dict(one.references), dict(one.declaration)) for one in (self, other))
        return mine == theirs and bool(self.schema.equals(other.schema))

    def after(self, older: TableSpec) -> TableSpec:
        """Return what is in force once this declaration meets an older (or younger) one: nothing of either is lost.

        Raises
        ------
        ConfigurationError
            When it adds more than nullable columns, or a rule that rows already there may break.
        """
        added = self.added_to(older)
        names = {item.name for item in added}
        unique = tuple(group for group in self.unique if group not in older.unique)
        references = {c: t for c, t in self.references.items() if older.references.get(c) != t}
        for group in unique:
            if not names.intersection(group):  # a group with an added column is null in the rows that are there
                raise ConfigurationError(f"{self.name}: {group} cannot become unique over rows that are there already")
        if late := sorted(references.keys() - names):
            raise ConfigurationError(f"{self.name}: {late} cannot become references, as rows are there already")
        if not (added or unique or references):
            redeclared = self.declaration and self.declaration != older.declaration
            return replace(older, declaration=self.declaration) if redeclared else older
        schema = older.schema
        for item in added:
            schema = schema.append(item)
        rules = older.unique + unique, {**older.references, **references}
        declaration = self.declaration or older.declaration
        return TableSpec(self.name, schema, *rules, self.comment or older.comment, declaration)


@cache  # a program has few types, and an instance a hundred tables
def _is_storable(kind: pa.DataType) -> bool:
    """Whether Delta holds a type and gives it back as it was."""
    if pa.types.is_list(kind):
        return _is_storable(kind.value_type)
    if pa.types.is_map(kind):
        return _is_storable(kind.key_type) and _is_storable(kind.item_type)
    if pa.types.is_struct(kind):
        return all(_is_storable(field.type) for field in kind.fields)
    if pa.types.is_timestamp(kind):
        return bool(kind.unit == "us" and kind.tz in (None, "UTC"))
    return kind in _PLAIN or pa.types.is_decimal128(kind)


_PLAIN = frozenset(
    {
        pa.string(), pa.binary(), pa.bool_(), pa.date32(), pa.float32(), pa.float64(),
        pa.int8(), pa.int16(), pa.int32(), pa.int64(),
    }
)  # fmt: skip


@dataclass(frozen=True)
class TableVersion:
    """A table's declaration as it is in force from a commit on."""

    spec: TableSpec
    version: int
    """Counts the schemas of a table, from 1."""
    since: int
    """The commit that put it in force."""
    renews: bool = False
    """Whether that commit wrote all rows anew: what was published and committed before is not read with this schema."""

    def rules(self) -> str:
        """Return all but the columns as JSON text, as a catalog keeps it."""
        text = self.spec.rules()
        return json.dumps(json.loads(text) | {"renews": True}, sort_keys=True) if self.renews else text

    @classmethod
    def restore(cls, name: str, schema: pa.Schema, rules: str, version: int, since: int) -> TableVersion:
        """Rebuild a version from its columns and :meth:`rules`."""
        renews = '"renews"' in rules and bool(json.loads(rules).get("renews"))
        return cls(TableSpec.restore(name, schema, rules), version, since, renews)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.spec.name

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        return self.spec.schema

    @cached_property
    def encoder(self) -> Encoder:
        """What encodes rows of it."""
        return Encoder(self.name, self.schema)
