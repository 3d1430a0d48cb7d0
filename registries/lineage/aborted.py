"""Runs whose process was killed: nothing could be written then, so those who come after say so."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from registries.lineage import process

if TYPE_CHECKING:
    from lakehouse.engine import Transaction
    from registries.instance import Instance

__all__ = ["settle_killed"]


def settle_killed(home: Instance, *, since: dt.datetime | None = None) -> list[str]:
    """Mark runs without an outcome as aborted whose process on this machine is gone; return their uids.

    Parameters
    ----------
    home
        The instance.
    since
        Only look at runs that began since then.
    """
    if home.read_only or home.gathers:
        return []
    asked: dict[str, Any] = {"outcome__isnull": True, "host": process.host(), "process__isnull": False}
    if since is not None:
        asked["created_at__gte"] = since
    open_runs = home.Run.filter(**asked).arrow().select(["uid", "process", "host"]).to_pylist()
    gone = [row["uid"] for row in open_runs if process.is_gone(row["process"], row["host"])]

    def plan(txn: Transaction) -> None:
        rows = [row for row in txn.snapshot.lookup("run", "uid", gone).to_pylist() if row["outcome"] is None]
        if rows:
            txn.upsert("run", [row | {"outcome": "aborted"} for row in rows], as_read=rows)

    if gone:
        home.run(plan)
    return gone
