"""Batch ingest: files of a manifest, a folder or a bucket become artifacts, in parallel and in large transactions."""

from __future__ import annotations

from registries.ingest.ingest import Ingest
from registries.ingest.options import Options
from registries.ingest.ray import RayExecutor
from registries.ingest.report import IngestReport

__all__ = ["Ingest", "IngestReport", "Options", "RayExecutor"]
