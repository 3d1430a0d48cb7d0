"""``init``, ``connect``, ``info`` and ``flush``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse import api, config
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.text import cell, visible
from lakehouse.engine import CommitInfo, is_lake
from registries.binding import REGISTRIES
from registries.describe import readable_size
from registries.instance import Instance
from registries.places import OWN_STORAGE, instance_root

__all__ = ["connect", "flush", "info", "init"]

_TABLES = "tables"


def init(screen: Screen, root: str | None, *, catalog: str | None) -> None:
    """Make an instance, or say that there is one already."""
    place = config.resolve(instance=root if root is not None else screen.options.instance)
    named = place.origin["instance"] in ("argument", "LAKEHOUSE_INSTANCE")
    folder = instance_root(place.instance if named and place.instance is not None else Path.cwd())
    existed = is_lake(folder)
    instance = api.init(folder, catalog=catalog)
    _welcome(screen, instance, "connected to the instance that is already in" if existed else "made an instance in")
    if screen.options.json:
        screen.document({"root": str(instance.root), "id": instance.lake.id, "created": not existed})
    api.disconnect()


def connect(screen: Screen, root: str) -> None:
    """Leave a pointer to an instance that can be opened."""
    with opened(screen, root) as instance:
        config.write_pointer(Path.cwd(), instance.root)
        _welcome(screen, instance, "connected to")
        if screen.options.json:
            screen.document({"root": str(instance.root), "id": instance.lake.id})


def _welcome(screen: Screen, instance: Instance, did: str) -> None:
    screen.line(f"{did} {instance.root} as {instance.handle}")
    screen.note(
        f"Commands in {Path.cwd()} and below find it from now on. Next: `lakehouse save FILE` or `lakehouse info`."
    )


def info(screen: Screen) -> None:
    """Show where the instance lies, what it holds and how large it is."""
    with opened(screen, read_only=True) as instance:
        facts = _facts(instance)
    if screen.options.json:
        screen.document(facts)
        return
    _show(screen, facts)


def _facts(instance: Instance) -> dict[str, Any]:
    lake = instance.lake
    with lake.catalog.read() as session:
        meta = session.meta()
        head, published = session.commit(session.head()), session.commit(meta.head_json)
    return {
        "root": str(instance.root),
        "id": lake.id,
        "user": instance.handle,
        "catalog": lake.catalog.name,
        "head": _commit(head),
        "published": _commit(published),
        "records": _counts(instance),
        "bytes": {
            "objects": _size(instance.root / OWN_STORAGE) if isinstance(instance.root, Path) else None,
            "tables": _size(instance.root / _TABLES) if isinstance(instance.root, Path) else None,
            "catalog": lake.catalog.size(),
        },
    }


def _commit(commit: CommitInfo | None) -> dict[str, Any] | None:
    return None if commit is None else {"commit": commit.id, "at": commit.at, "by": commit.user}


def _counts(instance: Instance) -> dict[str, int]:
    names = sorted(REGISTRIES)
    parts = [f"select '{name}' as name, count(*) as n from \"{name}\"" for name in names]
    found = instance.snapshot().arrow(" union all ".join(parts), [], names)
    return dict(sorted(zip(found["name"].to_pylist(), found["n"].to_pylist(), strict=True)))


def _size(place: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count as nothing."""
    if place.is_file():
        return place.stat().st_size
    return sum(entry.stat(follow_symlinks=False).st_size for entry in _files(place)) if place.is_dir() else 0


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield entry


def _show(screen: Screen, facts: dict[str, Any]) -> None:
    sizes = {name: readable_size(size) for name, size in facts["bytes"].items() if size is not None}
    lines = [
        ("instance", facts["root"]),
        ("id", facts["id"]),
        ("user", facts["user"]),
        ("catalog", facts["catalog"]),
        ("head", _told(facts["head"])),
        ("published", _told(facts["published"]) or "nothing yet: `lakehouse flush` publishes to Delta"),
        ("records", ", ".join(f"{name} {n:,}" for name, n in facts["records"].items() if n) or "none yet"),
        ("on disk", ", ".join(f"{name} {size}" for name, size in sizes.items())),
    ]
    screen.write("".join(f"{name:<11}{visible(value)}\n" for name, value in lines))


def _told(commit: dict[str, Any] | None) -> str:
    return "" if commit is None else f"commit {commit['commit']:,} of {cell(commit['at'])} UTC, by {commit['by']}"


def flush(screen: Screen) -> None:
    """Publish everything that is committed."""
    with opened(screen) as instance:
        commit = instance.flush()
        root = instance.root
    if screen.options.json:
        screen.document({"published": commit})
    screen.line(f"published up to commit {commit:,}: the Delta tables in {root}/{_TABLES} show everything")
