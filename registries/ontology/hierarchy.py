"""The hierarchy of a registry, kept in memory as numbers: a million terms take some tens of megabytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as _compute

from lakehouse.engine.scan import quoted

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["Hierarchy", "hierarchy_of"]

pc: Any = _compute
_MOST = 16
_FEW = 8


class Hierarchy:
    """Who is whose parent, in both directions; links to terms that are not there are left out.

    Parameters
    ----------
    uids
        The terms.
    parents
        The uids of each one's parents.

    Examples
    --------
    >>> tree = Hierarchy(pa.array(["a", "b", "c"]), pa.array([[], ["a"], ["b", "x"]]))
    >>> tree.ancestors(["c"]), tree.descendants(["a"])
    (['b', 'a'], ['b', 'c'])
    >>> Hierarchy(pa.array(["a", "b", "c"]), pa.array([["b"], ["a"], ["b"]])).circular(["a", "c"])
    ['a']
    """

    def __init__(self, uids: pa.Array, parents: pa.ListArray) -> None:
        import numpy as np

        self._uids = uids
        links = pc.index_in(parents.flatten(), uids)
        known = pc.is_valid(links).to_numpy(zero_copy_only=False)
        child = np.repeat(np.arange(len(uids), dtype=np.int32), pc.list_value_length(parents).fill_null(0).to_numpy())
        parent = links.fill_null(0).to_numpy().astype(np.int32)
        self._up = _adjacent(child[known], parent[known], len(uids))
        self._down = _adjacent(parent[known], child[known], len(uids))

    def __len__(self) -> int:
        return len(self._uids)

    def __contains__(self, uid: object) -> bool:
        return bool(len(self._places([str(uid)])))

    def ancestors(self, uids: Sequence[str]) -> list[str]:
        """Return the terms above these, the nearest first; these themselves only where another one is below them."""
        return self._texts(self._reached(self._up, uids))

    def descendants(self, uids: Sequence[str]) -> list[str]:
        """Return the terms below these, the nearest first."""
        return self._texts(self._reached(self._down, uids))

    def below(self, uids: Sequence[str]) -> pa.Array:
        """Return the terms below these, and these, as an array."""
        import numpy as np

        places = np.union1d(self._places(uids), self._reached(self._down, uids))
        return self._uids.take(pa.array(places))

    def above(self, uids: Sequence[str]) -> pa.Array:
        """Return the terms above these, and these, as an array."""
        import numpy as np

        places = np.union1d(self._places(uids), self._reached(self._up, uids))
        return self._uids.take(pa.array(places))

    def circular(self, uids: Sequence[str]) -> list[str]:
        """Return those of these that are above themselves."""
        import numpy as np

        starts, targets = self._down
        waiting = np.diff(self._up[0])  # parents that were not taken away yet, from the top down
        frontier = np.flatnonzero(waiting == 0)
        while len(frontier):
            counts = starts[frontier + 1] - starts[frontier]
            ends = np.cumsum(counts)
            places = np.arange(ends[-1]) + np.repeat(starts[frontier] - (ends - counts), counts)
            waiting[frontier] = -1
            np.subtract.at(waiting, targets[places], 1)
            frontier = np.unique(targets[places])
            frontier = frontier[waiting[frontier] == 0]
        left = self._uids.take(pa.array(np.flatnonzero(waiting > 0)))  # what is in a circle, or below one
        mine = pa.array(uids, pa.string())
        return [uid for uid in mine.filter(pc.is_in(mine, left)).to_pylist() if uid in self.ancestors([uid])]

    def _texts(self, places: Any) -> list[str]:
        found: list[str] = self._uids.take(pa.array(places)).to_pylist()
        return found

    def _places(self, uids: Sequence[str]) -> Any:
        """Return where terms stand: by a scan for few, by a hash of all for many."""
        import numpy as np

        if len(uids) > _FEW:
            return pc.index_in(pa.array(uids, pa.string()), self._uids).drop_null().to_numpy().astype(np.int64)
        found = [pc.index(self._uids, pa.scalar(uid, pa.string())).as_py() for uid in uids]
        return np.array([place for place in found if place >= 0], np.int64)

    def _reached(self, adjacent: tuple[Any, Any], uids: Sequence[str]) -> Any:
        """Return what can be reached, step by step; a circle ends where it closes."""
        import numpy as np

        starts, targets = adjacent
        seen = np.zeros(len(self._uids), bool)
        steps = [np.empty(0, np.int64)]
        frontier = self._places(uids)
        while len(frontier):
            counts = starts[frontier + 1] - starts[frontier]
            ends = np.cumsum(counts)
            places = np.arange(ends[-1]) + np.repeat(starts[frontier] - (ends - counts), counts)
            found = np.unique(targets[places])
            frontier = found[~seen[found]].astype(np.int64)
            seen[frontier] = True
            steps.append(frontier)
        return np.concatenate(steps)


def _adjacent(origin: Any, target: Any, size: int) -> tuple[Any, Any]:
    """Return where each origin's targets begin, and the targets in that order."""
    import numpy as np

    order = np.argsort(origin, kind="stable")
    starts = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(origin, minlength=size), out=starts[1:])
    return starts, target[order]


_kept: OrderedDict[tuple[int, int], tuple[object, object, Hierarchy]] = OrderedDict()


def hierarchy_of(snapshot: Snapshot, table: str) -> Hierarchy:
    """Return the hierarchy of a registry at a snapshot; kept for as long as no commit touches that registry."""
    state = snapshot.state(table)
    key = (id(state.base), id(state.tail))
    if (known := _kept.get(key)) is not None and known[0] is state.base and known[1] is state.tail:
        return known[2]
    rows = snapshot.arrow(f"select uid, parent_uids from {quoted(table)}", tables=[table]).combine_chunks()
    made = Hierarchy(_whole(rows["uid"]), _whole(rows["parent_uids"]))
    _kept[key] = (state.base, state.tail, made)
    while len(_kept) > _MOST:
        _kept.popitem(last=False)
    return made


def _whole(column: pa.ChunkedArray) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
