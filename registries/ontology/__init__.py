"""Biological registries, and the public sources that their terms come from."""

from __future__ import annotations

from registries.ontology.entities import (
    BFXPipeline,
    BioSample,
    CellLine,
    CellType,
    DevelopmentalStage,
    Disease,
    Drug,
    Ethnicity,
    ExperimentalFactor,
    Organism,
    Pathway,
    Phenotype,
    Tissue,
)
from registries.ontology.molecules import CellMarker, Gene, Protein
from registries.ontology.source import Source
from registries.ontology.term import Entry, Term

__all__ = [
    "BFXPipeline",
    "BioSample",
    "CellLine",
    "CellMarker",
    "CellType",
    "DevelopmentalStage",
    "Disease",
    "Drug",
    "Entry",
    "Ethnicity",
    "ExperimentalFactor",
    "Gene",
    "Organism",
    "Pathway",
    "Phenotype",
    "Protein",
    "Source",
    "Term",
    "Tissue",
]
