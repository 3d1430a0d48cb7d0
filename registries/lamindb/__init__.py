"""Moving in from LaminDB: what its SQLite database holds becomes records here, artifacts where they lie."""

from __future__ import annotations

from registries.lamindb.importing import import_lamindb
from registries.lamindb.moving import Moved, MovingReport

__all__ = ["Moved", "MovingReport", "import_lamindb"]
