"""The order of batches: blocks of neighbours, shuffled and mixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from formats.cells import stacked
from formats.csrrows import Room
from lakehouse.errors import InputError, shown

if TYPE_CHECKING:
    from registries.dataset.mapped import MappedDataset

__all__ = ["Batches", "Sampler"]

_MIXED = 32
"""Batches whose blocks are read together and mixed."""


class Sampler:
    """An iterable of places of observations, a batch at a time; each run over it is an epoch of its own.

    Parameters
    ----------
    count
        Observations.
    size
        Of a batch.
    shuffle, seed, block, drop_last, shard
        As for ``MappedDataset.batches``.
    mixed
        Batches whose blocks are mixed.
    """

    def __init__(
        self,
        count: int,
        size: int,
        *,
        shuffle: bool,
        seed: int,
        block: int,
        drop_last: bool,
        shard: tuple[int, int] = (0, 1),
        mixed: int = _MIXED,
    ) -> None:
        given: dict[str, Any] = {"size": size, "block": block}
        for name, value in given.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} = {shown(value)}: a number of observations from 1 on is accepted")
        part, parts = shard
        if not 0 <= part < parts:
            raise InputError(f"shard = {shown(shard)}: (which, of how many) is accepted, such as (0, 4)")
        self.count, self.size, self._shuffle, self._seed, self._block = count, size, shuffle, seed, block
        self.drop_last, self._part, self._parts, self._mixed = drop_last, part, parts, mixed
        self.epoch = 0
        """Runs so far; set it to go on with an earlier one."""

    def _starts(self) -> np.ndarray[Any, Any]:
        starts = np.arange(0, self.count, self._block)
        if self._shuffle:  # the same in every shard, which then take turns
            starts = np.random.default_rng((self._seed, self.epoch)).permutation(starts)
        return starts[self._part :: self._parts]

    def __len__(self) -> int:
        """Return the number of batches."""
        starts = np.arange(0, self.count, self._block)[self._part :: self._parts]
        total = int(np.minimum(starts + self._block, self.count).sum() - starts.sum())
        if self._shuffle and self._parts > 1:  # the short block may be in another part
            total = sum(min(start + self._block, self.count) - start for start in self._starts().tolist())
        return total // self.size if self.drop_last else -(-total // self.size)

    def pools(self) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Yield places that are read together, in ascending order, and the order in which they are given out."""
        dice = np.random.default_rng((self._seed, self.epoch, self._part))
        starts = self._starts()
        self.epoch += 1
        step = max(1, self.size * self._mixed // self._block)
        for at in range(0, len(starts), step):
            blocks = np.sort(starts[at : at + step])
            places = np.concatenate([np.arange(s, min(s + self._block, self.count)) for s in blocks])
            yield places, dice.permutation(len(places)) if self._shuffle else np.arange(len(places))

    def __iter__(self) -> Iterator[list[int]]:
        left = np.zeros(0, np.int64)
        for places, order in self.pools():
            left = np.concatenate([left, places[order]])
            while len(left) >= self.size:
                yield left[: self.size].tolist()
                left = left[self.size :]
        if len(left) and not self.drop_last:
            yield left.tolist()


class Batches:
    """What ``MappedDataset.batches(...)`` returns."""

    def __init__(self, reader: MappedDataset, plan: Sampler, *, dense: bool) -> None:
        self._reader, self.plan, self._dense = reader, plan, dense

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        size, left = self.plan.size, None
        rooms: dict[str, Room] = {}
        for places, order in self.plan.pools():
            pool = self._reader.raw(places, rooms)
            for start in range(0, len(order), size):
                picked = order[start : start + size]
                batch = {name: value[picked] for name, value in pool.items()}
                batch |= self._reader.labels_at(places[picked])
                if left is not None:
                    batch, left = {name: stacked([left[name], batch[name]]) for name in batch}, None
                count = _count(batch, len(picked))
                if count < size:
                    left = batch
                    continue
                yield from self._full(batch if count == size else {name: value[:size] for name, value in batch.items()})
                if count > size:
                    left = {name: value[size:] for name, value in batch.items()}
        if left is not None and not self.plan.drop_last:
            yield from self._full(left)

    def _full(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {name: v.toarray() if self._dense and hasattr(v, "toarray") else v for name, v in batch.items()}


def _count(batch: dict[str, Any], default: int) -> int:
    return next((int(value.shape[0]) for value in batch.values()), default)
