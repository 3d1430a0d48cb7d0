"""Which reader reads a file: by the name of a format, or by what the file begins with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import UnknownFormat, did_you_mean, shown
from registries.ontology.biosample import read_biosample
from registries.ontology.cxg import read_cxg
from registries.ontology.files import texts
from registries.ontology.genes import GENES
from registries.ontology.obo import read_obo
from registries.ontology.obographs import read_obographs, read_term_list
from registries.ontology.parsed import Parsed, in_batches
from registries.ontology.rdfxml import read_rdfxml
from registries.ontology.tabular import read_cellmarker, read_cellosaurus, read_icd, read_species
from registries.ontology.uniprot import read_uniprot_fasta, read_uniprot_tsv

__all__ = ["READERS", "TERMS", "read_source", "sniff"]

TERMS: Mapping[str, Callable[[Path], Iterator[Parsed]]] = {
    "obo": read_obo,
    "owl": read_rdfxml,
    "obographs": read_obographs,
    "cxg": read_cxg,
    "terms": read_term_list,
    "cellosaurus": read_cellosaurus,
    "ensembl-species": read_species,
    "icd": read_icd,
    "biosample": read_biosample,
}
"""Readers of terms by the name of their format."""

READERS: Mapping[str, Callable[[Path], Iterator[pa.Table]]] = {
    **GENES,
    "uniprot-tsv": read_uniprot_tsv,
    "uniprot-fasta": read_uniprot_fasta,
    "cellmarker": read_cellmarker,
}
"""Readers of tables, whose columns are those of a registry, by the name of their format."""


_SHAPES = {
    "uniprot-fasta": r"\A>(?:sp|tr)\|",
    "uniprot-tsv": r"\AEntry\t",
    "hgnc": r"\A(?:hgnc_id|HGNC ID)\t",
    "mgi": r"\AID\tsymbol\t",
    "gff3": r"\A##gff-version",
    "gtf": r"^[^\t\n#]+\t[^\t\n]*\t[^\t\n]*\t\d+\t\d+\t",
    "ensembl-species": r"\A#name\tspecies\t",
    "cellosaurus": r"^ID   .*\nAC   CVCL_",
    "cellmarker": r"\APK\x03\x04|\A(?=[^\n]*\b(?:cell_)?marker\b)(?=[^\n]*\b(?:Symbol|GeneID|UNIPROTID)\b)",
    "biosample": r"<BioSampleAttributes",
    "genes-csv": r"\A[^,\s]+,[^,\n]*,[^,\n]*,\d+,",
}
"""How tables begin, by the name of their format."""


def read_source(path: Path, kind: str | None = None) -> Iterator[pa.Table]:
    """Yield the entries of a source file as tables, some ten thousand at a time.

    Parameters
    ----------
    path
        The file; gzip, zstd and bzip2 are unpacked as they are read.
    kind
        The name of its format; what it begins with decides, where none is given.

    Raises
    ------
    UnknownFormat, InvalidFile
    """
    kind = kind or sniff(path)
    if kind in TERMS:
        return in_batches(TERMS[kind](path))
    if kind in READERS:
        return READERS[kind](path)
    raise UnknownFormat(f"source format {shown(kind)} is not known{did_you_mean(kind, [*TERMS, *READERS])}")


def sniff(path: Path) -> str:
    """Return the format that a file looks like."""
    start = next(texts(path), "").lstrip()[:4_000]
    if start.startswith("{"):
        return "obographs" if '"graphs"' in start else "cxg"
    if start.startswith("[") and not start.startswith("[Term]"):
        return "terms"
    if start.startswith("<") and ("<rdf:RDF" in start or "<!DOCTYPE rdf" in start):
        return "owl"
    if start.startswith(("format-version", "[Term]")) or "\n[Term]" in start:
        return "obo"
    for kind, pattern in _SHAPES.items():
        if re.search(pattern, start, re.MULTILINE):
            return kind
    if not start:
        raise UnknownFormat(f"{shown(str(path))} is empty: it was cut off, or is another file than is meant")
    raise UnknownFormat(
        f"{shown(str(path))} begins with {shown(start[:40])}, which tells no format: name it with "
        f"format=, one of {', '.join([*TERMS, *READERS])}"
    )
