"""What lies in buckets: described where it lies by the hash that its store has of it, or fetched."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from formats.remote import RemoteOptions
from lakehouse.errors import InvalidFile, LakehouseError, shown
from registries.content import Source
from registries.ingest.describing import described
from registries.ingest.findings import Finding
from registries.ingest.plan import Plan
from registries.ingest.reading import read
from registries.ingest.storing import storage_at, stored

__all__ = ["local_copy", "read_remote", "states_of"]

_THREADS = 16


def read_remote(url: str, plan: Plan) -> Finding:
    """Return what is found at a URL.

    What lies in a registered storage stays there: its store's own hash stands for it, and it is read only where there
    is none, or a schema asks for that. Anything else is fetched through the cache of this machine, and stored.
    """
    root = plan.lies_in or url.rpartition("/")[0]
    store = storage_at(root, plan.remote)
    inside = url[len(root) + 1 :]
    known = None if plan.lies_in is None else Source(url).in_store(store, inside, None)
    if known is not None:
        found = Finding(
            known.hash, known.size, known.suffix, known.format, known.kind, known.hash_kind, known.n_rows, known.n_files
        )
        if plan.spec is None or not known.size:
            return found
        local = store.local_path(inside, size=known.size)
        found = described(local, found, plan)
        if store.known_hash(inside) != (known.hash_kind, known.hash):
            raise InvalidFile(f"{shown(url)} changed while it was read: run it again when its writer is done")
        return found
    local = store.local_path(inside)
    found = read(str(local))._replace(mtime=None, ctime=None)  # the times are those of the copy
    return stored(str(local), described(local, found, plan), plan)


def states_of(urls: Sequence[str], options: RemoteOptions | None) -> list[str]:
    """Return what stores say of objects that changes when these do, several at once; empty where they say nothing."""

    def state(url: str) -> str:
        root, _, name = url.rpartition("/")
        try:
            return storage_at(root, options).state(name)
        except LakehouseError:  # whoever reads it says what is wrong
            return ""

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(state, urls))


def local_copy(url: str, plan: Plan) -> str:
    """Return the path of a copy of what a URL names in the cache of this machine."""
    root, _, name = url.rpartition("/")
    return str(storage_at(root, plan.remote).local_path(name))
