"""Unique values: single rows claim theirs by value, bulk inserts through a filter of hashes.

A million values claimed one by one would hold the head lock for two seconds. A bulk insert therefore checks its
values outside the lock and leaves only sorted hashes behind, in buckets. A later hit in that filter proves nothing;
the rows themselves decide, so that values which were given up since, and hashes that collide, cost a look-up and
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import Session
from lakehouse.engine.changes import Op, ReadColumn, Segment
from lakehouse.engine.hashruns import blocks_of, known
from lakehouse.engine.parallel import sort_numbers
from lakehouse.engine.requirements import Requirement, RowsUntouched
from lakehouse.engine.snapshot import Snapshot
from lakehouse.engine.table import TableSpec
from lakehouse.engine.texthashes import Hashes, hash_texts
from lakehouse.errors import Duplicate, shown

__all__ = [
    "Claim",
    "ValuesFree",
    "bulk_requirements",
    "claim_of",
    "is_final",
    "joined",
    "merged",
    "record",
    "take",
    "unclaimed",
    "untouched",
]

_SEPARATOR = "\x1f"
_ESCAPE = "\x1e"
_BULK = 1_000
_TEXT = pa.string()
_PLAIN = frozenset({_TEXT, pa.int64(), pa.int32()})
"""Types whose values Python writes as Arrow does."""


@dataclass(frozen=True)
class Claim:
    """Values of one unique group that a transaction gives up and takes."""

    table: str
    group: tuple[str, ...]
    rows: pa.Table
    """The group's columns and the uid of rows that take a value; none of the values is null."""
    values: pa.Array
    """The joined values of :attr:`rows`."""
    released: list[str] = field(default_factory=list)
    own: frozenset[str] = frozenset()
    """Rows that the transaction replaces and that lose their value: it is theirs to give."""

    @property
    def name(self) -> str:
        """The group as the catalog names it."""
        return ",".join(self.group)

    @property
    def bulk(self) -> bool:
        """Whether it goes through the filter."""
        return len(self.values) > _BULK

    @cached_property
    def hashes(self) -> Hashes:
        """The hash of each value."""
        return hash_texts(self.values)

    @cached_property
    def sorted_hashes(self) -> Hashes:
        """The hashes in order."""
        hashes = self.hashes.copy()
        sort_numbers(hashes)
        return hashes

    def picked(self, positions: Any) -> Claim:
        """Return the claim for some of the rows."""
        picked = pa.array(positions, pa.int64())
        return Claim(self.table, self.group, self.rows.take(picked), self.values.take(picked), [], self.own)


def joined(rows: pa.Table, group: Sequence[str]) -> pa.ChunkedArray:
    r"""Return the group's values as one text per row, null where one of them is null.

    Examples
    --------
    >>> joined(pa.table({"key": ["a", None], "version": [1, 2]}), ["key", "version"]).to_pylist()
    ['a\x1f1', None]
    """
    if len(rows) == 1 and all(rows.schema.field(c).type in _PLAIN for c in group):
        return pa.chunked_array([[_joined_values([rows[c][0].as_py() for c in group])]], _TEXT)
    columns = [rows[c].cast(_TEXT) for c in group]
    if len(group) == 1:
        return columns[0]
    for escape, inside in ((_ESCAPE, _ESCAPE), ("1", _SEPARATOR)):  # else ("a\x1fb", "c") would be ("a", "b\x1fc")
        columns = [pc.replace_substring(column, inside, _ESCAPE + escape) for column in columns]
    return pc.binary_join_element_wise(*columns, _SEPARATOR)


def _joined_values(values: Sequence[str | int | None]) -> str | None:
    """Return the values of one row as one text."""
    texts = [str(value) for value in values if value is not None]
    if len(texts) < len(values):
        return None
    if len(texts) == 1:
        return texts[0]
    return _SEPARATOR.join(t.replace(_ESCAPE, _ESCAPE * 2).replace(_SEPARATOR, _ESCAPE + "1") for t in texts)


