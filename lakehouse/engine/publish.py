"""Publishing: folding the tail of every dirty table into Delta, up to one commit."""

from __future__ import annotations

import bisect
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from lakehouse.engine.arrow import pc
from lakehouse.engine.catalog import Catalog, Publication, from_micros
from lakehouse.engine.changes import DataFile
from lakehouse.engine.datafile import read_column, read_rows, sorted_by_uid, write_files
from lakehouse.engine.deltalog import DeltaLog, Note, Stale
from lakehouse.engine.faults import reach
from lakehouse.engine.folder import Folder, table_folder
from lakehouse.engine.forks import can_publish
from lakehouse.engine.lease import Lease
from lakehouse.engine.options import Options
from lakehouse.engine.parallel import side_by_side
from lakehouse.engine.pruning import Among, within
from lakehouse.engine.published import HEAD, declared, details
from lakehouse.engine.recovery import Recovery
from lakehouse.engine.schemas import Schemas
from lakehouse.engine.state import StateCache, TableState
from lakehouse.errors import Abandoned, Diverged, Unavailable, Unsupported

__all__ = ["HEAD", "Publisher", "Rewriting", "refuse_forked"]

_TRIES = 4


@dataclass(frozen=True)
class _Folded:
    """What one Delta commit adds and removes."""

    adds: list[DataFile]
    removes: list[DataFile]


@dataclass(frozen=True)
class _Touched:
    """A file, and which of its keys were changed after it came."""

    position: int
    """That of the segment which brought it; -1 for a published file."""
    file: DataFile
    hit: pa.Array


@dataclass(frozen=True)
class Rewriting:
    """What changes of published rows cost a round."""

    size: int
    """Bytes of the files that hold changed keys, or may."""
    rows: int
    """Published rows of the tables that have such changes."""


