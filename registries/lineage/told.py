"""Events of OpenLineage taken in: runs of other pipelines, with the artifacts that they name."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse.errors import InvalidData, InvalidFile, NotFound, shown
from lakehouse.ids import derived_uid, is_uid
from registries.lineage.edges import INPUT, OUTPUT, edge_uid
from registries.lineage.secrets import without_secrets
from registries.lineage.source import Source
from registries.lineage.versions import Wanted
from registries.rows import live, newest

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.instance import Instance

__all__ = ["EventImport", "import_events"]

_OUTCOMES: Final = {"COMPLETE": "finished", "FAIL": "failed", "ABORT": "aborted"}
_LARGEST: Final = 200_000_000


@dataclass(frozen=True)
class EventImport:
    """What came of reading events."""

    runs: tuple[str, ...]
    """The uids of the runs that they tell of."""
    inputs: int
    """Edges from artifacts that were read."""
    outputs: int
    """Edges to artifacts that were made."""
    unknown: tuple[str, ...]
    """Data that they name and that no artifact is: namespace and name."""
    others: int = 0
    """Events of jobs and data alone, which tell of no run and are passed over."""


@dataclass
class _Told:
    """What the events of one run say."""

    job: tuple[str, str]
    version: str | None = None
    parent: str | None = None
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    outcome: str | None = None
    error: str | None = None
    ours: str | None = None
    inputs: dict[tuple[str, str], str | None] = field(default_factory=dict)
    outputs: dict[tuple[str, str], str | None] = field(default_factory=dict)


def import_events(home: Instance, given: Any) -> EventImport:
    """Record the runs that events tell of, in one commit; told again, they are the same runs.

    Parameters
    ----------
    home
        The instance.
    given
        A file of events (a JSON document, a list of them, or one per line), an event, or a list of events.

    Raises
    ------
    InvalidFile, InvalidData
        When something is no event, naming which one; nothing is recorded then.
    """
    home.refuse_reading_only()
    told: dict[str, _Told] = {}
    others = 0
    for number, event in enumerate(_read(given), start=1):
        try:
            if _tells_of_no_run(event):
                others += 1
            else:
                _take(told, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidData(
                f"event {number} is none of OpenLineage: {type(error).__name__} {shown(str(error))}; it needs "
                "eventTime, run.runId, job.namespace and job.name"
            ) from error
    found: list[EventImport] = []

    def plan(txn: Transaction) -> None:
        found[:] = [_record(txn, home, told)]

    home.run(plan)
    return replace(found[0], others=others)


def _read(given: Any) -> Iterable[Any]:
    if isinstance(given, Mapping):
        return [given]
    if not isinstance(given, str | Path):
        return list(given)
    path = Path(given)
    if not path.is_file():
        raise NotFound(f"{shown(str(path))}: there is no such file of events")
    if path.stat().st_size > _LARGEST:
        raise InvalidFile(f"{shown(str(path))} has more than {_LARGEST:,} bytes: split it")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        whole = json.loads(text)
        return whole if isinstance(whole, list) else [whole]
    except (ValueError, RecursionError):
        pass  # it may have one event per line
    return _lines(path, text)


def _lines(path: Path, text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise InvalidFile(f"{shown(str(path))}, line {number}: that is no JSON ({error})") from error
    return found


def _tells_of_no_run(event: Mapping[str, Any]) -> bool:
    """Whether an event is of a job or of data as such, which the standard calls static."""
    return "run" not in event and "eventType" not in event and ("dataset" in event or "job" in event)


def _take(told: dict[str, _Told], event: Mapping[str, Any]) -> None:
    kind, at = str(event.get("eventType", "OTHER")).upper(), _moment(event["eventTime"])
    run, job = event["run"], event["job"]
    ident, name = str(run["runId"]), (str(job["namespace"]), str(job["name"]))
    if not (ident and name[1]):
        raise ValueError("an empty name")
    one = told.setdefault(ident, _Told(name))
    facets, job_facets = run.get("facets") or {}, job.get("facets") or {}
    one.version = (job_facets.get("sourceCodeLocation") or {}).get("version") or one.version
    one.ours = (facets.get("lakehouse_run") or {}).get("uid") or one.ours
    if parent := facets.get("parent"):
        one.parent = str(parent["run"]["runId"])
        around = parent.get("job") or {}
        told.setdefault(one.parent, _Told((str(around.get("namespace", "")), str(around.get("name", one.parent)))))
    if message := (facets.get("errorMessage") or {}).get("message"):
        one.error = str(without_secrets(str(message)))[:20_000]
    if kind == "START":
        one.started = at
    elif kind in _OUTCOMES:
        one.finished, one.outcome = at, _OUTCOMES[kind]
    one.started = min(one.started or at, at)
    for side, found in ((event.get("inputs") or [], one.inputs), (event.get("outputs") or [], one.outputs)):
        for data in side:
            version = ((data.get("facets") or {}).get("version") or {}).get("datasetVersion")
            found[str(data["namespace"]), str(data["name"])] = version


def _moment(text: Any) -> dt.datetime:
    found = dt.datetime.fromisoformat(str(text))
    return (found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _record(txn: Transaction, home: Instance, told: Mapping[str, _Told]) -> EventImport:
    user, now = home.ensure_user(txn), dt.datetime.now(dt.UTC)
    stamps = {"created_at": now, "created_by": user, "run": None}
    uids = {ident: _uid(txn.snapshot, ident, one) for ident, one in told.items()}
    done: set[str] = set()
    for ident in told:
        _ensure_run(txn, home, uids, ident, told, stamps, done)
    unknown: dict[str, None] = {}
    counts = {INPUT: 0, OUTPUT: 0}
    for ident, one in told.items():
        for table, data in ((INPUT, one.inputs), (OUTPUT, one.outputs)):
            rows: dict[str, dict[str, Any]] = {}
            for name, version in data.items():
                artifact = _artifact(txn.snapshot, name, version)
                if artifact is None:
                    unknown[f"{name[0]} {name[1]}"] = None
                    continue
                uid = edge_uid(table, uids[ident], artifact["uid"])
                is_own = table == OUTPUT and artifact["run"] == uids[ident]
                if not is_own and txn.snapshot.get(table, uid) is None:
                    kind = {"kind": "told"} if table == OUTPUT else {}
                    rows[uid] = {"uid": uid, "subject": uids[ident], "artifact": artifact["uid"]} | kind | stamps
            if rows:
                txn.insert(table, list(rows.values()))
            counts[table] += len(rows)
    return EventImport(tuple(uids.values()), counts[INPUT], counts[OUTPUT], tuple(unknown))


def _uid(snapshot: Snapshot, ident: str, one: _Told) -> str:
    """Return the uid of the run that an id means; of one of ours, that came back, its own."""
    if one.ours is not None and is_uid(one.ours) and snapshot.get("run", one.ours) is not None:
        return one.ours
    return derived_uid("run", "openlineage", ident)


def _ensure_run(
    txn: Transaction,
    home: Instance,
    uids: Mapping[str, str],
    ident: str,
    told: Mapping[str, _Told],
    stamps: Mapping[str, Any],
    done: set[str],
) -> None:
    """Make or complete the row of a run, after that of the one around it; a circle of parents ends where it closes."""
    if ident in done:
        return
    done.add(ident)
    one = told[ident]
    parent = None
    if one.parent is not None and one.parent != ident:
        _ensure_run(txn, home, uids, one.parent, told, stamps, done)
        parent = uids[one.parent] if txn.snapshot.get("run", uids[one.parent]) is not None else None
    before = txn.snapshot.get("run", uids[ident])
    if before is not None and before["external_id"] is None:
        return  # it is one of ours
    known = {
        "started_at": one.started,
        "finished_at": one.finished,
        "outcome": one.outcome,
        "error": one.error,
        "run": parent,
    }
    kept = {name: value for name, value in known.items() if value is not None}
    if before is not None:
        if any(before[name] != value for name, value in kept.items()):
            txn.upsert("run", [before | kept])
        return
    wanted = Wanted(Source("pipeline", "/".join(filter(None, one.job))[:900]), None, one.version)
    transform = wanted.find(txn.snapshot) or wanted.make(txn, home, None)
    row = dict.fromkeys(home.Run.meta.columns) | dict(stamps) | kept
    txn.insert("run", [row | {"uid": uids[ident], "transform": transform["uid"], "external_id": ident}])


def _artifact(snapshot: Snapshot, name: tuple[str, str], version: Any) -> dict[str, Any] | None:
    """Return the artifact that data is: by its version, its key, or where it lies."""
    if isinstance(version, str) and is_uid(version) and (row := snapshot.get("artifact", version)) is not None:
        return row
    if (row := newest(live(snapshot.lookup("artifact", "key", [name[1]])))) is not None:
        return row
    namespace, path = name
    place = f"{namespace.rstrip('/')}/{path.lstrip('/')}" if "://" in namespace else f"/{path.lstrip('/')}"
    place = place.removeprefix("file://")
    for storage in snapshot.rows("storage").to_pylist():
        root = str(storage["root"]).rstrip("/") + "/"
        if place.startswith(root):
            rows = snapshot.lookup("artifact", "path", [place[len(root) :]])
            found = newest(live(rows.filter(rows["storage"].is_valid()))) if len(rows) else None
            if found is not None and found["storage"] == storage["uid"]:
                return found
    return None
