"""Where an artifact's bytes can be read: in the storage itself, or in a copy of them near by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from formats.base import Format
from formats.cache import Damaged
from formats.remote import READ_ONLY
from formats.seen import seen
from formats.storage import Storage as ObjectStore
from formats.storage_remote import managed_hash
from formats.storehash import BYTES
from lakehouse.errors import DataLoss, NotFound, Unsupported, shown
from lakehouse.types import Progress
from registries.unchanged import SLACK, other_hash

if TYPE_CHECKING:
    from registries.stored import Stored

__all__ = ["FOREIGN", "readable", "staged", "title_of"]

FOREIGN = "lamindb-"
"""How kinds of hashes begin that came with artifacts of another program, and that nothing here makes again."""
_STAT_UP_TO = 10_000
_SMALL = 4 << 20
"""Bytes of what is copied whole at once."""
_MEND = "save the same content again, or restore it from a backup"


def staged(artifact: Stored, progress: Progress | None = None) -> Path:
    """Return where the bytes lie in the local file system; remote ones are copied to the cache, and checked.

    Raises
    ------
    DataLoss
        When they are gone, or what was registered in place has other content now. Of a folder with more than 10,000
        files only its presence is checked.
    """
    store, relative = artifact.place()
    _refuse_unlisted(artifact, store, relative)
    ours = artifact.hash_kind.startswith("blake3")
    try:
        if not ours:
            _refuse_other(artifact, store, relative)
        known = artifact.hash if ours else None
        path = store.local_path(relative, size=artifact.size, hash=known, progress=progress)
    except NotFound as error:
        raise DataLoss(f"the bytes of {title_of(artifact)} are gone from {store.uri(relative)}: {_MEND}") from error
    except Damaged as error:
        if managed_hash(relative) is not None:
            raise
        raise _other(artifact, store.uri(relative)) from error
    if artifact.n_files is not None and not store.local:
        _check_folder(artifact, store, relative)
    elif artifact.n_files is None or artifact.n_files <= _STAT_UP_TO:
        _refuse_changed(artifact, store, relative, path)
    return path


def _refuse_changed(artifact: Stored, store: ObjectStore, relative: str, path: Path) -> None:
    """Compare size and number of files, and of what belongs to somebody else the content, if it was touched."""
    now = seen(path)
    if artifact.n_files is not None and (now.n_files, now.size) != (artifact.n_files, artifact.size):
        raise _lost_files(artifact, store, relative)
    if now.size != artifact.size:
        raise DataLoss(
            f"{store.uri(relative)} holds {now.size:,} bytes, {artifact.size:,} were saved for {title_of(artifact)}: {_MEND}"
        )
    if not store.local or managed_hash(relative) is not None or artifact.hash_kind.startswith(FOREIGN):
        return
    found = other_hash(path, artifact.hash_kind, artifact.hash, now, artifact.created_at)
    if found is not None:
        raise _other(artifact, store.uri(relative), found)


def _other(artifact: Stored, uri: str, found: str = "") -> DataLoss:
    there = f" (hash {found})" if found else ""
    return DataLoss(
        f"{uri} holds other content{there} than was saved (hash {artifact.hash}) for {title_of(artifact)}, since "
        "somebody wrote to it: save it again to register what is there now as the next version, or put the old bytes back"
    )


def _refuse_unlisted(artifact: Stored, store: ObjectStore, relative: str) -> None:
    """Refuse folders of web servers, unless there is a copy: nobody can tell which files they have."""
    web = artifact.n_files is not None and store.protocol in READ_ONLY
    if web and store.cached(relative, artifact.size) is None:
        raise Unsupported(
            f"{title_of(artifact)} is a folder, and {store.root} is a web server, which cannot list its files: open the "
            "instance where it lies (a path, s3://...), or save the folder packed, such as .zarr.zip"
        )


def _refuse_other(artifact: Stored, store: ObjectStore, relative: str) -> None:
    """Compare what lies in a bucket with what was registered, without reading it."""
    size, _ = store.totals(relative)
    if size != artifact.size:
        raise DataLoss(
            f"{store.uri(relative)} holds {size:,} bytes, {artifact.size:,} were saved for {title_of(artifact)}: {_MEND}"
        )
    if artifact.hash_kind.startswith(FOREIGN) or (store.local and artifact.hash_kind in BYTES):
        return  # what came from elsewhere has a hash that no store tells
    known = store.known_hash(relative)
    if known != (artifact.hash_kind, artifact.hash):
        raise _other(artifact, store.uri(relative), known[1] if known is not None else "")


def readable(artifact: Stored, fmt: Format) -> Path:
    """Return where the bytes can be opened and described without reading all of them.

    What lies in a bucket is read there in ranges, unless there is a copy of it, it is small, or its format cannot.
    """
    store, relative = artifact.place()
    there = store.remote_path(relative)
    if there is None or artifact.size <= _SMALL or store.cached(relative, artifact.size) is not None:
        return staged(artifact)
    try:
        if not fmt.reads_remote(there.as_path()):
            return staged(artifact)
    except NotFound as error:
        raise DataLoss(f"the bytes of {title_of(artifact)} are gone from {there}: {_MEND}") from error
    if not there.exists():
        raise DataLoss(f"the bytes of {title_of(artifact)} are gone from {there}: {_MEND}")
    if artifact.n_files is None and there.size != artifact.size:
        raise DataLoss(
            f"{there} holds {there.size:,} bytes, {artifact.size:,} were saved for {title_of(artifact)}: {_MEND}"
        )
    if managed_hash(relative) is None and not artifact.hash_kind.startswith(FOREIGN):
        if artifact.hash_kind.startswith("blake3"):
            if there.modified is None or there.modified > artifact.created_at - SLACK:
                return staged(artifact)  # the store has no hash to compare
        elif there.stated_hash != (artifact.hash_kind, artifact.hash) and (artifact.n_files or 0) <= _STAT_UP_TO:
            _refuse_other(artifact, store, relative)
    return there.as_path()


def _check_folder(artifact: Stored, store: ObjectStore, relative: str) -> None:
    assert artifact.n_files is not None
    if store.protocol not in ("file", "memory") and relative.startswith("objects/"):
        return  # the copy was checked whole when it came
    if artifact.n_files <= _STAT_UP_TO and not store.holds_folder(relative, artifact.size, artifact.n_files):
        raise _lost_files(artifact, store, relative)


def _lost_files(artifact: Stored, store: ObjectStore, relative: str) -> DataLoss:
    return DataLoss(
        f"{store.uri(relative)} no longer holds the {artifact.n_files:,} files with {artifact.size:,} bytes that "
        f"were saved for {title_of(artifact)}: {_MEND}"
    )


def title_of(artifact: Stored) -> str:
    """Return what messages call an artifact."""
    if artifact.key is None:
        return f"artifact {artifact.uid}"
    return f"artifact {shown(artifact.key)}, version {artifact.version}"
