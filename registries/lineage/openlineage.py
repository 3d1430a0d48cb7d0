"""Runs as events of OpenLineage, written and read: what Airflow, Spark, dbt and others tell of their lineage.

The form is that of https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from registries.lineage.edges import INPUT, OUTPUT

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.instance import Instance

__all__ = ["EVENTS", "PRODUCER", "events_of", "run_id"]

PRODUCER: Final = "https://pypi.org/project/lakehouse-toolkit"
_SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets"
EVENTS: Final = {"finished": "COMPLETE", "failed": "FAIL", "aborted": "ABORT"}
"""The type of the last event by what a run came to."""


def run_id(uid: str) -> str:
    """Return the id that a run has in events: a UUID computed from its uid.

    Examples
    --------
    >>> run_id("0GhJ9zM3xUq7vWbT0000")
    'c2ce024e-5bd7-5c1d-aad1-3b1a8455a688'
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/run/{uid}"))


def events_of(home: Instance, uids: list[str]) -> list[dict[str, Any]]:
    """Return the events of runs: one of its beginning and one of its end for each, with inputs and outputs."""
    home.settle_runs()
    snapshot = home.snapshot()
    rows = sorted(snapshot.lookup("run", "uid", uids).to_pylist(), key=lambda row: (row["created_at"], row["uid"]))
    return [event for row in rows for event in _events(home, snapshot, row)]


def _events(home: Instance, snapshot: Snapshot, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    common = {"producer": PRODUCER, "schemaURL": _SCHEMA, "job": _job(home, snapshot, row)}
    inputs = snapshot.lookup(INPUT, "subject", [row["uid"]])["artifact"].to_pylist()
    outputs = snapshot.lookup("artifact", "run", [row["uid"]])["uid"].to_pylist()
    outputs += snapshot.lookup(OUTPUT, "subject", [row["uid"]])["artifact"].to_pylist()
    ends = {"inputs": _datasets(home, snapshot, inputs), "outputs": _datasets(home, snapshot, outputs)}
    ident, about = row["external_id"] or run_id(row["uid"]), _run_facets(home, snapshot, row)
    run = {"runId": ident, "facets": about}
    began = row["started_at"] or row["created_at"]
    yield {"eventType": "START", "eventTime": _time(began), "run": run, **common, "inputs": [], "outputs": []}
    if row["outcome"] is not None:
        kind, at = EVENTS.get(row["outcome"], "OTHER"), _time(row["finished_at"] or began)
        yield {"eventType": kind, "eventTime": at, "run": run | {"facets": about | _error(row)}, **common, **ends}


def _job(home: Instance, snapshot: Snapshot, row: Mapping[str, Any]) -> dict[str, Any]:
    transform = snapshot.get("transform", row["transform"]) or {}
    facets: dict[str, Any] = {}
    if transform.get("repository"):
        location = {"type": "git", "url": transform["repository"], "repoUrl": transform["repository"]}
        facets["sourceCodeLocation"] = _facet("SourceCodeLocationJobFacet", location | {"version": row["git_commit"]})
    if transform.get("description"):
        facets["documentation"] = _facet("DocumentationJobFacet", {"description": transform["description"]})
    return {"namespace": _namespace(home), "name": transform.get("name", row["transform"]), "facets": facets}


def _run_facets(home: Instance, snapshot: Snapshot, row: Mapping[str, Any]) -> dict[str, Any]:
    facets: dict[str, Any] = {"lakehouse_run": _facet("", {"uid": row["uid"], "host": row["host"]})}
    if row["run"] is not None and (around := snapshot.get("run", row["run"])) is not None:
        job = {name: value for name, value in _job(home, snapshot, around).items() if name != "facets"}
        parent = {"run": {"runId": around["external_id"] or run_id(around["uid"])}, "job": job}
        facets["parent"] = _facet("ParentRunFacet", parent)
    return facets


def _error(row: Mapping[str, Any]) -> dict[str, Any]:
    if not row["error"]:
        return {}
    message = row["error"].strip().rpartition("\n")[2]
    told = {"message": message, "programmingLanguage": "python", "stackTrace": row["error"]}
    return {"errorMessage": _facet("ErrorMessageRunFacet", told)}


def _datasets(home: Instance, snapshot: Snapshot, uids: list[str]) -> list[dict[str, Any]]:
    rows = {row["uid"]: row for row in snapshot.lookup("artifact", "uid", uids).to_pylist()}
    found = []
    for uid in dict.fromkeys(uids):
        row = rows.get(uid)
        version = {"version": _facet("DatasetVersionDatasetFacet", {"datasetVersion": uid})}
        found.append({"namespace": _namespace(home), "name": (row and row["key"]) or uid, "facets": version})
    return found


def _namespace(home: Instance) -> str:
    return f"lakehouse:{home.lake.id}"


def _facet(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    schema = f"{_FACETS}/1-0-0/{name}.json#/$defs/{name}" if name else PRODUCER
    return {"_producer": PRODUCER, "_schemaURL": schema, **values}


def _time(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def as_lines(events: list[dict[str, Any]]) -> str:
    """Return events as lines of JSON, the form in which they are kept and sent."""
    return "".join(json.dumps(event) + "\n" for event in events)
