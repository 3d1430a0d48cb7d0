"""Where a lake lies: the marker that makes a folder a lake, its catalog file, moved and copied folders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from formats.durable import make_dirs_durably, write_durably
from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.options import Options
from lakehouse.engine.place import refuse_network_file_system
from lakehouse.errors import ConfigurationError, InputError, InstanceNotFound, NewerFormat, Unsupported

__all__ = ["MARKER", "Home", "is_lake"]

MARKER = "lake.json"
"""The file that makes a folder a lake: its id, its format and where its catalog lies."""
_CATALOG = "catalog.db"
_FORMAT = 1


def is_lake(root: str | Path) -> bool:
    """Whether a folder is the root of a lake."""
    return (Path(root) / MARKER).is_file()


@dataclass(frozen=True)
class Home:
    """A lake's folder and its catalog file."""

    root: Path
    catalog: Path
    lake: str
    """The id that the marker names."""

    @classmethod
    def made(cls, root: Path, catalog: Path | None, options: Options, *, mode: int | None) -> Self:
        """Make folder, catalog and marker, or find those that another process made.

        Raises
        ------
        Unsupported
            When the catalog would lie on a network file system.
        InputError
            When the root is a file.
        """
        path = catalog if catalog is not None else root / _CATALOG
        if root.exists() and not root.is_dir():
            raise InputError(f"{root} is a file: name a folder for the instance")
        if is_lake(root):  # never a second catalog: if the first is gone, that must be said
            return cls.found(root)
        refuse_network_file_system(path)
        make_dirs_durably(root)
        make_dirs_durably(path.parent)
        opened = SqliteCatalog(path, options, mode=_mode(root) if mode is None else mode)
        opened.create(str(root))
        with opened.read() as session:
            lake = session.meta().lake
        opened.close()
        if not is_lake(root):  # another process may have been quicker
            cls.mark(root, path, lake)
        return cls.found(root)

    @classmethod
    def found(cls, root: Path) -> Self:
        """Read the marker.

        Raises
        ------
        InstanceNotFound, ConfigurationError, NewerFormat, Unsupported
        """
        home = cls.marked(root)
        if not home.catalog.exists():
            raise InstanceNotFound(
                f"the catalog {home.catalog} of {root} is gone: `lakehouse restore BACKUP` puts a backup in its place, "
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
        if "://" in marker["catalog"]:
            raise Unsupported(
                f"the catalog of {root} is a database on a server: back it up and restore it with that server's own "
                "tools (pg_dump and pg_restore)"
            )
        return cls(root, root / marker["catalog"], marker["lake"])  # an absolute path stays as it is

    @classmethod
    def mark(cls, root: Path, catalog: Path, lake: str) -> Self:
        """Write the marker."""
        where = catalog.relative_to(root).as_posix() if catalog.is_relative_to(root) else str(catalog)
        write_durably(root / MARKER, json.dumps({"format": _FORMAT, "lake": lake, "catalog": where}).encode())
        return cls(root, catalog, lake)

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


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        marker: dict[str, Any] = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        marker = {"format": int(marker["format"]), "lake": str(marker["lake"]), "catalog": str(marker["catalog"])}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InstanceNotFound(f"{folder} is no instance: lakehouse.init({str(folder)!r}) makes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{folder / MARKER} is damaged: restore it from a backup") from error
    if marker["format"] > _FORMAT:
        raise NewerFormat(f"{folder} was written by a newer version: pip install --upgrade lakehouse-toolkit")
    return marker
