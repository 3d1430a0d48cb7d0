"""Genes, proteins and markers: what is measured, with the identifiers of their sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from registries.column import Column, Reference, column, reference
from registries.ontology.genes import VERSIONED, without_version
from registries.ontology.term import Entry

__all__ = ["CellMarker", "Gene", "Protein"]

_ORGANISM = "The organism that it belongs to."


class Gene(Entry, natural=("symbol", "organism"), measured="genes"):
    """A gene, known by its stable id (of Ensembl, mostly), or by symbol and organism.

    Examples
    --------
    >>> Gene(symbol="CD8A", ensembl_gene_id="ENSG00000153563").ensembl_gene_id
    'ENSG00000153563'
    """

    label_field: ClassVar[str] = "symbol"
    identity_field: ClassVar[str] = "stable_id"
    versioned: ClassVar[Mapping[str, str]] = dict.fromkeys(("stable_id", "ensembl_gene_id"), VERSIONED)
    """How values of fields are spelled with a version, of which ``standardize`` takes it off."""

    symbol: Column[str | None] = column(doc="Symbol such as CD8A; not unique.", default=None)
    stable_id: Column[str | None] = column(
        doc="The identifier that its source keeps stable, without a version.", default=None
    )
    ensembl_gene_id: Column[str | None] = column(doc="Ensembl id, without a version.", default=None)
    ncbi_gene_ids: Column[list[str]] = column(doc="Ids of NCBI Gene.", default=())
    name: Column[str | None] = column(doc="Full name.", default=None)
    biotype: Column[str | None] = column(doc="Such as protein_coding or lncRNA.", default=None)
    organism: Reference[str | None] = reference("organism", doc=_ORGANISM, default=None)

    @classmethod
    def plain(cls, value: str) -> str:
        """Return an Ensembl id without its version, and any other value as it is.

        Examples
        --------
        >>> Gene.plain("ENSG00000153563.16"), Gene.plain("CD8A")
        ('ENSG00000153563', 'CD8A')
        """
        return without_version(value)

    def identity(self) -> tuple[str, ...] | None:
        """Return the stable id, or else symbol and organism."""
        stable = self.stable_id or self.ensembl_gene_id
        return (stable,) if stable is not None else _named(self.symbol, self.organism)

    def check(self) -> None:
        """Check names; an Ensembl id is the stable id where no other is given."""
        self._values["stable_id"] = self.stable_id or self.ensembl_gene_id
        super().check()


class Protein(Entry, natural=("name", "organism"), measured="proteins"):
    """A protein of UniProt.

    Examples
    --------
    >>> Protein(name="T-cell surface glycoprotein CD8 alpha chain", uniprot_id="P01732", gene_symbol="CD8A").uniprot_id
    'P01732'
    """

    identity_field: ClassVar[str] = "uniprot_id"

    uniprot_id: Column[str | None] = column(doc="Accession such as P01732.", default=None)
    name: Column[str] = column(doc="Recommended name; not unique.")
    entry_name: Column[str | None] = column(doc="Name of the entry, such as CD8A_HUMAN.", default=None)
    gene_symbol: Column[str | None] = column(doc="Symbol of its gene.", default=None)
    length: Column[int | None] = column(doc="Amino acids.", default=None)
    ensembl_gene_ids: Column[list[str]] = column(doc="Ensembl ids of its genes.", default=())
    organism: Reference[str | None] = reference("organism", doc=_ORGANISM, default=None)


class CellMarker(Entry, natural=("name", "organism"), measured="cell_markers"):
    """A molecule by which cells are told apart, such as the target of an antibody.

    Examples
    --------
    >>> CellMarker(name="CD8", gene_symbol="CD8A", uniprot_id="P01732").gene_symbol
    'CD8A'
    """

    identity_field: ClassVar[str] = "name"

    name: Column[str] = column(doc="Such as CD8; unique in its organism.")
    gene_symbol: Column[str | None] = column(doc="Symbol of its gene.", default=None)
    ncbi_gene_id: Column[str | None] = column(doc="Id of its gene in NCBI Gene.", default=None)
    uniprot_id: Column[str | None] = column(doc="Accession in UniProt.", default=None)
    organism: Reference[str | None] = reference("organism", doc=_ORGANISM, default=None)

    def identity(self) -> tuple[str, ...] | None:
        """Return name and organism."""
        return _named(self.name, self.organism)


def _named(name: str | None, organism: str | None) -> tuple[str, ...] | None:
    return None if name is None else (name, organism or "")
