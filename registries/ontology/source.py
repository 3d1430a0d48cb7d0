"""Public sources of terms, as they are used in an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from formats.remote import scrubbed
from lakehouse.errors import InputError, did_you_mean, shown
from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import Column, column
from registries.names import check_name
from registries.ontology.published import public_sources
from registries.record import Record, Saved

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["Source", "check_plain", "source_uid"]

_KEY = ("entity", "name", "organism", "version")


class Source(Record, natural=_KEY, unique=(_KEY,)):
    """A version of a public source of terms: where a file is had, and whether it is the one to use.

    Examples
    --------
    >>> Source(entity="CellType", name="cl", version="2026-03-26", url="/data/cl.obo", prefix="CL").organism
    'all'
    """

    entity: Column[str] = column(doc="The registry that its terms belong to, such as CellType.")
    name: Column[str] = column(doc="Short name such as cl.")
    organism: Column[str] = column(doc="Common name such as human, or all.", default="all")
    version: Column[str] = column(doc="As its publisher writes it.")
    title: Column[str | None] = column(doc="Full name.", default=None)
    url: Column[str | None] = column(doc="URL or path of the file.", default=None)
    format: Column[str | None] = column(doc="How the file is read: obo, owl, obographs, cxg, ...", default=None)
    prefix: Column[str | None] = column(
        doc="What ids of its own terms begin with, one or several with blanks between; null takes all.", default=None
    )
    licence: Column[str | None] = column(doc="Licence of the terms.", default=None)
    checksum: Column[str | None] = column(doc="SHA-256 of the file, where known.", default=None)
    pinned: Column[bool] = column(doc="Whether this version is used where none is named.", default=False)

    @classmethod
    def known(cls, entity: str | None = None) -> pl.DataFrame:
        """Return the public sources that are known without asking anybody, of one registry or of all.

        ``installed`` says whether a version is on this machine, in the package cellxgene-ontology-guide.

        Examples
        --------
        >>> sorted(set(Source.known("Disease")["source"]))
        ['doid', 'icd', 'mondo']
        """
        import polars

        fields = ("entity", "source", "organism", "version", "title", "licence", "url")
        found = public_sources(entity)
        columns = {field: [str(getattr(one, field)) for one in found] for field in fields}
        return polars.DataFrame({**columns, "installed": [one.file is not None for one in found]})

    def pin(self) -> Self:
        """Save it as the version that is used where none is named, in place of the one that was; return it."""
        home = self.home_of()
        with home.transaction():
            self.save()
            for other in home.Source.filter(entity=self.entity, name=self.name, organism=self.organism, pinned=True):
                if other != self:
                    other.pinned = False
                    other.save()
            self.pinned = True
            self.save()
        return self

    def check(self) -> None:
        """Check names, version and the registry that is meant."""
        super().check()
        names = sorted(registry.__name__ for registry in REGISTRIES.values() if "source" in registry.meta.columns)
        if self.entity not in names:
            raise InputError(f"Source.entity {shown(self.entity)} takes no terms{did_you_mean(self.entity, names)}")
        for field in ("organism", "version"):
            self._values[field] = check_name(self.value(field), f"Source.{field}")
        if self.url is not None:
            check_plain(self.url)

    def own_uid(self) -> str:
        """Return the uid that follows from registry, name, organism and version: the same in every instance."""
        return source_uid(self.entity, self.name, self.organism, self.version)

    def plan_insert(self, txn: Transaction, home: Instance, uid: str, *, fresh: bool = True) -> Saved:
        """Insert the row under the uid of its identity."""
        return super().plan_insert(txn, home, self.own_uid(), fresh=False)


def source_uid(entity: str, name: str, organism: str, version: str) -> str:
    """Return the uid of a source, which is the same in every instance.

    Examples
    --------
    >>> source_uid("CellType", "cl", "all", "2026-03-26") == source_uid("CellType", "cl", "all", "2026-03-26")
    True
    """
    return derived_uid("Source", entity, name, organism, version)


def check_plain(url: str) -> None:
    """Check that a URL holds no password and no signature, since sources are rows that all readers see.

    Examples
    --------
    >>> check_plain("https://example.org/cl.obo")
    """
    if scrubbed(url) != url or "@" in url.partition("://")[2].partition("/")[0]:
        raise InputError(
            "Source.url holds a user or password, or a signature, which everyone who reads the instance would see: "
            "download the file and name it with import_source(path=...)"
        )
