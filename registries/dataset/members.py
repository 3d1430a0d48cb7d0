"""The members of a version of a dataset.

A member is a row under the version that added it. Uids of versions of one name follow each other, so the members of a
version are those under the versions from its base up to itself: adding writes the new rows alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from formats.base import is_instance_of
from formats.frames import FRAME_TYPES
from formats.registry import format_for
from lakehouse.engine.pruning import Begins
from lakehouse.errors import InputError, shown
from lakehouse.ids import derived_uid
from registries.annotate import saved_in
from registries.binding import REGISTRIES
from registries.conditions import SHARE, Condition
from registries.query import Query
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot, Transaction
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Members", "artifacts_of", "member_uid"]

_OBJECTS = (*FRAME_TYPES, "anndata.AnnData")


def member_uid(base: str, artifact: str) -> str:
    """Return the uid of a membership: computed, so that the same artifact is added once; members of a set lie together.

    Examples
    --------
    >>> member_uid("0" * 20, "a") == member_uid("0" * 20, "a") != member_uid("0" * 20, "b")
    True
    """
    return base[SHARE] + derived_uid("dataset_member", base, artifact)[:10]


@dataclass(frozen=True)
class Members:
    """The members of the version that a row of the table of datasets stands for."""

    row: Mapping[str, Any]

    # Reading

    def uids(self, snapshot: Snapshot) -> list[str]:
        """Return the uids of the artifacts, in the order in which they were added."""
        inner = self._mine()
        found = snapshot.arrow(
            f'select artifact from "dataset_member" where {inner.sql} order by position, uid',
            list(inner.parameters),
            ["dataset_member"],
            bounds={"dataset_member": inner.bounds},
        )
        uids: list[str] = found["artifact"].to_pylist()
        return uids

    def overview(self, snapshot: Snapshot, most: int) -> tuple[dict[str, int], list[str]]:
        """Return how many members have which format, most of them first, and the keys or uids of the first members."""
        inner, tables = self._mine(), ["dataset_member", "artifact"]
        joined = f'from (select * from "dataset_member" where {inner.sql}) m join "artifact" a on a.uid = m.artifact'
        given: dict[str, Any] = {"tables": tables, "bounds": {"dataset_member": inner.bounds}}
        counted = snapshot.arrow(
            f"select a.format, count(*) as n {joined} group by all order by n desc, a.format", inner.parameters, **given
        )
        first = snapshot.arrow(
            f"select coalesce(a.key, a.uid) as name {joined} order by m.position, m.uid limit {most}",
            inner.parameters,
            **given,
        )
        return dict(zip(*counted.to_pydict().values(), strict=True)), first["name"].to_pylist()

    def query(self, home: Instance) -> Query[Artifact]:
        """Return the query for the artifacts, with those that were moved to the trash since."""
        found = Query.of(home.Artifact, home).with_trash
        return replace(found, conditions=(*found.conditions, self._mine().within("uid", "artifact", "dataset_member")))

    def ordered(self, home: Instance, snapshot: Snapshot | None = None) -> list[Artifact]:
        """Return the artifacts in the order in which they were added."""
        snapshot = home.snapshot() if snapshot is None else snapshot
        uids = self.uids(snapshot)
        rows = {row["uid"]: row for row in snapshot.lookup("artifact", "uid", uids).to_pylist()}
        return [home.Artifact.from_row(rows[uid], home) for uid in uids]

    def feature_sets(self, home: Instance) -> dict[str, Any]:
        """Return by slot the query for the members of all feature sets."""
        inner = self._mine()
        snapshot = home.snapshot()
        found = snapshot.arrow(
            "select m.slot, s.registry, list(s.uid order by s.uid) as sets from dataset_feature_set m "
            f"join feature_set s on s.uid = m.feature_set where m.{inner.sql} group by all order by all",
            list(inner.parameters),
            ["dataset_feature_set", "feature_set"],
        )
        tables = {registry.__name__: registry for registry in REGISTRIES.values()}
        return {
            row["slot"]: home.bound(tables[row["registry"]]).filter(feature_sets__uid__in=row["sets"])
            for row in found.to_pylist()
        }

    def _mine(self) -> Condition:
        edges = (self.row["base"], self.row["uid"])
        return Condition('"dataset" between ? and ?', edges, bounds=(Begins("uid", [edges[0][SHARE]]),))

    # Writing

    @staticmethod
    def totals(before: Mapping[str, Any] | None, added: Sequence[Artifact]) -> dict[str, Any]:
        """Return what a row says of all its members together, after some were added."""
        n, size = (before["n_artifacts"], before["size"]) if before else (0, 0)
        rows: list[int | None] = [before["n_rows"]] if before else []
        rows += [one.n_rows for one in added]
        kinds = ({before["kind"]} if before else set()) | {one.kind for one in added}
        return {
            "n_artifacts": n + len(added),
            "size": size + sum(one.size for one in added),
            "n_rows": None if None in rows else sum(one for one in rows if one is not None),
            "kind": kinds.pop() if len(kinds) == 1 else "mixed",
        }

    def add(self, txn: Transaction, home: Instance, added: Sequence[Artifact], begin: int) -> None:
        """Put rows of members, and of what was measured in them, into a transaction."""
        uids = [one.uid for one in added]
        made = {
            "uid": [member_uid(self.row["base"], uid) for uid in uids],
            "artifact": uids,
            "position": pa.array(range(begin, begin + len(uids)), pa.int64()),
        }
        txn.insert("dataset_member", self._stamped(home, made))
        sets = txn.snapshot.lookup("artifact_feature_set", "artifact", uids).to_pylist()
        wanted = {self._set_uid(row["slot"], row["feature_set"]): row for row in sets}
        for known in txn.snapshot.lookup("dataset_feature_set", "uid", list(wanted))["uid"].to_pylist():
            del wanted[known]
        columns = {"uid": list(wanted)} | {
            name: [row[name] for row in wanted.values()] for name in ("slot", "feature_set")
        }
        if wanted:
            txn.insert("dataset_feature_set", self._stamped(home, columns))

    def _set_uid(self, slot: str, feature_set: str) -> str:
        derived = derived_uid("dataset_feature_set", self.row["base"], slot, feature_set)
        return str(self.row["base"])[SHARE] + derived[:10]

    def _stamped(self, home: Instance, columns: Mapping[str, Any]) -> pa.Table:
        count = len(columns["uid"])
        stamps = {
            "dataset": pa.repeat(pa.scalar(self.row["uid"]), count),
            "created_at": pa.repeat(pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC")), count),
            "created_by": pa.repeat(pa.scalar(self.row["created_by"]), count),
            "run": pa.repeat(pa.scalar(home.run_uid, pa.string()), count),
        }
        return pa.table({**columns, **stamps})


# Sources


def artifacts_of(home: Instance, source: Any, name: str, *, begin: Callable[[], int]) -> list[Artifact]:
    """Return the artifacts that a source stands for, each once; objects in memory are saved as new ones.

    Parameters
    ----------
    name
        Of the dataset, with which the keys of new artifacts begin.
    begin
        Returns the number of the first new one.
    """
    given = _several(source)
    if not given:
        raise InputError(f"Dataset {shown(name)} has no members: give artifacts, a query that finds some, or frames")
    found: list[Artifact] = []
    made: list[Artifact] = []
    first = begin() if any(not isinstance(one, Record) for one in given) else 0
    for place, one in enumerate(given, start=first):
        if isinstance(one, Record):
            found.append(_checked(home, one))
        else:
            made.append(_made(home, one, name, place))
            found.append(made[-1])
    if made:
        home.save(made)
    return list({one.uid: one for one in found}.values())


def _several(source: Any) -> list[Any]:
    if isinstance(source, Query):
        if source.registry.meta.table != "artifact":
            raise InputError(f"{source!r} is for {source.registry.meta.name}: a query for artifacts is accepted")
        return source.all()
    if isinstance(source, Record) or _is_object(source):
        return [source]
    if isinstance(source, str | bytes | Mapping) or not isinstance(source, Iterable):
        raise InputError(f"Dataset({shown(source)}): artifacts, a query for artifacts, frames or AnnData are accepted")
    return list(source)


def _is_object(one: Any) -> bool:
    return any(is_instance_of(one, dotted) for dotted in _OBJECTS)


def _checked(home: Instance, one: Record) -> Any:
    if one.meta.table != "artifact":
        raise InputError(f"Dataset([...{shown(one)}...]): members are artifacts, not {one.meta.name}")
    saved_in(home, one)
    if one.to_row()["deleted_at"] is not None:
        raise InputError(
            f"artifact {shown(one.value('key') or one.uid)} is in the trash: restore() it before it becomes a member of a dataset"
        )
    return one


def _made(home: Instance, one: Any, name: str, place: int) -> Artifact:
    if not _is_object(one):
        raise InputError(f"Dataset([...{shown(one)}...]): members are artifacts, frames or AnnData")
    return home.Artifact(one, key=f"{name}/{place:06}{format_for(one).suffixes[0]}")
