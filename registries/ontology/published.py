"""The public sources that are known without asking anybody: a table in the package, and what is installed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lakehouse.errors import RecordNotFound, did_you_mean, shown
from registries.ontology.guide import guide_files, plain_version

__all__ = ["PublicSource", "choose", "public_sources"]


@dataclass(frozen=True, kw_only=True)
class PublicSource:
    """A version of a public source of terms.

    Examples
    --------
    >>> choose("CellType", name="cl", version="2026-03-26").prefix
    'CL'
    """

    entity: str
    """The registry, such as CellType."""
    source: str
    """Its short name, such as cl."""
    organism: str
    """A common name such as human, or all."""
    version: str
    url: str
    format: str
    """Which reader reads the file at the URL."""
    prefix: str = ""
    """What ids of its own terms begin with; empty takes all."""
    licence: str = ""
    checksum: str = ""
    """SHA-256 of the file at the URL, where it is known and does not change."""
    guide: str = ""
    """What the package cellxgene-ontology-guide calls it, if it is there."""
    title: str = ""
    file: Path | None = None
    """Where a file of this version lies on this machine already."""

    def __str__(self) -> str:
        """Return it as messages name it."""
        organism = "" if self.organism == "all" else f", {self.organism}"
        return f"{self.source} {self.version}{organism}"


@cache
def _table() -> tuple[PublicSource, ...]:
    text = files("registries.ontology").joinpath("sources.csv").read_text(encoding="utf-8")
    return tuple(_filled(row) for row in csv.DictReader(text.splitlines()))


def _filled(row: Mapping[str, str]) -> PublicSource:
    return PublicSource(
        entity=row["entity"],
        source=row["source"],
        organism=row["organism"],
        version=row["version"],
        url=row["url"],
        format=row["format"],
        prefix=row["prefix"],
        licence=row["licence"],
        checksum=row["checksum"],
        guide=row["guide"],
        title=row["title"],
    )


def public_sources(entity: str | None = None) -> list[PublicSource]:
    """Return the known sources, of one registry or of all; versions that are installed come first.

    Examples
    --------
    >>> len({(one.entity, one.source, one.organism) for one in public_sources()}) >= 26
    True
    """
    found: list[PublicSource] = []
    for row in _table():
        if entity in (None, row.entity):
            there = guide_files(row.guide) if row.guide else {}
            found += [_at(row, version, format="cxg", checksum="", file=file) for version, file in there.items()]
            found += [] if row.version in there else [_at(row, row.version)]
    return found


def _at(row: PublicSource, version: str, **changes: Any) -> PublicSource:
    """Return a version of a source; its place in the URL is filled in for that one."""
    return replace(row, version=version, url=row.url.replace("{version}", version), **changes)


def choose(
    entity: str,
    *,
    name: str | None = None,
    organism: str | None = None,
    version: str | None = None,
    among: Sequence[PublicSource] | None = None,
) -> PublicSource:
    """Return the source that is meant: the first that meets what is given.

    Parameters
    ----------
    entity
        The registry.
    name, organism, version
        What the source is called, for which organism, in which version.
    among
        The sources to choose from, the first being preferred; those that are known, where none are given.

    Raises
    ------
    RecordNotFound
        When there is none; the message lists what there is.
    """
    found = list(public_sources(entity) if among is None else among)
    for field, wanted in (("source", name), ("organism", organism), ("version", version)):
        if wanted is None:
            continue
        text = plain_version(wanted) if field == "version" else wanted
        known = list(dict.fromkeys(str(getattr(one, field)) for one in found))
        found = [one for one in found if getattr(one, field) == text or (field == "organism" and one.organism == "all")]
        if not found:
            raise _unknown(entity, field, text, known)
    if not found:
        raise RecordNotFound(
            f"no public source of {entity} is known: import_source(path=...) reads a file, Source(...).save() adds one"
        )
    return found[0]


def _unknown(entity: str, field: str, text: str, known: list[str]) -> RecordNotFound:
    near, listed = did_you_mean(text, known), ", ".join(map(repr, known))
    near += f" Known: {listed}." if near.endswith("?") else "."
    return RecordNotFound(
        f"no source of {entity} has the {field} {shown(text)}{near} "
        "import_source(path=..., version=...) reads a file of any version"
    )
