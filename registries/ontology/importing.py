"""Importing a whole source into a registry, in one transaction."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.errors import InputError, shown
from lakehouse.types import Progress, StrPath
from registries.names import check_name
from registries.ontology.adopting import adopted, take_places, users_own
from registries.ontology.copies import remembered
from registries.ontology.enriching import enrich
from registries.ontology.guide import plain_version
from registries.ontology.identity import entry_uid
from registries.ontology.ingest import Rows, gathered
from registries.ontology.obtain import is_url, local_path, obtain
from registries.ontology.published import PublicSource, choose, public_sources
from registries.ontology.readers import read_source
from registries.ontology.source import Source, check_plain, source_uid
from registries.writing import uncollected

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance
    from registries.ontology.term import Entry

__all__ = [
    "Imported",
    "Wanted",
    "add_rows",
    "ensure_source",
    "import_source",
    "organism_meant",
    "read_rows",
    "registered",
    "resolved",
    "source_record",
    "stamped",
]

pc: Any = _compute
_log = logging.getLogger("lakehouse")

ORGANISMS = {
    "human": ("NCBITaxon:9606", "Homo sapiens"),
    "mouse": ("NCBITaxon:10090", "Mus musculus"),
    "rat": ("NCBITaxon:10116", "Rattus norvegicus"),
    "zebrafish": ("NCBITaxon:7955", "Danio rerio"),
    "fruit fly": ("NCBITaxon:7227", "Drosophila melanogaster"),
    "roundworm": ("NCBITaxon:6239", "Caenorhabditis elegans"),
    "pig": ("NCBITaxon:9823", "Sus scrofa"),
    "macaque": ("NCBITaxon:9544", "Macaca mulatta"),
    "yeast": ("NCBITaxon:4932", "Saccharomyces cerevisiae"),
}
"""Identifier and scientific name of organisms that sources have a common name for."""


def organism_meant(registry: type[Entry], name: str, identifiers: Sequence[str]) -> str | None:
    """Return which of several organisms a common name means; None where that cannot be told.

    NCBITaxon calls Mus musculus a mouse, and the genus as well; whoever says mouse means the species.
    """
    known = ORGANISMS.get(name) if registry.meta.name == "Organism" else None
    return known[0] if known is not None and known[0] in identifiers else None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which source is meant, as a caller says it."""

    version: str | None = None
    source: str | None = None
    organism: str | None = None
    path: StrPath | None = None
    format: str | None = None
    progress: Progress | None = None
    enrich: bool = False

    def __post_init__(self) -> None:
        """Check that it is said in text."""
        for field in ("version", "source", "organism", "format"):
            given = getattr(self, field)
            if given is not None and not isinstance(given, str):
                raise InputError(f"{field}={shown(given)}: text is accepted, not a {type(given).__name__}")
        if self.path is not None and not isinstance(self.path, str | os.PathLike):
            raise InputError(f"path={shown(self.path)}: the path or URL of a file is accepted")


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes
    ----------
    source
        Name and version of what was imported.
    added
        Entries that are new in the registry.
    kept
        Entries that were there already, and stay as they were.
    missing
        Parents that terms name and that the source lacks.
    enriched
        Entries among those kept that got synonyms, or values where they had none.
    """

    source: str
    added: int
    kept: int
    missing: tuple[str, ...] = ()
    enriched: int = 0


def common_name(organism: str | None) -> str | None:
    """Return how sources call an organism that is given by its scientific name or identifier.

    Examples
    --------
    >>> common_name("Homo sapiens"), common_name("NCBITaxon:10090"), common_name("all")
    ('human', 'mouse', 'all')
    """
    return next((common for common, names in ORGANISMS.items() if organism in names), organism)


def chosen(registry: type[Entry], snapshot: Snapshot | None, wanted: Wanted) -> PublicSource:
    """Return the source that is meant: what an instance has pinned, the newest that is installed, or the known one."""
    entity = registry.meta.name
    wanted = replace(wanted, organism=common_name(wanted.organism))
    pinned, others = registered(snapshot, entity) if snapshot is not None else ([], [])
    mine = [*pinned, *public_sources(entity), *others]
    if wanted.path is None:
        return choose(entity, name=wanted.source, organism=wanted.organism, version=wanted.version, among=mine)
    path = _plain(wanted.path)
    if is_url(path):
        check_plain(path)
    known = [one for one in mine if wanted.source in (None, one.source)]
    like = next((one for one in known if wanted.organism in (None, one.organism)), None)
    version = plain_version(wanted.version) if wanted.version else _version_in(_name(path))
    return PublicSource(
        entity=entity,
        source=wanted.source or (like.source if like else _name(path).partition(".")[0]),
        organism=wanted.organism or (like.organism if like else "all"),
        version=version,
        url=path,
        format=wanted.format or "",
        prefix=like.prefix if like else "",
        licence=like.licence if like else "",
        title=like.title if like else "",
    )


def _plain(path: StrPath) -> str:
    """Return the absolute path of a file, or its URL."""
    text = os.fspath(path)
    return text if is_url(text) else str(local_path(text).absolute())


def _name(path: str) -> str:
    """Return the last part of a path or URL."""
    return path.partition("?")[0].rpartition("/")[2] if is_url(path) else Path(path).name


def _version_in(name: str) -> str:
    """Return the version that a file's name tells, or else the name."""
    stem = name.partition(".json")[0].partition(".obo")[0].partition(".owl")[0]
    return plain_version(stem.rpartition("-ontology-")[2])


