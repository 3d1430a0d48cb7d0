"""What a run read and what it made, to be looked at and added to by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, shown
from registries.lineage.edges import INPUT, OUTPUT, edge_uid

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.artifact import Artifact
    from registries.query import Query
    from registries.run import Run

__all__ = ["Ends"]


class Ends:
    """What ``run.inputs`` and ``run.outputs`` are.

    Parameters
    ----------
    run
        The run.
    table
        The table of its edges.
    """

    def __init__(self, run: Run, table: str) -> None:
        self._run, self._table = run, table

    def _home(self) -> Any:
        if not self._run.is_saved:
            raise InputError(f"{self._run!r} is not saved: call its save() first")
        return self._run.home_of()

    def filter(self, **lookups: Any) -> Query[Artifact]:
        """Return the query for those that meet look-ups; see ``Artifact.filter``."""
        home = self._home()
        home.settle_runs()
        snapshot = home.snapshot()
        uids = snapshot.lookup(self._table, "subject", [self._run.uid])["artifact"].to_pylist()
        if self._table == OUTPUT:
            uids += snapshot.lookup("artifact", "run", [self._run.uid])["uid"].to_pylist()
        found: Query[Artifact] = home.Artifact.filter(uid__in=uids, **lookups).order_by("created_at")
        return found

    def all(self) -> list[Artifact]:
        """Return the artifacts."""
        return self.filter().all()

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.all())

    def __len__(self) -> int:
        return self.filter().count()

    def __repr__(self) -> str:
        return f"[{', '.join(str(artifact.key or artifact.uid) for artifact in self.all())}]"

    def add(self, artifacts: Artifact | Iterable[Artifact]) -> None:
        """Record artifacts that the run read or made beside what was recorded by itself; those there already stay.

        Parameters
        ----------
        artifacts
            One or several, saved.
        """
        home = self._home()
        several: Any = artifacts
        given: list[Any] = [several] if hasattr(several, "meta") else list(several)
        for artifact in given:
            if getattr(getattr(artifact, "meta", None), "table", None) != "artifact" or not artifact.is_saved:
                raise InputError(f"add({shown(artifact)}): saved artifacts are accepted")
            artifact.check_home(home)
        now = dt.datetime.now(dt.UTC)

        def plan(txn: Transaction) -> None:
            stamps = {"created_at": now, "created_by": home.ensure_user(txn), "run": home.run_uid}
            rows: dict[str, dict[str, Any]] = {}
            for artifact in given:
                uid = edge_uid(self._table, self._run.uid, artifact.uid)
                is_ours = self._table == OUTPUT and artifact.run == self._run.uid
                if not is_ours and txn.snapshot.get(self._table, uid) is None:
                    kind = {"kind": "told"} if self._table == OUTPUT else {}
                    rows[uid] = {"uid": uid, "subject": self._run.uid, "artifact": artifact.uid} | kind | stamps
            if rows:
                txn.insert(self._table, list(rows.values()))

        home.run(plan)


def inputs_of(run: Run) -> Ends:
    """Return what a run read."""
    return Ends(run, INPUT)


def outputs_of(run: Run) -> Ends:
    """Return what a run made."""
    return Ends(run, OUTPUT)
