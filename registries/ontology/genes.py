"""Genes: annotation files of Ensembl and GENCODE, the tables of HGNC and MGI, and plain lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import lines

__all__ = ["GENES", "VERSIONED", "read_annotation", "read_gene_list", "read_hgnc", "read_mgi", "without_version"]

_TEXTS = pa.list_(pa.string())
_BATCH = 65_536
VERSIONED = r"(?i)^(ENS[A-Z]*[GTPE]\d{11}|ENS[A-Z]+\d{11})\.\d+(?:_PAR_Y)?$"
"""An Ensembl id with its version; its first group is the id without."""
_VERSION = re.compile(VERSIONED)
_GTF = re.compile(r'(\w+) "([^"]*)"')
_GENE_KINDS = frozenset({"gene", "ncRNA_gene", "pseudogene"})


class _Gene(NamedTuple):
    id: str
    symbol: str | None = None
    ensembl_gene_id: str | None = None
    ncbi_gene_ids: Sequence[str] = ()
    name: str | None = None
    biotype: str | None = None
    synonyms: Sequence[str] = ()
    synonym_scopes: Sequence[str] = ()
    obsolete: bool = False


_TYPES = (pa.string(), pa.string(), pa.string(), _TEXTS, pa.string(), pa.string(), _TEXTS, _TEXTS, pa.bool_())


def without_version(text: str) -> str:
    """Return an Ensembl id without its version; any other text as it is.

    Examples
    --------
    >>> without_version("ENSG00000153563.16"), without_version("ENSMUSG00000053977.10"), without_version("AC118549.1")
    ('ENSG00000153563', 'ENSMUSG00000053977', 'AC118549.1')
    """
    found = _VERSION.match(text)
    return found[1] if found else text


def _tables(genes: Iterable[_Gene]) -> Iterator[pa.Table]:
    waiting = iter(genes)
    while some := list(islice(waiting, _BATCH)):
        columns = zip(_Gene._fields, zip(*some, strict=True), _TYPES, strict=True)
        yield pa.table({name: pa.array(values, kind) for name, values, kind in columns})


def _of_ensembl(identifier: str) -> str | None:
    return identifier if identifier.startswith("ENS") else None


def read_annotation(path: Path) -> Iterator[pa.Table]:
    """Yield the genes of a GTF or GFF3 file of Ensembl or GENCODE; other features are passed over."""
    return _tables(_annotated(path))


def _annotated(path: Path) -> Iterator[_Gene]:
    seen = set[str]()
    for number, line in enumerate(lines(path), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            raise InvalidFile(
                f"{shown(str(path))}: line {number:,} has {len(fields)} fields, where GTF and GFF3 have 9"
            )
        if fields[2] not in _GENE_KINDS:
            continue
        found = _attributes(fields[8])
        identifier = without_version((found.get("gene_id") or found.get("ID", "")).removeprefix("gene:"))
        if not identifier or identifier in seen:
            continue
        seen.add(identifier)
        symbol = found.get("gene_name") or found.get("Name") or found.get("gene")
        biotype = found.get("gene_biotype") or found.get("gene_type") or found.get("biotype")
        name = re.sub(r" \[Source:.*", "", found.get("description", "")) or None
        yield _Gene(identifier, symbol, _of_ensembl(identifier), (), name, biotype)


def _attributes(text: str) -> dict[str, str]:
    """Return the attributes of a line, in the spelling of GTF or of GFF3."""
    if '"' in text:
        return dict(_GTF.findall(text))
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): _plain(value) for name, equals, value in pairs if equals}


def _plain(text: str) -> str:
    return re.sub(r"%([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), text)


def read_gene_list(path: Path) -> Iterator[pa.Table]:
    """Yield the genes of a list without a header: id, symbol, version, length, biotype."""
    return _tables(_listed(path))


def _listed(path: Path) -> Iterator[_Gene]:
    for number, line in enumerate(lines(path), 1):
        if not line:
            continue
        fields = [field.strip('"') for field in line.split(",")]
        if len(fields) < 2 or not fields[0]:
            raise InvalidFile(
                f"{shown(str(path))}: line {number:,} is {shown(line, 60)}: id,symbol,version,length,biotype"
            )
        identifier = without_version(fields[0])
        biotype = fields[4] if len(fields) > 4 and fields[4] else None
        yield _Gene(identifier, fields[1] or None, _of_ensembl(identifier), (), None, biotype)


def read_hgnc(path: Path) -> Iterator[pa.Table]:
    """Yield the genes of a table of HGNC, with aliases and previous symbols; those without an Ensembl id by HGNC's own."""
    return _tables(_hgnc(path))


def _hgnc(path: Path) -> Iterator[_Gene]:
    for row in _rows(path):
        field = partial(_field, row)
        symbol = field("symbol", "Approved symbol")
        hgnc, ensembl = field("hgnc_id", "HGNC ID"), field("ensembl_gene_id", "Ensembl gene ID")
        aliases = _several(field("alias_symbol", "Alias symbols"))
        previous = _several(field("prev_symbol", "Previous symbols"))
        scopes = dict.fromkeys(aliases, "EXACT") | {one: "PREVIOUS" for one in previous if one not in aliases}
        scopes.pop(symbol, None)
        if not (ensembl or hgnc):
            continue
        ncbi = field("entrez_id", "NCBI Gene ID(supplied by NCBI)")
        yield _Gene(
            ensembl or hgnc,
            symbol or None,
            ensembl or None,
            [ncbi] if ncbi else [],
            field("name", "Approved name") or None,
            field("locus_type", "Locus type") or None,
            list(scopes),
            list(scopes.values()),
            field("status", "Status") not in ("", "Approved"),
        )


def read_mgi(path: Path) -> Iterator[pa.Table]:
    """Yield the genes of a table of MGI with its header: ID, symbol, synonyms, ensembl."""
    return _tables(_mgi(path))


def _mgi(path: Path) -> Iterator[_Gene]:
    for row in _rows(path):
        field = partial(_field, row)
        symbol, identifier = field("symbol"), field("ID")
        ensembl = _several(field("ensembl"))
        names = [name for name in _several(field("synonyms")) if name != symbol]
        stable = ensembl[0] if ensembl else f"MGI:{identifier.removeprefix('MGI:')}"
        yield _Gene(
            stable, symbol or None, ensembl[0] if ensembl else None, (), None, None, names, ["EXACT"] * len(names)
        )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    header: list[str] = []
    for line in lines(path):
        fields = [field.strip('"').strip() for field in line.split("\t")]
        if header:
            yield dict(zip(header, fields, strict=False))
            continue
        header = fields
        if not {"symbol", "Approved symbol"}.intersection(header):
            raise InvalidFile(f"{shown(str(path))} has no column for symbols in its first line: {shown(line, 80)}")


def _field(row: dict[str, str], *names: str) -> str:
    """Return the field of the first name that there is."""
    return next((row[name] for name in names if name in row), "")


def _several(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in re.split(r"[|,]\s*", text) if part.strip()))


GENES: dict[str, Callable[[Path], Iterator[pa.Table]]] = {
    "gtf": read_annotation,
    "gff3": read_annotation,
    "genes-csv": read_gene_list,
    "hgnc": read_hgnc,
    "mgi": read_mgi,
}
"""Readers of genes by the name of their format."""
