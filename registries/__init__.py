"""What is recorded: registries, their records, queries and labels.

Users write ``import lakehouse as lh`` and ``lh.Artifact``; the modules of this package are public and documented for
those who declare registries of their own.
"""

from __future__ import annotations

from registries.annotate import Labels
from registries.artifact import Artifact, File
from registries.column import Column, Reference, column, reference
from registries.describe import ArtifactDescription
from registries.feature import Feature
from registries.instance import Instance
from registries.label import ULabel
from registries.links import ArtifactULabel
from registries.meta import Link, Meta
from registries.query import Query
from registries.record import Record
from registries.run import Run
from registries.storage import Storage
from registries.transform import Transform
from registries.user import User

__all__ = [
    "Artifact",
    "ArtifactDescription",
    "ArtifactULabel",
    "Column",
    "Feature",
    "File",
    "Instance",
    "Labels",
    "Link",
    "Meta",
    "Query",
    "Record",
    "Reference",
    "Run",
    "Storage",
    "Transform",
    "ULabel",
    "User",
    "column",
    "reference",
]
