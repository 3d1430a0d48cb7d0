"""The Delta log of one table: what we append to it, and how to read it when recovering.

Every commit is made through the handle that was checked and with ``max_commit_retries=0``: without it delta-rs
accepted a stale handle across a compaction; with it every stale handle is refused.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from formats.remote import scrubbed
from lakehouse.engine.changes import DataFile
from lakehouse.engine.folder import Folder, LocalFolder
from lakehouse.engine.table import TableVersion
from lakehouse.errors import Abandoned, Diverged, Unavailable

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

__all__ = ["DeltaLog", "Entry", "Note", "Stale"]


_LAST_CHECKPOINT = "_last_checkpoint"


class Stale(Abandoned):
    """The Delta table moved under us: recover and try again."""


@dataclass(frozen=True)
class Note:
    """What our commits say about themselves in the log."""

    lake: str
    kind: str
    """``create``, ``schema``, ``publish``, ``compact`` or ``realign``."""
    from_commit: int
    """The newest published commit before."""
    to_commit: int
    to_uid: str
    """The uid of commit ``to_commit``: ids alone repeat in a catalog that was restored from a backup."""
    schema: int
    """The table's schema version that the entry puts or finds in force."""
    rules: str | None = None
    """With a schema: the unique groups, references and comment that came with it, so that a catalog can be rebuilt."""
    intent: str | None = None
    """With a compaction: the uid under which the catalog holds what it replaces by what."""

    def as_metadata(self) -> dict[str, Any]:
        """Return the custom metadata of a Delta commit."""
        said: dict[str, Any] = {
            "lake": self.lake,
            "kind": self.kind,
            "from": self.from_commit,
            "to": self.to_commit,
            "to_uid": self.to_uid,
            "schema": self.schema,
        }
        more = {"rules": self.rules, "intent": self.intent}
        return {"lakehouse": said | {name: value for name, value in more.items() if value is not None}}


@dataclass(frozen=True)
class Entry:
    """A parsed log entry; ``note`` is None when it is foreign, ``torn`` when it cannot be read."""

    version: int
    note: Note | None = None
    adds: tuple[DataFile, ...] = ()
    removes: tuple[str, ...] = field(default=())
    torn: bool = False


