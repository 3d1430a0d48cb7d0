"""One execution of a transform."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lakehouse.types import StrPath
from registries.annotate import Labels, remove_annotations
from registries.column import Column, Reference, column, reference
from registries.features import Features
from registries.label import ULabel
from registries.lineage.edges import INPUT, OUTPUT
from registries.lineage.ends import Ends, inputs_of, outputs_of
from registries.lineage.lookups import LINEAGE
from registries.lineage.openlineage import events_of
from registries.lineage.parameters import PARAM, read_parameter, with_params
from registries.lineage.process import is_gone
from registries.lineage.told import EventImport, import_events
from registries.lineage.traced import Traced
from registries.meta import Link, Lookup
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine import Transaction

__all__ = ["Run"]

_EDGES = {
    "inputs": Link(INPUT, "subject", "artifact", "artifact"),
    "outputs": Link("artifact", "run", "uid", "artifact"),
    "recreated": Link(OUTPUT, "subject", "artifact", "artifact"),
}


class Run(Record, Traced, links=_EDGES):
    """One execution of a transform; records saved by it refer to it.

    Examples
    --------
    >>> Run(transform="0GhJ9zM3xUq7vWbT0000").outcome is None
    True
    """

    transform: Reference[str] = reference("transform", doc="What was executed.")
    started_at: Column[dt.datetime | None] = column(doc="When it began, UTC.", default=None)
    finished_at: Column[dt.datetime | None] = column(doc="When it ended, UTC.", default=None)
    outcome: Column[str | None] = column(doc="finished, failed or aborted; null while it runs.", default=None)
    host: Column[str | None] = column(doc="Name of the machine.", default=None)
    process: Column[str | None] = column(doc="What tells its process apart on that machine.", default=None)
    error: Column[str | None] = column(doc="The traceback of what it failed by.", default=None)
    arguments: Column[str | None] = column(doc="The command line, as a JSON list, without secrets.", default=None)
    variables: Column[str | None] = column(doc="Some variables of the environment, as JSON.", default=None)
    git_commit: Column[str | None] = column(doc="What was checked out where the source lies.", default=None)
    git_dirty: Column[bool | None] = column(doc="Whether files that git knows were changed.", default=None)
    source_hash: Column[str | None] = column(doc="Content hash of the source as it ran.", default=None)
    environment: Reference[str | None] = reference("environment", doc="Python and packages.", default=None)
    inherits: Column[bool | None] = column(doc="Whether data came from the run around it.", default=None)
    log: Reference[str | None] = reference("artifact", doc="What it wrote to the screen.", default=None)
    report: Reference[str | None] = reference(
        "artifact", doc="What it reports, such as the executed notebook.", default=None
    )
    external_id: Column[str | None] = column(doc="Its id in the pipeline that told of it.", default=None)

    _computed: ClassVar[Mapping[str, Lookup]] = {"params": with_params, **LINEAGE}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.home_of().tracking.finish(self, error=error)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name, in their types; secrets are hidden, data that was handed over is told by its type."""
        home = self.home_of()
        home.settle_runs()
        rows = home.snapshot().lookup(PARAM, "subject", [self.uid]).to_pylist()
        return {row["name"]: read_parameter(row) for row in sorted(rows, key=lambda row: str(row["name"]))}

    @property
    def status(self) -> str:
        """The outcome; where there is none yet, ``aborted`` for what was killed on this machine, else ``running``."""
        if self.outcome is not None:
            return self.outcome
        return "aborted" if self.process is not None and is_gone(self.process, self.host) else "running"

    @property
    def inputs(self) -> Ends:
        """What it read; ``run.inputs.add(artifact)`` records more by hand."""
        return inputs_of(self)

    @property
    def outputs(self) -> Ends:
        """What it made, also of what another run had made before; ``run.outputs.add(artifact)`` records more by hand."""
        return outputs_of(self)

    def to_openlineage(self) -> list[dict[str, Any]]:
        """Return the events of OpenLineage that tell of it: of its beginning and of its end."""
        return events_of(self.home_of(), [self.uid])

    @classmethod
    def from_openlineage(cls, events: StrPath | Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> EventImport:
        """Record the runs that events of OpenLineage tell of, in one commit; told again, they are the same runs.

        Parameters
        ----------
        events
            A file (a JSON document, a list, or one event per line), an event, or several.

        Raises
        ------
        InvalidFile, InvalidData
            When something is no event, naming which one; nothing is recorded then.
        """
        return import_events(cls.home(), events)

    @property
    def labels(self) -> Labels:
        """The labels that it carries."""
        return Labels(self)

    @property
    def ulabels(self) -> Labels:
        """The universal labels that it carries."""
        return Labels(self, ULabel)

    @property
    def features(self) -> Features:
        """The values of features, such as parameters."""
        return Features(self)

    def plan_delete(self, txn: Transaction) -> None:
        """Delete the row, with its labels and values."""
        remove_annotations(txn, self)
        super().plan_delete(txn)
