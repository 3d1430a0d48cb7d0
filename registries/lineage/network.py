"""All edges of an instance as numbers in memory, so that a thousand steps back among a million take milliseconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa

from lakehouse.engine.scan import quoted, source_of
from lakehouse.engine.state import TableState
from lakehouse.engine.tail import Tail

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["Edge", "Network", "network_of"]

_UID: Final = 20
_MULTIPLIERS: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_MOST_KEPT: Final = 16


@dataclass(frozen=True)
class Edge:
    """Data went from one node to another; both are uids."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class _Kind:
    """Where edges of a kind are kept."""

    name: str
    table: str
    source: str
    target: str
    where: str = ""
    """A column that says where there is such an edge: it is not null, and not false."""


_KINDS: Final = (
    _Kind("input", "run_input", "artifact", "subject"),
    _Kind("output", "artifact", "run", "uid", "run"),
    _Kind("re-created", "run_output", "subject", "artifact"),
    _Kind("step", "run", "uid", "run", "run"),
    _Kind("passed", "run", "run", "uid", "inherits"),
)


class _Part:
    """Some edges: uids as texts, and numbers that stand for them."""

    def __init__(self, source: pa.Array, target: pa.Array, kinds: Sequence[tuple[str, int]]) -> None:
        self.texts = source, target
        self.kinds = kinds
        """Names and how many edges in a row have each."""
        self.numbers = _numbers(source), _numbers(target)
        self._sorted: dict[int, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return len(self.texts[0])

    def found(self, side: int, wanted: Any) -> Any:
        """Return the places of the edges whose source (0) or target (1) is one of some numbers."""
        import numpy as np

        if side not in self._sorted:
            order = np.argsort(self.numbers[side], kind="stable")
            self._sorted[side] = order, self.numbers[side][order]
        order, values = self._sorted[side]
        if len(wanted) == 1:  # a long chain has a thousand of these
            return order[values.searchsorted(wanted[0], "left") : values.searchsorted(wanted[0], "right")]
        low, high = values.searchsorted(wanted, "left"), values.searchsorted(wanted, "right")
        counts = high - low
        if not counts.any():
            return np.empty(0, np.int64)
        ends = np.cumsum(counts)
        return order[np.arange(ends[-1]) + np.repeat(low - (ends - counts), counts)]

    def edges(self, places: Sequence[Any]) -> list[tuple[str, str, str]]:
        """Return source, target and kind of the edges at some places."""
        import numpy as np

        if not places:
            return []
        whole = np.concatenate(places)
        sources, targets = (texts.take(pa.array(whole)).to_pylist() for texts in self.texts)
        ends = np.cumsum([count for _, count in self.kinds])
        kinds = [self.kinds[number][0] for number in np.searchsorted(ends, whole, "right")]
        return list(zip(sources, targets, kinds, strict=True))


class Network:
    """The edges at a snapshot.

    Parameters
    ----------
    parts
        The edges that are published, and those that came since.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = [part for part in parts if len(part)]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def upstream(self, uids: Iterable[str], *, depth: int | None = None, most: int | None = None) -> list[Edge]:
        """Return the edges that lead to nodes, the nearest first; a circle ends where it closes."""
        return self._walk(uids, 1, depth, most)

    def downstream(self, uids: Iterable[str], *, depth: int | None = None, most: int | None = None) -> list[Edge]:
        """Return the edges that lead on from nodes, the nearest first."""
        return self._walk(uids, 0, depth, most)

    def _walk(self, uids: Iterable[str], side: int, depth: int | None, most: int | None) -> list[Edge]:
        import numpy as np

        frontier = _numbers(pa.array(list(uids), pa.string()))
        seen, level = set(frontier.tolist()), 0
        taken: list[list[Any]] = [[] for _ in self._parts]
        levels: list[list[int]] = [[] for _ in self._parts]
        while len(frontier) and (depth is None or level < depth) and (most is None or len(seen) < most):
            level += 1
            reached: set[int] = set()
            for number, part in enumerate(self._parts):
                places = part.found(side, frontier)
                if len(places):
                    reached.update(part.numbers[1 - side][places].tolist())
                    taken[number].append(places)
                    levels[number] += [level] * len(places)
            frontier = np.array(sorted(reached - seen), np.uint64)
            seen |= reached
        found: dict[tuple[str, str, str], int] = {}
        for number, part in enumerate(self._parts):
            for key, at in zip(part.edges(taken[number]), levels[number], strict=True):
                found[key] = min(at, found.get(key, at))
        return [Edge(*key) for key in sorted(found, key=found.__getitem__)]


def _numbers(texts: pa.Array) -> Any:
    """Return a number for each uid: all of its 20 characters mixed; two never met among billions."""
    import numpy as np

    if not len(texts):
        return np.empty(0, np.uint64)
    data = texts.cast(pa.binary()).cast(pa.binary(_UID)) if not pa.types.is_fixed_size_binary(texts.type) else texts
    raw = np.frombuffer(data.buffers()[1], np.uint8)[data.offset * _UID : (data.offset + len(data)) * _UID]
    words = np.zeros((len(data), 24), np.uint8)
    words[:, :_UID] = raw.reshape(-1, _UID)
    first, second, third = words.view(np.uint64).T
    mixed = (
        first * np.uint64(_MULTIPLIERS[0]) ^ second * np.uint64(_MULTIPLIERS[1]) ^ third * np.uint64(_MULTIPLIERS[2])
    )
    return mixed ^ (mixed >> np.uint64(29))


_kept: OrderedDict[tuple[int, ...], tuple[tuple[object, ...], _Part]] = OrderedDict()


def network_of(snapshot: Snapshot) -> Network:
    """Return the edges at a snapshot; those that are published are kept for as long as nothing more is."""
    states = {kind.table: snapshot.state(kind.table) for kind in _KINDS}
    if snapshot.moves or any(state.tail.staged for state in states.values()):
        return Network([_part({kind: _selected(snapshot, kind) for kind in _KINDS})])
    bases: tuple[object, ...] = tuple(state.base for state in states.values())
    key = tuple(map(id, bases))
    if key not in _kept:
        published = {table: _published(state) for table, state in states.items()}
        _kept[key] = bases, _part({kind: _scanned(snapshot, published[kind.table], kind) for kind in _KINDS})
    _kept.move_to_end(key)
    while len(_kept) > _MOST_KEPT:
        _kept.popitem(last=False)
    # A row that was written anew since has the same edge as before, and an edge once recorded stays.
    return Network([_kept[key][1], _part({kind: _of_tail(states[kind.table], kind) for kind in _KINDS})])


def _published(state: TableState) -> TableState:
    return replace(state, tail=Tail.empty(state.table.schema))


def _statement(kind: _Kind) -> str:
    where = f" where {quoted(kind.where)} is not null" if kind.where == kind.source or kind.where == kind.target else ""
    where = f" where {quoted(kind.where)} and run is not null" if kind.where == "inherits" else where
    return f"select {quoted(kind.source)} as source, {quoted(kind.target)} as target from {quoted(kind.table)}{where}"


def _selected(snapshot: Snapshot, kind: _Kind) -> pa.Table:
    return snapshot.arrow(_statement(kind), tables=[kind.table])


def _scanned(snapshot: Snapshot, state: TableState, kind: _Kind) -> pa.Table:
    if not state.base.files:
        return _NONE
    try:
        return snapshot.scanner.run({kind.table: source_of(state)}, _statement(kind))
    except duckdb.IOException:  # a vacuum took its files: the newer publication is asked for
        return _selected(snapshot, kind)


def _of_tail(state: TableState, kind: _Kind) -> pa.Table:
    rows = state.tail.rows
    if kind.where:
        asked = rows[kind.where]
        rows = rows.filter(asked.fill_null(pa.scalar(value=False)) if kind.where == "inherits" else asked.is_valid())
    return pa.table({"source": rows[kind.source], "target": rows[kind.target]})


_NONE = pa.Table.from_batches([], pa.schema([("source", pa.string()), ("target", pa.string())]))


def _part(tables: Mapping[_Kind, pa.Table]) -> _Part:
    whole = pa.concat_tables([table.select(["source", "target"]).cast(_NONE.schema) for table in tables.values()])
    whole = whole.combine_chunks()
    source, target = (_whole(whole[name]) for name in ("source", "target"))
    return _Part(source, target, [(kind.name, len(table)) for kind, table in tables.items()])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
