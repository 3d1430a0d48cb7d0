"""Artifacts where they lie, and what they carry: labels, values of features, feature sets."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from formats.keys import check_key
from formats.registry import by_name, format_for
from lakehouse.errors import InputError, InvalidKey, LakehouseError
from lakehouse.ids import derived_uid, is_uid, stem, version_of
from registries.binding import REGISTRIES
from registries.dtypes import parse_dtype
from registries.kinds import check_value, column_of
from registries.lamindb.moving import Mover
from registries.lamindb.source import Columns, times
from registries.lamindb.words import ENTITIES, registry_in
from registries.links import link_table, link_uid
from registries.values import value_uid
from registries.whereabouts import FOREIGN

__all__ = ["move_artifacts", "move_links", "move_sets", "move_values"]

_KINDS = {"DataFrame": "dataframe", "AnnData": "AnnData", "MuData": "MuData", "tiledbsoma": "SOMA"}
_TRASH = -1
_ARTIFACT = (
    "id", "uid", "key", "_real_key", "description", "suffix", "otype", "size", "hash", "n_files", "n_observations",
    "_hash_type", "_key_is_virtual", "_overwrite_versions", "branch_id", "storage_id", "updated_at",
    "created_at", "created_by_id", "run_id",
)  # fmt: skip


# -- artifacts ---------------------------------------------------------------------------------------------------------
def move_artifacts(mover: Mover) -> None:
    """Register artifacts under their own uids, where they lie; no byte is copied."""
    read = mover.source.read("lamindb_artifact", *_ARTIFACT)
    storages = mover.uids("lamindb_storage", read["storage_id"])
    kept = [p for p, uid in enumerate(read["uid"]) if storages[p] is not None and is_uid(uid)]
    if len(kept) < len(storages):
        mover.note(f"{len(storages) - len(kept):,} artifacts stayed behind: their storage cannot be used here")
    read = {name: [values[place] for place in kept] for name, values in read.items()}
    columns = _columns(mover, read, [storages[place] for place in kept])
    mover.ids["lamindb_artifact"] = dict(zip(read["id"], read["uid"], strict=True))
    mover.insert("artifact", columns, there=len(storages))
    _look(mover, columns)


def _columns(mover: Mover, read: Columns, storages: Sequence[str | None]) -> dict[str, Any]:
    formats: dict[str, tuple[str, str]] = {}
    for suffix in set(read["suffix"]):
        fmt = format_for(suffix=suffix or "") if suffix else by_name("blob")
        formats[suffix] = (fmt.name, fmt.kind)
    local = {uid: _folder_of(mover, uid) is not None for uid in set(storages)}
    hashed = [
        _hash(kind, digest, local=local[uid])
        for kind, digest, uid in zip(read["_hash_type"], read["hash"], storages, strict=True)
    ]
    trashed = [
        at if branch == _TRASH else None for at, branch in zip(read["updated_at"], read["branch_id"], strict=True)
    ]
    paths = [_path(read, place) for place in range(len(read["uid"]))]
    kinds = [_KINDS.get(otype) or formats[s][1] for otype, s in zip(read["otype"], read["suffix"], strict=True)]
    found = {"uid": read["uid"], "description": read["description"], "suffix": [s or "" for s in read["suffix"]]}
    found |= {"format": [formats[suffix][0] for suffix in read["suffix"]], "kind": kinds, "path": paths}
    found |= {"size": [size or 0 for size in read["size"]]}
    found |= {"hash": [digest for _, digest in hashed], "hash_kind": [kind for kind, _ in hashed]}
    found |= {"n_rows": read["n_observations"], "n_files": read["n_files"], "storage": list(storages)}
    found |= {"version": [version_of(uid) for uid in read["uid"]], "key": _keys(mover, read)}
    return found | {"deleted_at": times(trashed), **mover.stamped(read)}


def _path(read: Columns, place: int) -> str:
    """Return where the bytes lie below the storage's root."""
    real, key, uid = read["_real_key"][place], read["key"][place], read["uid"][place]
    if real:
        return str(real)
    if key is not None and not read["_key_is_virtual"][place]:
        return str(key)
    name = stem(uid) if read["_overwrite_versions"][place] else uid
    return f".lamindb/{name}{read['suffix'][place] or ''}"


def _hash(kind: str | None, digest: str | None, *, local: bool) -> tuple[str, str]:
    """Return the kind and text of a hash; of md5, which there stands in base64, the text that is usual."""
    if digest is None:
        return f"{FOREIGN}none", ""
    if kind == "md5" and local:
        try:
            return "md5", base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()
        except (binascii.Error, ValueError):
            pass  # then it stays what it is
    return f"{FOREIGN}{kind or 'unknown'}", digest


def _key(mover: Mover, key: str) -> str | None:
    try:
        return check_key(key)
    except InvalidKey as error:
        mover.note(f"an artifact has no key here: {error}")
        return None


