"""Datasets: sets of artifacts that are read, queried and trained on as one."""

from __future__ import annotations

from registries.dataset.mapped import MappedDataset
from registries.dataset.record import Dataset, DatasetFeatureSet, DatasetMember
from registries.dataset.selection import Selection

__all__ = ["Dataset", "DatasetFeatureSet", "DatasetMember", "MappedDataset", "Selection"]
