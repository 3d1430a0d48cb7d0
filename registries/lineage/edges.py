"""Who read what and who made what: the tables of edges, and the view of all of them."""

from __future__ import annotations

from typing import Final

from lakehouse.ids import derived_uid
from registries.column import Column, Reference, column, reference
from registries.record import Record

__all__ = ["EDGES", "INPUT", "OUTPUT", "RunInput", "RunOutput", "edge_uid", "lineage_views"]

INPUT: Final = "run_input"
OUTPUT: Final = "run_output"


class RunInput(Record, table=INPUT):
    """That a run read an artifact."""

    subject: Reference[str] = reference("run", doc="The run.")
    artifact: Column[str] = column(doc="uid of the artifact; it stays when that is deleted for good.")


class RunOutput(Record, table=OUTPUT):
    """That a run made an artifact which another one had saved before, or that was told of it; see artifact.run."""

    subject: Reference[str] = reference("run", doc="The run.")
    artifact: Column[str] = column(doc="uid of the artifact; it stays when that is deleted for good.")
    kind: Column[str] = column(doc="re-created, or told where it was recorded by hand or by an event.")


def edge_uid(table: str, run: str, artifact: str) -> str:
    """Return the uid of an edge: computed, so that the same one recorded twice is one row."""
    return derived_uid(table, run, artifact)


EDGES: Final = (
    "select artifact as source, 'artifact' as source_type, subject as target, 'run' as target_type, 'input' as kind "
    "from run_input union all "
    "select run, 'run', uid, 'artifact', 'output' from artifact where run is not null union all "
    "select subject, 'run', artifact, 'artifact', kind from run_output union all "
    "select uid, 'run', run, 'run', 'step' from run where run is not null union all "
    "select run, 'run', uid, 'run', 'passed' from run where run is not null and inherits"
)
"""The edges between artifacts and runs: data went from ``source`` to ``target``.

``input``: a run read an artifact. ``output``, ``re-created``, ``told``: it made one. ``step``: what a step read came
to the run around it. ``passed``: a step was handed data by the run around it.
"""

_MEMBERS: Final = (
    "select m.artifact, 'artifact', d.uid, 'dataset', 'member' from dataset_member m "
    "join dataset_all a on a.uid = m.dataset join dataset_all d on d.base = a.base and d.uid >= a.uid"
)

STEP: Final = "_lineage_step"
"""The view of the edges between artifacts and runs: no edge leads on from a dataset, and theirs may be millions."""


def lineage_views(query: str) -> dict[str, str]:
    """Return the views of edges that a statement may mean, by name; ``lineage_edge`` has those of members, too.

    They know what is in the trash: what came of it came of it still.
    """
    if "lineage_edge" not in query.lower():
        return {}
    return {
        STEP: EDGES.replace(" from artifact ", " from artifact_all "),
        "lineage_edge": f"from {STEP} union all {_MEMBERS}",
    }
