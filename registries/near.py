"""Names that come near to one that is not known, for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.record import Record

__all__ = ["near_misses"]

_ENOUGH = 100_000  # names that are compared


def near_misses(snapshot: Snapshot, registry: type[Record], field: str, values: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` with the names that come near, or where to look, for messages."""
    from rapidfuzz import fuzz, process, utils

    table, values = registry.meta.table, list(values)[:5]
    if of_synonyms := _of_synonyms(snapshot, registry, field, values):
        return "; " + ", ".join(f"{synonym!r} is a synonym of {name!r}" for name, synonym in of_synonyms) + "."
    statement = f'select distinct "{field}" as name from "{table}" where "{field}" is not null limit {_ENOUGH}'
    known = snapshot.arrow(statement, [], [table])["name"].to_pylist()
    near: dict[str, None] = {}
    for value in values:
        hits = process.extract(
            value[:200], known, scorer=fuzz.WRatio, processor=utils.default_process, limit=3, score_cutoff=75
        )
        near.update(dict.fromkeys(hit[0] for hit in hits))
    if near:
        return "; did you mean " + " or ".join(map(repr, near)) + "?"
    return (
        f"; {registry.meta.name}.filter().df() lists them all." if known else f"; no {registry.meta.name} is saved yet."
    )


def _of_synonyms(snapshot: Snapshot, registry: type[Record], field: str, values: list[str]) -> list[tuple[str, str]]:
    """Return names, and the synonyms of theirs that are among some values."""
    if "synonyms" not in registry.meta.columns or field != registry.meta.title:
        return []
    table = registry.meta.table
    pairs = f'select "{field}" as name, unnest(synonyms) as synonym from "{table}"'
    statement = f"select distinct * from ({pairs}) where list_contains(?::VARCHAR[], synonym) order by all limit 5"
    found = snapshot.arrow(statement, [values], [table])
    return list(zip(found["name"].to_pylist(), found["synonym"].to_pylist(), strict=True))
