"""Which catalog a place means: a SQLite file, or a schema of a Postgres database."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalog_postgres import PostgresCatalog
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.options import Options
from lakehouse.engine.postgres_address import PostgresAddress, is_postgres

__all__ = ["CatalogPlace", "catalog_of", "place_of"]

CatalogPlace: TypeAlias = Path | PostgresAddress
"""Where a catalog lies."""


def place_of(catalog: str | Path, root: str) -> CatalogPlace:
    """Return the place that a user named.

    Parameters
    ----------
    catalog
        A path, or a ``postgresql://`` URL.
    root
        Where the lake lies.

    Examples
    --------
    >>> place_of("postgresql://host/lab?schema=pilot", "/data/lake")
    PostgresAddress(url='postgresql://host/lab', schema='pilot')
    """
    if is_postgres(catalog):
        return PostgresAddress.parsed(str(catalog), root=root)
    return Path(catalog).expanduser().absolute()


def catalog_of(
    place: CatalogPlace, options: Options, *, read_only: bool = False, mode: int = 0o600, upgrade: bool = False
) -> Catalog:
    """Return the catalog at a place; it need not exist yet.

    Parameters
    ----------
    mode
        Permissions of a file that is created.
    upgrade
        Bring a catalog of an older format to this one; it is refused for writing otherwise.
    """
    if isinstance(place, PostgresAddress):
        return PostgresCatalog(place, options, read_only=read_only, upgrade=upgrade)
    return SqliteCatalog(place, options, read_only=read_only, mode=mode, upgrade=upgrade)
