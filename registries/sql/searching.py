"""Search in SQL: ``search_cell_type('fibrblast')``, and so for every registry with names; ``search('...')`` for all."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from lakehouse.engine import Snapshot
from lakehouse.engine.macros import Function, Macro
from lakehouse.engine.scan import quoted
from registries.binding import REGISTRIES
from registries.search.asking import LONGEST, index_of, is_searched, search_all, searched
from registries.search.fields import fields_of
from registries.search.index import Index

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.meta import Meta

__all__ = ["search_macros"]

_CALLED = re.compile(r"\bsearch(?:_(\w+))?\s*\(")
_HIT = "STRUCT(uid VARCHAR, score DOUBLE, field VARCHAR, match VARCHAR)[]"
_ANY = "STRUCT(registry VARCHAR, uid VARCHAR, name VARCHAR, score DOUBLE, field VARCHAR, match VARCHAR)[]"
_OF_ONE = (
    "(words, most := 20) AS TABLE SELECT t.*, x.hit.score AS score, x.hit.field AS field, x.hit.match AS match "
    "FROM (SELECT unnest({function}(words::VARCHAR, most::BIGINT)) AS hit) x JOIN {table} t ON t.uid = x.hit.uid "
    "ORDER BY x.hit.score DESC, length(x.hit.match), t.uid"
)
_OF_ALL = (
    "(words, most := 20) AS TABLE SELECT hit.registry, hit.uid, hit.name, hit.score, hit.field, hit.match "
    "FROM (SELECT unnest({function}(words::VARCHAR, most::BIGINT)) AS hit) ORDER BY hit.score DESC"
)


def search_macros(home: Instance, query: str, snapshot: Snapshot, *, now: bool, inside: str = "") -> dict[str, Macro]:
    """Return the macros that a statement calls, by name.

    Parameters
    ----------
    snapshot
        What is searched.
    now
        Whether that is the newest state, whose index is kept.
    inside
        The database that the macros are made in, where it is not the one that is open.
    """
    called = set(_CALLED.findall(query.lower()))
    found = {}
    for table, registry in list(REGISTRIES.items()):
        if table in called and home.has(table) and is_searched(registry.meta):
            function = f"_ask_{inside}_{table}"
            ask = partial(_ask, _Asking(home, home.bound(registry).meta, snapshot, now=now))
            macro = _OF_ONE.format(
                function=function, table=f"{quoted(inside)}.main.{quoted(table)}" if inside else quoted(table)
            )
            found[f"search_{table}"] = Macro(macro, [Function(function, _two(ask), ("VARCHAR", "BIGINT"), _HIT)])
    if "" in called and now:
        ask_all = _two(partial(_ask_all, home))
        function = f"_ask_{inside}_all"
        macro = _OF_ALL.format(function=function)
        found["search"] = Macro(macro, [Function(function, ask_all, ("VARCHAR", "BIGINT"), _ANY)])
    return found


class _Asking:
    """The index of a registry, had when it is first asked for."""

    def __init__(self, home: Instance, meta: Meta, snapshot: Snapshot, *, now: bool) -> None:
        self.home, self.meta, self._snapshot, self._now = home, meta, snapshot, now
        self._index: Index | None = None

    @property
    def index(self) -> Index:
        if self._now:
            return index_of(self.home, self.meta, self._snapshot)
        if self._index is None:
            self._index = Index(self._snapshot, fields_of(self.meta))
        return self._index


def _two(ask: Any) -> Any:
    """Return a function of exactly two arguments, as DuckDB wants to see them."""

    def asked(words: str, most: int) -> Any:
        return ask(words, most)

    return asked


def _ask(asking: _Asking, words: str, most: int) -> list[dict[str, Any]]:
    if not _can_be_found(words):
        return []
    found = searched(asking.meta, asking.index, words, max(0, most))
    return [{"uid": one.uid, "score": one.score, "field": one.field, "match": one.match} for one in found]


def _ask_all(home: Instance, words: str, most: int) -> list[dict[str, Any]]:
    return search_all(home, words, limit=max(0, most)).to_dicts() if _can_be_found(words) else []


def _can_be_found(words: str) -> bool:
    """Whether a name may be near: within a statement, words that none can be like find nothing, as in ``LIKE``."""
    return bool(words.strip()) and len(words) <= LONGEST and "\0" not in words
