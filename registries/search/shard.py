"""Some rows of a registry, as they are searched."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from rapidfuzz import process
from rapidfuzz.distance import OSA

from lakehouse.engine.arrow import pc
from registries.search.fields import Fields
from registries.search.folding import fold
from registries.search.prose import Prose
from registries.search.ranking import Asked
from registries.search.recent import is_as_long
from registries.search.trigrams import Trigrams

__all__ = ["Found", "Shard"]

_CANDIDATES = 200
_FEW = 50  # names that are compared one by one sooner than they are indexed
_NEAR = 200
_OBSOLETE = 0.95


@dataclass(frozen=True, slots=True)
class Found:
    """A record that was found."""

    uid: str
    score: float
    """From 0 to 1."""
    field: str
    """The column that the name stands in."""
    match: str
    """The name that is near."""
    place: tuple[Shard, int]
    """Where its row lies."""

    def row(self) -> dict[str, Any]:
        """Return the columns that are kept of it."""
        shard, place = self.place
        found: dict[str, Any] = shard.rows.slice(place, 1).to_pylist()[0]
        return found


class Shard:
    """Rows with their names, and what finds those that are near to a text.

    Parameters
    ----------
    rows
        The columns that ``fields`` reads; there may be more.
    fields
        What is searched.
    """

    def __init__(self, rows: pa.Table, fields: Fields) -> None:
        if "deleted_at" in fields.marks:
            rows = rows.filter(pc.is_null(rows["deleted_at"]))
        self.rows, self.fields = rows.combine_chunks(), fields
        self.gone: set[str] = set()
        """Rows that were changed or deleted since."""
        self._uids = _whole(self.rows["uid"])
        self._texts, self._owners, self._columns = _names(self.rows, fields)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _trigrams(self) -> Trigrams | None:
        return Trigrams(self._texts) if len(self._texts) > _FEW else None

    @cached_property
    def _prose(self) -> dict[str, Prose]:
        return {name: Prose(_whole(self.rows[name])) for name in self.fields.prose}

    def copy(self) -> Shard:
        """Return the same rows and indexes, of which others may be gone."""
        other = object.__new__(Shard)
        vars(other).update(vars(self), gone=set(self.gone))
        return other

    def live(self) -> pa.Table:
        """Return the rows that were not changed since."""
        if not self.gone:
            return self.rows
        return self.rows.filter(pc.invert(pc.is_in(self._uids, pa.array(self.gone, pa.string()))))

    def named(self, asked: Asked, columns: Collection[str], most: int) -> Iterator[Found]:
        """Yield rows by their names that are near; as many as ``most`` are among them."""
        for place in self._candidates(asked, max(_CANDIDATES, 4 * most)):
            column = self.fields.all[self._columns[place]]
            if column not in columns:
                continue
            text = self._texts[place].as_py()
            score = asked.nearness(text) * self.fields.weight(column)
            if score and (found := self._found(int(self._owners[place]), score, column, text)):
                yield found

    def _candidates(self, asked: Asked, most: int) -> Any:
        if not asked.text:  # nothing but punctuation
            return pc.indices_nonzero(pc.equal(self._texts, asked.raw)).to_numpy()
        if self._trigrams is None:
            return range(len(self._texts))
        return self._trigrams.nearest(asked.raw, most)

    def described(self, asked: Asked, columns: Collection[str]) -> Iterator[Found]:
        """Yield rows by the words of their descriptions."""
        for column in self.fields.prose:
            if column in columns:
                for place, score in self._prose[column].scores(asked).items():
                    if found := self._found(place, score, column, self.rows[column][place].as_py()):
                        yield found

    def _found(self, place: int, score: float, column: str, text: str) -> Found | None:
        uid = self._uids[place].as_py()
        if uid in self.gone:
            return None
        if "obsolete" in self.fields.marks and self.rows["obsolete"][place].as_py():
            score *= _OBSOLETE
        return Found(uid, score, column, text, (self, place))

    def close(self, name: str, edits: int, pieces: Any) -> Iterator[tuple[int, str, str]]:
        """Yield names that differ by few edits, case and punctuation aside: the edits, the name and its column.

        Parameters
        ----------
        pieces
            Of the name, as :func:`~registries.search.trigrams.pieces_of` has them.
        """
        trigrams, folded = self._trigrams, fold(name)
        places = np.arange(len(self._texts)) if trigrams is None else trigrams.nearly(pieces, edits, _NEAR)
        texts = self._texts.take(pa.array(places)).to_pylist()
        near = process.extract(folded, list(map(fold, texts)), scorer=OSA.distance, score_cutoff=edits, limit=None)
        for _, away, number in near:
            place, text = int(places[number]), texts[number]
            if is_as_long(name, text, edits) and self._uids[int(self._owners[place])].as_py() not in self.gone:
                yield int(away), text, self.fields.all[self._columns[place]]


def _names(rows: pa.Table, fields: Fields) -> tuple[pa.Array, Any, Any]:
    """Return all names in one array, with the place of each one's row and the number of its column."""
    texts, owners, columns = [pa.array([], pa.string())], [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
    for number, name in enumerate((*fields.names, *fields.lists)):
        column = _whole(rows[name])
        if name in fields.lists:
            own, flat = pc.list_parent_indices(column).to_numpy().astype(np.int32), pc.list_flatten(column)
        else:
            own, flat = np.arange(len(column), dtype=np.int32), column
        if flat.null_count:
            there = pc.is_valid(flat)
            own, flat = own[there.to_numpy(zero_copy_only=False)], flat.filter(there)
        texts.append(flat)
        owners.append(own)
        columns.append(np.full(len(flat), number, np.uint8))
    return pa.concat_arrays(texts), np.concatenate(owners), np.concatenate(columns)


def _whole(column: pa.ChunkedArray) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
