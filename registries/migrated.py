"""What was migrated: the changes of tables that an instance has recorded, and whether its rows meet what is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.engine.migrate import parts_of
from lakehouse.errors import InputError
from registries.binding import REGISTRIES
from registries.limits import check_values

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["broken_rules", "recorded"]


def recorded(home: Instance) -> list[dict[str, Any]]:
    """Return the commits that changed tables, the newest first, with how many, and whether rows were written anew."""
    schemas = home.lake.schemas
    versions = [version for table in schemas.names() for version in schemas.versions(table)]
    found = []
    with home.lake.catalog.read() as session:
        for commit in sorted({version.since for version in versions}, reverse=True):
            changed = [version for version in versions if version.since == commit]
            info = session.commit(commit)
            found.append(
                {
                    "commit": commit,
                    "at": info.at if info else None,
                    "user": info.user if info else None,
                    "tables": len(changed),
                    "message": info.message if info else None,
                    "names": sorted(version.name for version in changed),
                    "rewritten": sorted(version.name for version in changed if version.renews),
                }
            )
    return found


def broken_rules(home: Instance) -> list[str]:
    """Return what rows break of the limits and of the non-null columns that registries declare, in words."""
    found = []
    for table, registry in REGISTRIES.items():
        if not home.has(table) or not registry.meta.origin:
            continue
        for part in parts_of(home.snapshot().state(table)):
            for name, column in registry.meta.columns.items():
                where = f"{registry.meta.name}.{name}"
                if part[name].null_count and not column.nullable:
                    found.append(f"{where} has no value in {part[name].null_count:,} rows")
                try:
                    if column.rule is not None:
                        check_values(column.rule, part[name], where)
                except InputError as error:
                    found.append(str(error))
    return list(dict.fromkeys(found))
