"""Registries of users' own: classes made of what an instance keeps of their declarations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import new_class
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse import plugins
from lakehouse.engine import TableSpec
from lakehouse.errors import ConfigurationError, InputError, shown
from registries.annotate import attach
from registries.binding import REGISTRIES
from registries.column import MISSING, TEXTS, Column, Reference, column, reference
from registries.declared import HIERARCHY, from_json
from registries.meta import Meta
from registries.ontology.term import Term
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine.schemas import Schemas

__all__ = ["PLUGIN", "declare_all", "offered", "registry_from", "wanted"]

PLUGIN = "plugin:"
"""How the origin of a registry begins that an installed package offers."""

_PYTHON: Mapping[pa.DataType, Any] = {
    pa.string(): str,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
    pa.date32(): dt.date,
    pa.timestamp("us", "UTC"): dt.datetime,
    pa.list_(pa.string()): TEXTS,
}


def registry_from(spec: TableSpec) -> type[Record]:
    """Return a class for a table whose declaration an instance keeps; the module that it came from is not needed.

    Raises
    ------
    ConfigurationError
        When a column is of a type that no registry has.
    """
    said = spec.declaration
    base: type[Record] = Term if said.get("base") == HIERARCHY else Record
    shared = {*_inherited(base), "uid", "created_at", "created_by", "run"}
    alone = {group[0] for group in spec.unique if len(group) == 1}
    columns = {
        item.name: _column(item, said.get("columns", {}).get(item.name, {}), spec, unique=item.name in alone)
        for item in spec.schema
        if item.name not in shared
    }

    def body(namespace: dict[str, Any]) -> None:
        label_field = {"label_field": said["label_field"]} if said.get("label_field") else {}
        namespace.update({name: made for name, (made, _) in columns.items()} | label_field)
        namespace["__annotations__"] = {name: hint for name, (_, hint) in columns.items()}
        namespace["__doc__"] = spec.comment or f"The registry {said['class']}."
        namespace["__module__"] = __name__

    options: dict[str, Any] = {
        "table": spec.name,
        "natural": tuple(said.get("natural", ())),
        "unique": tuple(group for group in spec.unique if len(group) > 1),
        "carried": said.get("carried", ""),
        "origin": said.get("origin") or said["class"],
    }
    return new_class(said["class"], (base,), options, body)


def _inherited(base: type[Record]) -> set[str]:
    return set() if base is Record else set(vars(base)["_inherited"])


def _column(item: pa.Field, said: Mapping[str, Any], spec: TableSpec, *, unique: bool) -> tuple[Column[Any], Any]:
    """Return a column, and what its annotation would be."""
    python = _PYTHON.get(item.type)
    if python is None:
        raise ConfigurationError(f"{spec.name}.{item.name} is {item.type}, which this version has no registries with")
    doc = (item.metadata or {}).get(b"comment", b"").decode()
    default = from_json(said["default"]) if "default" in said else MISSING
    if item.nullable and default is MISSING:
        default = None
    if (target := spec.references.get(item.name)) is not None:
        made = reference(target, doc=doc, default=default, unique=unique)
        return made, Reference[str | None] if item.nullable else Reference[str]
    limits = {name: from_json(value) for name, value in said.get("limits", {}).items()}
    made = column(doc=doc, default=default, unique=unique, **limits)
    return made, _hint(python, nullable=item.nullable)


def _hint(python: Any, *, nullable: bool) -> Any:
    return Column[python | None] if nullable else Column[python]


# -- what an instance has ----------------------------------------------------------------------------------------------
def declare_all(schemas: Schemas) -> set[str]:
    """Declare the registries of users' own that an instance has, and return their tables.

    Classes of modules that were imported before stand for those of their name. Nothing is imported because an
    instance names it, but for what an installed package offers as a plug-in.
    """
    own = {name: spec for name in schemas.names() if (spec := schemas.current(name).spec).declaration.get("class")}
    for name, spec in own.items():
        there = REGISTRIES.get(name)
        stands = there is not None and (not _is_made(there) or _same(there.spec(), spec))
        if not stands and _plugged(spec) is None:
            registry_from(spec)
    if own:
        attach()
    return set(own)


def _is_made(registry: type[Record]) -> bool:
    """Whether a class was made by :func:`registry_from`."""
    return registry.__module__ == __name__


def _same(ours: TableSpec, kept: TableSpec) -> bool:
    return (ours.schema.equals(kept.schema), ours.unique, dict(ours.references), ours.declaration) == (
        True, kept.unique, dict(kept.references), kept.declaration,
    )  # fmt: skip


def _plugged(spec: TableSpec) -> type[Record] | None:
    origin = str(spec.declaration.get("origin", ""))
    name = origin.removeprefix(PLUGIN)
    if not origin.startswith(PLUGIN) or name not in plugins.names(plugins.REGISTRIES):
        return None
    found = offered(name)
    if found.meta.table != spec.name:  # the package gave the name to something else
        return None
    found.meta = replace(found.meta, origin=origin)
    REGISTRIES[spec.name] = found
    return found


def offered(name: str) -> type[Record]:
    """Return the registry that an installed package offers under a name.

    Raises
    ------
    ConfigurationError
        When none does, or it is no registry.
    """
    found: Any = plugins.load(plugins.REGISTRIES, name)
    if not (isinstance(found, type) and issubclass(found, Record)):
        raise ConfigurationError(f"the plug-in {name!r} is {shown(found)}: a subclass of lh.Record is accepted")
    if not found.meta.origin:
        raise InputError(f"the plug-in {name!r} is the built-in {found.meta.name}: that is there already")
    return found


def wanted(schemas: Schemas, own: Iterable[str]) -> list[TableSpec]:
    """Return the declarations that the program has of all registries of an instance, links among them."""
    mine = set(own)
    core = {table for table, registry in REGISTRIES.items() if not registry.meta.origin}
    foreign = REGISTRIES.keys() - core - mine
    kept = [t for t in REGISTRIES if t in mine or (t in core and not foreign & set(_targets(t)))]
    return [_wanted(schemas, REGISTRIES[table]) for table in kept]


_specs: dict[str, tuple[Meta, TableSpec]] = {}


def _spec_of(registry: type[Record]) -> TableSpec:
    """Return the declaration of a registry, made once: opening an instance asks for all hundred of them."""
    meta = registry.meta
    known = _specs.get(meta.table)
    if known is None or known[0] is not meta:
        known = _specs[meta.table] = (meta, registry.spec())
    return known[1]


def _targets(table: str) -> list[str]:
    return [c.references for c in REGISTRIES[table].meta.columns.values() if c.references is not None]


def _wanted(schemas: Schemas, registry: type[Record]) -> TableSpec:
    """Return a declaration; where a class was imported from does not count, as a script is ``__main__`` to itself."""
    spec = _spec_of(registry)
    if not registry.meta.origin or spec.name not in schemas.names():
        return spec
    said = schemas.current(spec.name).spec.declaration
    columns = {
        "columns": {**said.get("columns", {}), **spec.declaration.get("columns", {})}
    }  # those it lacks stay, too
    kept = {"origin": said.get("origin", registry.meta.origin)} | (columns if columns["columns"] else {})
    return replace(spec, declaration={**spec.declaration, **kept})
