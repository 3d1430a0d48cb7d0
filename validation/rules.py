"""Rules: what one column has to be, as values that can be stored, compared and compiled."""

from __future__ import annotations

import dataclasses
import datetime as dt
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lakehouse.errors import InputError, UnknownField, did_you_mean, shown

__all__ = ["KINDS", "Order", "Relation", "Rule", "Slot"]

Order: TypeAlias = Literal["increasing", "decreasing"]
KINDS = ("any", "int", "float", "number", "str", "bool", "date", "datetime", "cat", "json")
"""What a dtype may be; ``cat[ULabel|CellType]`` for members of registries, ``list[...]`` for lists of these."""

_DTYPE = re.compile(r"(list\[)?(?:cat\[(.+?)\]|(\w+)|vector\[(\d+)\])(?(1)\])", re.ASCII | re.DOTALL)
_OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
_EXTRA = ("report", "allow", "forbid")
_LONGEST_REGEX = 1_000
_BOUNDS = ("ge", "gt", "le", "lt")


def _number(value: Any) -> Any:
    if isinstance(value, bool | str) or value != value or value is None:
        raise ValueError
    return operator.pos(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _day(value: Any) -> dt.date:
    found = value if isinstance(value, dt.date) else dt.datetime.fromisoformat(value)
    if isinstance(found, dt.datetime):
        if found.time() != dt.time():
            raise ValueError
        return found.date()
    return found


def _time(value: Any) -> dt.datetime:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time())
    return value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)


_VALUES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "int": ("a number", _number),
    "float": ("a number", _number),
    "number": ("a number", _number),
    "bool": ("True or False", _flag),
    "date": ("a date such as 2026-01-31", _day),
    "datetime": ("a time such as 2026-01-31T12:00", _time),
}
"""What bounds and admitted values of a dtype are, and what takes them."""


