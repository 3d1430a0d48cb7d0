"""A column of a registry: one declaration for constructor, Delta schema and look-ups.

``Artifact.size`` is the column itself, ``artifact.size`` is the value::

    class Station(Record):
        name: Column[str] = column(doc="What it is called.")
        depth: Column[float | None] = column(doc="Metres below the surface.", default=None)
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import numbers
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints, overload

import pyarrow as pa

from lakehouse.errors import InputError, shown
from registries.expressions import Q
from registries.limits import check_value, rule_of
from registries.names import check_text
from validation.rules import Rule

if TYPE_CHECKING:
    from registries.record import Record

__all__ = ["MISSING", "TEXTS", "Column", "Reference", "bind_annotations", "column", "reference", "to_utc"]

T = TypeVar("T")
MISSING: Any = dataclasses.MISSING
"""Stands for a default that was not given."""

TEXTS: Any = list[str]
"""The Python type of a column of lists."""

_ARROW: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    dt.datetime: pa.timestamp("us", "UTC"),
    dt.date: pa.date32(),
    TEXTS: pa.list_(pa.string()),
}
_BIGGEST = 2**63


class Column(Generic[T]):
    """A typed column; on the class it is itself, on a record it is the value.

    Attributes
    ----------
    name : str
        The column's name in Python, SQL and Delta.
    doc : str
        The comment that the Delta table and the SQL view carry.
    python : type
        The Python type of its values: str, int, float, bool, datetime (aware, UTC), date or list[str].
    nullable : bool
        Whether it may be None.
    unique : bool
        Whether no two live rows share a value.
    references : str or None
        The table whose uid it holds.
    init : bool
        Whether the constructor takes it; otherwise ``save()`` sets it.
    limits : dict
        What a value has to be beside its type, as :class:`validation.Rule` has it: ge, gt, le, lt, isin, regex, ...
    was : str or None
        The name that the column had before, so that a migration takes its values along.
    """

    def __init__(
        self,
        *,
        default: Any,
        doc: str,
        unique: bool,
        init: bool,
        references: str | None,
        limits: Mapping[str, Any] | None = None,
        was: str | None = None,
    ) -> None:
        self.name = ""
        self.default, self.doc, self.unique, self.init, self.references = default, doc, unique, init, references
        self.limits = {name: value for name, value in (limits or {}).items() if value is not None}
        self.was = was
        self.rule: Rule | None = None
        self.python: Any = str
        self.nullable = False

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.accepted}>"

    @overload
    def __get__(self, record: None, owner: type) -> Column[T]: ...
    @overload
    def __get__(self, record: Record, owner: type) -> T: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        return self if record is None else record.value(self.name)

    def __set__(self, record: Record, value: T) -> None:
        record.assign(self, value)

    # Conditions

    def __eq__(self, other: object) -> Q:  # type: ignore[override]
        return Q(**{self.name: other})

    def __ne__(self, other: object) -> Q:  # type: ignore[override]
        return Q(**{f"{self.name}__ne": other})

    __hash__ = object.__hash__

    def __gt__(self, other: Any) -> Q:
        return Q(**{f"{self.name}__gt": other})

    def __ge__(self, other: Any) -> Q:
        return Q(**{f"{self.name}__gte": other})

    def __lt__(self, other: Any) -> Q:
        return Q(**{f"{self.name}__lt": other})

    def __le__(self, other: Any) -> Q:
        return Q(**{f"{self.name}__lte": other})

    def in_(self, values: Iterable[Any]) -> Q:
        """Return the condition that the value is one of these."""
        return Q(**{f"{self.name}__in": values})

    def contains(self, text: str) -> Q:
        """Return the condition that the text contains another."""
        return Q(**{f"{self.name}__contains": text})

    def startswith(self, text: str) -> Q:
        """Return the condition that the text begins with another."""
        return Q(**{f"{self.name}__startswith": text})

    def endswith(self, text: str) -> Q:
        """Return the condition that the text ends with another."""
        return Q(**{f"{self.name}__endswith": text})

    def isnull(self) -> Q:
        """Return the condition that there is no value."""
        return Q(**{f"{self.name}__isnull": True})

    @property
    def accepted(self) -> str:
        """The types that it takes, for messages."""
        name = "list of str" if self.python == TEXTS else self.python.__name__
        return name + (" or None" if self.nullable else "")

    @property
    def initial(self) -> Any:
        """The default as a record of its own holds it."""
        return list(self.default) if isinstance(self.default, tuple) else self.default

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column in Arrow and Delta."""
        return _ARROW[self.python]

    @property
    def field(self) -> pa.Field:
        """The Arrow field, with the comment in its metadata."""
        return pa.field(self.name, self.arrow_type, nullable=self.nullable, metadata={b"comment": self.doc.encode()})

    def bind(self, hint: object) -> None:
        """Take type and nullability from the annotation's argument, such as ``str | None``."""
        members = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        known = [member for member in members if member in _ARROW]
        if len(known) != 1 or set(members) - {known[0], type(None)}:
            choices = ", ".join(str(kind) if kind == TEXTS else kind.__name__ for kind in _ARROW)
            raise InputError(f"column {self.name!r} is annotated with {hint}: give one of {choices}, or that | None")
        self.python, self.nullable = known[0], type(None) in members
        if self.limits:
            self.rule = rule_of(self)

    def checked(self, value: object, owner: str) -> Any:
        """Return the value as it is kept, or say which types are accepted."""
        if type(value) is self.python and self.python is not dt.datetime:
            return value
        if value is None and self.nullable:
            return None
        kept = self._converted(value)
        if kept is None:
            raise InputError(
                f"{owner}.{self.name} = {shown(value)} is a {type(value).__name__}: {self.accepted} is accepted"
            )
        return kept

    def _converted(self, value: object) -> Any:
        if self.python is dt.datetime:
            return to_utc(value) if isinstance(value, dt.datetime) and value.tzinfo is not None else None
        if isinstance(value, bool | dt.datetime):
            return None
        if self.python is float and isinstance(value, numbers.Real):
            return float(value)
        if self.python is int and isinstance(value, numbers.Integral):
            return int(value)
        if self.python is str and isinstance(value, str):
            return str.__str__(value)
        if self.python == TEXTS and isinstance(value, list | tuple | set | frozenset):
            return [str.__str__(part) for part in value] if all(isinstance(part, str) for part in value) else None
        return value if self.python is dt.date and isinstance(value, dt.date) else None

    def storable(self, value: Any, owner: str) -> Any:
        """Return the value if a row can hold it: within its limits, text that is UTF-8, whole numbers of 64 bits."""
        if self.rule is not None and value is not None:
            check_value(self.rule, value, f"{owner}.{self.name}")
        if isinstance(value, str):
            return check_text(value, f"{owner}.{self.name}")
        if value and self.python == TEXTS:
            return [check_text(part, f"{owner}.{self.name}") for part in value]
        if isinstance(value, int) and not -_BIGGEST <= value < _BIGGEST:
            raise InputError(
                f"{owner}.{self.name} is given a whole number of {value.bit_length()} bits: it has to fit 64 bits"
            )
        return value


