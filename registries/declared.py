"""What an instance keeps of the declaration of a user's own registry, beside its columns: as JSON holds it.

It lies with the table's rules, in the catalog, in ``head.json`` and in the Delta log, so that a program which has not
the module of the declaration, and a catalog that is rebuilt, know the registry all the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from registries.column import MISSING, Column

if TYPE_CHECKING:
    from registries.meta import Meta

__all__ = ["HIERARCHY", "ROW", "declaration_of", "from_json", "is_own", "to_json"]

ROW, HIERARCHY = "record", "term"
"""What a registry is based on: plain records, or terms with synonyms and parents."""


def declaration_of(meta: Meta) -> dict[str, Any]:
    """Return the declaration of a registry as JSON holds it."""
    own = {name: column for name, column in meta.columns.items() if is_own(meta.registry, column)}
    columns = {name: _column(column) for name, column in own.items()}
    found = {
        "class": meta.name,
        "origin": meta.origin,
        "base": HIERARCHY if "parent_uids" in meta.columns and "parent_uids" not in own else ROW,
        "natural": list(meta.natural),
        "carried": meta.carried,
        "label_field": getattr(meta.registry, "label_field", ""),
        "columns": {name: column for name, column in columns.items() if column},
    }
    return {name: value for name, value in found.items() if value}


def is_own(registry: type, column: Column[Any]) -> bool:
    """Whether a column was declared by the registry's own class, and not by what it is based on."""
    return registry.__dict__.get(column.name) is column


def _column(column: Column[Any]) -> dict[str, Any]:
    default = {} if column.default is MISSING else {"default": to_json(column.default)}
    limits = {"limits": {name: to_json(value) for name, value in column.limits.items()}} if column.limits else {}
    return default | limits


def to_json(value: Any) -> Any:
    """Return a value as JSON holds it.

    Examples
    --------
    >>> to_json(dt.date(2026, 1, 31)), to_json(("a", 1))
    ({'date': '2026-01-31'}, ['a', 1])
    """
    if isinstance(value, dt.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(part) for part in value]
    return value


def from_json(value: Any) -> Any:
    """Return a value that :func:`to_json` wrote; lists come as tuples.

    Examples
    --------
    >>> from_json(to_json((dt.date(2026, 1, 31), "a")))
    (datetime.date(2026, 1, 31), 'a')
    """
    if isinstance(value, Mapping):
        kind, text = next(iter(value.items()))
        return dt.datetime.fromisoformat(text) if kind == "datetime" else dt.date.fromisoformat(text)
    return tuple(from_json(part) for part in value) if isinstance(value, list) else value
