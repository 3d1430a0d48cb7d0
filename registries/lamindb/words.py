"""Features, labels, and terms of ontologies."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lakehouse.errors import InputError, LakehouseError
from registries.binding import REGISTRIES
from registries.feature import check_dtype
from registries.lamindb.moving import Mover, split
from registries.lamindb.source import Columns

__all__ = ["ENTITIES", "move_features", "move_labels", "move_terms", "registry_in"]

ENTITIES = {
    "Organism": "organism",
    "CellType": "cell_type",
    "CellLine": "cell_line",
    "Tissue": "tissue",
    "Disease": "disease",
    "Phenotype": "phenotype",
    "Pathway": "pathway",
    "ExperimentalFactor": "experimental_factor",
    "DevelopmentalStage": "developmental_stage",
    "Ethnicity": "ethnicity",
    "Gene": "gene",
    "Protein": "protein",
    "CellMarker": "cell_marker",
}
"""Registries of bionty, and the tables that stand for them here; organisms first, since others refer to them."""

_PLAIN = {"num": "float", "dict": "json", "path": "str", "url": "str", "cat ? str": "str", "object": "str"}
_NAMED = re.compile(r"(?:bionty|core|lamindb)\.")
_CHOICE = re.compile(r"([A-Za-z_]\w*)[^|\]]*")
_SHARED = (
    "id",
    "uid",
    "name",
    "synonyms",
    "description",
    "ontology_id",
    "abbr",
    "source_id",
    "created_at",
    "created_by_id",
    "run_id",
)
_OWN = {
    "Gene": ("symbol", "stable_id", "ensembl_gene_id", "ncbi_gene_ids", "biotype", "organism_id"),
    "Protein": ("uniprotkb_id", "length", "gene_symbol", "ensembl_gene_ids", "organism_id"),
    "CellMarker": ("gene_symbol", "ncbi_gene_id", "uniprotkb_id", "organism_id"),
    "Organism": ("scientific_name",),
}


def registry_in(text: str) -> str:
    """Return what a registry of LaminDB is called here.

    Examples
    --------
    >>> registry_in("bionty.CellType"), registry_in("ULabel")
    ('CellType', 'ULabel')
    """
    return _NAMED.sub("", text)


# -- features ----------------------------------------------------------------------------------------------------------
def move_features(mover: Mover) -> None:
    """Add features by name; one that is here with another dtype stays as it is."""
    names = (
        "id",
        "uid",
        "name",
        "_dtype_str",
        "unit",
        "description",
        "synonyms",
        "nullable",
        "default_value",
        "is_type",
    )
    read = mover.source.read("lamindb_feature", *names, "created_at", "created_by_id", "run_id")
    called = [mover.name(name, "Feature.name") for name in read["name"]]
    known = mover.existing("feature", "name", called)
    uids = _by_name(mover, "feature", read, called, known)
    dtypes = [_dtype(mover, name, text) for name, text in zip(called, read["_dtype_str"], strict=True)]
    defaults = [None if value is None else json.dumps(_loaded(value)) for value in read["default_value"]]
    columns: dict[str, Any] = {"uid": uids, "name": called, "dtype": dtypes, "unit": [u or None for u in read["unit"]]}
    columns |= {"description": read["description"], "synonyms": [split(text) for text in read["synonyms"]]}
    columns |= {"nullable": [bool(one) for one in read["nullable"]], "default": defaults, **mover.stamped(read)}
    mover.insert("feature", columns)


def _loaded(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _dtype(mover: Mover, name: str, text: str | None) -> str:
    """Return a dtype as it is written here; what there is no such thing of becomes text."""
    given = text or "json"
    inner = _CHOICE.sub(r"\1", _NAMED.sub("", given[4:-1])) if given.startswith("cat[") else ""
    plain = f"cat[{inner}]" if inner else _PLAIN.get(given, given)
    try:
        return check_dtype(plain)
    except InputError:
        mover.note(f"feature {name} has dtype {given}, which has no counterpart: its values are json")
        return "json"


def _by_name(mover: Mover, table: str, read: Columns, called: Sequence[str], known: dict[str, str]) -> list[str]:
    """Return the uids of records that are known by name: those that are here, else new ones, each name once."""
    taken = dict(known)
    uids = []
    for name, uid in zip(called, mover.derived(table, read["uid"]), strict=True):
        if name in taken and name not in known:
            mover.note(f"several {REGISTRIES[table].__name__} records are called {name}: they are one here")
        uids.append(taken.setdefault(name, uid))
    mover.ids[f"lamindb_{table}"] = dict(zip(read["id"], uids, strict=True))
    return uids


# -- labels ------------------------------------------------------------------------------------------------------------
def move_labels(mover: Mover) -> None:
    """Add universal labels by name; the type of a label is a parent here."""
    names = ("id", "uid", "name", "description", "type_id", "is_type", "created_at", "created_by_id", "run_id")
    read = mover.source.read("lamindb_ulabel", *names)
    given = [mover.name(name, "ULabel.name") for name in read["name"]]
    type_of = dict(zip(read["id"], read["type_id"], strict=True))
    title = dict(zip(read["id"], given, strict=True))
    called, seen = [], set[str]()
    for own, name in zip(read["id"], given, strict=True):
        above = title.get(type_of[own]) if name in seen else None
        if above is not None:  # unique within its type there, and everywhere here
            mover.note(f"several labels are called {name}: one of them is called '{above}: {name}' here")
            name = f"{above}: {name}"
        seen.add(name)
        called.append(name)
    uids = _by_name(mover, "ulabel", read, called, mover.existing("ulabel", "name", called))
    above_of = _parents(mover, "lamindb_ulabel_parents", "ulabel", "lamindb_ulabel")
    for own, kind in type_of.items():
        if kind is not None and (uid := mover.ids["lamindb_ulabel"].get(kind)) is not None:
            above_of.setdefault(own, []).append(uid)
    parents = [list(dict.fromkeys(above_of.get(own, []))) for own in read["id"]]
    columns: dict[str, Any] = {"uid": uids, "name": called, "description": read["description"], "parent_uids": parents}
    columns |= {"parent_relations": [["is_a"] * len(one) for one in parents], **mover.stamped(read)}
    mover.insert("ulabel", columns)


def _parents(mover: Mover, table: str, name: str, of: str) -> dict[int, list[str]]:
    """Return the uids of parents by the id of a child."""
    read = mover.source.read(table, f"from_{name}_id", f"to_{name}_id")
    found: dict[int, list[str]] = {}
    for child, uid in zip(read[f"from_{name}_id"], mover.uids(of, read[f"to_{name}_id"]), strict=True):
        if uid is not None:
            found.setdefault(child, []).append(uid)
    return found


# -- terms -------------------------------------------------------------------------------------------------------------
def move_terms(mover: Mover) -> None:
    """Add terms, genes, proteins and markers, under the uids that they have in every instance, with their sources."""
    _move_sources(mover)
    for entity in ENTITIES:
        if f"bionty_{entity.lower()}" in mover.source.tables:
            _move_entity(mover, entity)


def _move_sources(mover: Mover) -> None:
    """Add the public sources that terms were taken from; others are known here anyway."""
    used: set[int] = set()
    for entity in ENTITIES:
        if f"bionty_{entity.lower()}" in mover.source.tables:
            used |= {
                one
                for one in mover.source.read(f"bionty_{entity.lower()}", "source_id")["source_id"]
                if one is not None
            }
    found = mover.ids["bionty_source"] = {}
    names = ("id", "entity", "organism", "name", "version", "url", "description")
    for row in mover.source.rows("bionty_source", *names) if used else ():
        if row["id"] not in used:
            continue
        fields: dict[str, Any] = {name: str(row[name]) for name in ("organism", "name", "version")}
        fields |= {"entity": registry_in(row["entity"]), "url": row["url"] or None, "title": row["description"] or None}
        try:
            known = mover.home.Source.filter(
                **{n: fields[n] for n in ("entity", "name", "organism", "version")}
            ).exists()
            found[row["id"]] = mover.home.Source(**fields).save().uid
        except LakehouseError as error:
            mover.note(f"source {row['name']} {row['version']} stayed behind: {error}")
            continue
        mover.count("Source", 1, int(not known))


def _move_entity(mover: Mover, entity: str) -> None:
    table, there = ENTITIES[entity], f"bionty_{entity.lower()}"
    read = mover.source.read(there, *_SHARED, *_OWN.get(entity, ()))
    registry: Any = REGISTRIES[table]
    records = []
    for place in range(len(read["id"])):
        try:
            record = registry(**_fields(mover, entity, read, place))
            record.check()
        except LakehouseError as error:
            mover.note(f"a {entity} cannot be kept ({error})")
            record = None
        records.append(record)
    kept = [place for place, record in enumerate(records) if record is not None]
    uids = [records[place].own_uid() for place in kept]
    mover.ids[there] = dict(zip([read["id"][place] for place in kept], uids, strict=True))
    columns: dict[str, Any] = {
        name: [records[place].value(name) for place in kept]
        for name, column in registry.meta.columns.items()
        if column.init
    }
    if "parent_uids" in columns:
        above = _parents(mover, f"{there}_parents", entity.lower(), there)
        columns["parent_uids"] = [above.get(read["id"][place], []) for place in kept]
        columns["parent_relations"] = [["parent"] * len(one) for one in columns["parent_uids"]]
    stamps = {name: _picked(values, kept) for name, values in mover.stamped(read).items()}
    mover.insert(table, columns | {"uid": uids} | stamps, there=len(read["id"]))


def _picked(values: Any, places: Sequence[int]) -> Any:
    if isinstance(values, pa.Array):
        return values.take(pa.array(places, pa.int64()))
    return [values[place] for place in places]


def _fields(mover: Mover, entity: str, read: Columns, place: int) -> dict[str, Any]:
    """Return the fields of an entry as they are called here."""
    row = {name: values[place] for name, values in read.items()}
    found: dict[str, Any] = {"synonyms": split(row["synonyms"])}
    found["source"] = mover.uids("bionty_source", [row["source_id"]])[0]
    if row["abbr"] and row["abbr"] not in found["synonyms"]:
        found["synonyms"].append(row["abbr"])
    if "organism_id" in row:
        found["organism"] = mover.uids("bionty_organism", [row["organism_id"]])[0]
    if entity == "Gene":
        found |= {"symbol": row["symbol"] or None, "name": row["description"], "biotype": row["biotype"]}
        found |= {"ensembl_gene_id": row["ensembl_gene_id"] or None, "ncbi_gene_ids": split(row["ncbi_gene_ids"])}
        return found | {"stable_id": row["stable_id"] or None}
    found["name"] = mover.name(row["name"], f"{entity}.name")
    if entity == "Protein":
        found |= {"uniprot_id": row["uniprotkb_id"] or None, "length": row["length"], "gene_symbol": row["gene_symbol"]}
        return found | {"ensembl_gene_ids": split(row["ensembl_gene_ids"])}
    if entity == "CellMarker":
        return found | {n: row[n] for n in ("gene_symbol", "ncbi_gene_id")} | {"uniprot_id": row["uniprotkb_id"]}
    if row.get("scientific_name") and row["scientific_name"] not in (found["name"], *found["synonyms"]):
        found["synonyms"].append(row["scientific_name"])
    return found | {"ontology_id": row["ontology_id"] or None, "definition": row["description"]}