@dataclass(frozen=True)
class Rule:
    """What a column has to be.

    Attributes
    ----------
    name
        Of the column, or key of an array.
    dtype
        ``any``, ``int``, ``float``, ``number``, ``str``, ``bool``, ``date``, ``datetime``, ``cat``,
        ``cat[ULabel|CellType]`` for names of records, ``list[...]`` of these.
    required, forbidden
        Whether the column must, or must not, be there.
    nullable
        Whether values may be missing.
    coerce
        Whether values are first converted to the dtype where that loses nothing.
    unit
        Unit of the values, such as degC.
    ge, gt, le, lt
        Bounds of numbers or times, inclusive and exclusive; of times and bounds, those without a zone are in UTC where
        the other has one.
    isin
        The only values there may be.
    regex
        What the whole text has to match.
    min_length, max_length
        Bounds of the number of characters, or of items in lists, inclusive.
    unique
        Whether no value may repeat; missing ones may.
    order
        Whether values have to be ``increasing`` or ``decreasing``; equal neighbours are allowed.
    field
        The column of the registry that values are compared with; the name, where none is given.
    organism
        Of registries that tell organisms apart.
    where
        Look-ups that records have to meet, such as ``{"name__startswith": "donor "}``.
    terms
        Values that are admitted beside those of the registry, such as ``unknown``.
    max_unknown
        How many distinct values may be unknown to the registry (a whole number), or which fraction (below 1).
    ncols
        Columns that an array has to have.
    description
        What the column holds.

    Examples
    --------
    >>> Rule("age", "int", ge=0, le=120, unit="years").kind
    'int'
    >>> Rule("cell_type", "cat[CellType|ULabel]").registries
    ('CellType', 'ULabel')
    >>> Rule("age", "int", ge=3, le=2)
    Traceback (most recent call last):
    lakehouse.errors.InputError: rule 'age' contradicts itself: no value is at least 3 and at most 2
    """

    name: str
    dtype: str = "any"
    required: bool = True
    forbidden: bool = False
    nullable: bool = False
    coerce: bool = False
    unit: str | None = None
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    isin: tuple[Any, ...] | None = None
    regex: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    unique: bool = False
    order: Order | None = None
    field: str | None = None
    organism: str | None = None
    where: Mapping[str, Any] | None = None
    terms: tuple[str, ...] = ()
    max_unknown: float | None = None
    ncols: int | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        given: Any = self.name
        if not isinstance(given, str) or not given:
            raise InputError(f"a rule's column {shown(self.name)} is no name: text is accepted")
        for name in ("isin", "terms"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, tuple):
                if isinstance(value, str) or not isinstance(value, Iterable):
                    raise self._refused(f"{name} = {shown(value)}: a list of values is accepted")
                object.__setattr__(self, name, tuple(value))
        self._check_dtype()
        self._settle_values()
        self._check_bounds()
        self._check_text()

    def _refused(self, why: str) -> InputError:
        return InputError(f"rule {shown(self.name)}: {why}")

    def _contradicts(self, why: str) -> InputError:
        return InputError(f"rule {shown(self.name)} contradicts itself: {why}")

    def _check_dtype(self) -> None:
        given: Any = self.dtype
        found = _DTYPE.fullmatch(given) if isinstance(given, str) else None
        if found is None or (found[3] is not None and found[3] not in KINDS):
            raise self._refused(f"dtype {shown(self.dtype)} is not known{did_you_mean(str(self.dtype), KINDS)}")
        about = {"field": self.field, "organism": self.organism, "where": self.where, "max_unknown": self.max_unknown}
        given = [name for name, value in about.items() if value is not None]
        if given and not self.registries:
            raise self._refused(f"{given[0]} goes with a registry, such as dtype='cat[ULabel]'")

    def _settle_values(self) -> None:
        """Take bounds and admitted values as the dtype has them: JSON and YAML write times as text."""
        for name in _BOUNDS:
            if (bound := getattr(self, name)) is not None:
                object.__setattr__(self, name, self._settled(name, bound))
        if self.isin is not None:
            object.__setattr__(self, "isin", tuple(self._settled("isin", value) for value in self.isin))

    def _settled(self, name: str, value: Any) -> Any:
        if value is None or self.kind not in _VALUES:
            return value
        words, take = _VALUES[self.kind]
        try:
            return take(value)
        except (TypeError, ValueError):
            raise self._refused(f"{name} = {shown(value)} is not {words}, which dtype {self.dtype} needs") from None

    def _check_bounds(self) -> None:
        if self.forbidden and (self.ge is not None or self.isin or self.regex or self.unique or self.registries):
            raise self._contradicts("a forbidden column has no other rules")
        low, high = _first(self.gt, self.ge), _first(self.lt, self.le)
        strict = self.gt is not None or self.lt is not None
        if low is not None and high is not None and (low > high or (strict and low == high)):
            word = ("more than", "less than") if strict else ("at least", "at most")
            raise self._contradicts(f"no value is {word[0]} {low} and {word[1]} {high}")
        if self.kind in ("str", "bool", "cat") and any(getattr(self, bound) is not None for bound in _BOUNDS):
            raise self._contradicts(f"values of dtype {self.dtype} have no bounds")
        self._check_counts()
        shortest, longest = self.min_length, self.max_length
        if shortest is not None and longest is not None and shortest > longest:
            raise self._contradicts(f"no value has at least {shortest} and at most {longest} characters or items")
        if self.isin is not None and not self.isin:
            raise self._contradicts("isin is empty, so no value is admitted")
        if self.order not in (None, "increasing", "decreasing"):
            raise self._refused(f"order = {shown(self.order)}: 'increasing' or 'decreasing' is accepted")

    def _check_counts(self) -> None:
        most: Any = self.max_unknown
        if most is not None and (isinstance(most, bool) or not isinstance(most, int | float) or not most >= 0):
            raise self._refused(f"max_unknown = {shown(most)}: a number that is not negative is accepted")
        for name in ("min_length", "max_length", "ncols"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise self._refused(f"{name} = {shown(value)}: a whole number that is not negative is accepted")
        if self.terms and not self.registries:
            raise self._refused(
                "terms go beside a registry, such as dtype='cat[ULabel]'; isin lists values without one"
            )

    def _check_text(self) -> None:
        given: Any = self.regex
        if self.kind in _VALUES and (given is not None or (not self.many and (self.min_length or self.max_length))):
            raise self._contradicts(f"values of dtype {self.dtype} are no text, which regex and lengths are about")
        if given is None:
            return
        if not isinstance(given, str) or len(given) > _LONGEST_REGEX:
            raise self._refused(f"regex {shown(self.regex)}: text of at most {_LONGEST_REGEX:,} characters is accepted")
        try:
            re.compile(given)
        except re.error as error:
            raise self._refused(f"regex {shown(self.regex)} is none: {error}") from None

    @property
    def many(self) -> bool:
        """Whether values are lists."""
        return self.dtype.startswith("list[")

    @property
    def kind(self) -> str:
        """The dtype of one value, such as ``int`` or ``cat``."""
        found = _DTYPE.fullmatch(self.dtype)
        assert found is not None
        return found[3] or ("vector" if found[4] else "cat")

    @property
    def registries(self) -> tuple[str, ...]:
        """The registries that values are looked for in, as they are written in the dtype."""
        found = _DTYPE.fullmatch(self.dtype)
        return tuple(_split_choices(found[2])) if found is not None and found[2] else ()

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from the defaults.

        Examples
        --------
        >>> Rule("age", "int", ge=0).to_dict()
        {'name': 'age', 'dtype': 'int', 'ge': 0}
        """
        made = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                made[item.name] = list(value) if isinstance(value, tuple) else value
        return made

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Rule:
        """Return the rule that :meth:`to_dict` wrote."""
        known = [item.name for item in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise UnknownField(f"a rule has no property {shown(name)}{did_you_mean(str(name), known)}")
        if "name" not in given:
            raise InputError(f"rule {shown(dict(given))} has no name")
        return cls(**given)


@dataclass(frozen=True)
class Relation:
    """What must hold between two columns of each row, where neither value is missing.

    Examples
    --------
    >>> Relation("started", "<=", "ended").op
    '<='
    """

    left: str
    op: str
    right: str

    def __post_init__(self) -> None:
        if self.op not in _OPERATORS:
            raise InputError(f"relation {shown(self.op)} is not known{did_you_mean(str(self.op), _OPERATORS)}")

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


@dataclass(frozen=True)
class Slot:
    """The rules of one part: the columns of a frame, obs, var, uns, ...

    Attributes
    ----------
    rules
        One for each column.
    index
        What the index of a pandas frame, or the names of an axis, have to be.
    extra
        What becomes of columns without a rule: ``report``, ``allow`` or ``forbid``.
    ordered
        Whether columns have to come in the order of the rules.
    relations
        What must hold between columns.
    unique_together
        Groups of columns whose values together may not repeat.

    Examples
    --------
    >>> Slot([Rule("a"), Rule("a")])
    Traceback (most recent call last):
    lakehouse.errors.InputError: column 'a' has two rules: keep one
    """

    rules: Sequence[Rule] = ()
    index: Rule | None = None
    extra: str = "report"
    ordered: bool = False
    relations: Sequence[Relation] = ()
    unique_together: Sequence[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in ("rules", "relations", "unique_together"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        groups: Sequence[Any] = self.unique_together
        for group in groups:
            if isinstance(group, str) or not all(isinstance(name, str) for name in group):
                raise InputError(
                    f"unique_together holds {shown(group)}: groups of names such as ('a', 'b') are accepted"
                )
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"column {shown(name)} has two rules: keep one")
        if self.extra not in _EXTRA:
            raise InputError(f"extra = {shown(self.extra)}{did_you_mean(str(self.extra), _EXTRA)}")
        absent = {rule.name for rule in self.rules if rule.forbidden}
        for relation in self.relations:
            for side in (relation.left, relation.right):
                if side in absent:
                    raise InputError(f"relation {relation} contradicts the rule that {shown(side)} is forbidden")

    def rule(self, name: str) -> Rule | None:
        """Return the rule of a column, if it has one."""
        return next((rule for rule in self.rules if rule.name == name), None)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _split_choices(text: str) -> list[str]:
    """Split alternatives at the ``|`` outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([") - (character in ")]")
        if character == "|" and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
