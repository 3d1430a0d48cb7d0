"""Registries of terms: each one is a table of its own."""

from __future__ import annotations

from registries.ontology.term import Term

__all__ = [
    "BFXPipeline",
    "BioSample",
    "CellLine",
    "CellType",
    "DevelopmentalStage",
    "Disease",
    "Drug",
    "Ethnicity",
    "ExperimentalFactor",
    "Organism",
    "Pathway",
    "Phenotype",
    "Tissue",
]


class Organism(Term, natural=("name",), carried="organisms"):
    """A species, strain or other taxon.

    Examples
    --------
    >>> Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606").ontology_id
    'NCBITaxon:9606'
    """


class CellType(Term, natural=("name",), carried="cell_types"):
    """A kind of cell.

    Examples
    --------
    >>> CellType(name="T cell", ontology_id="CL:0000084").ontology_id
    'CL:0000084'
    """


class CellLine(Term, natural=("name",), carried="cell_lines"):
    """A line of cells that is grown in culture.

    Examples
    --------
    >>> CellLine(name="K-562", ontology_id="CVCL_0004").ontology_id
    'CVCL_0004'
    """


class Tissue(Term, natural=("name",), carried="tissues"):
    """A tissue, organ or other part of a body.

    Examples
    --------
    >>> Tissue(name="lung", ontology_id="UBERON:0002048").ontology_id
    'UBERON:0002048'
    """


class Disease(Term, natural=("name",), carried="diseases"):
    """A disease or disorder.

    Examples
    --------
    >>> Disease(name="asthma", ontology_id="MONDO:0004979").ontology_id
    'MONDO:0004979'
    """


class Phenotype(Term, natural=("name",), carried="phenotypes"):
    """An observable quality or abnormality.

    Examples
    --------
    >>> Phenotype(name="seizure", ontology_id="HP:0001250").ontology_id
    'HP:0001250'
    """


class Pathway(Term, natural=("name",), carried="pathways"):
    """A pathway or biological process.

    Examples
    --------
    >>> Pathway(name="apoptotic process", ontology_id="GO:0006915").ontology_id
    'GO:0006915'
    """


class ExperimentalFactor(Term, natural=("name",), carried="experimental_factors"):
    """An assay, treatment or other variable of an experiment.

    Examples
    --------
    >>> ExperimentalFactor(name="10x 3' v3", ontology_id="EFO:0009922").ontology_id
    'EFO:0009922'
    """


class DevelopmentalStage(Term, natural=("name",), carried="developmental_stages"):
    """A stage of the life of an organism.

    Examples
    --------
    >>> DevelopmentalStage(name="fetal stage", ontology_id="HsapDv:0000037").ontology_id
    'HsapDv:0000037'
    """


class Ethnicity(Term, natural=("name",), carried="ethnicities"):
    """An ancestry or population.

    Examples
    --------
    >>> Ethnicity(name="Finnish", ontology_id="HANCESTRO:0321").ontology_id
    'HANCESTRO:0321'
    """


class Drug(Term, natural=("name",), carried="drugs"):
    """A drug or other chemical compound.

    Examples
    --------
    >>> Drug(name="ethanol", ontology_id="CHEBI:16236").ontology_id
    'CHEBI:16236'
    """


class BioSample(Term, natural=("name",), carried="bio_samples"):
    """An attribute of a biological sample, such as NCBI lists.

    Examples
    --------
    >>> BioSample(name="age").name
    'age'
    """


class BFXPipeline(Term, natural=("name",), carried="bfx_pipelines"):
    """A bioinformatics pipeline.

    Examples
    --------
    >>> BFXPipeline(name="Cell Ranger v8").name
    'Cell Ranger v8'
    """
