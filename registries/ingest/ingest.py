"""One run of an ingest: what is new is read in parallel and registered in large transactions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formats.remote import is_remote
from lakehouse.errors import InputError, InvalidData, Unavailable, shown
from registries.curate import known_schema
from registries.ingest import screening
from registries.ingest.batch import Batch
from registries.ingest.checking import check_annotations
from registries.ingest.describing import share
from registries.ingest.entries import Entries, Source
from registries.ingest.findings import weight_of
from registries.ingest.lookout import Lookout
from registries.ingest.manifest import source_of
from registries.ingest.options import Options
from registries.ingest.outcomes import Outcome, Outcomes
from registries.ingest.placing import Group, Placing
from registries.ingest.plan import Plan
from registries.ingest.pool import Read, examined
from registries.ingest.registering import Registering, columns_of
from registries.ingest.remote import states_of
from registries.ingest.report import IngestReport
from registries.ingest.screening import Memory
from registries.ingest.state import State
from registries.ingest.storing import FATAL
from registries.schema import Schema, spec_of

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Ingest"]

_BATCH, _SECONDS = 40_000, 30.0
"""Files, or seconds, after which what was read is registered."""
_FIRST = 4_096
"""Files that are registered first, where there is nothing else to do; then twice as many each time."""
_VALUES = 1_000_000
"""Names that a schema collected, after which files are registered: a file may name some ten thousand genes."""
_THREADS = 16
"""Objects of a bucket that are asked for at once, where no executor is given."""


@dataclass
class Ingest:
    """One run.

    Parameters
    ----------
    home
        The instance.
    given
        A manifest, a folder, or a pattern of paths or URLs.
    options
        How.
    """

    home: Instance
    given: Any
    options: Options
    outcomes: Outcomes = field(default_factory=Outcomes)
    _total: int = 0

    def run(self) -> IngestReport:
        """Ingest, and return what became of each file."""
        self.options.check()
        if not self.options.dry_run:
            self.home.refuse_reading_only()
        began = time.monotonic()
        source = source_of(self.given, self.home, prefix=self.options.prefix)
        if self.options.sync and source.folder is None:
            raise InputError(f"sync=True follows a folder, and {shown(source.name)} is none")
        self._total = len(source.entries)
        self._schema, self._spec = self._find_schema()
        labels = check_annotations(self.home, source.entries, self.options)
        with Lookout() as lookout:
            self._registering = Registering(
                self.home,
                f"ingest {Path(source.name).name}",
                labels=labels,
                schema=self._schema,
                spec=self._spec,
                create_labels=self.options.create_labels,
                lookout=lookout,
            )
            self._refuse_faults(source.entries)
            state = State(self.home.lake.id, source.name, self._spec.to_json() if self._spec else "")
            with state.held():
                self._state = state
                self._ingest(source)
        return IngestReport(self.outcomes, time.monotonic() - began, self.options.dry_run)

    def _find_schema(self) -> tuple[Schema | None, Any]:
        given = self.options.schema
        if given is None:
            return None, None
        if isinstance(given, str):
            given = known_schema(self.home, given)
        if isinstance(given, Schema):
            return given, given.definition
        return None, spec_of(given)

    def _refuse_faults(self, entries: Entries) -> None:
        """Tell of entries that are wrong in themselves: all of them, before any file is read."""
        for place, (reason, message) in sorted(entries.faults.items()):
            self._failed(entries.paths[place], entries.keys[place], reason, message)
        self._stop_where_asked()

    def _ingest(self, source: Source) -> None:
        entries = source.entries
        memory = Memory(self._state.load(resume=self.options.resume), self._state.schema)
        places: Sequence[int] = range(len(entries))
        if entries.faults:
            places = [place for place in places if place not in entries.faults]
        if self.options.sync:
            places = self._settled(entries, places)
        if source.folder is None and not entries.states:
            self._ask_for_states(entries, places)
        places = self._changed(entries, places, memory)
        self._tell()
        placing = Placing(self.home, self.options.storage, source)
        for batch in self._batches(entries, places, placing):
            self._register(batch, placing)
        if self.options.sync:
            self._vanished(source, memory)
        if not self.options.dry_run:
            self._state.finish()

    def _ask_for_states(self, entries: Entries, places: Sequence[int]) -> None:
        """Ask buckets of URLs that no listing told of: what is as an earlier run saw it is not read again."""
        asked = [place for place in places if is_remote(entries.paths[place])]
        states = states_of([entries.paths[place] for place in asked], self.home.remote) if asked else []
        entries.states = {place: state for place, state in zip(asked, states, strict=True) if state}

    def _settled(self, entries: Entries, places: Sequence[int]) -> list[int]:
        """Leave files that were written a moment ago to the next run: their writer may not be done."""
        young, kept = time.time_ns() - int(self.options.settle * 1e9), list[int]()
        for place in places:
            path = entries.paths[place]
            if (times := screening.times_of(path)) is None or times[1] <= young:
                kept.append(place)
            else:
                message = f"{shown(path)} was written a moment ago"
                self.outcomes.append(Outcome(path, entries.keys[place], "waiting", reason="waiting", message=message))
        return kept

    def _changed(self, entries: Entries, places: Sequence[int], memory: Memory) -> Sequence[int]:
        """Return the places of what is to be read: files that are as an earlier run saw them need not be."""
        found = screening.screened(self.home.snapshot(), entries, places, memory)
        if found.unchanged:
            uids, hashes, sizes = zip(*found.rows, strict=True)
            self._label_again(entries, found.unchanged, uids)
            known = {"outcome": ["unchanged"] * len(uids), "uid": uids, "hash": hashes, "size": sizes}
            paths, keys = ([column[place] for place in found.unchanged] for column in (entries.paths, entries.keys))
            self.outcomes.extend({"path": paths, "key": keys, **known})
        if self.options.on_error == "quarantine":
            return sorted([*found.rest, *found.failed]) if found.failed else found.rest
        for place, (reason, message) in found.failed.items():
            self._failed(entries.paths[place], entries.keys[place], reason, message)
        self._stop_where_asked()
        return found.rest

    def _label_again(self, entries: Entries, places: Sequence[int], uids: Sequence[str]) -> None:
        """Give what is unchanged the labels and values that it is to have now."""
        notes = {n: entries.notes[place] for n, place in enumerate(places) if place in entries.notes}
        if notes and not self.options.dry_run:
            self._registering.label(uids, notes)

    # Files

    def _batches(self, entries: Entries, places: Sequence[int], placing: Placing) -> Iterator[Batch]:
        """Yield what was read, so many files or seconds at a time."""
        batch, began, values, enough = Batch(), time.monotonic(), 0, min(_FIRST, _BATCH)
        root = str(self.home.root)
        if self._spec is not None:
            share(self.home, root)
        try:
            for group in placing.groups(entries.paths, places):
                for read, columns in self._read(entries, group, placing):
                    batch.add(entries, read, columns)
                    values += weight_of(columns)
                    self._tell(len(batch))
                    full = len(batch) >= (_BATCH if read else enough) or values > _VALUES
                    if full or (len(batch) and time.monotonic() - began > _SECONDS):
                        yield batch
                        batch, began, values, enough = Batch(), time.monotonic(), 0, min(2 * enough, _BATCH)
            if len(batch):
                yield batch
        finally:
            share(None, root)

    def _read(self, entries: Entries, group: Group, placing: Placing) -> Iterator[Read]:
        places, lies_in, copied = group
        urls = bool(places) and is_remote(entries.paths[places[0]])
        plan = Plan(
            root=str(self.home.root),
            spec=None if self._spec is None else (self._spec.to_json(), self._spec.name),
            store=placing.copies_to if copied and not self.options.dry_run else None,
            remote=self.home.remote,
            keep_bad=self.options.on_error == "quarantine",
            urls=urls,
            lies_in=lies_in,
        )
        executor, workers = self.options.executor, self.options.workers
        if urls and executor is None:  # a bucket makes one wait rather than work
            with ThreadPoolExecutor(workers or _THREADS) as threads:
                yield from examined(entries.paths, places, plan, threads, None)
        else:
            yield from examined(entries.paths, places, plan, executor, workers)

    def _register(self, batch: Batch, placing: Placing) -> None:
        self._refuse_full(batch)
        seen = batch
        keeps, found = self.options.on_error == "quarantine", batch.found
        failed = [row for row in batch.bad() if not (keeps and found.hash[row])]
        faults = {row: (str(found.reason[row]), str(found.message[row])) for row in failed}
        self._all_failed(batch, faults)
        batch = batch.without(faults)
        faults = placing.place(batch)
        self._all_failed(batch, faults)
        batch = batch.without(faults)
        if len(batch):
            made = (
                screening.would_be(self.home.snapshot(), batch)
                if self.options.dry_run
                else self._registering.register(batch)
            )
            self.outcomes.extend(columns_of(batch, made))
        if not self.options.dry_run:
            self._state.add(seen)
        self._tell()
        self._stop_where_asked()

    def _refuse_full(self, batch: Batch) -> None:
        """Stop where the storage takes no more: that is no fault of a file."""
        if FATAL in batch.found.reason:
            message = batch.found.message[batch.found.reason.index(FATAL)]
            raise Unavailable(
                f"{message}; what is registered stays: make room, then run it again, and it goes on from there"
            )

    def _all_failed(self, batch: Batch, faults: dict[int, tuple[str, str]]) -> None:
        for row, (reason, message) in faults.items():
            self._failed(batch.paths[row], batch.keys[row], reason, message)
        self._stop_where_asked()

    def _failed(self, path: str, key: str, reason: str, message: str) -> None:
        self.outcomes.append(Outcome(path, key, "failed", reason=reason, message=message))

    def _stop_where_asked(self) -> None:
        """Raise at the first failure, where that is asked for."""
        if self.options.on_error != "stop" or "failed" not in self.outcomes.column("outcome"):
            return
        bad = self.outcomes.failures()
        listed = "\n".join(f"  {_told(one)}" for one in bad[:10])
        more = f"\n  and {len(bad) - 10:,} more" if len(bad) > 10 else ""
        raise InvalidData(
            f"stopped at {len(bad):,} of {self._total:,} files:\n{listed}{more}\n"
            "What is registered stays; mend this and run it again, or pass on_error='skip' or 'quarantine'.",
            IngestReport(self.outcomes, 0.0, self.options.dry_run),
        )

    # What vanished

    def _vanished(self, source: Source, memory: Memory) -> None:
        """Move artifacts to the trash whose files were seen by an earlier run and are there no more."""
        there = set(source.entries.paths)
        gone = {path: row for path, row in memory.rows.items() if path not in there and not os.path.lexists(path)}
        if not gone:
            return
        if len(gone) > self.options.most_vanished * len(memory):
            raise Unavailable(
                f"{len(gone):,} of {len(memory):,} files vanished from {shown(source.name)}, as if another disk lay there: "
                "nothing was moved to the trash; pass most_vanished=1.0 if that is right"
            )
        keys, hashes, reasons = memory.column("key"), memory.column("hash"), memory.column("reason")
        wanted = {keys[row]: hashes[row] for row in gone.values() if reasons[row] is None}
        rows = screening.rows_of(self.home.snapshot(), wanted)
        if not self.options.dry_run:
            if rows:
                self._registering.trash(list(rows.values()))
            self._state.finish(frozenset(gone))
        for path, place in gone.items():
            if (row := rows.get(keys[place])) is not None:
                self.outcomes.append(Outcome(path, keys[place], "vanished", row["uid"], row["hash"], row["size"]))

    def _tell(self, read: int = 0) -> None:
        """Tell of the files that are done, and of those that were read and are registered next."""
        if self.options.progress is not None:
            self.options.progress(min(len(self.outcomes) + read, self._total), self._total)


def _told(one: Outcome) -> str:
    """Return a message that names the file."""
    name, message = one.path.rpartition("/")[2], str(one.message)
    return message if name in message else f"{shown(one.path)} {message}"
