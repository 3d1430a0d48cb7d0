"""Terms as readers give them: plain values, by identifier, before they belong to a registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

__all__ = ["Parsed", "in_batches"]

_TEXTS = pa.list_(pa.string())
_TYPES = (pa.string(), pa.string(), pa.string(), _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, pa.bool_(), pa.string())


class Parsed(NamedTuple):
    """A term of a file.

    Examples
    --------
    >>> Parsed("CL:0000084", "T cell", parents=("CL:0000542",), relations=("is_a",)).obsolete
    False
    """

    id: str
    name: str | None = None
    definition: str | None = None
    synonyms: Sequence[str] = ()
    synonym_scopes: Sequence[str] = ()
    """For each synonym: EXACT, NARROW, BROAD or RELATED."""
    alternative_ids: Sequence[str] = ()
    parents: Sequence[str] = ()
    relations: Sequence[str] = ()
    """For each parent: is_a, part_of or parent."""
    obsolete: bool = False
    replaced_by: str | None = None

    def merged(self, other: Parsed) -> Parsed:
        """Return the term that two entries under one id make: the first one's texts, the lists of both.

        Examples
        --------
        >>> first, second = (Parsed("A:1", "a", None, [name], ["EXACT"]) for name in "xy")
        >>> first.merged(second).synonyms
        ('x', 'y')
        """
        synonyms = dict(zip(self.synonyms, self.synonym_scopes, strict=True))
        synonyms |= {k: v for k, v in zip(other.synonyms, other.synonym_scopes, strict=True) if k not in synonyms}
        parents = dict(zip(self.parents, self.relations, strict=True))
        parents |= {k: v for k, v in zip(other.parents, other.relations, strict=True) if k not in parents}
        return Parsed(
            self.id,
            self.name or other.name,
            self.definition or other.definition,
            tuple(synonyms),
            tuple(synonyms.values()),
            tuple(dict.fromkeys((*self.alternative_ids, *other.alternative_ids))),
            tuple(parents),
            tuple(parents.values()),
            self.obsolete or other.obsolete,
            self.replaced_by or other.replaced_by,
        )


def in_batches(terms: Iterable[Parsed], size: int = 65_536) -> Iterator[pa.Table]:
    """Yield terms as tables with a column for each field.

    Examples
    --------
    >>> [len(table) for table in in_batches([Parsed("A:1"), Parsed("A:2"), Parsed("A:3")], size=2)]
    [2, 1]
    """
    waiting = iter(terms)
    while some := list(islice(waiting, size)):
        columns: Mapping[str, pa.Array] = {
            name: pa.array(values, kind)
            for name, values, kind in zip(Parsed._fields, zip(*some, strict=True), _TYPES, strict=True)
        }
        yield pa.table(columns)
