"""What makes data: scripts, notebooks, pipelines, functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.errors import InputError, did_you_mean, shown
from registries.annotate import Labels, remove_annotations
from registries.column import Column, Reference, column, reference
from registries.label import ULabel
from registries.lineage.traced import Traced
from registries.names import check_name
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine import Transaction

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["Transform"]

KINDS = ("script", "notebook", "pipeline", "function", "upload", "query")


class Transform(Record, Traced, natural=("name", "version"), unique=(("name", "version"),)):
    """A version of a script, notebook, pipeline or function.

    Examples
    --------
    >>> Transform(name="normalise", kind="notebook", version="3").version
    '3'
    """

    name: Column[str] = column(doc="What it is called; unique with its version.")
    kind: Column[str] = column(doc="script, notebook, pipeline, function, upload or query.", default="script")
    version: Column[str] = column(doc="Its version, as text.", default="1")
    description: Column[str | None] = column(doc="What it does.", default=None)
    source_hash: Column[str | None] = column(doc="Content hash of its source.", default=None)
    source: Reference[str | None] = reference("artifact", doc="Its source; of a function, the file.", default=None)
    repository: Column[str | None] = column(doc="Where the git repository of its source lies.", default=None)

    @property
    def labels(self) -> Labels:
        """The labels that it carries."""
        return Labels(self)

    @property
    def ulabels(self) -> Labels:
        """The universal labels that it carries."""
        return Labels(self, ULabel)

    def lineage_start(self, snapshot: Snapshot) -> list[str]:
        """Return its runs."""
        found: list[str] = snapshot.lookup("run", "transform", [self.uid])["uid"].to_pylist()
        return found

    def check(self) -> None:
        """Check name, version and kind."""
        super().check()
        self._values["version"] = check_name(self.version, "Transform.version")
        if self.kind not in KINDS:
            raise InputError(f"Transform.kind {shown(self.kind)} is not known{did_you_mean(self.kind, KINDS)}")

    def plan_delete(self, txn: Transaction) -> None:
        """Delete the row, with its labels."""
        remove_annotations(txn, self)
        super().plan_delete(txn)
