"""Users, storages, transforms and runs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from lakehouse.errors import InputError, LakehouseError
from lakehouse.identity import checked_user
from lakehouse.ids import derived_uid
from registries.lamindb.moving import Mover
from registries.lamindb.source import times
from registries.lineage.edges import INPUT, edge_uid
from registries.lineage.parameters import PARAM, parameter
from registries.transform import KINDS

__all__ = ["move_inputs", "move_runs", "move_storages", "move_transforms", "move_users"]

_OUTCOMES = {0: "finished", 1: "failed", 2: "aborted"}


def move_users(mover: Mover) -> None:
    """Add users by handle."""
    read = mover.source.read("lamindb_user", "id", "handle", "name", "created_at")
    handles = []
    for handle in read["handle"]:
        try:
            handles.append(checked_user(handle, "User.handle"))
        except InputError:
            handles.append(mover.name(handle, "User.handle"))
    uids = [derived_uid("user", handle) for handle in handles]
    mover.ids["lamindb_user"] = dict(zip(read["id"], uids, strict=True))
    columns = {"uid": uids, "handle": handles, "name": read["name"], "created_at": times(read["created_at"])}
    mover.insert("user", columns | {"created_by": uids})


def move_storages(mover: Mover) -> None:
    """Register storages where they lie; one that was moved with its database is found beside it."""
    found = mover.ids["lamindb_storage"] = {}
    for row in mover.source.rows("lamindb_storage", "id", "root", "description", "type"):
        root = _root(mover, str(row["root"]), str(row["type"]))
        try:
            known = {one.root: one.uid for one in mover.home.Storage.filter().all()}
            storage = mover.home.Storage(root=root, description=row["description"] or None).unasked().save()
        except (LakehouseError, OSError) as error:
            mover.note(f"a storage of type {row['type']} cannot be used here ({error}): its artifacts stayed behind")
            mover.count("Storage", 1, 0)
            continue
        found[row["id"]] = storage.uid
        mover.count("Storage", 1, int(storage.root not in known))


def _root(mover: Mover, root: str, kind: str) -> str:
    beside = mover.source.path.absolute().parent
    if kind == "local" and not Path(root).is_dir() and beside.name == ".lamindb":
        mover.note(f"the storage {root} is not there: {beside.parent}, in which the database lies, stands for it")
        return str(beside.parent)
    return root


def move_transforms(mover: Mover) -> None:
    """Add transforms by name and version."""
    names = (
        "id",
        "uid",
        "key",
        "description",
        "kind",
        "hash",
        "version_tag",
        "source_code",
        "created_at",
        "created_by_id",
    )
    read = mover.source.read("lamindb_transform", *names)
    uids = mover.derived("transform", read["uid"])
    called, versions, taken = [], [], set[tuple[str, str]]()
    for place, uid in enumerate(read["uid"]):
        name = mover.name(read["key"][place] or read["description"][place] or uid, "Transform.name")
        version = str(read["version_tag"][place] or _number(uid))
        if (name, version) in taken:
            version = f"{version} ({uid})"
        taken.add((name, version))
        called.append(name)
        versions.append(version)
    uids = _as_known(mover, uids, called, versions)
    mover.ids["lamindb_transform"] = dict(zip(read["id"], uids, strict=True))
    kinds = [kind if kind in KINDS else "script" for kind in read["kind"]]
    if other := sorted({str(kind) for kind in read["kind"] if kind not in KINDS}):
        mover.note(f"transforms of kind {', '.join(other)} are of kind script here")
    columns: dict[str, Any] = {"uid": uids, "name": called, "version": versions, "kind": kinds}
    columns |= {
        "description": read["description"],
        "source_hash": read["hash"],
        "source": _sources(mover, read, called),
    }
    mover.insert("transform", columns | {k: v for k, v in mover.stamped(read).items() if k != "run"})


def _number(uid: str) -> int:
    """Return the version that the last four characters of a uid count, from 1."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for letter in uid[-4:]:
        number = number * 62 + max(digits.find(letter), 0)
    return number + 1


