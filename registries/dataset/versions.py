"""The versions of one name: the newest, what the next one is made of, and which may be deleted for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakehouse.engine.requirements import LookupUntouched
from lakehouse.errors import StillReferenced, shown
from lakehouse.ids import with_version
from registries.dataset.members import Members, member_uid
from registries.rows import live

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["NextVersion", "latest_row", "most_members", "next_version", "refuse_built_on"]


def latest_row(snapshot: Snapshot, name: str) -> dict[str, Any] | None:
    """Return the row of the newest version of a name that is not in the trash."""
    return _newest(live(snapshot.lookup("dataset", "name", [name])))


def most_members(snapshot: Snapshot, name: str) -> int:
    """Return the number of members of the version that has most of them, also one in the trash."""
    counts = snapshot.lookup("dataset", "name", [name])["n_artifacts"].to_numpy()
    return int(counts.max(initial=0))


def _newest(rows: pa.Table) -> dict[str, Any] | None:
    if not len(rows):  # there may be thousands of versions
        return None
    found: dict[str, Any] = rows.slice(int(np.argmax(rows["version"].to_numpy())), 1).to_pylist()[0]
    return found


@dataclass(frozen=True)
class NextVersion:
    """What the next version of a name is made of.

    Attributes
    ----------
    uid
        Its uid; None where it is the first.
    before
        The version whose members it goes on with; None where it begins anew.
    added
        The artifacts that it adds; none where ``before`` has all of them already.
    """

    uid: str | None
    before: Mapping[str, Any] | None
    added: Sequence[Artifact]


def next_version(txn: Transaction, home: Instance, name: str, given: Sequence[Artifact], *, adds: bool) -> NextVersion:
    """Return what the next version is made of: the members of the newest one and further ones, or others.

    Parameters
    ----------
    given
        The artifacts that are asked for.
    adds
        Whether they come to the members that are there; else they do so where these are among them.
    """
    rows = txn.snapshot.lookup("dataset", "name", [name])
    newest, latest = _newest(rows), _newest(live(rows))
    if newest is None:
        return NextVersion(None, None, given)
    uid = with_version(newest["uid"], newest["version"] + 1)
    if latest is None:
        return NextVersion(uid, None, given)
    # of two at once, one of which deletes it for good, the other begins again
    txn.require(LookupUntouched("dataset", "name", frozenset([name]), frozenset([latest["uid"]])))
    if newest["uid"] != latest["uid"]:
        return _past_trash(txn, home, uid, latest, given, adds=adds)
    if adds or set(Members(latest).uids(txn.snapshot)) <= {one.uid for one in given}:
        return NextVersion(uid, latest, _missing(txn.snapshot, latest, given))
    return NextVersion(uid, None, given)


def _missing(snapshot: Snapshot, latest: Mapping[str, Any], given: Sequence[Artifact]) -> list[Artifact]:
    """Return the artifacts that are no members yet, at a cost that does not grow with those that are."""
    wanted = {member_uid(latest["base"], one.uid): one for one in given}
    known = set(snapshot.lookup("dataset_member", "uid", list(wanted))["uid"].to_pylist())
    return [one for uid, one in wanted.items() if uid not in known]


def _past_trash(
    txn: Transaction, home: Instance, uid: str, latest: Mapping[str, Any], given: Sequence[Artifact], *, adds: bool
) -> NextVersion:
    """Begin anew with all members: those of versions in the trash, which follow the latest, are not to come along."""
    there = Members(latest).ordered(home, txn.snapshot)
    known = {one.uid for one in there}
    further = [one for one in given if one.uid not in known]
    if not adds and not known <= {one.uid for one in given}:
        return NextVersion(uid, None, given)
    return NextVersion(uid, None, [*there, *further]) if further else NextVersion(uid, latest, [])


def refuse_built_on(txn: Transaction, row: Mapping[str, Any]) -> None:
    """Raise where a later version has the members of one that is to be deleted for good, also one in the trash.

    Raises
    ------
    StillReferenced
        It names the newest of them.
    """
    name, uid = row["name"], row["uid"]
    txn.require(LookupUntouched("dataset", "name", frozenset([name]), frozenset()))
    rows = txn.snapshot.lookup("dataset", "name", [name])
    newest = max((r for r in rows.to_pylist() if r["base"] <= uid < r["uid"]), key=lambda r: r["uid"], default=None)
    if newest is not None:
        where = ", in the trash," if newest["deleted_at"] is not None else ""
        raise StillReferenced(
            f"dataset {shown(name)} has version {newest['version']}{where} which builds on {row['version']}: "
            "delete the newest first, or move this one to the trash"
        ).final()
