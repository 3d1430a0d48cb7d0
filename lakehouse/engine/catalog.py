"""The catalog: the authority on what is committed, behind a Protocol that every database implements.

A *session* is what can be asked inside one transaction of the database; a catalog hands out reading sessions
(one consistent snapshot, never blocking) and locked ones (the head lock: one total order of commits).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from lakehouse.engine.changes import DataFile, Segment
from lakehouse.engine.table import TableVersion
from lakehouse.errors import InputError

__all__ = [
    "Catalog",
    "ChangeRow",
    "CommitInfo",
    "Intent",
    "Meta",
    "Pin",
    "Publication",
    "Session",
    "Tag",
    "closed",
    "from_micros",
    "to_micros",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(at: datetime) -> int:
    """Return microseconds since 1970 (UTC).

    Examples
    --------
    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the aware time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True)
class Meta:
    """The one row of facts about the lake."""

    lake: str
    home: str
    """Where the root lay when it was last opened for writing."""
    oldest_readable: int
    """No commit below this one is promised to be readable."""
    swept_before: int
    """Staged files whose staging began before this time (microseconds) may be gone."""
    epoch: int
    """Counts the leases that were taken."""
    holder: str
    until: float
    """When the lease ends, in seconds since 1970."""
    head_json: int
    """The commit that ``head.json`` names."""
    schema_commit: int
    """The newest commit that changed a schema."""


@dataclass(frozen=True)
class CommitInfo:
    """A commit of the lake."""

    id: int
    uid: str
    at: datetime
    """UTC; strictly growing with ``id``."""
    user: str
    run: str | None
    message: str


@dataclass(frozen=True)
class Tag:
    """A name for a commit, which stays readable as long as it has one."""

    name: str
    commit: int
    at: datetime
    """When it was named, UTC."""
    user: str
    message: str


@dataclass(frozen=True)
class Publication:
    """A Delta version of a table and the commit whose state it shows."""

    version: int
    commit: int


@dataclass(frozen=True)
class Pin:
    """What keeps a commit readable for a time."""

    name: str
    commit: int
    until: datetime
    """UTC."""


@dataclass(frozen=True)
class Intent:
    """What maintenance is about to commit to a Delta log; the entry names it."""

    uid: str
    table: str
    version: int
    """The Delta version that it will be; the intent is forgotten once that or a later one is published."""
    adds: tuple[str, ...]
    removes: tuple[str, ...]


@dataclass(frozen=True)
class ChangeRow:
    """An encoded segment, ready to be appended."""

    table: str
    op: str
    schema: int
    rows: int
    body: bytes
    staged: bool = False
    """Whether the body names staged files instead of holding the rows."""


