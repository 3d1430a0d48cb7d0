"""Single observations and shuffled batches of many files, for training loops.

A reader holds paths, places and labels, and opens files where they are asked for: it can be pickled, and a forked or
spawned worker opens its own.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from formats.base import reading
from formats.cells import stacked
from formats.csrrows import Room
from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from registries.dataset.batching import Batches, Sampler
from registries.dataset.encoding import Labels, read_labels
from registries.dataset.filtering import rows_meeting
from registries.dataset.selection import check_join
from registries.dataset.sources import Source, sources_of, variables

if TYPE_CHECKING:
    from registries.dataset.record import Dataset

__all__ = ["MappedDataset"]

_OPEN = 64
"""Files that are open at a time."""


@dataclass(frozen=True)
class _Asked:
    """What comes with each observation."""

    arrays: tuple[str, ...]
    columns: tuple[str, ...]


class MappedDataset:
    """What ``dataset.mapped(...)`` returns: a sequence of observations, each a dict of arrays and labels.

    ``reader[7]`` is one observation, ``reader[[3, 1, 2]]`` a batch, ``reader.batches(512, shuffle=True)`` runs over all
    of them in blocks that are read in one piece each. For torch: ``DataLoader(reader, batch_size=512, shuffle=True)``,
    or, with reads in blocks, ``DataLoader(reader, sampler=reader.sampler(512, shuffle=True), batch_size=None)``.

    Attributes
    ----------
    var_names
        Names of the variables, in the order of the columns of ``X``; empty for tables.
    categories
        By column that comes as codes, the names that the codes stand for; -1 is a missing value.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        rows: Sequence[np.ndarray[Any, Any]],
        asked: _Asked,
        var_names: Sequence[str],
        places: Sequence[np.ndarray[Any, Any] | None],
        labels: Labels,
    ) -> None:
        self._sources, self._rows, self._asked = list(sources), list(rows), asked
        self.var_names, self._places, self._labels = list(var_names), list(places), labels
        self._ends = np.cumsum([len(one) for one in rows])
        self._types: dict[str, np.dtype[Any]] = {}
        self._as_csr = set(asked.arrays)
        self._forget()

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        obs: tuple[str, ...],
        encode: bool | tuple[str, ...],
        layers: tuple[str, ...],
        obsm: tuple[str, ...],
        where: str | None,
        join: str,
        var: tuple[str, ...] | None,
        columns: tuple[str, ...] | None,
    ) -> MappedDataset:
        """Return the reader of a dataset; see ``Dataset.mapped``."""
        check_join(join)
        sources = sources_of(dataset, columns=columns)
        for one in sources:
            dataset.home_of().note_read(one.artifact)
        if where is None:
            rows = [np.arange(one.n_rows) for one in sources]
        else:
            rows = rows_meeting(where, [one.obs for one in sources], [one.same for one in sources])
        tables = dataset.kind == "dataframe"
        names, places = ([], [None] * len(sources)) if tables else variables(sources, join, var)
        arrays = () if tables else (*(_array(name) for name in layers), *(f"obsm/{name}" for name in obsm))
        wanted = obs or (sources[0].text_columns() if tables else ())
        labels = read_labels(sources, rows, tuple(wanted), encode=encode)
        numbers = tuple(name for name in sources[0].columns if name not in wanted) if tables else ()
        made = cls(
            [one.bare() for one in sources], rows, _Asked(tuple(dict.fromkeys(arrays)), numbers), names, places, labels
        )
        made._check()
        return made

    def _check(self) -> None:
        """Read nothing of an array, so that one that is missing is told now, and batches are all of one type."""
        for number in range(len(self._sources)):
            for array in self._asked.arrays:
                cells = self._opened(number)
                kind = cells.read(array, 0, 0).dtype
                self._types[array] = np.result_type(kind, self._types.get(array, kind))
                if array.startswith("obsm/") or cells.csr(array) is None:
                    self._as_csr.discard(array)

    def __repr__(self) -> str:
        return (
            f"<MappedDataset of {len(self):,} rows in {len(self._sources):,} files, {len(self.var_names):,} variables>"
        )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def shape(self) -> tuple[int, int]:
        """Observations and variables."""
        return len(self), len(self.var_names)

    @property
    def categories(self) -> Mapping[str, list[str]]:
        """By column that comes as codes, the names that the codes stand for."""
        return self._labels.categories

    # Processes

    def _forget(self) -> None:
        self._open: OrderedDict[int, Any] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_open", "_process")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _opened(self, number: int) -> Any:
        if self._process != os.getpid():
            _INHERITED.append(self._open)  # kept: closing them would reach into what the parent still uses
            self._forget()
        found = self._open.pop(number, None) or self._sources[number].opened()
        self._open[number] = found
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return found

    def close(self) -> None:
        """Close the files; they are opened again where they are asked for."""
        for found in self._open.values():
            found.close()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def __getitem__(self, which: int | slice | Sequence[int] | np.ndarray[Any, Any]) -> dict[str, Any]:
        """Return one observation, or several as a batch: in both, arrays by name, and labels by column."""
        if isinstance(which, int | np.integer):
            batch = self.batch(np.array([self._index(int(which))]))
            return {name: value[0] for name, value in batch.items()}
        if isinstance(which, slice):
            return self.batch(np.arange(*which.indices(len(self))))
        return self.batch(np.array([self._index(int(one)) for one in which], dtype=np.int64))

    def __getitems__(self, which: Sequence[int]) -> list[dict[str, Any]]:
        """Return several observations, read in ascending order; torch asks for the rows of a batch so."""
        batch = self[which]
        return [{name: value[i] for name, value in batch.items()} for i in range(len(which))]

    def _index(self, given: int) -> int:
        index = given + len(self) if given < 0 else given
        if not 0 <= index < len(self):
            raise IndexError(f"observation {given:,} of {len(self):,}")
        return index

    def batch(self, which: np.ndarray[Any, Any], *, dense: bool = True) -> dict[str, Any]:
        """Return some observations, in the order given.

        Parameters
        ----------
        which
            Their places.
        dense
            Whether sparse arrays come as NumPy arrays; else as CSR matrices.
        """
        order = np.argsort(which, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        found = self.raw(which[order])
        made = {name: self._out(value[back], dense=dense) for name, value in found.items()}
        return made | self._labels.at(which)

    def raw(self, which: np.ndarray[Any, Any], rooms: dict[str, Room] | None = None) -> dict[str, Any]:
        """Return arrays of some observations, given in ascending order, without labels; sparse ones as CSR.

        Parameters
        ----------
        which
            Their places.
        rooms
            Where they are read to, which then hold the next ones: those of the last call are overwritten.
        """
        rooms = {} if rooms is None else rooms
        parts = self._by_file(which)
        if not self._asked.arrays:
            return self._columns(parts)
        return {_title(name): self._array(name, parts, rooms) for name in self._asked.arrays}

    def _by_file(self, which: np.ndarray[Any, Any]) -> list[tuple[int, np.ndarray[Any, Any]]]:
        """Return the numbers of the files that observations are in, with their rows."""
        edges = np.searchsorted(which, np.concatenate([[0], self._ends]))
        begins = np.concatenate([[0], self._ends])
        found = [(n, which[a:b] - begins[n]) for n, (a, b) in enumerate(pairwise(edges.tolist())) if b > a]
        return [(number, self._rows[number][rows]) for number, rows in found]

    def _columns(self, parts: Sequence[tuple[int, np.ndarray[Any, Any]]]) -> dict[str, Any]:
        found: dict[str, list[Any]] = {}
        for number, rows in parts:
            for name in self._asked.columns:
                found.setdefault(name, []).append(self._opened(number).take(name, rows))
        return {name: stacked(values) for name, values in found.items()}

    def _array(self, name: str, parts: Sequence[tuple[int, np.ndarray[Any, Any]]], rooms: dict[str, Room]) -> Any:
        if name in self._as_csr:
            if name not in rooms:
                rooms[name] = Room(len(self.var_names), self._types[name])
            rooms[name].reserve(sum(int(self._opened(n).csr(name).counts(rows).sum()) for n, rows in parts))
            for number, rows in parts:
                cells = self._opened(number)
                with reading(cells.path, cells.format.name):
                    rooms[name].add(cells.csr(name), rows, self._places[number])
            return rooms[name].taken()
        return stacked([self._piece(name, number, rows) for number, rows in parts])

    def _piece(self, name: str, number: int, rows: np.ndarray[Any, Any]) -> Any:
        value, places = self._opened(number).take(name, rows), self._places[number]
        value = value.astype(self._types[name], copy=False)
        return value if places is None or name.startswith("obsm/") else _placed(value, places, len(self.var_names))

    def _out(self, value: Any, *, dense: bool) -> Any:
        return value.toarray() if dense and hasattr(value, "toarray") else value

    # Labels

    def codes(self, column: str) -> np.ndarray[Any, Any]:
        """Return the codes, or values, of a column for all observations."""
        if column not in self._labels.values:
            raise UnknownField(
                f"{shown(column)} does not come with observations{did_you_mean(column, self._labels.values)}: "
                "name it in obs="
            )
        return self._labels.values[column]

    def class_weights(self, column: str) -> np.ndarray[Any, Any]:
        """Return a weight for each category, the larger the rarer it is; those of all observations have the mean 1."""
        if column not in self.categories:
            raise InputError(f"{shown(column)} does not come as codes: name it in encode=")
        counts = np.bincount(self.codes(column)[self.codes(column) >= 0], minlength=len(self.categories[column]))
        seen = np.maximum(counts, 1)
        return np.where(counts > 0, counts.sum() / (max(1, int((counts > 0).sum())) * seen), 0.0)

    def weights(self, column: str) -> np.ndarray[Any, Any]:
        """Return for each observation the weight of its category, as samplers take them; 0 for a missing value."""
        codes = self.codes(column)
        return np.where(codes < 0, 0.0, self.class_weights(column)[codes])

    def labels_at(self, which: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Return the labels of some observations."""
        return self._labels.at(which)

    # Batches

    def batches(
        self,
        size: int = 512,
        *,
        shuffle: bool = False,
        seed: int = 0,
        block: int = 256,
        drop_last: bool = False,
        dense: bool = True,
        shard: tuple[int, int] = (0, 1),
    ) -> Batches:
        """Return an iterable of batches; each run over it is an epoch, shuffled otherwise.

        Shuffled, blocks of neighbours come in random order and are mixed some thousand observations at a time, so that
        files are read in pieces: a batch has rows of many blocks.

        Parameters
        ----------
        size
            Observations of a batch.
        shuffle
            Whether to shuffle.
        seed
            Of the order: the same one gives the same.
        block
            Neighbours that are read in one piece.
        drop_last
            Whether to leave out a last batch that is not full.
        dense
            Whether sparse arrays come as NumPy arrays; else as CSR matrices.
        shard
            Which part of how many: ``(worker, workers)`` shares the blocks out.
        """
        plan = Sampler(len(self), size, shuffle=shuffle, seed=seed, block=block, drop_last=drop_last, shard=shard)
        return Batches(self, plan, dense=dense)

    def sampler(
        self, size: int = 512, *, shuffle: bool = False, seed: int = 0, block: int = 16, drop_last: bool = False
    ) -> Sampler:
        """Return an iterable of the places of each batch, out of few blocks each, for torch's ``DataLoader``."""
        return Sampler(len(self), size, shuffle=shuffle, seed=seed, block=block, drop_last=drop_last, mixed=1)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield single observations, read in blocks."""
        for batch in self.batches():
            names = list(batch)
            yield from ({name: batch[name][i] for name in names} for i in range(len(batch[names[0]])))


_INHERITED: list[Any] = []
"""Files that a forked process has from its parent."""


def _array(name: str) -> str:
    return name if name == "X" or "/" in name else f"layers/{name}"


def _title(array: str) -> str:
    """Return what an array is called in a batch: ``X``, a layer by its name, ``obsm_NAME``."""
    return array.removeprefix("layers/").replace("obsm/", "obsm_")


def _placed(value: Any, places: np.ndarray[Any, Any], width: int) -> Any:
    """Return columns where the joined variables have them; those that are not wanted have the place -1."""
    if not hasattr(value, "indices"):
        found = np.zeros((len(value), width), value.dtype)
        kept = places >= 0
        found[:, places[kept]] = value[:, kept]
        return found
    from scipy.sparse import csr_matrix

    columns = places[value.indices]
    kept = columns >= 0
    if kept.all():
        return csr_matrix((value.data, columns, value.indptr), shape=(value.shape[0], width), copy=False)
    before = np.concatenate([[0], np.cumsum(kept)])
    return csr_matrix((value.data[kept], columns[kept], before[value.indptr]), shape=(value.shape[0], width))
