"""A public source, looked at without importing it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.errors import InputError, MultipleFound, RecordNotFound, shown
from registries.binding import current_or_none
from registries.ontology.hierarchy import Hierarchy
from registries.ontology.identity import CLEAR
from registries.ontology.importing import Wanted, organism_meant, read_rows, resolved
from registries.ontology.ingest import Rows
from registries.ontology.published import PublicSource
from registries.vocabulary import public_vocabulary
from validation import Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from registries.ontology.term import Entry

__all__ = ["PublicEntries", "public_entries"]

pc: Any = _compute
_MOST = 4
_kept: OrderedDict[tuple[object, ...], PublicEntries] = OrderedDict()


class PublicEntries:
    """What ``CellType.public()`` returns: all entries of one version of a source, in memory; nothing is imported.

    ``df``, ``pl`` and ``arrow`` give them as frames, ``get`` one of them, ``search`` those whose names come near.

    Examples
    --------
    >>> from registries import CellType
    >>> rows = pa.table({"uid": ["a"], "ontology_id": ["CL:0000084"], "name": ["T cell"], "synonyms": [["T-cell"]]})
    >>> source = PublicSource(entity="CellType", source="cl", organism="all", version="1", url="", format="obo")
    >>> entries = PublicEntries(CellType, source, Rows(rows))
    >>> entries.get("T-cell")["ontology_id"], len(entries)
    ('CL:0000084', 1)
    """

    def __init__(self, registry: type[Entry], source: PublicSource, rows: Rows) -> None:
        self.registry, self.source, self.table = registry, source, rows.table
        self._vocabularies: dict[tuple[str | None, tuple[str, ...]], Vocabulary] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"<{len(self):,} entries of {self.registry.meta.name} in {self.source}>"

    def arrow(self) -> pa.Table:
        """Return the entries as a pyarrow Table."""
        return self.table

    def df(self) -> pd.DataFrame:
        """Return the entries as a pandas DataFrame."""
        return self.table.to_pandas()

    def pl(self) -> pl.DataFrame:
        """Return the entries as a Polars DataFrame."""
        import polars

        frame = polars.from_arrow(self.table)
        return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()

    @cached_property
    def hierarchy(self) -> Hierarchy | None:
        """Who is above whom; None where entries have no parents."""
        if "parent_uids" not in self.table.column_names:
            return None
        whole = self.table.combine_chunks()
        return Hierarchy(whole["uid"].combine_chunks(), whole["parent_uids"].combine_chunks())

    def vocabulary(self, *, field: str | None = None, fields: tuple[str, ...] = ()) -> Vocabulary:
        """Return what the entries are called, as a vocabulary; ``field`` and ``fields`` as for the registry's."""
        known = self._vocabularies.get((field, fields))
        if known is None:
            known = public_vocabulary(self.registry, self.table, str(self.source), field=field, fields=fields)
            self._vocabularies[field, fields] = known
        return known

    def get(self, text: str) -> dict[str, Any]:
        """Return the entry that has an identifier, a name or an exact synonym.

        Raises
        ------
        RecordNotFound, MultipleFound
        """
        if not isinstance(text, str):
            raise InputError(f"public().get({shown(text)}): text is accepted, not a {type(text).__name__}")
        places, several = self.places([text])
        if text in several:
            raise MultipleFound(f"{shown(text)} may mean {', '.join(several[text])}: give an identifier")
        if text not in places:
            near = ", ".join(shown(one["name"]) for one in self.search(text, limit=3))
            raise RecordNotFound(f"{self!r} has no {shown(text)}; near: {near or 'nothing'}")
        found: dict[str, Any] = self.table.slice(places[text], 1).to_pylist()[0]
        return found

    def search(self, text: str, *, limit: int = 20) -> list[dict[str, Any]]:
        """Return the entries whose names or synonyms come near a text, the nearest first, and withdrawn ones last.

        Each is a dict of identifier, name and how near it is (0 to 100).
        """
        from rapidfuzz import fuzz, process, utils

        label, identity = self.registry.label_field, self.registry.identity_field
        names, owners = self._called
        hits = process.extract(text[:200], names, scorer=fuzz.WRatio, processor=utils.default_process, limit=limit * 8)
        best = dict[int, float]()
        for _, score, place in hits:
            best.setdefault(owners[place], round(score, 1))
        order = sorted(best, key=lambda place: (self._is_obsolete(place), -best[place]))
        columns = self.table[identity], self.table[label]
        rows = [(*(column[place].as_py() for column in columns), best[place]) for place in order[:limit]]
        return [{identity: identifier, "name": name, "score": score} for identifier, name, score in rows]

    @cached_property
    def _called(self) -> tuple[list[str], list[int]]:
        """All names and then all synonyms, and where the entry of each stands."""
        names, owners = self.table[self.registry.label_field].to_pylist(), list(range(len(self.table)))
        if "synonyms" in self.table.column_names:
            lists = self.table["synonyms"].combine_chunks()
            names += pc.list_flatten(lists).to_pylist()
            owners += pc.list_parent_indices(lists).to_pylist()
        return names, owners

    def places(self, values: Sequence[str]) -> tuple[dict[str, int], dict[str, list[str]]]:
        """Return where the entries of values stand, and the identifiers that ambiguous values may mean.

        Identifiers go before those that were merged into others, these before names, these before exact synonyms, and current entries before obsolete ones.
        """
        found, several = dict[str, int](), dict[str, list[str]]()
        for hits in (self._equal, self._equal_alternative, self._equal_name, self._equal_synonym):
            rest = [value for value in values if value not in found and value not in several]
            for value, places in hits(rest).items() if rest else ():
                live = [place for place in places if not self._is_obsolete(place)] or places
                ids = {self._id_at(place): place for place in live}
                meant = organism_meant(self.registry, value, list(ids)) if len(ids) > 1 else next(iter(ids))
                if meant is None:
                    several[value] = list(ids)
                else:
                    found[value] = ids[meant]
        return found, several

    def _is_obsolete(self, place: int) -> bool:
        return "obsolete" in self.table.column_names and bool(self.table["obsolete"][place].as_py())

    def _id_at(self, place: int) -> str:
        return str(self.table[self.registry.identity_field][place].as_py())

    def _equal(self, values: Sequence[str]) -> dict[str, list[int]]:
        return self._hits(self.table[self.registry.identity_field], values)

    def _equal_alternative(self, values: Sequence[str]) -> dict[str, list[int]]:
        if "alternative_ids" not in self.table.column_names:
            return {}
        lists = self.table["alternative_ids"].combine_chunks()
        ids, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
        keep = pc.is_in(ids, pa.array(values, pa.string()))
        return _grouped(zip(ids.filter(keep).to_pylist(), owners.filter(keep).to_pylist(), strict=True))

    def _equal_name(self, values: Sequence[str]) -> dict[str, list[int]]:
        return self._hits(self.table[self.registry.label_field], values)

    def _equal_synonym(self, values: Sequence[str]) -> dict[str, list[int]]:
        if "synonyms" not in self.table.column_names:
            return {}
        lists = self.table["synonyms"].combine_chunks()
        names, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
        keep = pc.is_in(names, pa.array(values, pa.string()))
        if "synonym_scopes" in self.table.column_names:
            scopes = pc.list_flatten(self.table["synonym_scopes"].combine_chunks())
            keep = pc.and_(keep, pc.is_in(scopes, pa.array(CLEAR)))
        return _grouped(zip(names.filter(keep).to_pylist(), owners.filter(keep).to_pylist(), strict=True))

    def _hits(self, column: pa.ChunkedArray, values: Sequence[str]) -> dict[str, list[int]]:
        places = pc.indices_nonzero(pc.is_in(column, pa.array(values, pa.string())))
        return _grouped(zip(column.take(places).to_pylist(), places.to_pylist(), strict=True))


def _grouped(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for value, place in pairs:
        found.setdefault(value, []).append(place)
    return found


def public_entries(registry: type[Entry], wanted: Wanted) -> PublicEntries:
    """Return the entries of a source, kept in memory for the next call; see ``Entry.public``."""
    home = registry._home or current_or_none()  # pyright: ignore[reportPrivateUsage] - none need be connected
    source, file = resolved(registry, wanted, home)
    seen = file.stat()
    key = (registry.meta.table, source, file, seen.st_mtime_ns, seen.st_size, wanted.format)
    if (known := _kept.get(key)) is None:
        known = _kept[key] = PublicEntries(registry, source, read_rows(registry, source, file, wanted.format))
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return known
