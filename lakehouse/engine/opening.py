"""Opening a lake: which folder and which catalog a root stands for, here and in buckets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from formats.cache import Cache
from formats.remote import READ_ONLY, RemoteOptions, check_url, is_remote
from formats.storage import Storage
from lakehouse.engine.at_once import AtOnce
from lakehouse.engine.bucket import BucketFolder, PublishedFolder
from lakehouse.engine.catalog import Catalog
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.catalogs import CatalogPlace, catalog_of, place_of
from lakehouse.engine.folder import Folder, LocalFolder
from lakehouse.engine.home import Home, is_lake
from lakehouse.engine.options import Options
from lakehouse.engine.publish import Publisher
from lakehouse.engine.published import published_catalog
from lakehouse.engine.remote_home import RemoteHome, is_remote_lake, remembered
from lakehouse.engine.writer_lease import WriterLease
from lakehouse.errors import ConfigurationError, IntegrityError

__all__ = ["Opened", "is_a_lake", "make", "opened"]


class _Home(Protocol):
    @property
    def lake(self) -> str: ...

    def settle(self, catalog: Catalog) -> None: ...


def is_a_lake(root: str | Path, remote: RemoteOptions | None = None) -> bool:
    """Whether a path or URL is the root of a lake."""
    if is_remote(root):
        return is_remote_lake(str(root), remote or RemoteOptions())
    return is_lake(root)


def make(
    root: str | Path,
    options: Options,
    *,
    catalog: str | Path | None,
    mode: int | None,
    remote: RemoteOptions | None,
) -> None:
    """Make folder, catalog and marker, or find those that another process made."""
    if is_remote(root):
        url = check_url(str(root))
        RemoteHome.made(BucketFolder.at(url, remote), _placed(catalog, url), options, mode=mode)
    else:
        folder = Path(root).expanduser().absolute()
        Home.made(folder, _placed(catalog, str(folder)), options, mode=mode)


def _placed(catalog: str | Path | None, root: str) -> CatalogPlace | None:
    return place_of(catalog, root) if catalog is not None else None


@dataclass(frozen=True)
class Opened:
    """A lake's folder and its open catalog."""

    folder: Folder
    catalog: Catalog
    home: _Home | None
    """None for what is read from ``head.json`` alone."""

    def settle(self) -> None:
        """Check before writing that this is no copy, and note where the lake lies."""
        if self.home is not None:
            self.home.settle(self.catalog)

    def check(self, lake: str) -> None:
        """Raise ``ConfigurationError`` when the catalog is of another lake."""
        if self.home is not None and self.home.lake != lake:
            raise ConfigurationError(
                f"{self.catalog.name} is the catalog of lake {lake}, not of {self.home.lake} in {self.folder.place}: "
                "restore the right one"
            )

    def at_once(self, publisher: Publisher, lake: str, options: Options) -> AtOnce | None:
        """Return what a commit owes a bucket; None where the catalog is beside the files, or shared."""
        if not isinstance(self.folder, BucketFolder) or not isinstance(self.catalog, SqliteCatalog):
            return None
        lease = WriterLease(self.folder.bucket, self.catalog.path, lake, options.bucket_lease)
        return AtOnce(self.catalog, publisher, lease, self.folder.place)


def opened(
    root: str | Path,
    options: Options,
    *,
    read_only: bool,
    catalog: str | Path | None = None,
    remote: RemoteOptions | None = None,
    upgrade: bool = False,
) -> Opened:
    """Find a lake and open its catalog; for reading only, ``head.json`` stands in for one that is not here.

    Raises
    ------
    InstanceNotFound, ConfigurationError, NewerFormat, OlderFormat, Unsupported
    """
    if not is_remote(root):
        home = Home.found(Path(root).expanduser().absolute())
        there = _existing(home.catalog, options, read_only=read_only, upgrade=upgrade)
        return Opened(LocalFolder(home.root), there, home)
    url = check_url(str(root))
    place = _placed(catalog, url)
    if read_only and (url.startswith(READ_ONLY) or not _is_at_hand(url, place)):
        folder = PublishedFolder(Storage(url, options=remote), Cache())
        return Opened(folder, published_catalog(folder, options), None)
    found = RemoteHome.found(BucketFolder.at(url, remote), place)
    if not read_only:
        found.folder.bucket.refuse_unconditional()
    return Opened(found.folder, _existing(found.catalog, options, read_only=read_only, upgrade=upgrade), found)


def _is_at_hand(url: str, place: CatalogPlace | None) -> bool:
    """Whether the catalog of a remote lake was named, or lies on this machine."""
    return place is not None or remembered(url).exists()


def _existing(place: CatalogPlace, options: Options, *, read_only: bool, upgrade: bool) -> Catalog:
    catalog = catalog_of(place, options, read_only=read_only, upgrade=upgrade)
    try:
        if not catalog.exists():
            raise IntegrityError(f"{catalog.name} is empty: restore it from a backup")
    except BaseException:
        catalog.close()
        raise
    return catalog
