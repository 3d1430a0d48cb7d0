"""One run of an ingest: what is new is read in parallel and registered in large transactions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, InvalidData, LakehouseError, Unavailable, shown
from lakehouse.types import Progress
from registries.curate import known_schema
from registries.ingest import remote, screening
from registries.ingest.checking import check_annotations
from registries.ingest.manifest import Entry, Source, source_of
from registries.ingest.placing import Placing
from registries.ingest.pool import examined
from registries.ingest.registering import Registering, Wanted
from registries.ingest.report import BAD, IngestReport, Outcome
from registries.ingest.state import State
from registries.ingest.work import Finding, Plan, share
from registries.schema import Schema, spec_of

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["Ingest", "Options"]

ON_ERROR = ("stop", "skip", "quarantine")
_BATCH, _SECONDS = 20_000, 30.0
"""Files, or seconds, after which what was read is registered."""
_FATAL = "storage"


@dataclass(frozen=True)
class Options:
    """How to ingest; see ``lh.ingest``."""

    schema: Any = None
    on_error: str = "stop"
    dry_run: bool = False
    resume: bool = True
    sync: bool = False
    executor: Executor | None = None
    workers: int | None = None
    prefix: str | None = None
    storage: Any = None
    labels: tuple[str, ...] = ()
    create_labels: bool = False
    settle: float = 2.0
    most_vanished: float = 0.5
    progress: Progress | None = None

    def check(self) -> None:
        """Raise InputError for what is not accepted."""
        if self.on_error not in ON_ERROR:
            raise InputError(f"on_error = {shown(self.on_error)}: one of {', '.join(ON_ERROR)} is accepted")
        if self.executor is not None and not hasattr(self.executor, "submit"):
            raise InputError(f"executor = {shown(self.executor)}: an executor of concurrent.futures is accepted")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers = {shown(self.workers)}: a number from 1 on is accepted")
        if not 0 <= self.most_vanished <= 1:
            raise InputError(f"most_vanished = {shown(self.most_vanished)}: a share from 0 to 1 is accepted")


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
    outcomes: list[Outcome] = field(default_factory=list)
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
        self._registering = Registering(
            self.home,
            f"ingest {Path(source.name).name}",
            labels=labels,
            schema=self._schema,
            spec=self._spec,
            create_labels=self.options.create_labels,
        )
        self._refuse_faults(source)
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

    def _refuse_faults(self, source: Source) -> None:
        """Tell of entries that are wrong in themselves: all of them, before any file is read."""
        for entry in source.entries:
            if entry.fault is not None:
                self.outcomes.append(
                    Outcome(entry.path, entry.key, "failed", reason=entry.fault[0], message=entry.fault[1])
                )
        if self.outcomes and self.options.on_error == "stop":
            raise self._stopped()

    def _ingest(self, source: Source) -> None:
        known = screening.remembered(self._state) if self.options.resume else {}
        entries = [entry for entry in source.entries if entry.fault is None]
        if self.options.sync:
            entries = self._settled(entries)
        if source.remote:
            self._remote(entries)
        else:
            self._local(entries, known, source)
        if self.options.sync:
            self._vanished(source, known)
        if not self.options.dry_run:
            self._state.finish()

    def _settled(self, entries: Sequence[Entry]) -> list[Entry]:
        """Leave files that were written a moment ago to the next run: their writer may not be done."""
        young = time.time_ns() - int(self.options.settle * 1e9)
        for entry in entries:
            if entry.stat is not None and entry.stat[1] > young:
                message = f"{shown(entry.path)} was written a moment ago"
                self.outcomes.append(Outcome(entry.path, entry.key, "waiting", reason="waiting", message=message))
        return [entry for entry in entries if entry.stat is None or entry.stat[1] <= young]

    # Files

    def _local(self, entries: Sequence[Entry], known: dict[str, screening.Seen], source: Source) -> None:
        rest, unchanged = screening.unchanged(self.home.snapshot(), entries, known)
        self.outcomes += unchanged
        placing = Placing(self.home, self.options.storage, source.folder)
        rest = list(self._again(rest, known))
        self._tell()
        for batch in self._batches(rest, placing):
            self._register(batch, placing)

    def _again(self, entries: Iterable[Entry], known: dict[str, screening.Seen]) -> Iterator[Entry]:
        """Yield entries that are to be read; what could not be read, and has not changed since, is not read again."""
        for entry in entries:
            seen = known.get(entry.path)
            if seen is not None and seen.reason == "unreadable" and seen.stat == entry.stat and not self._keeps:
                self._failed(entry, Finding(reason=seen.reason, message=seen.message))
            else:
                yield entry

    @property
    def _keeps(self) -> bool:
        return self.options.on_error == "quarantine"

    def _batches(self, entries: Sequence[Entry], placing: Placing) -> Iterator[list[tuple[Entry, Finding]]]:
        """Yield what was read, so many files or seconds at a time."""
        home, batch, began = self.home, list[tuple[Entry, Finding]](), time.monotonic()
        root = str(home.root)
        if self._spec is not None:
            share(home, root)
        try:
            for pair in self._read(entries, placing, root):
                batch.append(pair)
                if len(batch) >= _BATCH or time.monotonic() - began > _SECONDS:
                    yield batch
                    batch, began = [], time.monotonic()
            if batch:
                yield batch
        finally:
            share(None, root)

    def _read(self, entries: Sequence[Entry], placing: Placing, root: str) -> Iterator[tuple[Entry, Finding]]:
        spec = None if self._spec is None else (self._spec.to_json(), self._spec.name)
        here = [entry for entry in entries if placing.inside(entry.path) is not None]
        others = [entry for entry in entries if placing.inside(entry.path) is None] if len(here) < len(entries) else []
        options: dict[str, Any] = {"spec": spec, "remote": self.home.remote, "root": root, "keep_bad": self._keeps}
        if here:
            yield from examined(here, Plan(**options), self.options.executor, self.options.workers)
        if others:
            store = None if self.options.dry_run else placing.copies_to
            yield from examined(others, Plan(**options, store=store), self.options.executor, self.options.workers)

    def _register(self, batch: Sequence[tuple[Entry, Finding]], placing: Placing) -> None:
        self._refuse_full(batch)
        wanted: list[Wanted] = []
        for entry, found in batch:
            if found.reason is not None and not (self._keeps and found.hash):
                self._failed(entry, found)
                continue
            try:
                wanted.append(placing.wanted(entry, found))
            except LakehouseError as error:
                self._failed(entry, Finding(reason="refused", message=str(error)))
        if self.options.dry_run:
            self.outcomes += screening.would_be(self.home.snapshot(), wanted)
        else:
            self.outcomes += self._registering.register(wanted)
            self._state.add([(entry.path, entry.key, found) for entry, found in batch])
        self._tell()

    def _refuse_full(self, batch: Sequence[tuple[Entry, Finding]]) -> None:
        """Stop where the storage takes no more: that is no fault of a file."""
        for _, found in batch:
            if found.reason == _FATAL:
                raise Unavailable(
                    f"{found.message}; what is registered stays: make room, then run it again, and it goes on from there"
                )

    def _failed(self, entry: Entry, found: Finding) -> None:
        made = Outcome(entry.path, entry.key, "failed", reason=found.reason, message=found.message)
        self.outcomes.append(made)
        if self.options.on_error == "stop":
            raise self._stopped()

    def _stopped(self) -> InvalidData:
        bad = [one for one in self.outcomes if one.outcome in BAD]
        listed = "\n".join(f"  {one.message}" for one in bad[:10])
        more = f"\n  and {len(bad) - 10:,} more" if len(bad) > 10 else ""
        return InvalidData(
            f"stopped at {len(bad):,} of {self._total:,} files:\n{listed}{more}\n"
            "What is registered stays; mend this and run it again, or pass on_error='skip' or 'quarantine'.",
            IngestReport(self.outcomes, 0.0, self.options.dry_run),
        )

    # Buckets

    def _remote(self, entries: Sequence[Entry]) -> None:
        for outcomes in remote.ingested(self.home, entries, self._registering, dry_run=self.options.dry_run):
            self.outcomes += outcomes
            if self.options.on_error == "stop" and any(one.outcome in BAD for one in outcomes):
                raise self._stopped()
            self._tell()

    # What vanished

    def _vanished(self, source: Source, known: dict[str, screening.Seen]) -> None:
        """Move artifacts to the trash whose files were seen by an earlier run and are there no more."""
        there = {entry.path for entry in source.entries}
        gone = {path: seen for path, seen in known.items() if path not in there and not os.path.lexists(path)}
        if not gone:
            return
        if len(gone) > self.options.most_vanished * len(known):
            raise Unavailable(
                f"{len(gone):,} of {len(known):,} files vanished from {shown(source.name)}, as if another disk lay there: "
                "nothing was moved to the trash; pass most_vanished=1.0 if that is right"
            )
        rows = screening.rows_of(self.home.snapshot(), gone.values())
        if not self.options.dry_run:
            if rows:
                self._registering.trash(list(rows.values()))
            self._state.finish(frozenset(gone))
        for path, seen in gone.items():
            if seen.key in rows:
                row = rows[seen.key]
                self.outcomes.append(Outcome(path, seen.key, "vanished", row["uid"], row["hash"], row["size"]))

    def _tell(self) -> None:
        if self.options.progress is not None:
            self.options.progress(min(len(self.outcomes), self._total), self._total)
