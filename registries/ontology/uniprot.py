"""Proteins of UniProt: tab-separated tables as its website exports them, and FASTA headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import lines
from registries.ontology.genes import without_version

__all__ = ["read_uniprot_fasta", "read_uniprot_tsv"]

_TEXTS = pa.list_(pa.string())
_HEADER = re.compile(
    r">(?:sp|tr)\|([^|]+)\|(\S+) ?(.*?)(?: OS=(.*?))?(?: OX=(\d+))?(?: GN=(.*?))?(?: PE=\d+)?(?: SV=\d+)?$"
)
_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(?:\.\d+)?")


class _Protein(NamedTuple):
    id: str
    name: str | None
    entry_name: str | None
    gene_symbol: str | None
    length: int | None
    ensembl_gene_ids: Sequence[str]
    synonyms: Sequence[str]
    synonym_scopes: Sequence[str]
    taxon: str | None
    taxon_name: str | None


_TYPES = (
    pa.string(), pa.string(), pa.string(), pa.string(), pa.int64(), _TEXTS, _TEXTS, _TEXTS, pa.string(), pa.string(),
)  # fmt: skip


def _tables(proteins: Iterable[_Protein]) -> Iterator[pa.Table]:
    waiting = iter(proteins)
    while some := list(islice(waiting, 65_536)):
        columns = zip(_Protein._fields, zip(*some, strict=True), _TYPES, strict=True)
        yield pa.table({name: pa.array(values, kind) for name, values, kind in columns})


def read_uniprot_fasta(path: Path) -> Iterator[pa.Table]:
    """Yield the proteins of a FASTA file; of sequences only their length is kept."""
    return _tables(_fasta(path))


def _fasta(path: Path) -> Iterator[_Protein]:
    header, length = "", 0
    for line in lines(path):
        if line.startswith(">"):
            if header:
                yield _of_header(path, header, length)
            header, length = line, 0
        else:
            length += len(line.strip())
    if not header:
        raise InvalidFile(f"{shown(str(path))} has no line that begins with '>': it is no FASTA file")
    yield _of_header(path, header, length)


def _of_header(path: Path, header: str, length: int) -> _Protein:
    found = _HEADER.match(header)
    if found is None:
        raise InvalidFile(f"{shown(str(path))}: {shown(header, 80)} is no header of UniProt: >sp|P01732|CD8A_HUMAN ...")
    accession, entry, name, organism, taxon, gene = found.groups()
    taxon = f"NCBITaxon:{taxon}" if taxon else None
    return _Protein(accession, name or entry, entry, gene, length, (), (), (), taxon, organism)


def read_uniprot_tsv(path: Path) -> Iterator[pa.Table]:
    """Yield the proteins of a table with the header of UniProt's website: Entry, Entry Name, Protein names, ..."""
    return _tables(_tsv(path))


def _tsv(path: Path) -> Iterator[_Protein]:
    places: dict[str, int] = {}
    for line in lines(path):
        fields = line.split("\t")
        if not places:
            places = {name.lower(): place for place, name in enumerate(fields)}
            if "entry" not in places:
                raise InvalidFile(f"{shown(str(path))} has no column Entry in its first line: {shown(line, 80)}")
            continue
        row = {name: fields[place] if place < len(fields) else "" for name, place in places.items()}
        yield _of_row(row)


def _of_row(row: dict[str, str]) -> _Protein:
    names = _names(row.get("protein names", ""))
    genes = row.get("gene names", "").split()
    symbol = row.get("gene names (primary)", "").split(";")[0].strip() or (genes[0] if genes else None)
    ensembl = list(dict.fromkeys(without_version(one) for one in _ENSEMBL.findall(row.get("ensembl", ""))))
    digits, taxon = row.get("length", ""), row.get("organism (id)", "")
    return _Protein(
        row["entry"],
        names[0] if names else row["entry"],
        row.get("entry name") or None,
        symbol,
        int(digits) if digits.isdecimal() else None,
        ensembl,
        names[1:],
        ["EXACT"] * len(names[1:]),
        f"NCBITaxon:{taxon}" if taxon.isdecimal() else None,
        row.get("organism") or None,
    )


def _names(text: str) -> list[str]:
    """Return the recommended name, and those in brackets behind it; what is said of parts and fragments is left out.

    Examples
    --------
    >>> _names(
    ...     "T-cell surface glycoprotein CD8 alpha chain (T-lymphocyte differentiation antigen T8/Leu-2) (CD antigen CD8a)"
    ... )
    ['T-cell surface glycoprotein CD8 alpha chain', 'T-lymphocyte differentiation antigen T8/Leu-2', 'CD antigen CD8a']
    """
    text = text.split(" [", 1)[0]
    first, *others = text.split(" (")
    return list(dict.fromkeys([first.strip(), *(other.rstrip().removesuffix(")") for other in others)])) if text else []