def registered(snapshot: Snapshot, entity: str) -> tuple[list[PublicSource], list[PublicSource]]:
    """Return the sources that an instance has rows for, pinned ones and others, each with the file that is here."""
    rows = [row for row in snapshot.lookup("source", "entity", [entity]).to_pylist() if row["url"]]
    here = {(one.source, one.organism, one.version): one for one in public_sources(entity)}
    found = []
    for row in sorted(rows, key=lambda row: str(row["created_at"])):
        known = here.get((row["name"], row["organism"], row["version"]))
        if known is not None and known.file is not None:
            found.append((row["pinned"], known))
            continue
        found.append((row["pinned"], of_row(row)))
    return [one for pinned, one in found if pinned], [one for pinned, one in found if not pinned]


def of_row(row: Mapping[str, Any]) -> PublicSource:
    """Return the source that a row of an instance tells of."""
    shared = ("entity", "organism", "version", "url", "format", "prefix", "licence", "checksum", "title")
    fields: dict[str, Any] = {field: row[field] or "" for field in shared}
    return PublicSource(source=row["name"], **fields)


def resolved(registry: type[Entry], wanted: Wanted, home: Instance | None) -> tuple[PublicSource, Path]:
    """Return the source that is meant, and a file that holds it."""
    source = chosen(registry, home.snapshot() if home is not None else None, wanted)
    apart = wanted.path is not None and is_url(source.url)
    path = Path(source.url) if wanted.path is not None and not apart else None
    remote = home.remote if home is not None else None
    return source, obtain(source, path=path, progress=wanted.progress, remote=remote, apart=apart)


def read_rows(registry: type[Entry], source: PublicSource, file: Path, kind: str | None = None) -> Rows:
    """Return the entries of a file as rows, without changing anything."""
    organism, kind = organism_uid(registry, source), kind or source.format

    def read() -> Rows:
        with uncollected(many=True):
            return gathered(registry, source, read_source(file, kind or None), organism)

    return remembered(registry, source, file, kind, organism, read)


def organism_uid(registry: type[Entry], source: PublicSource) -> str | None:
    """Return the uid of the organism that a source is of, for registries whose entries belong to one."""
    if "organism" not in registry.meta.columns or source.organism == "all":
        return None
    if source.organism not in ORGANISMS:
        raise InputError(
            f"{source}: organism {shown(source.organism)} has no identifier here; choose one of {', '.join(ORGANISMS)}"
        )
    return entry_uid("Organism", ORGANISMS[source.organism][0])


