"""Search in SQL alone, for files that are read without this program: the same macros, which compare every name.

What is found, and in which order, is nearly what the index finds; it takes longer the more names there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakehouse.engine.scan import literal, quoted
from registries.binding import REGISTRIES
from registries.search.asking import LEAST, MOST, QUIET, is_searched
from registries.search.fields import Fields, fields_of

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.instance import Instance

__all__ = ["plain_search"]

_FOLDED = (
    "trim(regexp_replace(regexp_replace(lower(strip_accents(t)), '(\\w)''(\\w)', '\\1\\2', 'g'), "
    "'[^\\p{L}\\p{N}+]+', ' ', 'g'))"
)
_ALIKE = (
    "CASE WHEN word = other THEN 1.0 "
    "WHEN length(word) > 1 AND starts_with(other, word) THEN 0.85 + 0.15 * length(word) / length(other) "
    "WHEN least(length(word), length(other)) < 3 "
    "OR abs(length(word) - length(other)) > 0.4 * greatest(length(word), length(other)) "
    "OR _search_spelt(word, other) < 0.6 THEN 0.0 ELSE 0.97 * _search_spelt(word, other) END"
)
_SHARED = (
    "list_aggregate(list_transform(string_split(asked, ' '), lambda word: length(word) * "
    "list_aggregate(list_transform(string_split(folded, ' '), lambda other: _search_alike(word, other)), 'max')), 'sum') "
    "/ length(replace(asked, ' ', ''))"
)
_NEAR = (
    "CASE WHEN folded = asked THEN 0.995 "
    "WHEN _search_sorted(folded) = _search_sorted(asked) OR replace(folded, ' ', '') = replace(asked, ' ', '') THEN 0.97 "
    "ELSE greatest(CASE WHEN _search_spelt(asked, folded) >= 0.6 THEN 0.94 * _search_spelt(asked, folded) ELSE 0 END, "
    "CASE WHEN starts_with(folded, asked) THEN 0.95 * (0.8 + 0.2 * length(asked) / length(folded)) ELSE 0 END, "
    "0.92 * _search_shared(asked, folded) ** 1.5 * "
    "(0.7 + 0.3 * least(1.0, length(asked) / length(folded)))) END"
)
_HELPERS = {
    "_search_folded": f"(t) AS {_FOLDED}",
    "_search_sorted": "(t) AS array_to_string(list_sort(string_split(t, ' ')), ' ')",
    "_search_spelt": "(a, b) AS 1 - damerau_levenshtein(a, b) / greatest(length(a), length(b), 1)",
    "_search_alike": f"(word, other) AS {_ALIKE}",
    "_search_shared": f"(asked, folded) AS {_SHARED}",
    "_search_near": f"(asked, folded) AS {_NEAR}",
}
"""Letters of names and words alone; words in order; how alike two texts are, and how near a name is; as the index has it."""

_ONE = (
    "(words, most := {most}) AS TABLE WITH asked AS (SELECT words::VARCHAR AS raw, _search_folded(words::VARCHAR) AS "
    "folded), named AS ({named}), scored AS (SELECT n.uid, n.field, n.match, n.weight * CASE "
    "WHEN n.match = a.raw THEN 1.0 WHEN n.prose THEN CASE WHEN list_has_all(string_split(n.folded, ' '), "
    "string_split(a.folded, ' ')) THEN 0.6 ELSE 0 END ELSE _search_near(a.folded, n.folded) END AS score "
    "FROM named n, asked a WHERE a.folded <> '') SELECT t.*, round(s.score, 4) AS score, s.field, s.match "
    "FROM (SELECT * FROM scored WHERE score >= {least} QUALIFY row_number() OVER (PARTITION BY uid ORDER BY score DESC, "
    "length(match)) = 1) s JOIN {table} t USING (uid) QUALIFY row_number() OVER (ORDER BY s.score DESC, length(s.match), "
    "uid) <= most ORDER BY score DESC, length(match), uid"
)


def plain_search(home: Instance, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the name of each macro, and what follows its name."""
    yield from _HELPERS.items()
    tables = [t for t, r in REGISTRIES.items() if t in snapshot.tables and home.has(t) and is_searched(r.meta)]
    for table in tables:
        yield f"search_{table}", _of_one(table)
    every = " UNION ALL ".join(
        f"SELECT {literal(t)} AS registry, uid, {quoted(REGISTRIES[t].meta.title)}::VARCHAR AS name, score, field, match "
        f"FROM {quoted(f'search_{t}')}(words, most := most)"
        for t in tables
        if t not in QUIET
    )
    ordered = "QUALIFY row_number() OVER (ORDER BY score DESC, length(match), uid) <= most ORDER BY score DESC"
    yield "search", f"(words, most := {MOST}) AS TABLE SELECT * FROM ({every}) {ordered}"


def _of_one(table: str) -> str:
    seen = "artifact_latest" if table == "artifact" else table
    named = _named(fields_of(REGISTRIES[table].meta), seen)
    return _ONE.format(most=MOST, least=LEAST, named=named, table=quoted(seen))


def _named(fields: Fields, table: str) -> str:
    """Return everything that the records of a table are called, as SQL."""
    values = {name: quoted(name) for name in (*fields.names, *fields.prose)}
    values |= {name: f"unnest({quoted(name)})" for name in fields.lists}
    mark = "CASE WHEN obsolete THEN 0.95 ELSE 1 END" if "obsolete" in fields.marks else "1"
    return " UNION ALL ".join(
        f"SELECT uid, {literal(name)} AS field, match, _search_folded(match) AS folded, "
        f"{fields.weight(name)} * mark AS weight, {str(name in fields.prose).lower()} AS prose "
        f"FROM (SELECT uid, {values[name]}::VARCHAR AS match, {mark} AS mark FROM {quoted(table)}) WHERE match IS NOT NULL"
        for name in fields.all
    )
