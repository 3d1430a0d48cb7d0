"""What runs leave behind, gathered and written together: with the next save, after a moment, or at the end."""

from __future__ import annotations

import datetime as dt
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse.errors import Conflict, LakehouseError, ReferenceMissing, Unavailable
from registries.lineage.active import Active
from registries.lineage.edges import INPUT, OUTPUT, edge_uid
from registries.lineage.ending import watch
from registries.lineage.parameters import PARAM, Parameter

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["Pending", "Recorder"]

_log = logging.getLogger("lakehouse")
_MANY: Final = 1_000
_MOMENT: Final = 1.0  # seconds
_ATTEMPTS: Final = 20
_TABLES: Final = ("run", PARAM, INPUT, OUTPUT)
"""In this order: what comes later refers to what comes first."""
_Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Pending:
    """Rows that are to be written, by table."""

    tables: tuple[tuple[str, tuple[dict[str, Any], ...]], ...]

    def write(self, txn: Transaction, home: Instance) -> None:
        """Put the rows into a transaction; written twice, they are the same."""
        user = home.ensure_user(txn)
        for table, rows in self.tables:
            for row in rows:
                row["created_by"] = user
            txn.upsert(table, rows)

    def without_possible(self, home: Instance) -> Pending:
        """Return the rows that can never be written, since what they refer to is not there."""
        snapshot = home.snapshot()
        rows = dict(self.tables)
        good: set[str] = set()
        for row in rows.get("run", ()):
            around = row["run"]
            has_parent = around is None or around in good or snapshot.get("run", around) is not None
            if has_parent and snapshot.get("transform", row["transform"]) is not None:
                good.add(row["uid"])
        bad: list[tuple[str, tuple[dict[str, Any], ...]]] = []
        for table, found in self.tables:
            name = "uid" if table == "run" else "subject"
            lost = [row for row in found if row[name] not in good and snapshot.get("run", row[name]) is None]
            lost += [row for row in found if table == "run" and row["uid"] not in good and row not in lost]
            bad.append((table, tuple(lost)))
        return Pending(tuple(bad))


class Recorder:
    """Gathers rows of runs for one instance; safe to use from many threads.

    What a run read is written with what it saves, in one commit, so that no artifact is there without its inputs.
    """

    def __init__(self, home: Instance) -> None:
        self._home = home
        self._begin()

    def _begin(self) -> None:
        self._rows: dict[str, _Rows] = {table: {} for table in _TABLES}
        self._loose: dict[str, Active] = {}
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._pid, self._flushed = os.getpid(), time.monotonic()

    def _own(self) -> None:
        """Leave to the parent, in a forked child, what it had gathered."""
        if self._pid != os.getpid():
            self._begin()
            watch(self._home.tracking)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be written."""
        return self._pid != os.getpid() or not any(self._rows.values())

    # -- gathering -------------------------------------------------------------------------------------------------
    def run(self, active: Active, row: dict[str, Any]) -> None:
        """Gather the row of a run as it is now."""
        self._own()
        with self._lock:
            active.row = self._rows["run"][active.uid] = row
            if active.loose:
                self._loose[active.uid] = active

    def parameters(self, run: str, parameters: dict[str, Parameter], now: dt.datetime) -> None:
        """Gather the parameters of a run."""
        self._own()
        with self._lock:
            for name, kept in parameters.items():
                row = kept.row(run, name)
                self._rows[PARAM][row["uid"]] = row | {"created_at": now, "created_by": None, "run": None}

    def input(self, run: str, artifact: str) -> None:
        """Gather that a run read an artifact; said once."""
        self._edge(INPUT, run, artifact, {})

    def output(self, run: str, artifact: str, kind: str) -> None:
        """Gather that a run made an artifact that was there before."""
        self._edge(OUTPUT, run, artifact, {"kind": kind})

    def _edge(self, table: str, run: str, artifact: str, more: dict[str, Any]) -> None:
        self._own()
        if (run, artifact + table) in self._seen:
            return
        uid, now = edge_uid(table, run, artifact), dt.datetime.now(dt.UTC)
        row = {"uid": uid, "subject": run, "artifact": artifact, "created_at": now, "created_by": None, "run": None}
        with self._lock:
            self._seen.add((run, artifact + table))
            self._rows[table][uid] = row | more

    def forget(self, run: str, artifacts: Iterable[str] = ()) -> None:
        """Drop what was kept to say things once, of a run that has ended."""
        with self._lock:
            for artifact in artifacts:
                self._seen.discard((run, artifact + INPUT))
            if len(self._seen) > 100_000:
                self._seen.clear()

    # -- writing ---------------------------------------------------------------------------------------------------
    def take(self) -> Pending | None:
        """Return what waits; it goes on waiting until :meth:`settle`."""
        if self.is_empty:
            return None
        with self._lock:
            found = tuple((table, tuple(rows.values())) for table, rows in self._rows.items() if rows)
        return Pending(found) if found else None

    def settle(self, pending: Pending) -> None:
        """Be told that rows are committed; what was gathered anew since goes on waiting."""
        with self._lock:
            self._flushed = time.monotonic()
            for table, rows in pending.tables:
                mine = self._rows[table]
                for row in rows:
                    if mine.get(row["uid"]) is row:
                        del mine[row["uid"]]
                    if table == "run" and (active := self._loose.pop(row["uid"], None)) is not None:
                        active.loose = False

    def ensure(self, txn: Transaction, active: Active | None) -> None:
        """Put the rows of runs that what is saved refers to into a transaction that is under way already."""
        if active is None or not any(one.loose for one in active.chain()):
            return
        missing = [one for one in active.chain() if one.loose and txn.snapshot.get("run", one.uid) is None]
        for one in missing:
            one.joined = True
        if missing:
            Pending((("run", tuple(one.row for one in reversed(missing))),)).write(txn, self._home)

    def flush(self) -> bool:
        """Write what waits, in a commit of its own; return whether it is durable.

        While this thread has a transaction open it goes on waiting: what it refers to may be part of that.
        """
        pending = self.take()
        lake = self._home.lake
        if pending is None:
            return True
        if self._home.gathers:
            return False
        for attempt in range(_ATTEMPTS):
            try:
                txn = lake.begin()
                pending.write(txn, self._home)
                lake.commit(txn)
            except ReferenceMissing as error:  # they were rolled back with the transaction that made them
                _log.warning("what runs of a transaction that was rolled back left behind is dropped: %s", error)
                self.settle(pending.without_possible(self._home))
                pending = self.take() or Pending(())
                continue
            except Conflict as error:
                if not error.transient:
                    raise
                time.sleep(0.001 * attempt)
                continue
            self.settle(pending)
            return True
        return False

    def now_and_then(self) -> None:
        """Write what waits if it is much, or has waited for a moment."""
        waiting = sum(map(len, self._rows.values()))
        if waiting >= _MANY or (waiting and time.monotonic() - self._flushed >= _MOMENT):
            self.try_to_flush()

    def try_to_flush(self) -> None:
        """Write what waits; where the catalog cannot be reached, it goes on waiting."""
        try:
            self.flush()
        except Unavailable as error:
            self._flushed = time.monotonic()
            _log.warning("what runs left behind could not be recorded yet, and waits: %s", error)
        except LakehouseError as error:
            self._flushed = time.monotonic()
            _log.warning("what runs left behind could not be recorded: %s", error)