def claim_of(spec: TableSpec, group: tuple[str, ...], rows: pa.Table, before: pa.Table | None) -> Claim:
    """Return what rows claim for a group; ``before`` are the rows that they replace, as they were planned on."""
    kept = rows.select(["uid", *group])
    values = joined(kept, group)
    if values.null_count:
        kept, values = kept.filter(pc.is_valid(values)), values.drop_null()
    claim = Claim(spec.name, group, kept, _flat(values))
    if before is None:
        return claim
    old = dict(zip(before["uid"].to_pylist(), joined(before, group).to_pylist(), strict=True))
    pairs = list(zip(kept["uid"].to_pylist(), values.to_pylist(), strict=True))
    moved = [i for i, (uid, value) in enumerate(pairs) if old.get(uid) != value]
    same = {uid for uid, value in pairs if old.get(uid) == value}
    released = [value for uid, value in old.items() if value is not None and uid not in same]
    picked = claim.picked(moved)
    giving = frozenset(old) - same  # a row that keeps its value does not give it to another
    return Claim(spec.name, group, picked.rows, picked.values, released, giving)


def merged(claims: Iterable[Claim]) -> list[Claim]:
    """Return one claim per group: a value may move from row to row of a transaction, but go to one of them only."""
    found: dict[tuple[str, tuple[str, ...]], list[Claim]] = {}
    for claim in claims:
        found.setdefault((claim.table, claim.group), []).append(claim)
    return [parts[0] if len(parts) == 1 else _together(parts) for parts in found.values()]


def _together(parts: list[Claim]) -> Claim:
    rows = pa.concat_tables([p.rows for p in parts])
    values = _flat(pa.chunked_array([p.values for p in parts], pa.string()))
    released = [value for p in parts for value in p.released]
    return Claim(parts[0].table, parts[0].group, rows, values, released, frozenset().union(*(p.own for p in parts)))


def untouched(table: str, uids: Iterable[str]) -> Requirement:
    """Return the requirement that keeps a release honest: the rows still hold what they held at planning."""
    return RowsUntouched(table, frozenset(uids))


# -- outside the lock ----------------------------------------------------------------------------------------------
def bulk_requirements(claims: Iterable[Claim]) -> list[Requirement]:
    """Return what has to hold for the bulk claims among these."""
    return [ValuesFree(claim) for claim in claims if claim.bulk]


@dataclass(frozen=True)
class ValuesFree:
    """No other row holds one of a bulk claim's values."""

    claim: Claim

    @property
    def table(self) -> str:
        """The table that it looks at."""
        return self.claim.table

    def check(self, snapshot: Snapshot) -> None:
        """Raise ``Duplicate`` for values that are taken, or claimed twice."""
        claim, hashes = self.claim, self.claim.sorted_hashes
        if (hashes[1:] == hashes[:-1]).any() and (twice := _repeated(claim.values)) is not None:
            raise _duplicate(claim, twice)
        with snapshot.session() as session:
            suspects = _claimed(session, claim)
            if session.has_filter(claim.table, claim.name):
                suspects |= _in_filter(session, claim)
        _refuse_present(claim.picked(np.flatnonzero(suspects)), snapshot)

    def recheck(self, segment: Segment, read: ReadColumn) -> None:
        """Raise ``Duplicate`` for values that were taken since planning."""
        if segment.op is Op.DELETE:
            return
        for rows in _rows_of(segment, self.claim.group, read):
            values = _flat(joined(rows, self.claim.group))
            near = _contains(self.claim.sorted_hashes, hash_texts(values.fill_null("")))
            near &= np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False))
            for i in np.flatnonzero(near):
                mine = pc.any(pc.equal(self.claim.values, values[i])).as_py()
                if mine and rows["uid"][i].as_py() not in self.claim.own:
                    raise _duplicate(self.claim, values[i].as_py())


def _rows_of(segment: Segment, group: tuple[str, ...], read: ReadColumn) -> Iterable[pa.Table]:
    if segment.batch is not None:
        yield pa.Table.from_batches([segment.batch])
        return
    for file in segment.files:
        columns = {c: read(file, c) for c in ("uid", *group)}
        if all(len(column) == file.rows for column in columns.values()):  # else the file is older than the group
            yield pa.table(columns)


