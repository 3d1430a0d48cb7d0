"""Adding registries of users' own to an instance: a class, or what an installed package offers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ConfigurationError, InputError, InvalidName, NotFound, did_you_mean, shown
from registries.annotate import attach
from registries.binding import REGISTRIES
from registries.checked import check_references
from registries.custom import PLUGIN, offered
from registries.migration import Applied, planned
from registries.record import Record

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["add", "named", "registry_called"]


def add(home: Instance, registries: Sequence[type[Record]], *, allow_loss: bool = False) -> Applied:
    """Give an instance registries, or what changed in their declarations, in one commit; see ``lh.add_registry``."""
    home.refuse_reading_only()
    classes = [_unbound(registry) for registry in registries]
    check_references([cls.meta for cls in classes], [t for t in REGISTRIES if home.has(t)])
    _refuse_views(home, [cls.meta.table for cls in classes])
    for cls in classes:
        REGISTRIES[cls.meta.table] = cls
    attach()
    plan = planned(home, classes, others=False)
    done = plan.apply(allow_loss=allow_loss)
    home.bind_all(plan.own)
    return done


def _refuse_views(home: Instance, tables: Sequence[str]) -> None:
    rows = home.snapshot().lookup("saved_view", "name", list(tables))
    if len(rows):
        name = rows["name"][0].as_py()
        raise InvalidName(f"a saved view is called {shown(name)}: delete it first, or pass table='...' to the class")


def _unbound(registry: Any) -> type[Record]:
    if not (isinstance(registry, type) and issubclass(registry, Record)) or not hasattr(registry, "meta"):
        raise InputError(f"add_registry({shown(registry)}): a subclass of lh.Record is accepted")
    cls = registry.meta.registry
    if not cls.meta.origin:
        raise InputError(f"add_registry({cls.__name__}): that is built in, and there already")
    return cls


def named(text: str) -> type[Record]:
    """Return the registry that ``module:Class`` means, or that an installed package offers under a name.

    Raises
    ------
    ConfigurationError
        When the module cannot be imported, or has no such registry.
    """
    module, colon, name = text.partition(":")
    if not colon:
        found = offered(text)
        found.meta = replace(found.meta, origin=PLUGIN + text)
        return found
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise InputError(f"{shown(text)} names no class: write it as mymodule:Assay")
    cls: Any = getattr(_imported(module, text), name, None)
    if isinstance(cls, type) and issubclass(cls, Record) and hasattr(cls, "meta"):
        return cls
    known = [n for n, c in vars(sys.modules[module]).items() if isinstance(c, type) and issubclass(c, Record)]
    raise ConfigurationError(f"{module} has no registry {shown(name)}{did_you_mean(name, known)}")


def _imported(module: str, text: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:  # as python -m does; a console script has its own folder there instead
        sys.path.insert(0, here)
    try:
        return import_module(module)
    except Exception as error:  # anything may go wrong while foreign code is imported
        raise ConfigurationError(
            f"{text}: the module {module!r} cannot be imported ({type(error).__name__}: {error}); it has to be installed, "
            "or to lie in the working folder"
        ) from error
    finally:
        if added:
            sys.path.remove(here)


def registry_called(home: Instance, name: str) -> type[Record]:
    """Return the registry of an instance with this table or class name."""
    tables = [table for table in REGISTRIES if home.has(table)]
    for table in tables:
        if name in (table, REGISTRIES[table].__name__):
            return home.bound(REGISTRIES[table])
    names = [*tables, *(REGISTRIES[table].__name__ for table in tables)]
    raise NotFound(f"the instance at {home.root} has no registry {shown(name)}{did_you_mean(str(name), names)}")