class DeltaLog:
    """The log in a table's folder.

    Parameters
    ----------
    folder
        The table's folder.
    lake
        The lake's id, under which application transactions are kept.
    """

    def __init__(self, folder: Folder, lake: str) -> None:
        self.folder, self.lake = folder, lake
        self._entries = folder.below("_delta_log")

    def versions(self, above: int = -1) -> list[int]:
        """Return the versions of the entries that are there, ascending; those above a version only."""
        stems = [name.partition(".")[::2] for name in self._entries.names(_entry(above) if above >= 0 else "")]
        return [int(stem) for stem, suffix in stems if suffix == "json" and stem.isdigit()]

    def has(self, version: int) -> bool:
        """Whether an entry is there."""
        return self._entries.size(_entry(version)) is not None

    def sync(self, version: int) -> None:
        """Make an entry durable."""
        self._entries.sync(_entry(version), up=0 if version else 3)

    def remove(self, version: int) -> None:
        """Remove a torn entry."""
        self._entries.remove(_entry(version))
        self._entries.sync()

    def checkpoint(self, version: int) -> None:
        """Write a durable checkpoint of a version, so that readers need not go through all entries."""
        from deltalake import DeltaTable

        options = self.folder.delta_options()
        with _reaching(self.folder):
            DeltaTable(self.folder.uri, version=version, storage_options=options).create_checkpoint()
        self._entries.sync(
            *(name for name in self._entries.names() if _is_checkpoint(name, version) or name == _LAST_CHECKPOINT)
        )

    # -- writing ---------------------------------------------------------------------------------------------------
    def create(self, table: TableVersion, note: Note) -> None:
        """Write version 0; raises ``Stale`` when it is there."""
        from deltalake import DeltaTable, Schema

        with _committing(self.folder):
            DeltaTable.create(
                self.folder.uri,
                Schema.from_arrow(table.schema),
                mode="error",
                name=table.name,
                description=table.spec.comment or None,
                storage_options=self.folder.delta_options(),
                commit_properties=self._properties(note),
                post_commithook_properties=_hooks(),
            )

    def open(self, version: int, published: int) -> DeltaTable:
        """Return a handle; raises ``Stale`` unless it stands at ``version`` and shows commit ``published``."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            with _reaching(self.folder):
                handle = DeltaTable(self.folder.uri, storage_options=self.folder.delta_options())
        except DeltaError as error:
            if self._drop_torn_checkpoint():
                return self.open(version, published)
            raise Diverged(f"{self.folder} cannot be opened as a Delta table ({error}): restore its log") from error
        if handle.version() != version or (handle.transaction_version(self.lake) or 0) != published:
            raise Stale(f"{self.folder} is at version {handle.version()}, expected {version}")
        return handle

    def newest(self) -> DeltaTable:
        """Return a handle on whatever version is the newest; raises ``Diverged`` when there is none to be read."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        try:
            with _reaching(self.folder):
                return DeltaTable(self.folder.uri, storage_options=self.folder.delta_options())
        except DeltaError as error:
            raise Diverged(f"{self.folder} cannot be opened as a Delta table ({error}): restore its log") from error

    def schema(self, version: int | None = None) -> pa.Schema:
        """Return the columns at a version (default: the newest), with their comments."""
        import pyarrow as pa
        from deltalake import DeltaTable

        options = self.folder.delta_options()
        found = DeltaTable(self.folder.uri, version=version, storage_options=options).schema()
        return pa.schema(found.to_arrow())

    def _drop_torn_checkpoint(self) -> bool:
        """Remove a checkpoint that a power failure left unreadable, with the pointer to it; the entries hold it all."""
        names = self._entries.names()
        checkpoints = [name for name in names if name.endswith(".checkpoint.parquet")]
        torn = [name for name in checkpoints if not _has_footer(self._entries.read(name))]
        if not torn and (checkpoints or _LAST_CHECKPOINT not in names):
            return False
        for name in (_LAST_CHECKPOINT, *torn):  # the pointer first: without it every checkpoint is optional
            self._entries.remove(name)
        self._entries.sync()
        return True

    def append(self, handle: DeltaTable, note: Note, adds: Sequence[DataFile], removes: Sequence[DataFile]) -> None:
        """Commit added and removed files through a checked handle; raises ``Stale`` when it moved."""
        from deltalake._internal import RemoveAction

        now = int(time.time() * 1000)
        change = note.kind != "compact"
        actions: list[AddAction | RemoveAction] = [_add_action(f, now, change=change) for f in adds]
        actions += [RemoveAction(path=f.path, data_change=change, deletion_timestamp=now, size=f.size) for f in removes]
        with _committing(self.folder):
            handle.create_write_transaction(
                actions,
                "append",
                handle.schema(),
                commit_properties=self._properties(note),
                post_commithook_properties=_hooks(),
            )

    @staticmethod
    def takes(handle: DeltaTable, table: TableVersion, versions: Sequence[TableVersion]) -> bool:
        """Whether rows of a table fit: Delta has their columns, and no others but those that it ever had.

        Delta drops a column that it does not know in silence. One that it has already, from a log that was realigned,
        is null in the rows that lack it.
        """
        from deltalake import Schema

        there, mine = ({f.name: f for f in s.fields} for s in (handle.schema(), Schema.from_arrow(table.schema)))
        known = {name for version in versions for name in version.schema.names}
        return all(there.get(name) == item for name, item in mine.items()) and there.keys() <= known

    def add_columns(self, handle: DeltaTable, note: Note, added: Sequence[pa.Field]) -> None:
        """Commit additional columns through a checked handle; raises ``Stale`` when it moved."""
        if not added:
            self.append(handle, note, [], [])
            return
        import pyarrow as pa
        from deltalake import Schema

        fields = Schema.from_arrow(pa.schema(list(added))).fields
        with _committing(self.folder):
            handle.alter.add_columns(
                fields, commit_properties=self._properties(note), post_commithook_properties=_hooks()
            )

    def renew(self, handle: DeltaTable, note: Note, adds: Sequence[DataFile], table: TableVersion) -> None:
        """Commit other columns and other files in the place of all there are; raises ``Stale`` when the table moved."""
        from deltalake import Schema

        now = int(time.time() * 1000)
        with _committing(self.folder):
            handle.create_write_transaction(
                [_add_action(file, now, change=True) for file in adds],
                "overwrite",
                Schema.from_arrow(table.schema),
                commit_properties=self._properties(note),
                post_commithook_properties=_hooks(),
            )

    def _properties(self, note: Note) -> CommitProperties:
        from deltalake import CommitProperties, Transaction

        return CommitProperties(
            custom_metadata=note.as_metadata(),
            max_commit_retries=0,
            app_transactions=[Transaction(self.lake, note.to_commit)],
        )

    # -- reading ---------------------------------------------------------------------------------------------------
    def read(self, version: int) -> Entry:
        """Return an entry's metadata and files."""
        try:
            actions = [json.loads(line) for line in self._entries.read(_entry(version)).decode().splitlines()]
            info = next(a["commitInfo"] for a in actions if "commitInfo" in a)
            found = info.get("lakehouse")
            if not found:
                return Entry(version)
            names = ("lake", "kind", "from", "to", "to_uid", "schema")
            said = [*(found[name] for name in names), found.get("rules"), found.get("intent")]
            note = Note(*said)
            adds = tuple(_added(a["add"], note.schema) for a in actions if "add" in a)
            removes = tuple(a["remove"]["path"] for a in actions if "remove" in a)
        except (ValueError, KeyError, TypeError, StopIteration):
            return Entry(version, torn=True)
        return Entry(version, note, adds, removes)


