"""Names that are so close to one that is about to be saved that they may be meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rapidfuzz import process
from rapidfuzz.distance import OSA

from lakehouse.engine.scan import quoted
from registries.search.asking import index_of, is_indexed
from registries.search.fields import fields_of
from registries.search.folding import fold

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.instance import Instance
    from registries.meta import Meta

__all__ = ["close_names", "is_guarded"]

_SHOWN, _MOST = 3, 20
_SHORT, _LONG = 5, 10
_LARGE = 20_000
"""Rows of a registry whose index is not built for a save: its names are gone through instead, until it is searched."""
_CHECKS = 10
"""Saves after which the index of a large registry is built all the same."""
_NUMBERS = re.compile(r"\d+")


def is_guarded(meta: Meta) -> bool:
    """Whether new names of a registry are compared with those that it has."""
    named = meta.natural == (meta.title,) and meta.title in ("name", "symbol")
    return named and ("synonyms" in meta.columns or meta.columns[meta.title].unique)


def close_names(home: Instance, meta: Meta, name: str) -> list[str]:
    """Return names and synonyms that are close to one, the closest first; none where it is there itself.

    Close is what differs in case, accents or punctuation alone, or by one letter in a name of five letters, two in one
    of ten. Names whose numbers differ are not close: ``donor 1`` and ``donor 2`` are a series.
    """
    edits = 0 if len(name) < _SHORT else 1 if len(name) < _LONG else 2
    if is_indexed(home, meta) or not _is_large(home, meta):
        fields = fields_of(meta)
        known = index_of(home, meta, _seen(home, meta)).close(name, edits, (meta.title, *fields.lists))
    else:
        known = _scanned(home, meta, name, edits)
    numbers = _NUMBERS.findall(fold(name))
    near = [other for other in known if _NUMBERS.findall(fold(other)) == numbers]
    return [] if name in near else near[:_SHOWN]


def _seen(home: Instance, meta: Meta) -> Snapshot:
    """Return what is there now; a save does not depend on what it is warned of."""
    return home.lake.snapshot(tables=[meta.table]).untracked


def _is_large(home: Instance, meta: Meta) -> bool:
    state = _seen(home, meta).state(meta.table)
    rows = state.base.rows + len(state.tail.rows) + sum(file.rows for _, file in state.tail.staged)
    checks = home.cold_checks[meta.table] = home.cold_checks.get(meta.table, 0) + 1
    return rows > _LARGE and checks <= _CHECKS


def _scanned(home: Instance, meta: Meta, name: str, edits: int) -> list[str]:
    """Return the names of a registry without an index that are close, by going through all of them."""
    title, table = quoted(meta.title), quoted(meta.table)
    statement = f"select {title} as name, lower({title}) as plain from {table} where length({title}) between ? and ?"
    rows = _seen(home, meta).arrow(statement, [len(name) - edits, len(name) + edits], [meta.table])
    plain = rows["plain"].to_pylist()
    hits = process.extract(name.lower(), plain, scorer=OSA.distance, score_cutoff=edits, limit=_MOST)
    return [rows["name"][place].as_py() for _, _, place in hits]