class Reference(Column[T]):
    """A column that holds the uid of a record of another registry; the record itself may be given."""

    if TYPE_CHECKING:

        def __set__(self, record: Record, value: T | Record) -> None:
            """Assign a uid or a record."""


def column(
    *,
    doc: str,
    default: Any = MISSING,
    unique: bool = False,
    init: bool = True,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    isin: Sequence[Any] | None = None,
    regex: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    was: str | None = None,
) -> Any:
    """Declare a column; its type comes from the annotation.

    Parameters
    ----------
    doc
        The comment that the Delta table and the SQL view carry: with units, and whether bounds are inclusive.
    default
        The value where none is given, ``()`` for an empty list; without it the constructor demands one.
    unique
        Whether no two live rows may share a value.
    init
        Whether the constructor takes it; otherwise ``save()`` sets it.
    ge, gt, le, lt
        Bounds of numbers and times, inclusive and exclusive.
    isin
        The only values there may be.
    regex
        What a whole text has to match (RE2).
    min_length, max_length
        Bounds of the number of characters, or of items in a list, inclusive.
    was
        The name that the column had before: a migration takes its values along.

    Examples
    --------
    >>> column(doc="Metres below the surface.", ge=0, le=11_000).limits
    {'ge': 0, 'le': 11000}
    """
    isin = None if isin is None else tuple(isin)
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt, "isin": isin, "regex": regex}
    limits |= {"min_length": min_length, "max_length": max_length}
    return Column(default=default, doc=doc, unique=unique, init=init, references=None, limits=limits, was=was)


def reference(
    table: str, *, doc: str, default: Any = MISSING, init: bool = True, unique: bool = False, was: str | None = None
) -> Any:
    """Declare a column that holds uids of the registry whose rows are kept in ``table``.

    Parameters
    ----------
    table
        The table, such as ``cell_type``.
    doc, default, init, unique, was
        As for :func:`column`.
    """
    return Reference(default=default, doc=doc, unique=unique, init=init, references=table, was=was)


def bind_annotations(owner: type) -> dict[str, Column[Any]]:
    """Bind the columns that a class itself declares to their annotations, and return them in order."""
    own = {name: value for name, value in vars(owner).items() if isinstance(value, Column)}
    written = inspect.get_annotations(owner)
    unwritten = [name for name in own if name not in written]
    if unwritten:
        raise InputError(f"{owner.__name__}.{unwritten[0]} has no annotation: write {unwritten[0]}: Column[str] = ...")
    # Only the columns are evaluated: other annotations may name what is imported for type checkers alone.
    holder = types.SimpleNamespace(__annotations__={name: written[name] for name in own})
    names = {"Column": Column, "Reference": Reference, "lh": sys.modules.get("lakehouse")}
    names |= vars(sys.modules[owner.__module__])
    hints = get_type_hints(holder, globalns=names)
    for name, declared in own.items():
        if arguments := get_args(hints[name]):
            declared.bind(arguments[0])
    return own


def to_utc(moment: dt.datetime) -> dt.datetime:
    """Return an aware time in UTC.

    Examples
    --------
    >>> to_utc(dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return moment.astimezone(dt.UTC)