class Session(Protocol):
    """What can be asked, and under the head lock changed, inside one transaction of the database."""

    def meta(self) -> Meta:
        """Return the facts about the lake."""
        ...

    def head(self) -> int:
        """Return the newest commit, 0 when there is none."""
        ...

    def tables(self) -> list[TableVersion]:
        """Return every schema version of every table, oldest first."""
        ...

    def publication(self, table: str, at: int) -> Publication | None:
        """Return the newest publication at or below a commit."""
        ...

    def files(self, table: str, published: int) -> list[DataFile]:
        """Return the files of a publication, by lowest uid."""
        ...

    def segments(self, table: str, above: int, upto: int, versions: Sequence[TableVersion]) -> list[Segment]:
        """Return the segments of a table in ``(above, upto]``, in order."""
        ...

    def outcome(self, client_txn: str) -> int | None:
        """Return the commit that a client transaction became, if it did."""
        ...

    def commit(self, commit: int) -> CommitInfo | None:
        """Return one commit."""
        ...

    def commits(self, limit: int | None) -> list[CommitInfo]:
        """Return the newest commits, newest first."""
        ...

    def commits_after(self, above: int, upto: int, limit: int) -> list[tuple[CommitInfo, int, int]]:
        """Return commits in ``(above, upto]``, the oldest first, with their rows and bytes."""
        ...

    def commit_at(self, micros: int) -> int:
        """Return the newest commit at or before a time, 0 when there is none."""
        ...

    def tags(self) -> list[Tag]:
        """Return all tags, by commit and name."""
        ...

    def is_tagged(self, commit: int) -> bool:
        """Whether a commit has a name."""
        ...

    def tail_size(self, above: int) -> tuple[int, int, int]:
        """Return commits, rows and bytes above a commit."""
        ...

    def claimed(self, table: str, group: str) -> pa.Array:
        """Return the unique values that are claimed one by one."""
        ...

    def has_filter(self, table: str, group: str) -> bool:
        """Whether bulk inserts left hashes of their unique values."""
        ...

    def filter_depths(self, table: str, group: str) -> list[int]:
        """Return the bits that number the buckets of runs, each once."""
        ...

    def filter_blocks(self, table: str, group: str, first: int, last: int) -> list[bytes]:
        """Return the blocks of sorted hashes with numbers from first to last."""
        ...

    def filter_bytes(self, table: str, group: str) -> int:
        """Return the size of all blocks."""
        ...

    def pins(self) -> list[Pin]:
        """Return all pins, by commit; those whose time is over may be among them."""
        ...

    def kept_files(self, table: str) -> list[DataFile]:
        """Return the published files that some retained commit may be read from."""
        ...

    def intent(self, uid: str) -> Intent | None:
        """Return an intent that is not forgotten yet."""
        ...

    def referenced_paths(self, table: str) -> set[str]:
        """Return every data file that a publication or a change row names."""
        ...

    # -- under the head lock ---------------------------------------------------------------------------------------
    def append(
        self, client_txn: str, now: int, user: str, run: str | None, message: str, changes: Sequence[ChangeRow]
    ) -> int:
        """Append a commit with its segments and return its id."""
        ...

    def add_schema(self, version: TableVersion) -> None:
        """Record a table or a new schema of it."""
        ...

    def claim(self, table: str, group: str, values: Sequence[str]) -> None:
        """Take unique values; raises ``Duplicate``."""
        ...

    def release(self, table: str, group: str, values: Iterable[str]) -> None:
        """Give up unique values."""
        ...

    def forget_claims(self, table: str, group: str) -> None:
        """Give up every value of a unique group, with its filter."""
        ...

    def add_filter(self, table: str, group: str, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Add the sorted hashes of a bulk insert, by bucket."""
        ...

    def drop_filter(self, table: str, group: str, first: int, last: int) -> None:
        """Remove the blocks with numbers from first to last, after they were merged."""
        ...

    def set_lease(self, holder: str, until: float, *, new_epoch: bool) -> int:
        """Take (``new_epoch``) or renew the lease; returns its epoch."""
        ...

    def ratify(
        self, table: str, old: int, new: Publication, now: int, adds: Sequence[DataFile], removes: Sequence[str]
    ) -> bool:
        """Append a publication if ``old`` is still the newest version (-1: none); False when it is not."""
        ...

    def intend(self, intent: Intent) -> None:
        """Record what maintenance is about to commit to a Delta log."""
        ...

    def set_head_json(self, commit: int) -> None:
        """Remember what ``head.json`` names."""
        ...

    def set_home(self, home: str) -> None:
        """Remember where the root lies."""
        ...

    def pin(self, name: str, commit: int, until: float) -> None:
        """Keep a commit readable until a time."""
        ...

    def unpin(self, name: str) -> None:
        """Drop a pin."""
        ...

    def add_tag(self, name: str, commit: int, now: int, user: str, message: str) -> None:
        """Name a commit; the name is free."""
        ...

    def drop_tag(self, name: str) -> None:
        """Forget a name."""
        ...

    def horizon_candidates(self, cutoff: int, now: float) -> int:
        """Return the newest commit below which nothing is retained, pinned or recently replaced."""
        ...

    def advance_horizon(self, oldest: int, swept_before: int) -> None:
        """Move the horizon (never back) and forget what neither it nor a tagged commit needs."""
        ...


def closed(name: str) -> InputError:
    """Return what to raise when a catalog is asked after it was closed."""
    return InputError(f"the instance with the catalog {name} was closed: open it again to go on")


class Catalog(Protocol):
    """A database that holds a lake's catalog."""

    @property
    def name(self) -> str:
        """What it is called in messages; no secret is in it."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The local files that it consists of, whether they are there or not."""
        ...

    def size(self) -> int:
        """Return how many bytes it takes."""
        ...

    def exists(self) -> bool:
        """Whether its tables were created."""
        ...

    def create(self, home: str) -> bool:
        """Create the tables for a lake whose root lies there; False when another process was first."""
        ...

    def read(self, *, brief: bool = False) -> AbstractContextManager[Session]:
        """Open a consistent reading session.

        Parameters
        ----------
        brief
            Little more than ``meta`` and ``head`` will be asked for, in this order: what is asked afterwards may be
            answered by a younger state, which costs a server fewer round trips.
        """
        ...

    def locked(self, epoch: int | None = None) -> AbstractContextManager[Session]:
        """Take the head lock; with ``epoch``, only while that lease is still the newest (else ``Abandoned``)."""
        ...

    def close(self) -> None:
        """Close every connection of this process; whoever asks it afterwards gets an ``InputError``."""
        ...
