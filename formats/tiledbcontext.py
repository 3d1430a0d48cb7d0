"""Contexts in which TileDB and SOMA work on a path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from formats.remotepath import RemotePath, is_remote_path
from lakehouse.optional import require

__all__ = ["context_of", "soma_context"]

_SAFE = {"sm.query.sparse_global_order.preprocess_tile_merge": "0"}
"""TileDB 2.30 merges tiles of sparse arrays on threads that go on to use memory which the query has freed: the heap is
damaged, and the process ends sooner or later, wherever it is then. See https://github.com/TileDB-Inc/TileDB/pull/5723."""


def _settings_of(path: Path) -> dict[str, str]:
    """Return what TileDB is to be told for a path: for one in a bucket, also how it is reached, as of this moment."""
    found: object = path
    return _SAFE | found.options.tiledb(found.scheme, root=found.uri) if isinstance(found, RemotePath) else dict(_SAFE)


def context_of(path: Path) -> Any:
    """Return the context in which TileDB reads a path: one for all local ones, and anew for each in a bucket."""
    return _context(_settings_of(path)) if is_remote_path(path) else _local_context(os.getpid())


@cache
def _local_context(_process: int) -> Any:
    """Return the context of this process: its threads do not follow into a fork."""
    return _context(_SAFE)


def _context(settings: Mapping[str, str]) -> Any:
    import tiledb

    return tiledb.Ctx(tiledb.Config(dict(settings)))


def soma_context(path: Path, more: Mapping[str, str] | None = None) -> Any:
    """Return the context in which SOMA works on a path: one for all local ones, and anew for each in a bucket.

    Parameters
    ----------
    path
        Of an experiment, data frame or array.
    more
        Further settings.
    """
    settings = _settings_of(path) | dict(more or {})
    return (
        _soma_context(settings) if is_remote_path(path) else _local_soma_context(os.getpid(), tuple(settings.items()))
    )


@cache
def _local_soma_context(_process: int, settings: tuple[tuple[str, str], ...]) -> Any:
    """Return a context of this process: its threads do not follow into a fork."""
    return _soma_context(dict(settings))


def _soma_context(settings: Mapping[str, str]) -> Any:
    return require("tiledbsoma", "tiledbsoma").SOMATileDBContext(tiledb_config=dict(settings))
