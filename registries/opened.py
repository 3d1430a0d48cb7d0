"""Opening the lake of an instance: which registries it has, and whether it is as old as the program."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formats.remote import RemoteOptions
from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.migrate import TableChange, migrate
from lakehouse.errors import ConfigurationError, NewerFormat, OlderFormat
from registries.annotate import attach
from registries.binding import REGISTRIES
from registries.custom import declare_all, wanted

__all__ = ["OLDER_CATALOG", "RETIRED", "OpenedLake", "differing", "opened_lake"]

_log = logging.getLogger("lakehouse")
OLDER_CATALOG = "its catalog is older"
"""How :attr:`OpenedLake.older` begins where the format of the catalog itself has to be brought up to date."""
RETIRED: frozenset[tuple[str, str]] = frozenset()
"""Tables and columns that earlier versions of built-in registries had; what else is unknown came with a newer one."""


@dataclass(frozen=True)
class OpenedLake:
    """A lake with the tables of the registries that it has."""

    lake: Lake
    own: frozenset[str]
    """Tables of registries of users' own."""
    older: str = ""
    """Why it is open for reading only, although writing was asked for: it has to be migrated first."""


def opened_lake(
    root: Path | str,
    *,
    read_only: bool,
    create: bool,
    user: str,
    catalog: str | None,
    remote: RemoteOptions | None,
    upgrade: bool = False,
) -> OpenedLake:
    """Open a lake; one that lacks what the program has is opened for reading only, with nulls and empty tables.

    Parameters
    ----------
    upgrade
        Open it for writing although it lacks something: it is about to be migrated.

    Raises
    ------
    NewerFormat
        When it is to be written to, and has what this program does not know.
    """
    attach()
    options: dict[str, Any] = {"user": user, "catalog": catalog, "remote": remote}
    try:
        if create:
            lake = Lake.create(root, (), **options)
        else:
            lake = Lake.open(root, (), read_only=read_only, upgrade=upgrade, **options)
    except OlderFormat as error:
        if read_only:
            raise
        why, _, _ = str(error).partition(": lh.migrate")
        return _reading(root, options, f"{OLDER_CATALOG}: {why}")
    try:
        return _judged(lake, root, options, read_only=read_only, upgrade=upgrade)
    except BaseException:
        lake.close()
        raise


def _judged(lake: Lake, root: Path | str, options: dict[str, Any], *, read_only: bool, upgrade: bool) -> OpenedLake:
    own = frozenset(declare_all(lake.schemas))
    lake.schemas.stand_in = _stand_in
    specs = wanted(lake.schemas, own)
    if not read_only and not lake.schemas.names():  # it was made a moment ago
        migrate(lake, [TableChange(spec) for spec in specs], message=f"tables: {len(specs)} registries")
    if not read_only and (unknown := _unknown(lake, specs)):
        raise NewerFormat(
            f"{lake.root} was migrated by a newer version of this program: it has {_listed(unknown)}, which this one does "
            'not know and could lose. pip install --upgrade "lakehouse-toolkit"; read_only=True reads it'
        )
    lacking = differing(lake, specs)
    if lacking and not read_only and not upgrade:
        lake.close()
        return _reading(root, options, f"it lacks what this version has ({_listed(lacking)})")
    if lacking and read_only:
        lake.schemas.expect(specs)
    return OpenedLake(lake, own)


def _reading(root: Path | str, options: dict[str, Any], why: str) -> OpenedLake:
    lake = Lake.open(root, (), read_only=True, **options)
    try:
        found = _judged(lake, root, options, read_only=True, upgrade=False)
    except BaseException:
        lake.close()
        raise
    _log.warning(
        "%s was made by an older version and is open for reading only: lh.migrate() brings it up to date", root
    )
    return OpenedLake(found.lake, found.own, why)


def differing(lake: Lake, specs: list[TableSpec]) -> list[str]:
    """Return the tables of declarations that an instance has not, or not so."""
    return [spec.name for spec in specs if _differs(lake, spec)]


def _differs(lake: Lake, spec: TableSpec) -> bool:
    try:
        return lake.schemas.differs(spec)
    except ConfigurationError:  # it takes more than added columns
        return True


def _unknown(lake: Lake, specs: list[TableSpec]) -> list[str]:
    """Return tables and columns of built-in registries that this program does not know."""
    known = {spec.name: set(spec.schema.names) for spec in specs}
    found = []
    for table in lake.schemas.names():
        spec = lake.schemas.current(table).spec
        if table not in known:
            found.append(table)
        elif not REGISTRIES[table].meta.origin:
            extra = [name for name in spec.schema.names if name not in known[table] and (table, name) not in RETIRED]
            found += [f"{table}.{name}" for name in extra]
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _stand_in(table: str) -> TableSpec | None:
    registry = REGISTRIES.get(table)
    return registry.spec() if registry is not None else None