def _keys(mover: Mover, read: Columns) -> list[str | None]:
    """Return keys; each version of a key is one artifact here, so others of the same key get their uid into theirs."""
    called = [None if key is None else _key(mover, key) for key in read["key"]]
    wanted = list(dict.fromkeys(key for key in called if key is not None))
    rows = mover.home.snapshot().lookup("artifact", "key", wanted)
    owners = dict(zip(rows["key"].to_pylist(), map(stem, rows["uid"].to_pylist()), strict=True))
    keys: list[str | None] = []
    for key, uid in zip(called, read["uid"], strict=True):
        if key is not None and owners.setdefault(key, stem(uid)) != stem(uid):
            mover.note(
                "several artifacts that are no versions of one another have one key: they have their uid before it here"
            )
            key = f"{stem(uid)}/{key}"
        keys.append(key)
    return keys


def _folder_of(mover: Mover, storage: str | None) -> Path | None:
    """Return the folder of a local storage; None of any other, and of one that nothing here can reach now."""
    try:
        store = mover.home.stores.of(str(storage))
    except LakehouseError:  # an extra that is not installed: it can be, later
        return None
    return Path(store.root) if store.local else None


def _look(mover: Mover, columns: dict[str, Any]) -> None:
    """Say how many artifacts in local storages are gone."""
    roots = {uid: _folder_of(mover, uid) for uid in set(columns["storage"])}
    placed = zip(columns["storage"], columns["path"], strict=True)
    gone = [path for uid, path in placed if roots[uid] is not None and not Path(roots[uid] or "", path).exists()]
    if gone:
        mover.note(f"{len(gone):,} artifacts are not where the instance says, such as {gone[0]}")


# -- labels ------------------------------------------------------------------------------------------------------------
def move_links(mover: Mover) -> None:
    """Add the labels of artifacts, runs and transforms, under their features."""
    labels = {"ulabel": ("lamindb_{}ulabel", "ulabel_id", "lamindb_ulabel")}
    labels |= {
        table: (f"bionty_{{}}{name.lower()}", f"{name.lower()}_id", f"bionty_{name.lower()}")
        for name, table in ENTITIES.items()
    }
    for holder in ("artifact", "run", "transform"):
        for label, (name, column_there, of) in labels.items():
            there = name.format(holder)
            if there in mover.source.tables and REGISTRIES[label].meta.carried:
                _move_links(mover, holder, label, there, column_there, of)


def _move_links(mover: Mover, holder: str, label: str, there: str, column_there: str, of: str) -> None:
    read = mover.source.read(there, f"{holder}_id", column_there, "feature_id", "created_at", "created_by_id", "run_id")
    if holder == "run":
        read["run_id"] = [None] * len(read["run_id"])
    table, near = link_table(holder, label), REGISTRIES[holder].meta.link_column
    ends = zip(
        mover.uids(f"lamindb_{holder}", read[f"{holder}_id"]),
        mover.uids(of, read[column_there]),
        mover.uids("lamindb_feature", read["feature_id"]),
        strict=True,
    )
    links = list(ends)
    kept = [place for place, (one, other, _) in enumerate(links) if one is not None and other is not None]
    columns: dict[str, Any] = {
        near: [links[p][0] for p in kept],
        label: [links[p][1] for p in kept],
        "feature": [links[p][2] for p in kept],
    }
    columns["uid"] = [
        link_uid(one, other, under, table)
        for one, other, under in zip(columns[near], columns[label], columns["feature"], strict=True)
    ]
    stamps = mover.stamped({name: [values[p] for p in kept] for name, values in read.items()})
    mover.insert(table, columns | stamps, there=len(links))


# -- values ------------------------------------------------------------------------------------------------------------
def move_values(mover: Mover) -> None:
    """Add the values of features that artifacts and runs have."""
    values = mover.source.read("lamindb_jsonvalue", "id", "feature_id", "value")
    features = dict(zip(values["id"], zip(values["feature_id"], values["value"], strict=True), strict=True))
    dtypes = {row["uid"]: row for row in mover.home.snapshot().rows("feature").to_pylist()}
    for holder in ("artifact", "run"):
        read = mover.source.read(
            f"lamindb_{holder}jsonvalue", f"{holder}_id", "jsonvalue_id", "created_at", "created_by_id", "run_id"
        )
        rows = list(_values(mover, holder, read, features, dtypes))
        if rows:
            _insert_values(mover, holder, rows, len(read["created_at"]))


