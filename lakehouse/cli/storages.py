"""``storage list``, ``storage add``, ``storage default``, ``storage register``, ``storage move``, ``cache info`` and ``cache clear``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from formats.cache import Cache
from lakehouse.cli.progress import bar, counted
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.config import cache_settings
from lakehouse.errors import Unsupported, shown
from registries.describe import readable_size
from registries.places import OWN_STORAGE
from registries.storage import DEFAULT

__all__ = ["add", "cache_clear", "cache_info", "choose", "list_all", "move", "refuse_fleeting", "register"]

# Artifacts that share an object count it once.
_HELD = (
    "select s.uid, s.root, s.kind, s.description, s.role, coalesce(h.artifacts, 0) as artifacts, coalesce(h.bytes, 0) as bytes "
    "from storage s left join (select storage, sum(n)::bigint as artifacts, sum(size)::bigint as bytes from "
    "(select storage, path, count(*) as n, max(size) as size from artifact group by all) group by 1) h "
    "on h.storage = s.uid order by s.created_at"
)


def list_all(screen: Screen) -> None:
    """Show the storages with what they hold."""
    with opened(screen, read_only=True) as lake:
        rows: list[dict[str, Any]] = lake.sql(_HELD).to_arrow_table().to_pylist()
        if not any(row["uid"] == lake.stores.own_uid for row in rows):  # it is recorded with the first artifact
            own = {"uid": lake.stores.own_uid, "root": OWN_STORAGE, "kind": lake.stores.own.protocol}
            rows.insert(0, own | {"description": None, "role": None, "artifacts": 0, "bytes": 0})
        default, _ = lake.stores.default()
        for row in rows:
            row["role"] = DEFAULT if row["uid"] == default else None
    if screen.options.json:
        screen.document(rows)
        return
    columns = ("root", "kind", "role", "artifacts", "bytes", "description", "uid")
    screen.table(
        columns, [[row[c] for c in columns] for row in rows], right=("artifacts", "bytes"), spare=("description",)
    )


def choose(screen: Screen, storage: str | None) -> None:
    """Show the storage that new artifacts go to, or choose another one."""
    with opened(screen, read_only=storage is None) as lake:
        if storage is not None:
            refuse_fleeting(lake.stores.chosen(storage)[1].root)
            lake.stores.make_default(storage)
        uid, store = lake.stores.default()
    if screen.options.json:
        screen.document({"uid": uid, "root": store.root})
        return
    screen.line(f"new artifacts go to {store.root}")


def add(screen: Screen, root: str, *, description: str | None, default: bool = False) -> None:
    """Register a root under which artifacts lie."""
    place = root if "://" in root else str(Path(root).expanduser().absolute())
    with opened(screen) as lake:
        storage = lake.Storage(root=place, description=description)
        if default:
            refuse_fleeting(place)
            storage.refuse_reading_only()  # before it is saved
        storage.save()
        row = (storage.make_default() if default else storage).to_row()
    if screen.options.json:
        screen.document(row)
        return
    screen.line(f"registered {row['root']} ({row['kind']}) as storage {row['uid']}")


def refuse_fleeting(root: str) -> None:
    """Refuse storage in memory, where nothing would be left of what a command stores."""
    if root.startswith("memory://"):
        raise Unsupported(
            f"what {shown(root)} holds ends with this command: name a folder or a bucket; memory is for a Python session"
        )


def register(screen: Screen, root: str, prefix: str) -> None:
    """Register every file of a storage where it lies."""
    with opened(screen) as lake:
        uid, store = lake.stores.chosen(root)
        with counted(screen, "looking at") as progress:
            found = lake.Storage.get(uid).register(prefix, progress=progress)
        rows = [artifact.to_row() for artifact in found]
    if screen.options.json:
        screen.document(rows)
        return
    size = sum(row["size"] for row in rows)
    screen.line(f"registered {len(rows):,} artifacts in {store.root} ({readable_size(size)}), where they lie")


def move(screen: Screen, key: str, storage: str) -> None:
    """Take an artifact's bytes to another storage."""
    with opened(screen) as lake:
        artifact = lake.Artifact.get(key=key)
        refuse_fleeting(lake.stores.chosen(storage)[1].root)
        with bar(screen, artifact.size, wanted=artifact.size > 20_000_000) as advance:
            before = 0

            def progress(done: int, total: int | None) -> None:
                nonlocal before
                advance(key, done - before)
                before = done

            artifact.move_to(storage, progress=progress)
        row, root = artifact.to_row(), lake.stores.of(artifact.storage).root
    if screen.options.json:
        screen.document(row)
        return
    screen.line(f"{key} lies in {root} ({readable_size(row['size'])})")


def cache_info(screen: Screen) -> None:
    """Show where copies of remote files lie, and how much they take."""
    cache = Cache()
    used, (_, limit) = cache.used(), cache_settings()
    facts = {"folder": str(cache.folder), "bytes": used, "limit": limit}
    if screen.options.json:
        screen.document(facts)
        return
    screen.line(f"{cache.folder}: {readable_size(used)} of at most {readable_size(limit)}")
    screen.note("LAKEHOUSE_CACHE_DIR and LAKEHOUSE_CACHE_SIZE set folder and size.")


def cache_clear(screen: Screen) -> None:
    """Delete the copies; what they are copies of stays."""
    cache = Cache()
    used = cache.used()
    count = cache.clear()
    if screen.options.json:
        screen.document({"folder": str(cache.folder), "files": count, "bytes": used})
        return
    screen.line(f"deleted {count:,} cop{'y' if count == 1 else 'ies'} from {cache.folder} ({readable_size(used)})")
