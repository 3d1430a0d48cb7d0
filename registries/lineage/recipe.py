"""How to make an artifact again: code, parameters, inputs and environment of the runs that it came from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError
from registries.lineage.edges import INPUT
from registries.lineage.network import network_of
from registries.lineage.parameters import PARAM, read_parameter

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["Recipe", "Work", "recipe_of", "title_of"]


@dataclass(frozen=True)
class Work:
    """One run of a recipe.

    Attributes
    ----------
    run, transform, version, kind
        What was executed.
    source
        uid of the artifact with its source; None where that was not kept.
    source_key
        The key of that.
    repository, commit
        Where the source lies in git. ``is_dirty`` says that files there were changed.
    arguments
        The command line.
    parameters
        Values by name; secrets are hidden.
    inputs, outputs
        Pairs of uid and key; those of a part that was handed its data are its whole run's.
    part_of
        The uid of the run around it.
    """

    run: str
    transform: str
    version: str
    kind: str
    source: str | None
    source_key: str | None
    repository: str | None
    commit: str | None
    is_dirty: bool | None
    arguments: list[str] | None
    parameters: Mapping[str, Any]
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    part_of: str | None
    environment: str | None


@dataclass(frozen=True)
class Recipe:
    """What ``artifact.recipe()`` returns; as text it is a list of steps to follow.

    Attributes
    ----------
    title
        What is to be made again.
    works
        The runs, in the order in which they have to be done.
    environments
        Python, system and packages by uid.
    """

    title: str
    works: tuple[Work, ...]
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"# How to make {self.title} again"]
        if not self.works:
            lines.append("Nothing is recorded of how it was made: it was saved outside of any run.")
        for number, work in enumerate(self.works, start=1):
            lines += ["", f"## {number}. {work.transform}, version {work.version} ({work.kind})", *_lines(work)]
        for number, (uid, found) in enumerate(self.environments.items(), start=1):
            lines += ["", f"## Environment {uid}" if len(self.environments) > 1 else "## Environment"]
            lines.append(f"Python {found['python']} on {found['system']}, {len(found['packages'])} packages:")
            lines += [f"    {package}" for package in found["packages"]]
            del number
        return "\n".join(lines) + "\n"

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        works = [{name: getattr(work, name) for name in work.__dataclass_fields__} for work in self.works]
        for work in works:
            work["inputs"] = [{"uid": uid, "key": key} for uid, key in work["inputs"]]
            work["outputs"] = [{"uid": uid, "key": key} for uid, key in work["outputs"]]
            work["parameters"] = {name: _plain(value) for name, value in work["parameters"].items()}
        return {"title": self.title, "runs": works, "environments": {k: dict(v) for k, v in self.environments.items()}}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)


def _lines(work: Work) -> list[str]:
    lines = []
    if work.source is not None:
        name = (work.source_key or work.transform.partition("::")[0]).rpartition("/")[2]
        lines.append(f"source:  lakehouse load {shlex.quote(work.source_key or work.source)} --to {shlex.quote(name)}")
        if work.source_key is not None:
            lines[-1] += f"   # artifact {work.source}"
    else:
        lines.append("source:  was not kept")
    if work.commit is not None:
        dirty = " (and files were changed since)" if work.is_dirty else ""
        lines.append(f"git:     {work.repository or 'a repository without a remote'} at {work.commit}{dirty}")
    if work.arguments:
        program = "lakehouse run" if work.arguments[0].endswith(".ipynb") else "python"
        lines.append(f"command: {program} {shlex.join(work.arguments)}")
    lines += [f"param:   {name} = {json.dumps(_plain(value))}" for name, value in work.parameters.items()]
    lines += [f"input:   {key}   # {uid}" for uid, key in work.inputs]
    lines += [f"output:  {key}   # {uid}" for uid, key in work.outputs]
    return lines


def recipe_of(home: Instance, record: Record, *, deep: bool = False) -> Recipe:
    """Return how an artifact or a dataset, or what a run made, is made again.

    Parameters
    ----------
    home
        The instance.
    record
        The artifact, dataset or run; a transform stands for its newest run.
    deep
        Whether to go back to the very beginning, and not only to the run that made it.
    """
    if not record.is_saved:
        raise InputError(f"{record!r} is not saved: call its save() first")
    home.settle_runs()
    snapshot = home.snapshot()
    title = f"{record.meta.table} {title_of(record)}"
    starts, made = _starts(snapshot, record)
    if not starts:
        return Recipe(title, ())
    wanted = {uid for start in starts for uid in (start, *_parts(snapshot, start))}
    if deep:
        network = network_of(snapshot)
        wanted |= {uid for edge in network.upstream([*made, *starts]) for uid in (edge.source, edge.target)}
    rows = snapshot.lookup("run", "uid", list(wanted)).to_pylist()
    rows.sort(key=_when)
    works = tuple(_work(snapshot, row) for row in rows)
    used = dict.fromkeys(work.environment for work in works if work.environment is not None)
    found = {row["uid"]: row for row in snapshot.lookup("environment", "uid", list(used)).to_pylist()}
    kept = {uid: {name: found[uid][name] for name in ("python", "system", "packages")} for uid in used if uid in found}
    return Recipe(title, works, kept)


def _when(row: Mapping[str, Any]) -> tuple[Any, str]:
    return row["started_at"] or row["created_at"], row["uid"]


def title_of(record: Record) -> str:
    """Return what a record is called."""
    if record.meta.table in ("transform", "dataset"):
        return f"{record.value('name')}, version {record.value('version')}"
    return str(record.value("key") or record.uid)


def _starts(snapshot: Snapshot, record: Any) -> tuple[list[str], list[str]]:
    """Return the runs that made what a record stands for, and the artifacts that it stands for."""
    if record.meta.table == "run":
        return [record.uid], []
    if record.meta.table == "transform":
        rows = snapshot.lookup("run", "uid", record.lineage_start(snapshot)).to_pylist()
        return [row["uid"] for row in sorted(rows, key=_when)[-1:]], []
    made: list[str] = record.lineage_start(snapshot)
    runs = snapshot.lookup("artifact", "uid", made)["run"].to_pylist()
    return list(dict.fromkeys(run for run in [*runs, record.value("run")] if run is not None)), made


def _parts(snapshot: Snapshot, run: str) -> list[str]:
    """Return the run that hands its data to a part, and those around that."""
    found: list[str] = []
    row = snapshot.get("run", run)
    while row is not None and row["run"] is not None and row["run"] not in found:
        found.append(row["run"])
        row = snapshot.get("run", row["run"])
    return found


def _work(snapshot: Snapshot, row: Mapping[str, Any]) -> Work:
    transform = snapshot.get("transform", row["transform"]) or {}
    source = snapshot.get("artifact", transform["source"]) if transform.get("source") else None
    params = snapshot.lookup(PARAM, "subject", [row["uid"]]).to_pylist()
    inputs = snapshot.lookup(INPUT, "subject", [row["uid"]])["artifact"].to_pylist()
    outputs = snapshot.lookup("artifact", "run", [row["uid"]])["uid"].to_pylist()
    return Work(
        run=row["uid"],
        transform=str(transform.get("name", row["transform"])),
        version=str(transform.get("version", "")),
        kind=str(transform.get("kind", "")),
        source=transform.get("source"),
        source_key=source["key"] if source else None,
        repository=transform.get("repository"),
        commit=row["git_commit"],
        is_dirty=row["git_dirty"],
        arguments=json.loads(row["arguments"]) if row["arguments"] else None,
        parameters={one["name"]: read_parameter(one) for one in sorted(params, key=lambda one: str(one["name"]))},
        inputs=keyed(snapshot, inputs),
        outputs=keyed(snapshot, outputs),
        part_of=row["run"],
        environment=row["environment"],
    )


def keyed(snapshot: Snapshot, uids: list[str]) -> tuple[tuple[str, str], ...]:
    """Return uids of artifacts with what each is called."""
    rows = {row["uid"]: row for row in snapshot.lookup("artifact", "uid", uids).to_pylist()}
    return tuple((uid, (rows[uid]["key"] or uid) if uid in rows else f"deleted {uid}") for uid in uids)
