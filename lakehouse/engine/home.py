"""Where a lake lies: the marker that makes a folder a lake, the catalog it names, moved and copied folders."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from formats.durable import make_dirs_durably, write_durably
from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalogs import CatalogPlace, catalog_of
from lakehouse.engine.options import Options
from lakehouse.engine.place import refuse_network_file_system
from lakehouse.engine.postgres_address import PostgresAddress, is_postgres
from lakehouse.errors import ConfigurationError, InputError, InstanceNotFound, NewerFormat, Unsupported

__all__ = ["MARKER", "Home", "is_lake", "read_marker"]

MARKER = "lake.json"
"""The file that makes a folder a lake: its id, its format and where its catalog lies."""
_CATALOG = "catalog.db"
_FORMAT = 1
_MARKER_WAIT = 5.0
"""How long, in seconds, a process that finds the schema of a new lake made waits for the marker of its maker."""


def is_lake(root: str | Path) -> bool:
    """Whether a folder is the root of a lake."""
    return (Path(root) / MARKER).is_file()


@dataclass(frozen=True)
class Home:
    """A lake's folder and where its catalog lies."""

    root: Path
    catalog: CatalogPlace
    lake: str
    """The id that the marker names."""

    @classmethod
    def made(cls, root: Path, catalog: CatalogPlace | None, options: Options, *, mode: int | None) -> Self:
        """Make folder, catalog and marker, or find those that another process made.

        Raises
        ------
        Unsupported
            When the catalog would lie on a network file system.
        InputError
            When the root is a file.
        """
        place = catalog if catalog is not None else root / _CATALOG
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file: name a folder for the instance")
        if is_lake(root):  # never a second catalog: if the first is gone, that must be said
            return cls.found(root)
        if isinstance(place, Path):
            refuse_network_file_system(place)
        make_dirs_durably(root)
        if isinstance(place, Path):
            make_dirs_durably(place.parent)
        with closing(catalog_of(place, options, mode=_mode(root) if mode is None else mode)) as opened:
            created = opened.create(str(root))
            with opened.read() as session:
                lake, home, used = session.meta().lake, session.meta().home, session.head() > 0
        if not created and not isinstance(place, Path):
            cls._refuse_foreign(root, place, home, used=used)
        if not is_lake(root):  # another process may have been quicker
            cls.mark(root, place, lake)
        return cls.found(root)

    @staticmethod
    def _refuse_foreign(root: Path, place: PostgresAddress, home: str, *, used: bool) -> None:
        """Refuse a schema that holds another lake: only a process that creates this one, too, may have made it."""
        deadline = time.monotonic() + _MARKER_WAIT
        while not is_lake(root) and (used or home != str(root)):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"{place} holds the catalog of another lake, made in {home}: name a schema of its own for {root} "
                    f"with ?schema=, or restore the file {MARKER} if that lake is this one"
                )
            time.sleep(0.02)

    @classmethod
    def found(cls, root: Path) -> Self:
        """Read the marker.

        Raises
        ------
        InstanceNotFound, ConfigurationError, NewerFormat, Unsupported
        """
        home = cls.marked(root)
        if not isinstance(home.catalog, Path):
            return home
        if not home.catalog.exists():
            raise InstanceNotFound(
                f"the catalog {home.catalog} of {root} is gone: `lakehouse restore --backup FILE` puts a backup in its place, "
                "`lakehouse rebuild` makes one from what was published"
            )
        refuse_network_file_system(home.catalog)
        return home

    @classmethod
    def marked(cls, root: Path) -> Self:
        """Read the marker of a lake whose catalog may be gone.

        Raises
        ------
        InstanceNotFound, ConfigurationError, NewerFormat, Unsupported
        """
        marker = _read_marker(root)
        if is_postgres(marker["catalog"]):
            return cls(root, PostgresAddress.restored(marker["catalog"], marker["schema"]), marker["lake"])
        return cls(root, root / marker["catalog"], marker["lake"])  # an absolute path stays as it is

    @classmethod
    def mark(cls, root: Path, catalog: CatalogPlace, lake: str) -> Self:
        """Write the marker."""
        marker = {"format": _FORMAT, "lake": lake, **_written(catalog, root)}
        write_durably(root / MARKER, json.dumps(marker).encode())
        return cls(root, catalog, lake)

    @property
    def catalog_file(self) -> Path:
        """The catalog's SQLite file.

        Raises
        ------
        Unsupported
            When it is a database on a server.
        """
        if isinstance(self.catalog, Path):
            return self.catalog
        raise Unsupported(
            f"the catalog of {self.root} is a database on a server: back it up and restore it with that server's own "
            "tools (pg_dump and pg_restore)"
        )

    def settle(self, catalog: Catalog) -> None:
        """Note where a moved lake lies now; refuse a copy whose original is still there under the same id."""
        with catalog.read() as session:
            before = session.meta().home
        if before == str(self.root):
            return
        original = Path(before) / MARKER
        elsewhere = original.is_file() and not original.samefile(self.root / MARKER)
        if elsewhere and _read_marker(original.parent)["lake"] == self.lake:
            raise ConfigurationError(
                f"{self.root} is a copy of the lake in {before}: two lakes with one identity must not both be "
                "written. Open it with read_only=True, or remove the original"
            )
        with catalog.locked() as session:
            session.set_home(str(self.root))


def _mode(folder: Path) -> int:
    """Return the permissions of a new catalog: shared with the group where the folder passes its group on."""
    return 0o660 if folder.stat().st_mode & 0o2000 else 0o600


def _written(place: CatalogPlace, root: Path) -> dict[str, str]:
    """Return what the marker says about the catalog: relative to the root, so that a moved folder opens."""
    if isinstance(place, PostgresAddress):
        return {"catalog": place.url, "schema": place.schema}
    return {"catalog": place.relative_to(root).as_posix() if place.is_relative_to(root) else str(place)}


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        return read_marker((folder / MARKER).read_bytes(), str(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InstanceNotFound(f"{folder} is no instance: lakehouse.init({str(folder)!r}) makes one") from error


def read_marker(data: bytes, place: str) -> dict[str, Any]:
    """Return what a marker says; raises ``ConfigurationError`` when it is damaged, ``NewerFormat`` when too young."""
    try:
        marker: dict[str, Any] = json.loads(data)
        texts = {key: str(marker[key]) for key in ("lake", "catalog")}
        marker = {"format": int(marker["format"]), "schema": str(marker.get("schema", "")), **texts}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{place}/{MARKER} is damaged: restore it from a backup") from error
    if marker["format"] > _FORMAT:
        raise NewerFormat(f"{place} was written by a newer version: pip install --upgrade lakehouse-toolkit")
    return marker
