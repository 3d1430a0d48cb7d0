"""Smaller tables: markers of CellMarker, species of Ensembl, codes of ICD-10-CM, the text form of Cellosaurus."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import chunks, lines
from registries.ontology.parsed import Parsed
from registries.ontology.workbook import is_workbook, sheet_rows

__all__ = ["read_cellmarker", "read_cellosaurus", "read_icd", "read_species"]


def read_cellmarker(path: Path) -> Iterator[pa.Table]:
    """Yield the markers of a table of CellMarker, one for each name: a workbook, or tab- or comma-separated text."""
    found: dict[str, dict[str, str | None]] = {}
    for row in _rows(path):
        name = row.get("marker") or row.get("cell_marker") or row.get("cellmarker") or ""
        if name and name not in found:
            found[name] = {
                "gene_symbol": row.get("symbol") or row.get("genesymbol") or None,
                "ncbi_gene_id": (row.get("geneid") or "").removesuffix(".0") or None,
                "uniprot_id": row.get("uniprotid") or row.get("proteinid") or None,
            }
    if not found:
        raise InvalidFile(f"{shown(str(path))} has no column marker, or no marker in it")
    columns = {name: [row[name] for row in found.values()] for name in ("gene_symbol", "ncbi_gene_id", "uniprot_id")}
    yield pa.table({"id": list(found), **{name: pa.array(values, pa.string()) for name, values in columns.items()}})


def _rows(path: Path) -> Iterator[dict[str, str]]:
    rows = sheet_rows(path) if is_workbook(next(chunks(path, 4), b"")) else _separated(path)
    names = [name.removeprefix("#").strip().lower() for name in next(rows, [])]
    for fields in rows:
        yield dict(zip(names, (field.strip() for field in fields), strict=False))


def _separated(path: Path) -> Iterator[list[str]]:
    source = lines(path)
    header = next(source, "")
    separator = "\t" if "\t" in header else ","
    yield header.split(separator)
    yield from csv.reader(source, delimiter=separator)


def read_species(path: Path) -> Iterator[Parsed]:
    """Yield the organisms of a species table of Ensembl, by taxon; the common name is a synonym."""
    seen = set[str]()
    for row in _rows(path):
        taxon = row.get("taxonomy_id", "")
        if not taxon.isdecimal() or taxon in seen:
            continue
        seen.add(taxon)
        name = row.get("species", "").replace("_", " ").capitalize()
        common = [row["name"]] if row.get("name") and row["name"] != name else []
        yield Parsed(f"NCBITaxon:{taxon}", name, synonyms=common, synonym_scopes=["EXACT"] * len(common))
    if not seen:
        raise InvalidFile(f"{shown(str(path))} has no column taxonomy_id, or nothing in it")


def read_icd(path: Path) -> Iterator[Parsed]:
    """Yield the codes of ICD-10-CM out of its list of codes and descriptions; a code is below the one it begins with."""
    known = set[str]()
    for line in lines(path):
        found = re.match(r"(?:\d{5}\s+)?([A-Z]\d[0-9A-Z]{1,5})\s+(?:[01]\s+)?(.+)", line)
        if found is None:
            continue
        code, name = found[1], found[2].strip()
        if re.match(r"^\d{5}\s", line):  # the order file has a short description before the long one
            name = re.split(r"\s{2,}", name)[-1]
        above = next((code[:end] for end in range(len(code) - 1, 2, -1) if code[:end] in known), None)
        known.add(code)
        parents = [_dotted(above)] if above else []
        yield Parsed(_dotted(code), name, parents=parents, relations=["is_a"] * len(parents))
    if not known:
        raise InvalidFile(f"{shown(str(path))} has no line with a code such as A000")


def _dotted(code: str) -> str:
    return f"ICD10CM:{code[:3]}.{code[3:]}" if len(code) > 3 else f"ICD10CM:{code}"


def read_cellosaurus(path: Path) -> Iterator[Parsed]:
    """Yield the lines of the text form of Cellosaurus: ID, AC, AS, SY and HI of each entry."""
    fields: dict[str, list[str]] = {}
    count = 0
    for line in lines(path):
        if line.startswith("//"):
            if "AC" in fields and "ID" in fields:
                count += 1
                yield _cell_line(fields)
            fields = {}
        elif line[2:5] == "   ":
            fields.setdefault(line[:2], []).append(line[5:].strip())
    if not count:
        raise InvalidFile(f"{shown(str(path))} has no entry with ID and AC that ends with //")


def _cell_line(fields: dict[str, list[str]]) -> Parsed:
    synonyms = _listed(fields, "SY")
    parents = [one.partition(" ")[0] for one in fields.get("HI", ())]
    return Parsed(
        fields["AC"][0],
        fields["ID"][0],
        fields["CA"][0] if "CA" in fields else None,
        synonyms,
        ["EXACT"] * len(synonyms),
        _listed(fields, "AS"),
        parents,
        ["is_a"] * len(parents),
    )


def _listed(fields: dict[str, list[str]], name: str) -> list[str]:
    return [part.strip() for line in fields.get(name, ()) for part in line.split(";") if part.strip()]
