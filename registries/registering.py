"""Registering all that lies in a storage, where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from formats.keys import suffix_of
from formats.registry import folder_suffixes
from formats.storage import Storage as ObjectStore
from lakehouse.errors import InvalidFile, InvalidKey, NotFound
from lakehouse.types import Progress

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.storage import Storage

__all__ = ["registered"]

_THREADS = 8
_NAMED = 10


def registered(storage: Storage, prefix: str, progress: Progress | None) -> list[Artifact]:
    """Save an artifact for each file, and each folder that is one thing, below a prefix; see ``Storage.register``."""
    home = storage.home_of()
    home.refuse_reading_only()
    store = home.stores.of(storage.uid)
    names = list(dict.fromkeys(_things(store, prefix)))
    if not names:
        raise NotFound(f"{store.uri(prefix) if prefix else store.root} holds no file that could be registered")
    artifacts = [home.Artifact(Path(store.root, name) if store.local else store.uri(name)) for name in names]
    failed: list[str] = []

    def prepare(artifact: Artifact) -> None:
        try:
            artifact.prepare(home)
        except (InvalidFile, InvalidKey) as error:
            failed.append(str(error))

    with ThreadPoolExecutor(_THREADS) as pool:
        for done, _ in enumerate(pool.map(prepare, artifacts), start=1):
            if progress is not None:
                progress(done, len(artifacts))
    if failed:
        raise InvalidFile(_told(failed, len(names)))
    return home.save(artifacts)


def _things(store: ObjectStore, prefix: str) -> Iterator[str]:
    """Yield paths: of files, and once of a folder whose suffix says that it is one thing; no hidden or managed ones."""
    whole = folder_suffixes()
    for name in store.list(prefix):
        parts = PurePosixPath(name).parts
        end = next((n for n, part in enumerate(parts[:-1], start=1) if suffix_of(part) in whole), len(parts))
        if parts[0] != "objects" and not any(part.startswith(".") for part in parts[:end]):
            yield "/".join(parts[:end])


def _told(failed: list[str], total: int) -> str:
    lines = [f"{len(failed):,} of {total:,} files cannot be registered:", *(f"  {error}" for error in failed[:_NAMED])]
    if len(failed) > _NAMED:
        lines.append(f"  and {len(failed) - _NAMED:,} more")
    return "\n".join([*lines, "Nothing was registered: mend or move them, or register narrower prefixes."])
