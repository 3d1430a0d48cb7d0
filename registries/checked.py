"""What the declaration of a user's own registry has to be: no name that something else has, no rule against itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ConfigurationError, InputError, InvalidName, shown
from registries.binding import REGISTRIES
from registries.column import MISSING, Column
from registries.documented import COLUMNS

if TYPE_CHECKING:
    from registries.meta import Meta
    from registries.record import Record

__all__ = ["check_declaration", "check_references", "is_column_name", "taken_columns"]

_CLASS = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_COLUMN = re.compile(r"[a-z](?:_?[a-z0-9])*")
_LONGEST = 63
_LEFT = ("artifact_", "run_", "transform_", "lineage_", "search_")
"""With what tables of links and values, and views and functions of SQL, begin."""
_RIGHT = ("_parent", "_ancestor", "_label")


def check_declaration(meta: Meta, own: Mapping[str, Column[Any]], base: type[Record]) -> None:
    """Raise where a declaration cannot be used.

    Raises
    ------
    InvalidName
        A name cannot be one, or is taken.
    ConfigurationError
        The declaration contradicts itself.
    InputError
        A default is none of its column's.
    """
    _check_names(meta)
    taken = taken_columns(base)
    for name, column in own.items():
        if not is_column_name(name):
            raise InvalidName(
                f"{meta.name}.{name}: a column is called in lower case, with single underscores inside, by at most "
                f"{_LONGEST} characters, such as {_suggested(name)!r}"
            )
        if name in taken and column is not getattr(meta.registry.__mro__[1], name, None):
            raise InvalidName(f"{meta.name}.{name}: every record has {name!r} already: choose another name")
        _check_default(meta, column)
    known = set(meta.columns)
    for column_name in {*meta.natural, *(name for group in meta.unique for name in group)}:
        if column_name not in known:
            raise ConfigurationError(f"{meta.name}: no column {column_name!r} among {sorted(known)}")
    _refuse_nullable_key(meta)


def is_column_name(name: str) -> bool:
    """Whether a column may be called so: look-ups split names at double underscores.

    Examples
    --------
    >>> is_column_name("sample_id"), is_column_name("a__b"), is_column_name("Name")
    (True, False, False)
    """
    return len(name) <= _LONGEST and _COLUMN.fullmatch(name) is not None


def taken_columns(base: type[Record]) -> set[str]:
    """Return the names that a column cannot have, as every record has them."""
    return {name for name in dir(base) if not name.startswith("_")} | {"label", "labels"}


def _check_names(meta: Meta) -> None:
    if not _CLASS.fullmatch(meta.name):
        raise InvalidName(f"registry {shown(meta.name)}: a class is called by letters and digits, such as 'FlowCell'")
    for table, registry in REGISTRIES.items():
        if table != meta.table and registry.__name__ == meta.name:
            raise InvalidName(f"registry {meta.name}: another one is called so (table {table!r}): choose another name")
    there = REGISTRIES.get(meta.table)
    if there is not None and not there.meta.origin:
        raise InvalidName(f"registry {meta.name}: {meta.table!r} is the table of a built-in one: pass table='...'")
    if not is_column_name(meta.table):
        raise InvalidName(
            f"registry {meta.name}: table = {shown(meta.table)} is no name of SQL's: pass lower-case letters, digits and "
            f"single _, at most {_LONGEST}, such as 'flow_cell'"
        )
    reserved = {"content", "obs", "var", COLUMNS, "ancestors", "descendants", "search", "main", "temp"}
    if meta.table in reserved or meta.table.startswith(_LEFT) or meta.table.endswith(_RIGHT):
        raise InvalidName(f"registry {meta.name}: SQL has another use for {meta.table!r}: pass table='...'")
    if meta.carried:
        _check_carried(meta)


def _check_carried(meta: Meta) -> None:
    if not is_column_name(meta.carried):
        raise InvalidName(f"{meta.name}: carried = {shown(meta.carried)} is no attribute, such as 'flow_cells'")
    others = {registry.meta.carried: table for table, registry in REGISTRIES.items() if registry.meta.carried}
    attribute = getattr(REGISTRIES["artifact"], meta.carried, None)
    labels = getattr(getattr(attribute, "fget", None), "keywords", {}).get("registry")  # as ``attach`` makes them
    is_mine = attribute is None or (labels is not None and labels.meta.table == meta.table)
    if others.get(meta.carried, meta.table) != meta.table or not is_mine:
        raise InvalidName(f"{meta.name}: artifacts have {meta.carried!r} already: choose another name for carried")


def _check_default(meta: Meta, column: Column[Any]) -> None:
    if column.default is MISSING or (column.default is None and column.nullable):
        return
    column.checked(column.initial, meta.name)
    if column.references is not None:
        raise InputError(f"{meta.name}.{column.name}: a reference has no default but None")


def _refuse_nullable_key(meta: Meta) -> None:
    for name in meta.natural:
        if meta.columns[name].nullable:
            raise ConfigurationError(f"{meta.name}.{name} finds records, so it cannot be None: drop the '| None'")
    single = len(meta.natural) == 1 and meta.columns[meta.natural[0]].unique
    if meta.natural and not single and tuple(meta.natural) not in meta.unique and not hasattr(meta.registry, "own_uid"):
        raise ConfigurationError(
            f"{meta.name}: natural={meta.natural} finds one record only if it is unique: pass unique=({meta.natural},), "
            "or unique=True to the only column"
        )


def check_references(metas: Iterable[Meta], tables: Iterable[str]) -> None:
    """Raise where registries refer to a table that is not there, or to one another so that no first row can be.

    Raises
    ------
    ConfigurationError
    """
    given = {meta.table: meta for meta in metas}
    there = set(tables)
    needs: dict[str, set[str]] = {}
    for meta in given.values():
        for column in meta.columns.values():
            if column.references is None:
                continue
            if column.references not in there and column.references not in given:
                raise ConfigurationError(
                    f"{meta.name}.{column.name} refers to {column.references!r}, which the instance lacks: add that "
                    "registry first, or both at once"
                )
            if not column.nullable and column.references in given:
                needs.setdefault(meta.table, set()).add(column.references)
    _refuse_circles(needs)


def _refuse_circles(needs: Mapping[str, set[str]]) -> None:
    waiting = dict(needs)
    while waiting:
        ready = [table for table, wanted in waiting.items() if not wanted & waiting.keys()]
        if not ready:
            circle = " -> ".join(sorted(waiting))
            raise ConfigurationError(
                f"{circle} refer to one another in a circle of columns that must have a value, so no first record could "
                "be saved: let one of them be None"
            )
        for table in ready:
            del waiting[table]


def _suggested(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()
    return words[:_LONGEST] if _COLUMN.fullmatch(words) else "name"
