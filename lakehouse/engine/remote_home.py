"""Where a lake in a bucket lies: its marker there, and its catalog in a local file."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formats.buckets import bucket_at
from formats.durable import make_dirs_durably, write_durably
from formats.remote import RemoteOptions
from lakehouse.config import data_folder
from lakehouse.engine.bucket import BucketFolder
from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalogs import CatalogPlace, catalog_of
from lakehouse.engine.home import MARKER, read_marker
from lakehouse.engine.options import Options
from lakehouse.engine.place import refuse_network_file_system
from lakehouse.engine.postgres_address import PostgresAddress, is_postgres
from lakehouse.errors import ConfigurationError, InputError, InstanceNotFound, NotFound

__all__ = ["LOCAL", "RemoteHome", "is_remote_lake"]

LOCAL = "local"
"""What the marker says of a catalog that is a file: where it lies is the business of its machine alone."""
_FORMAT = 1
_OWN = ("tables", "storage", "head.json", "writer.json")


def is_remote_lake(root: str, options: RemoteOptions) -> bool:
    """Whether a URL is the root of a lake."""
    return bucket_at(root, options).size(MARKER) is not None


@dataclass(frozen=True)
class RemoteHome:
    """A lake's prefix in a bucket and its catalog file."""

    folder: BucketFolder
    catalog: CatalogPlace
    lake: str
    """The id that the marker names."""

    @property
    def root(self) -> str:
        """The URL."""
        return self.folder.place

    @classmethod
    def made(
        cls, folder: BucketFolder, catalog: CatalogPlace | None, options: Options, *, mode: int | None
    ) -> RemoteHome:
        """Make catalog and marker, or find those that another process made.

        Raises
        ------
        Unsupported
            When the store ignores conditional writes, or the catalog would lie on a network file system.
        ConfigurationError
            When the catalog is that of another lake, or another machine was quicker.
        """
        folder.bucket.refuse_unconditional()
        if is_remote_lake(folder.place, folder.bucket.options):
            return cls.found(folder, catalog)
        _refuse_occupied(folder)
        place = catalog or _default_catalog(folder.place)
        if isinstance(place, Path):
            refuse_network_file_system(place)
            make_dirs_durably(place.parent)
        with closing(catalog_of(place, options, mode=0o600 if mode is None else mode)) as opened:
            opened.create(folder.place)
            with opened.read() as session:
                lake, home, used = session.meta().lake, session.meta().home, session.head() > 0
        if used or home != folder.place:
            raise ConfigurationError(
                f"{place} is the catalog of another lake, or of one that is no longer in {folder.place}: restore its "
                "files, or name another one with catalog='/local/path/catalog.db', or ?schema= of a database"
            )
        if isinstance(place, Path):
            _remember(folder.place, place)
        if not cls._mark(folder, place, lake) and _marker(folder)["lake"] != lake:
            raise ConfigurationError(
                f"another machine made an instance in {folder.place} a moment ago: name another prefix, or open that one "
                "with read_only=True"
            )
        return cls.found(folder, place)

    @staticmethod
    def _mark(folder: BucketFolder, place: CatalogPlace, lake: str) -> bool:
        """Put the marker, unless there is one."""
        where = {"catalog": LOCAL}
        if isinstance(place, PostgresAddress):
            where = {"catalog": place.url, "schema": place.schema}
        return folder.bucket.put_if(MARKER, json.dumps({"format": _FORMAT, "lake": lake, **where}).encode(), None)

    @classmethod
    def found(cls, folder: BucketFolder, catalog: CatalogPlace | None = None) -> RemoteHome:
        """Read the marker, and find the catalog: the database that it names, or a file on this machine.

        Raises
        ------
        InstanceNotFound, ConfigurationError, NewerFormat
        """
        marker = _marker(folder)
        if is_postgres(marker["catalog"]):
            return cls(folder, PostgresAddress.restored(marker["catalog"], marker["schema"]), marker["lake"])
        path = catalog if isinstance(catalog, Path) else remembered(folder.place)
        if not path.exists():
            raise InstanceNotFound(
                f"the catalog of {folder.place} is not on this machine ({path}), and only that machine writes which has "
                "it. Choose: read_only=True, catalog='/local/path/catalog.db' where it lies elsewhere, or "
                "an instance with catalog='postgresql://...' for several machines"
            )
        if catalog is not None:
            _remember(folder.place, path)
        return cls(folder, path, marker["lake"])

    def settle(self, catalog: Catalog) -> None:
        """Note where a moved lake lies now; refuse a copy whose original is still there under the same id."""
        with catalog.read() as session:
            before = session.meta().home
        if before == self.root:
            return
        if before.partition("://")[0] == self.root.partition("://")[0]:
            try:
                original = _marker(BucketFolder.at(before, self.folder.bucket.options))["lake"]
            except NotFound:
                original = None
            if original == self.lake:
                raise ConfigurationError(
                    f"{self.root} is a copy of the lake in {before}: two lakes with one identity must not both be "
                    "written. Open it with read_only=True, or remove the original"
                )
        with catalog.locked() as session:
            session.set_home(self.root)


def remembered(root: str) -> Path:
    """Return where this machine keeps the catalog of a remote lake, which need not exist."""
    note = _default_catalog(root).with_name("catalog.json")
    try:
        return Path(json.loads(note.read_text(encoding="utf-8"))["catalog"])
    except FileNotFoundError:
        return _default_catalog(root)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{note} is damaged: remove it, and name the catalog with catalog=") from error


def _default_catalog(root: str) -> Path:
    name = hashlib.blake2b(root.encode(), digest_size=10).hexdigest()
    return data_folder() / "lakes" / name / "catalog.db"


def _remember(root: str, catalog: Path) -> None:
    note = _default_catalog(root).with_name("catalog.json")
    make_dirs_durably(note.parent)
    write_durably(note, json.dumps({"root": root, "catalog": os.fspath(catalog)}).encode())


def _marker(folder: BucketFolder) -> dict[str, Any]:
    try:
        return read_marker(folder.read(MARKER), folder.place)
    except FileNotFoundError as error:
        raise InstanceNotFound(f"{folder} is no instance: lakehouse.init({folder.place!r}) makes one") from error


def _refuse_occupied(folder: BucketFolder) -> None:
    taken = [name for name in _OWN if folder.bucket.size(name) is not None or folder.below(name).names()]
    if taken:
        raise InputError(
            f"{folder} holds {', '.join(taken)}, which an instance needs for itself: name another prefix, such as "
            f"'{folder}/lake'"
        )
