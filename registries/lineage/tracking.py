"""Tracking of one instance: runs begin and end, and what is read and made in between is recorded by itself."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, LakehouseError, shown
from lakehouse.ids import new_uid
from registries.lineage import active, environment, notebook, process
from registries.lineage.aborted import settle_killed
from registries.lineage.active import Active
from registries.lineage.ending import outcome_of, text_of, watch
from registries.lineage.log import ScreenLog
from registries.lineage.parameters import Parameter
from registries.lineage.recorder import Recorder
from registries.lineage.secrets import without_secrets, without_secrets_in_arguments
from registries.lineage.versions import Wanted, ensured
from registries.record import Saved

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance
    from registries.run import Run
    from registries.stored import Stored

__all__ = ["Tracking"]

_log = logging.getLogger("lakehouse")
_RECENT = dt.timedelta(days=7)


@dataclass
class _Tracked:
    """What is kept of a tracked run until it ends."""

    active: Active
    record: Run
    wanted: Wanted
    began: float
    """On the clock that is never set."""
    log: ScreenLog | None
    report: bool | str | os.PathLike[str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class Tracking:
    """Begins and ends runs, and is told of what is read and saved.

    Parameters
    ----------
    home
        The instance.
    """

    def __init__(self, home: Instance) -> None:
        self._home = home
        self.recorder = Recorder(home)
        self._stack: list[_Tracked] = []
        self._pid = os.getpid()
        self._environment: str | None = None
        self._process = ""
        self._looked = False
        self.told: dict[str, Active | None] = {}
        """Runs of programs that started this one, by what the environment says."""

    @property
    def process(self) -> str:
        """What tells this process apart."""
        if not self._process.endswith(f" {os.getpid()} ", 0, self._process.rfind(" ") + 1):
            self._process = process.identity()
        return self._process

    @property
    def environment(self) -> str:
        """The uid of this process's environment, of which :meth:`ensure` makes the row."""
        return environment.collected()[0]

    def ensure(self, wanted: Wanted) -> str:
        """Return the uid of a transform, with its row and that of the environment where they are not there yet."""
        found = ""
        with active.outside():
            known, source = ensured(self._home, wanted)

            def plan(txn: Transaction) -> None:
                nonlocal found
                self._ensure_environment(txn)
                row = wanted.find(txn.snapshot) if known is None else known
                if row is None and source is not None:
                    source.settle(source.plan_save(txn, self._home), self._home)
                found = (row or wanted.make(txn, self._home, source))["uid"]

            self._home.change([source] if source is not None else [], plan)
        return found

    # -- what is under way -----------------------------------------------------------------------------------------
    @property
    def current(self) -> Active | None:
        """The run that what is saved and read now belongs to."""
        return active.current(self._home)

    def read(self, artifact: Stored) -> None:
        """Record that the run under way reads an artifact; what it made itself is no input."""
        running = self.current
        if running is not None and not self._home.read_only and artifact.run != running.uid:
            running.reads.add(artifact.uid)
            self.recorder.input(running.uid, artifact.uid)

    def recreated(self, row: Mapping[str, Any]) -> None:
        """Record that the run under way made an artifact which was there already."""
        running = self.current
        if running is not None and row["run"] != running.uid:
            self.recorder.output(running.uid, row["uid"], "re-created")

    # -- beginning and ending --------------------------------------------------------------------------------------
    def start(
        self,
        wanted: Wanted,
        *,
        parameters: Mapping[str, Parameter],
        log: bool = False,
        report: bool | str | os.PathLike[str] | None = None,
        arguments: Sequence[str] | None = None,
        detached: bool = False,
    ) -> Run:
        """Begin the run of a script, notebook or pipeline, durably, and make it that of this process.

        Parameters
        ----------
        wanted
            Its transform.
        parameters
            By name.
        log, report, arguments
            As for ``lh.track``; the command line is that of this process where none is given.
        detached
            Whether it takes place elsewhere: it goes on when this process ends, and somebody says how it ended.
        """
        home = self._home
        home.refuse_reading_only()
        self._own()
        parent = self._make_room(wanted)
        began, now = time.monotonic(), dt.datetime.now(dt.UTC)
        if wanted.source.repository is not None:
            wanted.source.repository.ask()
        row = self._row(wanted, now, parent, arguments)
        if detached:
            row |= {"process": None, "arguments": None, "variables": None}
        running = Active(home, row["uid"], parent)
        record = self._save_start(wanted, row, parameters, running)
        if detached:
            return record
        active.push(running)
        active.begin(running)
        tracked = _Tracked(running, record, wanted, began, ScreenLog() if log else None, report)
        self._stack.append(tracked)
        watch(self)
        self._settle_killed()
        return record

    def _settle_killed(self) -> None:
        """Look, once per process, for runs of this machine that were killed."""
        if not self._looked:
            self._looked = True
            settle_killed(self._home, since=dt.datetime.now(dt.UTC) - _RECENT)

    def _own(self) -> None:
        if self._pid != os.getpid():  # in a forked child what is tracked is the parent's
            self._pid, self._stack = os.getpid(), []

    def _make_room(self, wanted: Wanted) -> Active | None:
        """Return the run that a new one is a part of; one of the same source is finished: its cell was run again."""
        running = self.current
        before = next((one for one in self._stack if one.active is running), None)
        if before is not None and before.wanted.name == wanted.name and not wanted.source.argued:
            _log.info("%s is tracked anew: its run before is finished", shown(wanted.name))
            self.finish(before.record)
        return self.current

    def _row(
        self, wanted: Wanted, now: dt.datetime, parent: Active | None, given: Sequence[str] | None
    ) -> dict[str, Any]:
        source = wanted.source
        line = given if given is not None else process.command_line() if source.argued else None
        arguments = without_secrets_in_arguments(line) if line is not None else None
        found = {name: os.environ[name] for name in process.VARIABLES if os.environ.get(name)}
        return _blank(self._home) | {
            "uid": new_uid(),
            "created_at": now,
            "started_at": now,
            "run": parent.uid if parent is not None else None,
            "host": process.host(),
            "process": process.identity(),
            "arguments": _json(arguments) if arguments is not None else None,
            "variables": _json(without_secrets(found)) if found else None,
            "git_commit": source.repository.commit if source.repository is not None else None,
            "source_hash": source.hash,
        }

    def _save_start(
        self, wanted: Wanted, row: dict[str, Any], parameters: Mapping[str, Parameter], running: Active
    ) -> Run:
        home = self._home
        record = home.Run(transform="")
        with active.outside():
            known, source = ensured(home, wanted)
            held = [source] if source is not None else []

            def plan(txn: Transaction) -> None:
                transform = wanted.find(txn.snapshot) if known is None else known
                if transform is None and source is not None:
                    source.settle(source.plan_save(txn, home), home)
                if transform is None:
                    transform = wanted.make(txn, home, source)
                if running.parent is not None:
                    self.recorder.ensure(txn, running.parent)
                row.update(transform=transform["uid"], environment=self._ensure_environment(txn))
                row["created_by"] = home.ensure_user(txn)
                txn.insert("run", [row], fresh=True)
                if parameters:
                    txn.insert("run_param", [self._stamped(p.row(row["uid"], n), row) for n, p in parameters.items()])
                record.settle(Saved(dict(row)), home)

            home.change([*held, record], plan)
        for one in held:
            one.release()
        return record

    @staticmethod
    def _stamped(row: dict[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
        return row | {"created_at": run["created_at"], "created_by": run["created_by"], "run": None}

    def _ensure_environment(self, txn: Transaction) -> str:
        uid, values = environment.collected()
        if self._environment != uid and txn.snapshot.get(environment.TABLE, uid) is None:
            now = dt.datetime.now(dt.UTC)
            user = self._home.ensure_user(txn)
            txn.upsert(environment.TABLE, [values | {"created_at": now, "created_by": user, "run": None}])
        return uid

    def finish(
        self,
        record: Run | None = None,
        *,
        error: BaseException | None = None,
        report: bool | str | os.PathLike[str] | None = None,
        final: Mapping[str, Any] | None = None,
    ) -> Run | None:
        """End a tracked run, the innermost where none is given; return it, or None where nothing is tracked.

        ``final`` are columns that the caller knows better.
        """
        self._own()
        tracked = self._found(record)
        if tracked is None:
            return None
        for inner in list(reversed(self._stack)):  # begun inside it and left open
            if inner is not tracked and tracked.active in inner.active.chain():
                self.finish(inner.record, error=error)
        self._stack.remove(tracked)
        if report is not None:
            tracked.report = report
        tracked.extra |= final or {}
        try:
            self._end(tracked, error)
        finally:
            active.pop(tracked.active)
        return tracked.record

    def _found(self, record: Run | None) -> _Tracked | None:
        """Return what is tracked of a run; where none is given, of the one under way here, else of the newest."""
        if record is not None:
            return next((one for one in self._stack if one.record.uid == record.uid), None)
        running = self.current
        mine = next((one for one in self._stack if one.active is running), None)
        return mine or next(reversed(self._stack), None)

    def _end(self, tracked: _Tracked, error: BaseException | None) -> None:
        final = self._final(tracked, error)
        with active.outside():
            transform = self._as_it_ended(tracked)
            final |= {} if transform is None else transform
            for name, artifact in self._kept(tracked):
                final[name] = artifact.save().uid
            self._save_end(tracked, final)

    def _final(self, tracked: _Tracked, error: BaseException | None) -> dict[str, Any]:
        elapsed = dt.timedelta(seconds=time.monotonic() - tracked.began)
        repository = tracked.wanted.source.repository
        return {
            # By the clock that is never set back: a run does not end before it began.
            "finished_at": tracked.record.to_row()["started_at"] + elapsed,
            "outcome": outcome_of(error),
            "error": text_of(error),
            "git_dirty": repository.is_dirty() if repository is not None else None,
            **tracked.extra,
        }

    def _as_it_ended(self, tracked: _Tracked) -> dict[str, Any] | None:
        """Look at the source again: a notebook counts as it is now, a script that was changed ran as it was."""
        before = tracked.wanted
        now = before.source.again()
        if now.hash in (None, before.source.hash):
            return None
        if now.kind != "notebook":
            _log.warning("%s was changed while it ran: it is recorded as it was at the start", shown(before.name))
            return None
        tracked.wanted = replace(before, source=now)
        found = {"transform": self.ensure(tracked.wanted), "source_hash": now.hash}
        return found if now.repository is None else found | {"git_commit": now.repository.commit}

    def _kept(self, tracked: _Tracked) -> list[tuple[str, Artifact]]:
        """Return the artifacts of log and report."""
        found, name = [], tracked.wanted.name.replace("::", "/")
        if tracked.log is not None:
            data = tracked.log.end()
            found.append(("log", self._home.Artifact(data, key=f"log/{name}.txt", format="blob")))
        if (report := self._report(tracked)) is not None:
            found.append(("report", report))
        return found

    def _report(self, tracked: _Tracked) -> Artifact | None:
        wanted, name = tracked.report, tracked.wanted.name.replace("::", "/")
        if wanted is False:
            return None
        if isinstance(wanted, str | os.PathLike):
            return self._home.Artifact(wanted, description=f"Report of {name}", format="blob")
        source, ipython = tracked.wanted.source, notebook.shell()
        if source.kind != "notebook" or (source.path is None and ipython is None):
            return None
        if source.path is not None and source.path.suffix == ".ipynb" and source.path.is_file():
            data = source.path.read_bytes()
            if notebook.has_outputs(data):
                return self._home.Artifact(data, key=f"report/{name}", format="blob")
        if ipython is None:
            return None
        page = notebook.history(ipython.user_ns.get("In", []), ipython.user_ns.get("Out", {}), name)
        return self._home.Artifact(page.encode("utf-8", "replace"), key=f"report/{name}.html", format="blob")

    def _save_end(self, tracked: _Tracked, final: dict[str, Any]) -> None:
        home, pending = self._home, self.recorder.take()

        def plan(txn: Transaction) -> None:
            before = txn.snapshot.get("run", tracked.active.uid)
            if before is None:
                raise LakehouseError(f"{tracked.record!r} is gone: its transaction was rolled back")
            row = before | final
            txn.upsert("run", [row])
            tracked.record.settle(Saved(row), home)

        if pending is not None:
            self.recorder.try_to_flush()
        home.change([tracked.record], plan)
        self.recorder.forget(tracked.active.uid)

    def close(self, error: BaseException | None = None) -> None:
        """Finish whatever is tracked, and write what waits; nothing is raised, since nobody could mend it."""
        try:
            while self._stack and self._pid == os.getpid():
                self.finish(error=error)
            if not self._home.read_only:
                self.recorder.try_to_flush()
        except (LakehouseError, OSError) as failure:
            _log.warning("a run could not be finished: %s", failure)

    def check_tracked(self) -> None:
        """Raise InputError where nothing is tracked."""
        if not self._stack or self._pid != os.getpid():
            raise InputError("nothing is tracked: lh.track() begins a run")


def _blank(home: Instance) -> dict[str, Any]:
    return dict.fromkeys(home.Run.meta.columns)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)
