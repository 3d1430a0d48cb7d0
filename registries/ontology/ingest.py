"""A source's entries as rows of a registry: uids, links to parents, and one entry per identifier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.errors import InvalidFile, shown
from registries.ontology.identity import entry_uids
from registries.ontology.parsed import Parsed, in_batches
from registries.ontology.published import PublicSource

if TYPE_CHECKING:
    from registries.ontology.term import Entry

__all__ = ["Rows", "gathered"]

pc: Any = _compute
_TAXON = ("taxon", "taxon_name")


@dataclass(frozen=True, slots=True)
class Rows:
    """The entries of a source as columns of a registry, with those that ``save()`` adds still missing.

    Attributes
    ----------
    table
        One row per entry; ``uid`` is its first column.
    missing
        Identifiers that terms name as parents and that are not in the file.
    repeated
        How many entries came under an identifier that another one had.
    """

    table: pa.Table
    missing: tuple[str, ...] = ()
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.table)


def gathered(
    registry: type[Entry], source: PublicSource, tables: Iterable[pa.Table], organism: str | None = None
) -> Rows:
    """Return the entries of a source as rows.

    Terms whose id does not begin with the source's prefix are another ontology's, and left out; so are links to
    such. Links to parents with the prefix that the file lacks are kept and told: they lead somewhere once that term
    is imported.

    Parameters
    ----------
    registry
        What they are entries of.
    source
        Where they are from.
    tables
        What its reader yields.
    organism
        The uid of the organism that they belong to, for registries that have one.

    Raises
    ------
    InvalidFile
        When there is none.
    """
    kept = [_own(table, source) for table in tables]
    whole = pa.concat_tables(kept) if kept else pa.table({"id": pa.array([], pa.string())})
    if not len(whole):
        whose = f" whose id begins with {shown(source.prefix)}: source= with a name of your own takes all ids"
        raise InvalidFile(f"{source} holds no entry{whose if source.prefix else ''}")
    whole = _cleaned(whole, required=not registry.meta.columns["name"].nullable)
    first, repeated = _one_each(whole)
    rows, missing = _linked(registry, first, source) if "parents" in first.column_names else (first, ())
    if organism is not None:
        rows = rows.drop_columns([name for name in _TAXON if name in rows.column_names])
        rows = rows.append_column("organism", pa.repeat(pa.scalar(organism), len(rows)))
    elif "taxon" in rows.column_names:
        rows = rows.append_column("organism", _organisms(rows["taxon"].combine_chunks()))
    return Rows(_identified(registry, rows), missing, repeated)


def _organisms(taxa: pa.Array) -> pa.Array:
    """Return the uids of the organisms that have these identifiers."""
    known = pc.unique(taxa).drop_null()
    return entry_uids("Organism", known.to_pylist()).take(pc.index_in(taxa, known))


def _own(table: pa.Table, source: PublicSource) -> pa.Table:
    if not source.prefix:
        return table
    mine = _prefixed(table["id"], source)
    return table if pc.all(mine).as_py() else table.filter(mine)


def _cleaned(table: pa.Table, *, required: bool) -> pa.Table:
    """Return the table with names as registries keep them: no blanks at the ends, normal form C, never empty."""
    if "name" not in table.column_names:
        return table
    names = pc.utf8_trim_whitespace(pc.utf8_normalize(table["name"], "NFC"))
    names = pc.replace_substring_regex(names, r"[\x00-\x1f\x7f]+", " ")
    names = pc.if_else(pc.equal(names, ""), None, names)
    if required:
        names = pc.coalesce(names, table["id"])
    return table.set_column(table.column_names.index("name"), "name", names)


def _one_each(table: pa.Table) -> tuple[pa.Table, int]:
    """Return one entry for each id, and how many more there were: those of terms are merged, else the first counts."""
    ids = table["id"].combine_chunks()
    known = pc.unique(ids)
    if len(known) == len(ids):
        return table, 0
    places = dict[str, list[int]]()
    for place, text in enumerate(ids.to_pylist()):
        places.setdefault(text, []).append(place)
    twice = {text: found for text, found in places.items() if len(found) > 1}
    surplus = len(ids) - len(known)
    if table.column_names != list(Parsed._fields):
        return table.take(pa.array([found[0] for found in places.values()])), surplus
    once = table.take(pa.array([found[0] for found in places.values() if len(found) == 1], pa.int64()))
    return pa.concat_tables([once, *in_batches(_merged(table, found) for found in twice.values())]), surplus


def _merged(table: pa.Table, places: Sequence[int]) -> Parsed:
    terms = [Parsed(**row) for row in table.take(pa.array(places)).to_pylist()]
    return reduce(Parsed.merged, terms)


def _linked(registry: type[Entry], table: pa.Table, source: PublicSource) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the table with uids for parents; those of other ontologies are left out."""
    rows = table.drop_columns(["parents", "relations"])
    if "parent_uids" not in registry.meta.columns:
        return rows, ()
    lists, kinds = table["parents"].combine_chunks(), table["relations"].combine_chunks()
    links, ids = lists.flatten(), table["id"].combine_chunks()
    places = pc.index_in(links, ids)
    known = pc.is_valid(places)
    own = pc.or_(known, _prefixed(links, source))
    lost = pc.unique(links.filter(pc.and_(own, pc.invert(known)))).to_pylist()
    every = pa.concat_arrays([ids, pa.array(lost, pa.string())])
    uids = entry_uids(registry.meta.name, every.to_pylist())
    offsets = _offsets(lists, own)
    found = uids.take(pc.index_in(links.filter(own), every))
    rows = rows.append_column("parent_uids", pa.ListArray.from_arrays(offsets, found))
    rows = rows.append_column("parent_relations", pa.ListArray.from_arrays(offsets, kinds.flatten().filter(own)))
    return rows.add_column(0, "uid", uids.slice(0, len(rows))), tuple(lost)


def _prefixed(ids: pa.Array, source: PublicSource) -> pa.Array:
    if not source.prefix:
        return pa.repeat(pa.scalar(True), len(ids))  # noqa: FBT003 - a value
    tests = [pc.starts_with(ids, prefix + end) for prefix in source.prefix.split() for end in ":_"]
    return reduce(pc.or_, tests)


def _offsets(lists: pa.ListArray, own: pa.Array) -> pa.Array:
    """Return where each list begins once only some of its values are kept."""
    import numpy as np

    before = np.concatenate([[0], np.cumsum(own.to_numpy(zero_copy_only=False))])
    starts = lists.offsets.to_numpy() - lists.offsets[0].as_py()
    return pa.array(before[starts], pa.int32())


def _identified(registry: type[Entry], table: pa.Table) -> pa.Table:
    """Return the table with a uid for each row, and its identifier under the registry's own name for that."""
    rows = table.rename_columns([registry.identity_field if one == "id" else one for one in table.column_names])
    if "uid" in rows.column_names:
        return rows
    own = registry.identity_field == registry.label_field  # a name is unique within an organism
    more = [rows["organism"][0].as_py() if "organism" in rows.column_names else ""] if own else []
    return rows.add_column(0, "uid", entry_uids(registry.meta.name, table["id"].to_pylist(), *more))
