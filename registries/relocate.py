"""Taking an artifact to another storage: its bytes are there, durable and verified, before its row says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from formats.folders import read_folder
from formats.hashing import hash_file
from formats.storehash import BYTES, digest_of
from lakehouse.errors import InvalidFile, shown
from lakehouse.types import Progress
from registries.content import Content
from registries.record import Saved
from registries.storage import Storage

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.artifact import Artifact

__all__ = ["copied", "moved"]


def moved(artifact: Artifact, storage: str | Storage, progress: Progress | None) -> None:
    """Store an artifact's bytes in another storage, and let its row name that one."""
    home = artifact.home_of()
    home.refuse_reading_only()
    wanted, store = home.stores.chosen(storage)
    if wanted == artifact.storage:
        return
    content = _content(artifact)

    def plan(txn: Transaction) -> None:
        txn.storing()
        before = artifact.to_row()
        row = before | {"storage": home.stores.ensured(txn, wanted), "path": content.put(store, progress)}
        row |= {"hash": content.hash, "hash_kind": content.hash_kind}  # those of a bucket stay behind with it
        txn.upsert("artifact", [row], as_read=[before])
        artifact.settle(Saved(row), home)

    home.change([artifact], plan)


def copied(artifact: Artifact, storage: str | Storage, key: str, progress: Progress | None) -> Artifact:
    """Save an artifact's content under a further key in another storage, with its description and labels."""
    home = artifact.home_of()
    copy = home.Artifact(
        artifact.path,
        key=key,
        description=artifact.description,
        suffix=artifact.suffix,
        format=artifact.format,
        storage=storage,
    )
    copy.prepare(home, progress)
    with home.transaction(f"copy {artifact.key or artifact.uid} to {key}"):
        copy.save(progress=progress)
        if copy.hash_kind == artifact.hash_kind:
            _refuse_changed(artifact, copy.hash)
        for feature, names in artifact.labels.all().items():
            copy.labels.add(names, feature=feature)
    return copy


def _refuse_changed(artifact: Artifact, found: str) -> None:
    """Refuse to hand on bytes that are not those which the row speaks of."""
    if found != artifact.hash:
        raise InvalidFile(
            f"{shown(artifact.key or artifact.uid)} changed since it was hashed: save it again, or restore "
            f"{shown(str(artifact.path))} from a backup"
        )


def _content(artifact: Artifact) -> Content:
    path: Path = artifact.path
    folder = None if artifact.n_files is None else read_folder(path)
    if artifact.hash_kind in BYTES:
        _refuse_changed(artifact, digest_of(path, artifact.hash_kind))
    elif folder is not None and artifact.hash_kind == "blake3-folder":  # a file is hashed while it is copied
        _refuse_changed(artifact, folder.hash)
    ours = artifact.hash_kind.startswith("blake3")
    return Content(
        folder or path,
        artifact.hash if ours else folder.hash if folder is not None else hash_file(path),
        artifact.size,
        artifact.suffix,
        artifact.format,
        artifact.kind,
        artifact.n_rows,
        n_files=artifact.n_files,
    )
