"""Collections of LaminDB: versions of datasets here."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.errors import LakehouseError
from registries.artifact import Artifact
from registries.lamindb.moving import Mover

__all__ = ["move_collections"]


def move_collections(mover: Mover) -> None:
    """Add collections as datasets, version by version; one whose members are a version already is known."""
    read = mover.source.read("lamindb_collection", "id", "uid", "key", "description", order="uid")
    members = _members(mover)
    known: dict[str, list[frozenset[str]]] = {}
    for own, uid, key, description in zip(*(read[name] for name in ("id", "uid", "key", "description")), strict=True):
        name = mover.name(key or description or uid, "Dataset.name")
        if name not in known:
            known[name] = [
                frozenset(one.artifacts.arrow()["uid"].to_pylist())
                for one in mover.home.Dataset.filter(name=name).with_trash.all()
            ]
        uids = members.get(own, [])
        added = bool(uids) and frozenset(uids) not in known[name] and _add(mover, name, description, uids)
        known[name].append(frozenset(uids))
        if not uids:
            mover.note(f"collection {name} has no members that could be moved: it stayed behind")
        mover.count("Dataset", 1, int(added))
        mover.ids.setdefault("lamindb_collection", {})[own] = name


def _add(mover: Mover, name: str, description: str | None, uids: Sequence[str]) -> bool:
    home = mover.home
    rows = {row["uid"]: row for row in home.snapshot().lookup("artifact", "uid", list(uids)).to_pylist()}
    artifacts: list[Artifact] = [home.Artifact.from_row(rows[uid], home) for uid in uids]
    try:
        home.Dataset(artifacts, name=name, description=description).save()
    except LakehouseError as error:
        mover.note(f"collection {name} stayed behind: {error}")
        return False
    return True


def _members(mover: Mover) -> dict[int, list[str]]:
    """Return the uids of artifacts by the id of a collection, in their order."""
    read = mover.source.read("lamindb_collectionartifact", "collection_id", "artifact_id")
    found: dict[int, list[str]] = {}
    uids = mover.uids("lamindb_artifact", read["artifact_id"])
    for own, uid in zip(read["collection_id"], uids, strict=True):
        if uid is not None:
            found.setdefault(own, []).append(uid)
    return found
