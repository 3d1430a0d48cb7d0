"""What workers do: hash, describe, validate and store files.

A worker is a process of its own, on this machine or another: it is handed plain values and gives such back, and opens
the instance for reading only where it validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lakehouse.errors import InvalidFile, LakehouseError, NotFound, shown
from registries.ingest.describing import described
from registries.ingest.findings import Columns, Finding, Findings
from registries.ingest.plan import Plan
from registries.ingest.reading import read, read_small
from registries.ingest.remote import read_remote
from registries.ingest.storing import stored

__all__ = ["examine"]

_BYTES = 64 << 20
"""Bytes after which a task ends: what is left of it goes to the next that is free."""


def examine(paths: Sequence[str], plan: Plan) -> Columns:
    """Return what is found in files; what is wrong with one is told in its finding.

    There are as many findings as files that were read, which may be fewer than were asked for.
    """
    found, done, small = Findings(), 0, plan.is_plain
    while len(found) < len(paths) and done <= _BYTES:
        if small:
            columns, size = read_small(paths, len(found), _BYTES - done)
            found.extend(columns)
            done += size
        if len(found) < len(paths) and done <= _BYTES:
            found.append(one := _looked_at(paths[len(found)], plan))
            done += one.size
    return found.columns()


def _looked_at(path: str, plan: Plan) -> Finding:
    try:
        return read_remote(path, plan) if plan.urls else _read_local(path, plan)
    except (LakehouseError, OSError) as error:
        return _failed(path, error)


def _read_local(path: str, plan: Plan) -> Finding:
    found = read(path)
    if found.format != "blob" or plan.spec is not None:
        found = described(Path(path), found, plan)
    return found if plan.store is None else stored(path, found, plan)


def _failed(path: str, error: LakehouseError | OSError) -> Finding:
    if isinstance(error, NotFound):
        return Finding(reason="vanished", message=str(error))
    if isinstance(error, InvalidFile):
        reason = "changed" if "changed while" in str(error) else "unreadable"
        return Finding(reason=reason, message=str(error))
    if isinstance(error, LakehouseError):
        return Finding(reason="refused", message=str(error))
    return Finding(reason="unavailable", message=f"{shown(path)} cannot be read: {error.strerror or error}")
