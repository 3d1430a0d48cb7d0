"""Searching registries: the index of each is kept for as long as its instance, and advanced by what is committed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from lakehouse.engine import Snapshot
from lakehouse.engine.forks import HELD
from lakehouse.errors import InputError, shown
from registries.binding import REGISTRIES
from registries.names import check_text
from registries.search.fields import Fields, fields_of
from registries.search.hits import Hit, Hits
from registries.search.index import Index
from registries.search.shard import Found
from registries.times import At

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.meta import Meta
    from registries.record import Record

__all__ = [
    "LEAST",
    "LONGEST",
    "MOST",
    "QUIET",
    "index_of",
    "is_indexed",
    "is_searched",
    "search",
    "search_all",
    "searched",
]

R = TypeVar("R", bound="Record")
MOST = 20
"""Records that a search gives, where nothing else is asked for."""
LEAST = 0.5
"""The score that a record has to reach, where nothing else is asked for."""
LONGEST = 100_000
"""Characters of a text that is searched for."""
QUIET = frozenset({"user", "storage", "source"})
"""Registries that a search over all of them passes over."""


class _Kept:
    """The indexes of all instances of this process."""

    def __init__(self) -> None:
        self._by_home: weakref.WeakKeyDictionary[Any, dict[str, Index]] = weakref.WeakKeyDictionary()
        HELD.add(self)

    def of(self, home: Instance, fields: Fields, snapshot: Snapshot) -> Index:
        """Return the index of a registry as of a snapshot, or a little newer."""
        kept = self._by_home.setdefault(home, {})
        index = kept.get(fields.table)
        if index is None or index.fields != fields:
            index = kept[fields.table] = Index(snapshot, fields)
        index.advance(snapshot)
        return index

    def holds(self, home: Instance, table: str) -> bool:
        """Whether there is an index of a registry."""
        return table in self._by_home.get(home, {})

    def after_fork(self) -> None:
        """Replace mutexes: a thread that stayed in the parent may hold them."""
        for kept in self._by_home.values():
            for index in kept.values():
                index.after_fork()


_kept = _Kept()


def is_indexed(home: Instance, meta: Meta) -> bool:
    """Whether a registry was searched before in this process."""
    return _kept.holds(home, meta.table)


def index_of(home: Instance, meta: Meta, snapshot: Snapshot) -> Index:
    """Return the index of a registry at a snapshot, with what an open transaction wrote."""
    fields = fields_of(meta)
    if not snapshot.moves:
        return _kept.of(home, fields, snapshot)
    index = _kept.of(home, fields, home.lake.at_commit(snapshot.commit))
    pending = snapshot.written(meta.table)
    return index.with_pending(pending) if pending else index


def search(
    registry: type[R],
    home: Instance,
    text: str,
    *,
    limit: int = MOST,
    field: str | Iterable[str] | None = None,
    min_score: float = LEAST,
    among: frozenset[str] | None = None,
    at: At = None,
) -> Hits[R]:
    """Return the records of a registry that are nearest to a text; see ``Record.search``.

    Parameters
    ----------
    among
        The uids that are looked for; all, where none are given.
    at
        A commit; now, where none is given.
    """
    snapshot = home.snapshot(at)
    index = index_of(home, registry.meta, snapshot) if at is None else Index(snapshot, fields_of(registry.meta))
    found = searched(registry.meta, index, text, limit, field, min_score, among)
    if index.is_whole:
        rows = {one.uid: one.row() for one in found}
    else:
        there = snapshot.lookup(registry.meta.table, "uid", [one.uid for one in found])
        rows = {row["uid"]: row for row in there.to_pylist()}
    hits = [
        Hit(registry.from_row(rows[one.uid], home), one.score, one.field, one.match) for one in found if one.uid in rows
    ]
    return Hits(text, hits)


def searched(
    meta: Meta,
    index: Index,
    text: str,
    limit: int,
    field: str | Iterable[str] | None = None,
    min_score: float = LEAST,
    among: frozenset[str] | None = None,
) -> list[Found]:
    """Return what an index finds; of versions of one key the newest."""
    _check(text, limit, min_score)
    found = index.search(text, index.fields.chosen(field), limit, min_score)
    if among is not None:
        found = [one for one in found if one.uid in among]
    return _newest(found, meta)[:limit]


def search_all(home: Instance, text: str, *, limit: int = MOST, min_score: float = LEAST) -> Hits[Any]:
    """Return the records of all registries that are nearest to a text; see ``lh.search``."""
    _check(text, limit, min_score)
    hits: list[Hit[Any]] = []
    for table, registry in list(REGISTRIES.items()):
        if home.has(table) and table not in QUIET and is_searched(registry.meta):
            hits += search(home.bound(registry), home, text, limit=limit, min_score=min_score).hits
    return Hits(text, sorted(hits, key=lambda hit: -hit.score)[:limit])


def is_searched(meta: Meta) -> bool:
    """Whether the records of a registry have names to search by."""
    return meta.title != "uid"


def _newest(found: list[Found], meta: Meta) -> list[Found]:
    if "version" not in meta.columns or "key" not in meta.columns:
        return found
    newest: dict[str, str] = {}
    for one in found:
        newest[one.uid[:16]] = max(one.uid, newest.get(one.uid[:16], ""))
    return [one for one in found if newest[one.uid[:16]] == one.uid]


def _check(text: object, limit: object, min_score: object) -> None:
    if not isinstance(text, str):
        raise InputError(f"search({shown(text)}): text is accepted, not a {type(text).__name__}")
    if len(text) > LONGEST:
        raise InputError(
            f"search({shown(text, 40)}) has {len(text):,} characters: at most {LONGEST:,} are searched for"
        )
    if not check_text(text, "search").strip():
        raise InputError(f"search({shown(text)}): there is nothing to look for: give a word, or use filter()")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise InputError(f"limit = {shown(limit)}: a whole number from 0 is accepted")
    if isinstance(min_score, bool) or not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
        raise InputError(f"min_score = {shown(min_score)}: a number from 0 to 1 is accepted")