# -- under the lock ------------------------------------------------------------------------------------------------
def take(session: Session, claims: Sequence[Claim], head: Snapshot) -> None:
    """Give up values, then take the new ones; all releases come first, so that values can be swapped.

    Parameters
    ----------
    head
        The newest commit, to which the rows are held where the filter suspects them.

    Raises
    ------
    Duplicate
    """
    for claim in claims:
        if claim.released:
            session.release(claim.table, claim.name, claim.released)
    for claim in claims:
        if claim.bulk:
            session.add_filter(claim.table, claim.name, blocks_of(claim.sorted_hashes))
        elif len(claim.values):
            if session.has_filter(claim.table, claim.name):
                suspects = _in_filter(session, claim)
                _refuse_present(claim.picked(np.flatnonzero(suspects)), head)
            session.claim(claim.table, claim.name, claim.values.to_pylist())


def record(session: Session, claims: Iterable[Claim]) -> None:
    """Take values of rows that are known to hold them: the catalog is rebuilt from these rows."""
    for claim in claims:
        if claim.bulk:
            session.add_filter(claim.table, claim.name, blocks_of(claim.sorted_hashes))
        else:
            session.claim(claim.table, claim.name, claim.values.to_pylist())


def unclaimed(session: Session, claim: Claim) -> int:
    """Return how many values are neither claimed one by one nor in the filter."""
    held = _claimed(session, claim)
    if session.has_filter(claim.table, claim.name):
        held = held | _in_filter(session, claim)
    return int(len(held) - np.count_nonzero(held))


def is_final(claim: Claim, base: Snapshot) -> bool:
    """Whether a refused claim would be refused again: a value was there at planning, or is claimed twice."""
    if _repeated(claim.values) is not None:
        return True
    try:
        _refuse_present(claim, base)
    except Duplicate:
        return True
    return False


def _refuse_present(claim: Claim, snapshot: Snapshot) -> None:
    """Raise ``Duplicate`` if rows of a snapshot, the transaction's own aside, hold one of the values."""
    if not len(claim.values):
        return
    first = claim.group[0]
    found = snapshot.lookup(claim.table, first, claim.rows[first].to_pylist())
    wanted = set(claim.values.to_pylist())
    for uid, value in zip(found["uid"].to_pylist(), joined(found, claim.group).to_pylist(), strict=True):
        if value in wanted and uid not in claim.own:
            raise _duplicate(claim, value)


def _duplicate(claim: Claim, value: str) -> Duplicate:
    text = shown(value.replace(_SEPARATOR, ", "))
    return Duplicate(f"{claim.table}.{claim.name} {text} is already taken: look that record up instead")


def _repeated(values: pa.Array) -> str | None:
    counts = pc.value_counts(values)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    found: str | None = twice.field("values")[0].as_py() if len(twice) else None
    return found


# -- hashes --------------------------------------------------------------------------------------------------------
def _claimed(session: Session, claim: Claim) -> npt.NDArray[np.bool_]:
    """Return which values are claimed one by one."""
    claimed = session.claimed(claim.table, claim.name)
    if not len(claimed):
        return np.zeros(len(claim.values), dtype=bool)
    return np.asarray(pc.is_in(claim.values, claimed).to_numpy(zero_copy_only=False))


def _in_filter(session: Session, claim: Claim) -> npt.NDArray[np.bool_]:
    """Return which values the filter suspects of being taken."""
    order = np.argsort(claim.hashes)
    suspects = np.zeros(len(order), dtype=bool)
    suspects[order] = known(session, claim.table, claim.name, claim.hashes[order])
    return suspects


def _contains(known: Hashes, hashes: Hashes) -> npt.NDArray[np.bool_]:
    """Return which hashes are in a sorted array."""
    positions = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[positions] == hashes
    return found


def _flat(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(values, pa.ChunkedArray):
        return values
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