def import_source(registry: type[Entry], wanted: Wanted) -> Imported:
    """Import a whole source in one transaction; see ``Entry.import_source``."""
    home = registry.home()
    home.refuse_reading_only()
    source, file = resolved(registry, wanted, home)
    rows = read_rows(registry, source, file, wanted.format)
    enriched = 0

    def plan(txn: Transaction) -> int:
        nonlocal enriched
        enriched = enrich(registry, txn, rows.table) if wanted.enrich else 0
        return add_rows(registry, txn, home, source, rows.table)

    done = home.run(plan)
    if rows.missing:
        _log.warning("%s: %d parents are not in it, such as %s", source, len(rows.missing), rows.missing[0])
    if rows.repeated:
        _log.warning("%s: %d entries came under an id of another and were merged", source, rows.repeated)
    return Imported(str(source), done, len(rows) - done, rows.missing, enriched)


def add_rows(registry: type[Entry], txn: Transaction, home: Instance, source: PublicSource, table: pa.Table) -> int:
    """Insert the rows that are not there yet, with their source and organism; return how many these were.

    Entries that users had made of the same terms before are taken over into them.
    """
    name = registry.meta.table
    new = set(txn.snapshot.missing(name, table["uid"].combine_chunks())) if txn.snapshot.count(name) else None
    if new is not None:
        table = table.filter(pc.is_in(table["uid"], pa.array(new, pa.string())))
    ensure_source(txn, home, source)
    if not len(table):
        return 0
    if "organism" in table.column_names:
        ensure_organisms(txn, home, table)
    own = users_own(registry, txn.snapshot, table)
    txn.insert(name, adopted(stamped(registry, txn, home, source, table), own))
    take_places(registry, txn, home, own)
    return len(table)


def stamped(registry: type[Entry], txn: Transaction, home: Instance, source: PublicSource, table: pa.Table) -> pa.Table:
    """Return rows with the columns that every row has."""
    meta = registry.meta
    stamps: dict[str, Any] = {
        "source": source_uid(source.entity, source.source, source.organism, source.version),
        "created_at": dt.datetime.now(dt.UTC),
        "created_by": home.ensure_user(txn),
        "run": home.run_uid,
    }
    columns = []
    for declared in meta.columns.values():
        if declared.name in table.column_names:
            columns.append(table[declared.name].cast(declared.arrow_type))
        else:
            value = stamps.get(declared.name, declared.initial if declared.init else None)
            columns.append(pa.repeat(pa.scalar(value, declared.arrow_type), len(table)))
    return pa.Table.from_arrays(columns, schema=meta.spec().schema)


def ensure_source(txn: Transaction, home: Instance, source: PublicSource) -> None:
    """Save the row of a source if there is none; it is pinned where no version of it is."""
    like = txn.snapshot.lookup("source", "entity", [source.entity]).to_pylist()
    pinned = any(row["pinned"] and (row["name"], row["organism"]) == (source.source, source.organism) for row in like)
    record = source_record(home, source)
    record.pinned = not pinned
    if txn.snapshot.get("source", record.own_uid()) is None:
        record.plan_save(txn, home)


def source_record(home: Instance, source: PublicSource) -> Source:
    """Return a record of a source, which is not saved."""
    return home.Source(
        entity=source.entity,
        name=source.source,
        organism=source.organism,
        version=source.version,
        title=source.title or None,
        url=source.url,
        format=source.format or None,
        prefix=source.prefix or None,
        licence=source.licence or None,
        checksum=source.checksum or None,
    )


def ensure_organisms(txn: Transaction, home: Instance, table: pa.Table) -> None:
    """Save the organisms that rows are of, as far as they are not there."""
    named: dict[str, tuple[str, str | None, str | None]] = {
        entry_uid("Organism", taxon): (taxon, name, common) for common, (taxon, name) in ORGANISMS.items()
    }
    if "taxon" in table.column_names:
        pairs = table.select(["taxon", "taxon_name"]).group_by("taxon").aggregate([("taxon_name", "min")])
        for one in pairs.to_pylist():
            if one["taxon"] is not None:
                named.setdefault(entry_uid("Organism", one["taxon"]), (one["taxon"], one["taxon_name_min"], None))
    wanted = pc.unique(table["organism"]).drop_null().to_pylist()
    for uid in txn.snapshot.missing("organism", pa.array(wanted, pa.string())):
        taxon, name, common = named[uid]
        plain = check_name(" ".join((name or taxon).split()))
        home.Organism(name=plain, ontology_id=taxon, synonyms=[common] if common else []).plan_save(txn, home)