def _values(
    mover: Mover, holder: str, read: Columns, given: dict[int, tuple[int, Any]], features: dict[str, dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    near = REGISTRIES[holder].meta.link_column
    holders, stamps = mover.uids(f"lamindb_{holder}", read[f"{holder}_id"]), times(read["created_at"]).to_pylist()
    users = mover.uids("lamindb_user", read["created_by_id"])
    runs = mover.uids("lamindb_run", read["run_id"]) if holder == "artifact" else [None] * len(users)
    for place, value_id in enumerate(read["jsonvalue_id"]):
        feature_id, text = given[value_id]
        uid, mine = mover.uids("lamindb_feature", [feature_id])[0], holders[place]
        if uid is None or mine is None:
            continue
        feature = features[uid]
        dtype = parse_dtype(feature["dtype"])
        try:
            kept = check_value(dtype, _spelled(dtype.kind, json.loads(text)), f"feature {feature['name']}")
        except (InputError, ValueError) as error:
            mover.note(f"a value stayed behind: {error}")
            continue
        for position, item in enumerate(kept):
            row = {"uid": value_uid(mine, uid, position), near: mine, "feature": uid, "position": position}
            yield row | {
                column_of(dtype): item,
                "created_at": stamps[place],
                "created_by": users[place],
                "run": runs[place],
            }


def _spelled(kind: str, value: Any) -> Any:
    """Return a value as it is spelled here: times without a zone are UTC there."""
    if kind == "datetime" and isinstance(value, str) and not value.endswith("Z") and "+" not in value:
        return f"{value}+00:00"
    if kind == "float" and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def _insert_values(mover: Mover, holder: str, rows: list[dict[str, Any]], there: int) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    mover.insert(f"{holder}_value", {name: [row.get(name) for row in rows] for name in names}, there=there)


# -- feature sets ------------------------------------------------------------------------------------------------------
def move_sets(mover: Mover) -> None:
    """Add what was measured, by slot of artifacts, and named schemas of features as what is required."""
    read = mover.source.read("lamindb_schema", "id", "name", "description", "itype", "n_members")
    members: dict[str, dict[int, list[str]]] = {}
    ids: dict[int, str] = {}
    before = mover.home.FeatureSet.filter().count()
    for place, own in enumerate(read["id"]):
        name = registry_in(read["itype"][place] or "")
        if name not in members:
            members[name] = _members(mover, name)
        uids = members[name].get(own, [])
        if not uids:
            if read["n_members"][place]:
                mover.note(
                    f"a schema of {read['itype'][place] or 'several slots'} has no counterpart: its members stayed behind"
                )
            continue
        ids[own] = mover.home.FeatureSet.of(pa.array(uids, pa.string()), registry=name).save().uid
        if read["name"][place] and name == "Feature":
            _move_schema(mover, read["name"][place], read["description"][place], uids)
    mover.ids["lamindb_schema"] = ids
    mover.count("FeatureSet", len(read["id"]), mover.home.FeatureSet.filter().count() - before)
    _move_slots(mover)


def _members(mover: Mover, name: str) -> dict[int, list[str]]:
    """Return the uids of members by the id of a schema."""
    low = name.lower()
    there = f"lamindb_schema{low}" if name == "Feature" else f"bionty_schema{low}"
    registry = next((r for r in REGISTRIES.values() if r.__name__ == name), None)
    if there not in mover.source.tables or registry is None or not registry.meta.measured:
        return {}
    read = mover.source.read(there, "schema_id", f"{low}_id")
    of = "lamindb_feature" if name == "Feature" else f"bionty_{low}"
    found: dict[int, list[str]] = {}
    for own, uid in zip(read["schema_id"], mover.uids(of, read[f"{low}_id"]), strict=True):
        if uid is not None:
            found.setdefault(own, []).append(uid)
    return found


def _move_schema(mover: Mover, name: str, description: str | None, uids: Sequence[str]) -> None:
    features = {one.uid: one for one in mover.home.Feature.filter(uid__in=list(uids)).all()}
    called = mover.name(name, "Schema.name")
    if mover.home.Schema.filter(name=called).exists():
        mover.count("Schema", 1, 0)
        return
    try:
        mover.home.Schema([features[uid] for uid in dict.fromkeys(uids)], name=called, description=description).save()
    except LakehouseError as error:
        mover.note(f"schema {name} is kept as a feature set only ({error})")
        return
    mover.count("Schema", 1, 1)


def _move_slots(mover: Mover) -> None:
    read = mover.source.read(
        "lamindb_artifactschema", "artifact_id", "schema_id", "slot", "created_at", "created_by_id", "run_id"
    )
    artifacts = mover.uids("lamindb_artifact", read["artifact_id"])
    sets = mover.uids("lamindb_schema", read["schema_id"])
    kept = [p for p, (one, other) in enumerate(zip(artifacts, sets, strict=True)) if one and other]
    slots = [mover.name(read["slot"][p] or "columns", "slot") for p in kept]
    columns: dict[str, Any] = {
        "artifact": [artifacts[p] for p in kept],
        "feature_set": [sets[p] for p in kept],
        "slot": slots,
    }
    columns["uid"] = [
        derived_uid("artifact_feature_set", str(one), slot)
        for one, slot in zip(columns["artifact"], slots, strict=True)
    ]
    stamps = mover.stamped({name: [values[p] for p in kept] for name, values in read.items()})
    mover.insert("artifact_feature_set", columns | stamps, there=len(artifacts))