@contextmanager
def _committing(folder: Folder) -> Iterator[None]:
    """Tell a table that moved from a place that cannot be written."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except DeltaError as error:
        raise Stale(f"{folder}: {_plain(error)}") from error
    except OSError as error:
        raise Unavailable(
            f"{folder} cannot be written ({_plain(error)}); the commits are safe in the catalog: free some space or mend "
            "its permissions, then flush"
        ) from error


@contextmanager
def _reaching(folder: Folder) -> Iterator[None]:
    """Tell a store that cannot be reached from a log that cannot be read."""
    try:
        yield
    except OSError as error:
        if isinstance(folder, LocalFolder):
            raise
        raise Unavailable(f"{folder} cannot be reached ({scrubbed(_plain(error))}): try again") from None


def _plain(error: Exception) -> str:
    """Return delta-rs's message in one line without colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|↳", " ", str(error)).split())


def _entry(version: int) -> str:
    return f"{version:020d}.json"


def _is_checkpoint(name: str, version: int) -> bool:
    return name.startswith(f"{version:020d}.checkpoint") and name.endswith(".parquet")


def _hooks() -> Any:
    """Return delta-rs's own checkpoints and clean-ups switched off: ours come after the publication is recorded."""
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def _add_action(file: DataFile, now: int, *, change: bool) -> AddAction:
    from deltalake.transaction import AddAction

    return AddAction(file.path, file.size, {}, now, data_change=change, stats=_statistics(file))


def _has_footer(data: bytes) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(pa.BufferReader(data))
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _statistics(file: DataFile) -> str:
    return json.dumps(
        {
            "numRecords": file.rows,
            "minValues": {"uid": file.low} | {column: low for column, (low, _) in file.stats.items()},
            "maxValues": {"uid": file.high} | {column: high for column, (_, high) in file.stats.items()},
            "nullCount": {"uid": 0},
            "tightBounds": True,
        }
    )


def _added(action: dict[str, Any], schema: int) -> DataFile:
    statistics = json.loads(action["stats"])
    lows, highs = statistics["minValues"], statistics["maxValues"]
    low, high = lows.pop("uid"), highs.pop("uid")
    path = action["path"]
    if "/" in path or "\\" in path or "%" in path or ":" in path:  # ours are bare names: refuse to follow others
        raise ValueError(path)
    bounds = {column: [lows[column], highs[column]] for column in lows}
    return DataFile(path, action["size"], statistics["numRecords"], low, high, schema, bounds)