def _as_known(mover: Mover, uids: list[str], names: list[str], versions: list[str]) -> list[str]:
    rows = mover.home.snapshot().lookup("transform", "name", list(dict.fromkeys(names))).to_pylist()
    known = {(row["name"], row["version"]): row["uid"] for row in rows}
    return [known.get((n, v), uid) for uid, n, v in zip(uids, names, versions, strict=True)]


def _sources(mover: Mover, read: dict[str, list[Any]], names: list[str]) -> list[str | None]:
    """Keep source code as artifacts, and return their uids."""
    places = [place for place, code in enumerate(read["source_code"]) if code]
    if not places:
        return [None] * len(names)
    made = {place: f"lamindb/source/{read['uid'][place]}.txt" for place in places}
    artifacts = [
        mover.home.Artifact(
            str(read["source_code"][p]).encode(), key=key, description=f"Source of {names[p]}", format="blob"
        )
        for p, key in made.items()
    ]
    mover.home.save(artifacts)
    found: list[str | None] = [None] * len(names)
    for place, artifact in zip(places, artifacts, strict=True):
        found[place] = artifact.uid
    return found


def move_runs(mover: Mover) -> None:
    """Add runs with their parameters."""
    names = (
        "id",
        "uid",
        "transform_id",
        "started_at",
        "finished_at",
        "_status_code",
        "params",
        "created_at",
        "created_by_id",
    )
    read = mover.source.read("lamindb_run", *names, "initiated_by_run_id")
    uids = mover.derived("run", read["uid"])
    mover.ids["lamindb_run"] = dict(zip(read["id"], uids, strict=True))
    outcomes = [
        _OUTCOMES.get(code, "finished" if ended else None)
        for code, ended in zip(read["_status_code"], read["finished_at"], strict=True)
    ]
    columns: dict[str, Any] = {"uid": uids, "transform": mover.uids("lamindb_transform", read["transform_id"])}
    columns |= {"started_at": times(read["started_at"]), "finished_at": times(read["finished_at"]), "outcome": outcomes}
    columns |= {"external_id": read["uid"], **mover.stamped(read)}
    columns["run"] = mover.uids("lamindb_run", read["initiated_by_run_id"])
    mover.insert("run", columns)
    _move_parameters(mover, read, uids)


def _move_parameters(mover: Mover, read: dict[str, list[Any]], uids: list[str]) -> None:
    rows = []
    for place, text in enumerate(read["params"]):
        params = json.loads(text) if text else None
        for name, value in params.items() if isinstance(params, dict) else ():
            rows.append((place, parameter(str(name), value).row(uids[place], str(name))))
    if not rows:
        return
    at = times([read["created_at"][place] for place, _ in rows])
    by = mover.uids("lamindb_user", [read["created_by_id"][place] for place, _ in rows])
    names = dict.fromkeys(name for _, row in rows for name in row)
    mover.insert(PARAM, {n: [row.get(n) for _, row in rows] for n in names} | {"created_at": at, "created_by": by})


def move_inputs(mover: Mover) -> None:
    """Record which artifacts runs read."""
    read = mover.source.read("lamindb_artifact_input_of_runs", "artifact_id", "run_id")
    pairs = [
        (run, artifact)
        for run, artifact in zip(
            mover.uids("lamindb_run", read["run_id"]), mover.uids("lamindb_artifact", read["artifact_id"]), strict=True
        )
        if run is not None and artifact is not None
    ]
    if pairs:
        columns = {"uid": [edge_uid(INPUT, *pair) for pair in pairs], "subject": [run for run, _ in pairs]}
        mover.insert(INPUT, columns | {"artifact": [one for _, one in pairs], "created_at": _now(len(pairs))})


def _now(count: int) -> Any:
    return [dt.datetime.now(dt.UTC)] * count