class Publisher:
    """Publishes one lake; any process may, one at a time does."""

    def __init__(
        self, root: Folder, catalog: Catalog, schemas: Schemas, states: StateCache, lease: Lease, options: Options
    ) -> None:
        self._root, self._catalog, self._schemas, self._states = root, catalog, schemas, states
        self._lease, self._options = lease, options
        with catalog.read() as session:
            self.lake = session.meta().lake

    def publish(self) -> int | None:
        """Run one round; returns the commit that every table now shows, None when another process is at it.

        Raises
        ------
        Diverged
            When Delta and catalog do not belong together; nothing was changed.
        Unsupported
            In a forked child of a process that had loaded deltalake.
        """
        refuse_forked()
        return self._lease.under(self._round)

    def _round(self, epoch: int) -> int:
        reach("publish.leased")
        with self._catalog.read() as session:
            target = session.head()
        self.recover(epoch)
        with self._lease.beating(epoch):  # rewriting files may take longer than the lease
            for table in self._schemas.names():
                self._publish_steadily(table, target, epoch)
        self._write_head(target, epoch)
        return target

    def _publish_steadily(self, table: str, target: int, epoch: int) -> None:
        """Publish a table, again where its log had moved."""
        for attempt in range(1, _TRIES + 1):
            try:
                self._publish_table(table, target, epoch)
                return
            except Stale as error:
                if attempt == _TRIES:
                    raise self._given_up(table, error) from error
                self.recover(epoch)

    def _given_up(self, table: str, error: Stale) -> Unavailable:
        """Return why a table is left for now: others move it, or, where nothing moved, it cannot be written."""
        with self._catalog.read() as session:
            newest = session.publication(table, session.head())
        version = newest.version if newest else -1
        if DeltaLog(table_folder(self._root, table), self.lake).versions(above=version):
            return Abandoned(f"{table} keeps moving: {error}")
        return Unavailable(
            f"{table} cannot be published, though nothing else moved it ({error}): mend that, then flush"
        )

    def recover(self, epoch: int) -> None:
        """Adopt or remove what a dead publisher left; other maintenance begins with it, too."""
        Recovery(self._root, self._catalog, self._schemas, self.lake).run(epoch, self.ratify)

    def renew_head(self, epoch: int) -> None:
        """Let ``head.json`` name the newest Delta versions of the commit that it names: compaction replaced files."""
        with self._catalog.read() as session:
            target = session.meta().head_json
        if target:
            self._write_head(target, epoch)

    # -- one table -------------------------------------------------------------------------------------------------
    def _publish_table(self, table: str, target: int, epoch: int) -> None:
        """Publish a table to ``target``; a schema change on the way is a barrier with a Delta commit of its own."""
        versions = self._schemas.versions(table)
        state = self._state(table, target)
        barriers = [v for v in versions[1:] if state.published < v.since <= target]
        if not barriers and not state.tail.length:
            return
        log = DeltaLog(table_folder(self._root, table), self.lake)
        if state.publication is None:
            self._create(log, table, epoch)
        for barrier in barriers:
            if self._state(table, barrier.since - 1).tail.length:
                self._append(log, table, barrier.since - 1, epoch)
            change = self._renew if barrier.renews else self._add_columns
            change(log, table, barrier.since, epoch)
        if self._state(table, target).tail.length:
            self._append(log, table, target, epoch)

    def _state(self, table: str, commit: int) -> TableState:
        with self._catalog.read() as session:
            return self._states.load(session, self._schemas.versions(table), commit)

    def _note(self, kind: str, state: TableState, target: int) -> Note:
        with self._catalog.read() as session:
            info = session.commit(target)
        rules = state.table.spec.rules() if kind == "schema" else None
        return Note(self.lake, kind, state.published, target, info.uid if info else "", state.table.version, rules)

    def _create(self, log: DeltaLog, table: str, epoch: int) -> None:
        first = self._schemas.versions(table)[0]
        log.create(first, Note(self.lake, "create", 0, 0, "", first.version, first.spec.rules()))
        reach("publish.created")
        log.sync(0)
        self.ratify(table, -1, Publication(0, 0), [], [], epoch)

    def _add_columns(self, log: DeltaLog, table: str, since: int, epoch: int) -> None:
        """Put the schema of commit ``since`` in force."""
        state = self._state(table, since)
        older = next(v for v in reversed(state.versions) if v.version < state.table.version)
        handle = log.open(state.version, state.published)
        there = set(log.schema(state.version).names)  # a log that was realigned may have them already
        added = [item for item in state.table.spec.added_to(older.spec) if item.name not in there]
        reach("publish.before_delta")
        log.add_columns(handle, self._note("schema", state, since), added)
        self._settle(log, state, since, _Folded([], []), epoch)

    def _renew(self, log: DeltaLog, table: str, since: int, epoch: int) -> None:
        """Put the schema of commit ``since`` in force, and the rows that it wrote anew in the place of all others."""
        state = self._state(table, since)
        handle = log.open(state.version, state.published)
        with self._catalog.read() as session:
            removes = session.files(table, state.published)
        folded = _Folded(self._fold(state, since).adds, removes)
        log.folder.sync()
        reach("publish.before_delta")
        log.renew(handle, self._note("schema", state, since), folded.adds, state.table)
        self._settle(log, state, since, folded, epoch)

    def _append(self, log: DeltaLog, table: str, target: int, epoch: int) -> None:
        """Files first, then the log entry, then the publication."""
        state = self._state(table, target)
        handle = log.open(state.version, state.published)
        if not log.takes(handle, state.table, self._schemas.versions(table)):
            raise Diverged(f"{table}: the columns in Delta are not those of the catalog: run `lakehouse check`")
        folded = self._fold(state, target)
        live = {uri.rsplit("/", 1)[-1] for uri in handle.file_uris()} if folded.removes else set()
        if not {f.path for f in folded.removes} <= live:
            raise Diverged(f"{table}: the Delta log does not hold the files of its publication")
        log.folder.sync()
        reach("publish.before_delta")
        log.append(handle, self._note("publish", state, target), folded.adds, folded.removes)
        self._settle(log, state, target, folded, epoch)

    def _settle(self, log: DeltaLog, state: TableState, target: int, folded: _Folded, epoch: int) -> None:
        """Make the log entry durable, then record the publication, then checkpoint."""
        version = state.version + 1
        reach("publish.after_delta")
        log.sync(version)
        reach("publish.log_synced")
        removed = [f.path for f in folded.removes]
        self.ratify(state.table.name, state.version, Publication(version, target), folded.adds, removed, epoch)
        reach("publish.ratified")
        if version % self._options.checkpoint_every == 0:
            log.checkpoint(version)  # never of an unratified version

    def ratify(
        self, table: str, old: int, new: Publication, adds: Sequence[DataFile], removes: Sequence[str], epoch: int
    ) -> None:
        """Record a publication: only on top of the one that was read, only while the lease is ours."""
        with self._catalog.locked(epoch) as session:
            if not session.ratify(table, old, new, time.time_ns() // 1000, adds, removes):
                raise Abandoned(f"{table}: version {old} is no longer the newest publication")
            session.set_lease(self._lease.holder, time.time() + self._options.lease, new_epoch=False)

    # -- folding ---------------------------------------------------------------------------------------------------
    def _fold(self, state: TableState, target: int) -> _Folded:
        """Rewrite only files that hold changed keys, take over untouched staged files, merge many small ones."""
        prefix = f"p-{state.version}-{state.published}-{target}"
        small, adds, touched, merged = self._small_ones(state), list[DataFile](), list[_Touched](), list[_Touched]()
        found = self._touched(state)
        for item in found:
            if len(item.hit) or item.file.path in small:
                (merged if item.file.path in small else touched).append(item)
            elif item.position >= 0:
                adds.append(item.file)
        rows = state.tail.rows
        homes = _homes(rows["uid"], touched)
        left = pa.concat_tables([rows.take(homes.pop(-1)), *(self._kept(state, item) for item in merged)])

        def rewrite(place: int) -> list[DataFile]:
            mine = rows.take(homes[place])
            return self._write(state, pa.concat_tables([self._kept(state, touched[place]), mine]), prefix)

        adds += [file for files in side_by_side(rewrite, range(len(touched))) for file in files]
        removes = [item.file for item in (*touched, *merged) if item.position < 0]
        return _Folded(adds + self._write(state, left, prefix), removes)

    @staticmethod
    def _touched(state: TableState) -> list[_Touched]:
        """Return every file with those of its keys that came to be changed."""
        files = [(-1, file) for file in state.base.files] + list(state.tail.staged)
        keys = {p: sorted(state.tail.hidden_after(p).to_pylist()) for p in {position for position, _ in files}}

        def look(item: tuple[int, DataFile]) -> _Touched:
            position, file = item
            return _Touched(position, file, _hit(state.base.folder, file, keys[position]))

        return side_by_side(look, files)

    @staticmethod
    def _kept(state: TableState, item: _Touched) -> pa.Table:
        """Return the rows of a file that were not changed."""
        kept = read_rows(state.base.folder, item.file, state.table.schema)
        return kept.filter(pc.invert(pc.is_in(kept["uid"], item.hit))) if len(item.hit) else kept

    def rewriting(self) -> Rewriting:
        """Return what a round would have to rewrite now, at most; only the catalog is asked."""
        with self._catalog.read() as session:
            self._schemas.refresh(session)
            head = session.head()
            states = [self._states.load(session, self._schemas.versions(t), head) for t in self._schemas.names()]
        size = rows = 0
        for state in states:
            if len(state.tail.hidden) and state.base.files:
                keep = within([Among("uid", sorted(state.tail.hidden_after(-1).to_pylist()))])
                size += sum(file.size for file in state.base.files if keep(file))
                rows += state.base.rows
        return Rewriting(size, rows)

    def _small_ones(self, state: TableState) -> frozenset[str]:
        """Return the files to be merged: when there are many small ones, all of them."""
        limit = max(self._options.file_rows // 8, 1)
        small = [f.path for f in state.base.files if f.rows < limit]
        return frozenset(small) if len(small) >= self._options.merge_files else frozenset()

    def _write(self, state: TableState, rows: pa.Table, prefix: str) -> list[DataFile]:
        rows = sorted_by_uid(rows)
        return write_files(state.base.folder, rows, state.table, self._options, stem=prefix)

    # -- head.json -------------------------------------------------------------------------------------------------
    def _write_head(self, target: int, epoch: int) -> None:
        """Replace ``head.json`` under the lock, so that a sleeper cannot put an older one over a newer one."""
        with self._catalog.read() as session:
            states = {t: self._states.load(session, self._schemas.versions(t), target) for t in self._schemas.names()}
            info = session.commit(target)
        tables = {
            name: {
                "version": s.version,
                "files": [f.path for f in s.base.files],
                "rules": s.table.spec.rules(),
                "details": details(s.base.files),
            }
            for name, s in states.items()
            if s.publication is not None
        }
        at = (info.at if info else from_micros(0)).isoformat()
        uid = info.uid if info else ""
        named = {"lake": self.lake, "epoch": epoch, "commit": target, "uid": uid, "at": at}
        schemas = {name: declared(self._schemas.versions(name), target) for name in states}
        document = {"format": 1, **named, "tables": tables, "schemas": schemas}
        draft = self._root.draft(HEAD, json.dumps(document, indent=1).encode())
        try:
            reach("publish.before_head")
            with self._catalog.locked(epoch) as session:
                draft.put(partial(_is_newer, epoch, target))
                reach("lock.head_replaced")
                self._root.sync()  # before the pin moves: an older head.json must not come back without it
                session.set_head_json(target)  # a pin: what head.json names stays readable
        finally:
            draft.discard()


def _homes(uids: pa.ChunkedArray, touched: Sequence[_Touched]) -> dict[int, pa.Array]:
    """Return which rows go into which file, by its place, and the others under -1.

    A key may be in several files, of which later ones hide it in earlier ones; its row goes into the first.
    """
    home: dict[str, int] = {}
    for place, item in enumerate(touched):
        for uid in item.hit.to_pylist():
            home.setdefault(uid, place)
    found: dict[int, list[int]] = {place: [] for place in range(-1, len(touched))}
    for position, uid in enumerate(uids.to_pylist()):
        found[home.get(uid, -1)].append(position)
    return {place: pa.array(positions, pa.int64()) for place, positions in found.items()}


def refuse_forked() -> None:
    """Raise ``Unsupported`` where deltalake's threads are not."""
    if not can_publish():
        raise Unsupported(
            "a forked process cannot publish, since deltalake's threads stayed in its parent: leave it to the parent "
            "(the commits are safe), or start workers with multiprocessing.get_context('spawn')"
        )


def _is_newer(epoch: int, target: int, found: bytes) -> bool:
    """Whether a ``head.json`` must not be replaced by that of an epoch and a commit."""
    document = json.loads(found)
    return bool(document["epoch"] > epoch or document["commit"] > target)


def _hit(folder: Folder, file: DataFile, hidden: list[str]) -> pa.Array:
    """Return those of the (sorted) hidden keys that the file holds."""
    start, end = bisect.bisect_left(hidden, file.low), bisect.bisect_right(hidden, file.high)
    near = pa.array(hidden[start:end], pa.string())
    if not len(near):
        return near
    uids = read_column(folder, file, "uid").combine_chunks()
    return uids.filter(pc.is_in(uids, near))
