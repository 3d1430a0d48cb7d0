"""Storing the bytes of files under their hash."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from formats.folders import Folder, read_folder
from formats.remote import RemoteOptions
from formats.storage import Storage
from lakehouse.errors import InvalidFile, NotFound, Unavailable, shown
from registries.ingest.findings import Finding
from registries.ingest.plan import Plan

__all__ = ["FATAL", "put", "storage_at", "stored"]

FATAL = "storage"
"""Why a file failed where the storage takes no more: that is no fault of the file."""


def stored(path: str, found: Finding, plan: Plan) -> Finding:
    """Store the bytes durably under their hash, where that is asked for; a full disk is nobody's fault but the disk's."""
    if plan.store is None or not (found.reason is None or (plan.keep_bad and found.hash)):
        return found
    try:
        return found._replace(stored=put(storage_at(plan.store, plan.remote), path, found))
    except (InvalidFile, NotFound) as error:
        return Finding(reason="changed", message=str(error))
    except (OSError, Unavailable) as error:
        return Finding(reason=FATAL, message=f"{shown(path)} cannot be stored: {error}")


def put(store: Storage, path: str, found: Finding) -> str:
    """Store the bytes of a file or folder under their hash, unless they are there; return their path in the storage."""
    if found.n_files is None:
        return store.put_object(found.hash, found.suffix, Path(path))
    folder: Folder = read_folder(Path(path))
    if folder.hash != found.hash:
        raise InvalidFile(f"{shown(path)} changed while it was read: wait until its writer is done, then run it again")
    return store.put_folder(folder, found.suffix)


@lru_cache(8)
def storage_at(root: str, remote: RemoteOptions | None) -> Storage:
    """Return the storage with a root, opened once by each worker."""
    return Storage(root, options=remote)
