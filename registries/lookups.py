"""Look-ups such as ``created_by__handle`` and ``size__gt``, turned into SQL with bound parameters.

Relations become ``in (select ...)``, so that a record is never repeated and no alias is needed. Nothing that a
caller gives reaches the text of the SQL: names are those of the declarations, values are parameters.
"""

from __future__ import annotations

import datetime as dt
import math
import numbers
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from lakehouse.engine.pruning import Among, Bound, Demand
from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from lakehouse.ids import is_uid
from registries.binding import REGISTRIES, registry_of
from registries.column import TEXTS, Column
from registries.conditions import Condition, both, either, opposite
from registries.dtype import DType
from registries.kinds import column_of
from registries.names import check_text
from registries.times import parse_time

if TYPE_CHECKING:
    from registries.meta import Link, Meta

__all__ = ["NORMALISED", "OPERATORS", "Condition", "condition", "nested"]

_COMPARISONS = {"exact": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TEXT = {
    # DuckDB's functions take the needle literally: % and _ mean themselves.
    "contains": "contains({column}, ?)",
    "icontains": "contains(lower({column}), lower(?))",
    "startswith": "starts_with({column}, ?)",
    "endswith": "suffix({column}, ?)",
}
OPERATORS = (*_COMPARISONS, "ne", "in", *_TEXT, "isnull")
"""What may follow a field's name after two underscores; none means ``exact``."""

_SQL_TYPES = {
    str: "VARCHAR",
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    dt.datetime: "TIMESTAMPTZ",
    dt.date: "DATE",
}
_BIGGEST = 2**63
_EXACT = 2**53
"""From here on a float stands for several whole numbers, which DuckDB takes for equal."""
NORMALISED = frozenset({"name", "key"})
"""Columns that are kept in Unicode normal form C, so that they are found however the text was typed."""


FindFeature: TypeAlias = Callable[[str], tuple[str, DType]]
"""Returns uid and dtype of the feature of a name."""
_FEATURES = "features"


@dataclass(frozen=True)
class _Asked:
    """What was asked for, and how the features in it are found."""

    lookup: str
    find: FindFeature | None

    def __str__(self) -> str:
        return self.lookup


def condition(meta: Meta, lookup: str, value: object, find: FindFeature | None = None) -> Condition:
    """Return the condition that one look-up asks for.

    Parameters
    ----------
    find
        Returns the row of a feature by its name, for look-ups that begin with ``features__``.

    Raises
    ------
    UnknownField
        When a field or the operator is not known.
    InputError
        When the operator or the value does not go with the field.
    """
    return _step(meta, lookup.split("__"), value, _Asked(lookup, find))


def nested(meta: Meta, parts: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that the remaining parts of a look-up ask for of rows of ``meta``; the uid, where there are none."""
    return _step(meta, parts if parts and parts[0] not in OPERATORS else ["uid", *parts], value, lookup)


def _step(meta: Meta, parts: list[str], value: object, lookup: _Asked) -> Condition:
    head, rest = parts[0], parts[1:]
    if head == _FEATURES and rest and f"{meta.table}_value" in REGISTRIES:
        return _of_feature(meta, rest, value, lookup)
    if head in meta.derived:
        return _derived(meta, head, rest, value, lookup)
    if head in meta.links:
        return _across(meta.links[head], rest, value, lookup)
    if head in meta.computed:
        return meta.computed[head](meta, rest, value, lookup)
    declared = meta.columns.get(head)
    if declared is None:
        raise UnknownField(f"{meta.name} has no field {shown(head)}{did_you_mean(head, meta.entrances)}")
    if rest and declared.references is not None and rest[0] not in OPERATORS:
        target = registry_of(declared.references).meta
        return _step(target, rest, value, lookup).within(head, "uid", target.table)
    operator = _operator(declared, rest, lookup)
    if declared.references is not None:
        _check_uids(registry_of(declared.references).meta, operator, value, str(lookup))
    return _compare(meta, declared, operator, value)


def _check_uids(target: Meta, operator: str, value: object, lookup: str) -> None:
    """Refuse a name where a record or its uid is wanted: nothing would be found, and nobody would know why."""
    if operator not in ("exact", "ne", "in"):
        return
    several = isinstance(value, list | tuple | set | frozenset)
    if several and operator == "exact":
        raise InputError(
            f"{lookup}={shown(value)}: one {target.name} is compared; for any of several write {lookup}__in"
        )
    values: Iterable[object] = value if several else [value]  # type: ignore[assignment]
    wrong = next((one for one in values if isinstance(one, str) and not is_uid(one)), None)
    if wrong is not None:
        field, name = lookup.removesuffix(f"__{operator}"), target.natural[0] if target.natural else target.title
        other = f", or write {field}__{name}={shown(wrong)}" if name != "uid" else ""
        raise InputError(f"{lookup}={shown(wrong)} is no uid of a {target.name}: give the record or its uid{other}")


def _operator(declared: Column[Any], rest: list[str], lookup: _Asked) -> str:
    if not rest and declared.python != TEXTS:
        return "exact"
    rest = rest or ["exact"]
    if len(rest) > 1 or rest[0] not in OPERATORS:
        wrong = rest[0] if rest[0] not in OPERATORS else rest[1]
        raise UnknownField(
            f"{shown(str(lookup))}: {declared.name} has no look-up {shown(wrong)}{did_you_mean(wrong, OPERATORS)}"
        )
    if declared.python == TEXTS and rest[0] not in ("contains", "isnull"):
        raise InputError(
            f"{shown(str(lookup))}: {declared.name} holds lists: use {declared.name}__contains='...' or __isnull"
        )
    if rest[0] in _TEXT and declared.python not in (str, TEXTS):
        raise InputError(
            f"{shown(str(lookup))}: {rest[0]} works on text, and {declared.name} is {declared.python.__name__}"
        )
    return rest[0]


def _derived(meta: Meta, name: str, rest: list[str], value: object, lookup: _Asked) -> Condition:
    if rest and rest != ["exact"]:
        raise UnknownField(f"{shown(str(lookup))}: {name} takes no look-up: give {name}=True or {name}=False")
    sql = meta.derived[name]
    return Condition(sql if _truth(value, lookup) else f"not ({sql})", (), frozenset({meta.table}))


def _truth(value: object, lookup: str | _Asked) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{lookup}={shown(value)}: True or False is accepted")
    return value


def _across(link: Link, rest: list[str], value: object, lookup: _Asked) -> Condition:
    target = registry_of(link.target).meta
    if rest == ["isnull"]:
        there = _back(link, Condition("true"))
        return opposite(there) if _truth(value, lookup) else there
    far = target.columns["uid"]
    if not rest or rest[0] in OPERATORS:
        operator = _operator(far, rest, lookup)
        _check_uids(target, operator, value, str(lookup))
        inner = _compare(target, far, operator, value)
    else:
        inner = _step(target, rest, value, lookup)
    if "deleted_at" in target.columns and rest[:1] != ["deleted_at"]:
        inner = both([inner, Condition('"deleted_at" is null')])
    return _back(link, inner.within(link.far, "uid", target.table))


def _back(link: Link, linked: Condition) -> Condition:
    """Return the condition that one of the rows that link a record meets a condition."""
    if link.via is None:
        return linked.within("uid", link.near, link.table)
    return _back(link.via, linked.within(link.via.far, link.near, link.table))


def _of_feature(meta: Meta, rest: list[str], value: object, lookup: _Asked) -> Condition:
    if lookup.find is None:
        raise InputError(f"{shown(str(lookup))}: values of features are looked up with filter() and get() alone")
    uid, dtype = lookup.find(rest[0])
    if dtype.is_categorical:
        return _labelled(meta, uid, dtype, rest[1:], value, lookup)
    values = REGISTRIES[f"{meta.table}_value"].meta
    under = Condition('"feature" = ?', (uid,))
    if rest[1:] == ["isnull"]:
        there = under.within("uid", meta.link_column, values.table)
        return opposite(there) if _truth(value, lookup) else there
    if dtype.kind == "vector":
        raise InputError(f"{shown(str(lookup))}: vectors are compared in SQL; only __isnull is accepted here")
    declared = values.columns[column_of(dtype)]
    compared = _compare(values, declared, _operator(declared, rest[1:], lookup), value)
    return both([under, compared]).within("uid", meta.link_column, values.table)


def _labelled(meta: Meta, uid: str, dtype: DType, rest: list[str], value: object, lookup: _Asked) -> Condition:
    """Return the condition that a label is carried under a feature; a plain value is its name."""
    under = Condition('"feature" = ?', (uid,), equals=("feature", (uid,)))
    tables = [c.table for c in dtype.choices] or [t for t, r in REGISTRIES.items() if r.meta.carried]
    found = []
    for table in tables:
        if (links := REGISTRIES.get(f"{meta.table}_{table}")) is None:
            continue
        target = registry_of(table).meta
        if rest == ["isnull"]:
            found.append(under.within("uid", meta.link_column, links.meta.table))
            continue
        path = rest if rest and rest[0] not in OPERATORS else [target.title, *rest]
        if isinstance(getattr(value, "meta", None), type(target)) and not rest:
            path = ["uid"]
        far = _step(target, path, value, lookup).within(table, "uid", target.table)
        found.append(both([under, far]).within("uid", meta.link_column, links.meta.table))
    there = either(found)
    return opposite(there) if rest == ["isnull"] and _truth(value, lookup) else there


def _compare(meta: Meta, declared: Column[Any], operator: str, value: object) -> Condition:
    column = quoted(declared.name)
    where = f"{meta.name}.{declared.name}"
    if operator == "isnull":
        return Condition(f"{column} is {'' if _truth(value, f'{where}__isnull') else 'not '}null")
    if declared.python == TEXTS:
        return Condition(f"list_contains({column}, ?)", (_value(declared, value, where),))
    if operator == "in":
        return _member(column, declared, value, where)
    if value is None:
        return _nothing(column, operator, where)
    parameter = _value(declared, value, where)
    if operator == "ne":
        return Condition(f"{column} is distinct from ?", (parameter,))
    bounds = _bounds(declared.name, operator, parameter)
    if operator in _TEXT:
        return Condition(_TEXT[operator].format(column=column), (parameter,), bounds=bounds)
    equals = (declared.name, (parameter,)) if operator == "exact" and isinstance(parameter, str) else None
    return Condition(f"{column} {_COMPARISONS[operator]} ?", (parameter,), bounds=bounds, equals=equals)


def _bounds(column: str, operator: str, value: Any) -> tuple[Demand, ...]:
    """Return what a comparison says of the column's values; a bound that is met itself may be too wide, never too narrow."""
    if isinstance(value, float) and not abs(value) < _EXACT:
        return ()
    if operator == "exact":
        return (Bound(column, value, value),)
    if operator in ("gt", "gte"):
        return (Bound(column, low=value),)
    if operator in ("lt", "lte"):
        return (Bound(column, high=value),)
    return (Bound(column, value, _after(str(value))),) if operator == "startswith" else ()


def _after(prefix: str) -> str | None:
    """Return a text that comes after all that begin with a prefix; None where there is no simple one."""
    if not prefix or ord(prefix[-1]) in (0xD7FF, 0x10FFFF):
        return None
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _nothing(column: str, operator: str, where: str) -> Condition:
    if operator not in ("exact", "ne"):
        raise InputError(f"{where}__{operator}=None compares with nothing: use {where.partition('.')[2]}__isnull=True")
    return Condition(f"{column} is {'not ' if operator == 'ne' else ''}null")


def _member(column: str, declared: Column[Any], values: object, where: str) -> Condition:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"{where}__in={shown(values)}: a list of values is accepted")
    parameters = [_value(declared, value, f"{where}__in") for value in values]
    if not parameters:
        return Condition("false")
    kind = "DOUBLE" if any(isinstance(p, float) for p in parameters) else _SQL_TYPES[declared.python]
    exact = not any(isinstance(p, float) and not abs(p) < _EXACT for p in parameters)
    demand = Among if declared.python is str else _span
    bounds = (demand(declared.name, sorted(parameters)),) if exact else ()
    return Condition(f"{column} in (select unnest(?::{kind}[]))", (parameters,), bounds=bounds)


def _span(column: str, ranked: Sequence[Any]) -> Demand:
    return Bound(column, ranked[0], ranked[-1])


def _value(declared: Column[Any], value: object, where: str) -> Any:
    """Return a value as a parameter, in the type of the column that it is compared with."""
    if declared.name == "uid" or declared.references is not None:
        value = getattr(value, "uid", value)
    kind = str if declared.python == TEXTS else declared.python
    if kind in (int, float) and type(value) is not bool and isinstance(value, numbers.Real):
        return _number(value, where)
    if kind is str and isinstance(value, str):
        text = check_text(str(value), where)
        return unicodedata.normalize("NFC", text) if declared.name in NORMALISED else text
    if kind is bool and isinstance(value, bool):
        return value
    if kind is dt.datetime and isinstance(value, str | dt.date):
        return parse_time(value, where)
    if kind is dt.date and isinstance(value, str | dt.date):
        return parse_time(value, where).date()
    accepted = f"{kind.__name__} or text in ISO 8601" if kind in (dt.datetime, dt.date) else kind.__name__
    raise InputError(f"{where} is compared with {shown(value)}, a {type(value).__name__}: {accepted} is accepted")


def _number(value: numbers.Real, where: str) -> int | float:
    if isinstance(value, numbers.Integral):
        if not -_BIGGEST <= (whole := int(value)) < _BIGGEST:
            raise InputError(
                f"{where} is compared with a whole number of {whole.bit_length()} bits: it has to fit 64 bits"
            )
        return whole
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{where} is compared with {number}: a finite number is accepted")
    return number
