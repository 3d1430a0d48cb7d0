"""Look-ups by lineage: ``upstream_of`` and ``downstream_of``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lakehouse.errors import InputError, RecordNotFound, UnknownField, shown
from lakehouse.ids import is_uid
from registries.conditions import Condition
from registries.lineage.edges import EDGES
from registries.lineage.network import network_of
from registries.near import near_misses
from registries.rows import live, newest

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.meta import Lookup, Meta

__all__ = ["LINEAGE", "made_by", "reached", "uid_of"]

_TABLES: Final = frozenset({"artifact", "run", "run_input", "run_output"})


def uid_of(snapshot: Snapshot, meta: Meta, value: object, where: str) -> str:
    """Return the uid that a record, a uid or a key means; of a key that of its latest version.

    Raises
    ------
    RecordNotFound
        When no artifact has the key.
    """
    found = getattr(value, "uid", value)
    if not isinstance(found, str):
        raise InputError(f"{where}={shown(value)}: a record, a uid or the key of an artifact is accepted")
    if is_uid(found):
        return found
    row = newest(live(snapshot.lookup("artifact", "key", [found])))
    if row is None:
        registry = meta.registry if meta.table == "artifact" else None
        near = near_misses(snapshot, registry, "key", [found]) if registry is not None else ""
        raise RecordNotFound(f"no artifact has the key {shown(found)}{near}")
    return str(row["uid"])


def reached(snapshot: Snapshot, uids: list[str], *, up: bool) -> list[str]:
    """Return the uids of all artifacts and runs that some came from, or that came of them; the nearest first."""
    network = network_of(snapshot)
    edges = network.upstream(uids) if up else network.downstream(uids)
    found = dict.fromkeys(edge.source if up else edge.target for edge in edges)
    for uid in uids:
        found.pop(uid, None)
    return list(found)


def _around(snapshot: Snapshot, meta: Meta, value: Any, where: str, *, up: bool) -> list[str]:
    """Return the uids that a look-up means: around an artifact or run, the runs of a transform, or a dataset's members."""
    if (begin := getattr(value, "lineage_start", None)) is not None and value.uid is not None:
        starts: list[str] = begin(snapshot)
        is_set = value.meta.table == "dataset"
    else:
        uid, is_set = uid_of(snapshot, meta, value, where), False
        if snapshot.get("dataset", uid) is not None:
            raise InputError(f"{where}={shown(uid)} is a dataset: pass the record, as in {where}=lh.Dataset.get(...)")
        is_code = snapshot.get("transform", uid) is not None
        starts = snapshot.lookup("run", "transform", [uid])["uid"].to_pylist() if is_code else [uid]
    return (starts if is_set and up else []) + reached(snapshot, starts, up=up)


def _of(meta: Meta, rest: list[str], value: object, lookup: Any, *, up: bool) -> Condition:
    name = "upstream_of" if up else "downstream_of"
    if rest not in ([], ["exact"]):
        raise UnknownField(f"{shown(str(lookup))}: {name} takes no further look-up")

    def settle(snapshot: Snapshot) -> Condition:
        return Condition.of_values("uid", _around(snapshot, meta, value, name, up=up))

    begin, step = ("target", "source") if up else ("source", "target")
    recursive = (
        f'"uid" in (with recursive e as ({EDGES}), r as (select {step} as uid from e where {begin} = ? union '
        f"select e.{step} from e join r on e.{begin} = r.uid) select uid from r)"
    )
    wanted = getattr(value, "uid", value)
    return Condition(recursive, (wanted,), _TABLES, settle=settle)


def _upstream_of(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    return _of(meta, rest, value, lookup, up=True)


def _downstream_of(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    return _of(meta, rest, value, lookup, up=False)


def made_by(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that an artifact was made by a version of code, or a run: also by its steps, or once more."""
    if rest not in ([], ["exact"]):
        raise UnknownField(f"{shown(str(lookup))}: made_by takes no further look-up")
    uid = getattr(value, "uid", value)
    if not isinstance(uid, str) or not is_uid(uid):
        raise InputError(f"made_by={shown(value)}: a transform, a run or the uid of one is accepted")
    runs = (
        "with recursive r as (select uid from run where transform = ? or uid = ? "
        "union select p.uid from run p join r on p.run = r.uid) select "
    )
    sql = f'"run" in ({runs}uid from r) or "uid" in ({runs}o.artifact from run_output o join r on o.subject = r.uid)'
    del meta
    return Condition(sql, (uid,) * 4, frozenset({"run", "run_output"}))


LINEAGE: Mapping[str, Lookup] = {"upstream_of": _upstream_of, "downstream_of": _downstream_of}
"""The look-ups that artifacts and runs have beside their columns: what something came from, and what came of it."""
