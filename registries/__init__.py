"""What is recorded: registries, their records, queries and labels.

Users write ``import lakehouse as lh`` and ``lh.Artifact``; the modules of this package are public and documented for
those who declare registries of their own.
"""

from __future__ import annotations

from registries.annotate import Labels, attach
from registries.artifact import Artifact, File
from registries.column import Column, Reference, column, reference
from registries.dataset import Dataset
from registries.describe import ArtifactDescription
from registries.expressions import Q
from registries.feature import Feature
from registries.feature_set import FeatureSet, Modality
from registries.features import Features
from registries.instance import Instance
from registries.label import ULabel
from registries.lineage.edges import RunInput, RunOutput
from registries.lineage.environment import Environment
from registries.lineage.parameters import RunParam
from registries.links import ArtifactULabel
from registries.meta import Link, Meta
from registries.ontology import (
    BFXPipeline,
    BioSample,
    CellLine,
    CellMarker,
    CellType,
    DevelopmentalStage,
    Disease,
    Drug,
    Ethnicity,
    ExperimentalFactor,
    Gene,
    Organism,
    Pathway,
    Phenotype,
    Protein,
    Source,
    Term,
    Tissue,
)
from registries.query import Query
from registries.record import Record
from registries.record_set import RecordSet
from registries.run import Run
from registries.schema import ArtifactSchema, Schema
from registries.sql.saved import View
from registries.storage import Storage
from registries.transform import Transform
from registries.user import User

attach()

__all__ = [
    "Artifact",
    "ArtifactDescription",
    "ArtifactSchema",
    "ArtifactULabel",
    "BFXPipeline",
    "BioSample",
    "CellLine",
    "CellMarker",
    "CellType",
    "Column",
    "Dataset",
    "DevelopmentalStage",
    "Disease",
    "Drug",
    "Environment",
    "Ethnicity",
    "ExperimentalFactor",
    "Feature",
    "FeatureSet",
    "Features",
    "Modality",
    "Q",
    "File",
    "Gene",
    "Instance",
    "Labels",
    "Link",
    "Meta",
    "Organism",
    "Pathway",
    "Phenotype",
    "Protein",
    "Query",
    "Record",
    "RecordSet",
    "Reference",
    "Run",
    "RunInput",
    "RunOutput",
    "RunParam",
    "Schema",
    "Source",
    "Storage",
    "Term",
    "Tissue",
    "Transform",
    "ULabel",
    "User",
    "View",
    "column",
    "reference",
]
