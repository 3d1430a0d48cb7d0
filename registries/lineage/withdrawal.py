"""What would break if an artifact were withdrawn: all that came of it, and whom to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError
from registries.lineage.network import network_of
from registries.lineage.recipe import keyed

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["Withdrawal", "withdrawal_of"]

_SHOWN = 50
_Pair = tuple[str, str]


@dataclass(frozen=True)
class Withdrawal:
    """What ``artifact.withdrawal()`` returns; nothing is withdrawn by it.

    Attributes
    ----------
    title
        What would be withdrawn.
    artifacts
        What came of it, at any distance, the nearest first: pairs of uid and key.
    runs
        The uids of the runs that read it, or what came of it.
    remade
        Those of the artifacts that were also made by a run which had nothing of it: they would stand without it.
    datasets
        Those that it, or what came of it, is a member of: pairs of uid and name with version.
    transforms
        The names of what was run.
    users
        Who ran or saved it.
    """

    title: str
    artifacts: tuple[_Pair, ...]
    runs: tuple[str, ...]
    remade: tuple[_Pair, ...]
    datasets: tuple[_Pair, ...]
    transforms: tuple[str, ...]
    users: tuple[str, ...]

    def __str__(self) -> str:
        if not self.runs and not self.datasets:
            return f"nothing came of {self.title}: it can be withdrawn"
        lines = [f"{len(self.artifacts):,} artifacts and {len(self.runs):,} runs came of {self.title}"]
        lines += [f"  {key} ({uid})" for uid, key in self.artifacts[:_SHOWN]]
        lines += [f"  … {len(self.artifacts) - _SHOWN:,} more"] if len(self.artifacts) > _SHOWN else []
        if self.remade:
            lines += ["made by other runs, too, without it:", *(f"  {key} ({uid})" for uid, key in self.remade)]
        if self.datasets:
            lines += ["datasets with it, or with what came of it:"]
            lines += [f"  {name} ({uid})" for uid, name in self.datasets[:_SHOWN]]
            lines += [f"  … {len(self.datasets) - _SHOWN:,} more"] if len(self.datasets) > _SHOWN else []
        lines += [f"run by {', '.join(self.users)}, in {', '.join(self.transforms)}"] if self.runs else []
        return "\n".join(lines)

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "title": self.title,
            "artifacts": [{"uid": uid, "key": key} for uid, key in self.artifacts],
            "runs": list(self.runs),
            "remade": [{"uid": uid, "key": key} for uid, key in self.remade],
            "datasets": [{"uid": uid, "name": name} for uid, name in self.datasets],
            "transforms": list(self.transforms),
            "users": list(self.users),
        }


def withdrawal_of(home: Instance, artifact: Artifact) -> Withdrawal:
    """Return what would break if an artifact were withdrawn."""
    if not artifact.is_saved:
        raise InputError(f"{artifact!r} is not saved: call its save() first")
    home.settle_runs()
    snapshot = home.snapshot()
    edges = network_of(snapshot).downstream([artifact.uid])
    reached = list(dict.fromkeys(edge.target for edge in edges if edge.target != artifact.uid))
    rows = {row["uid"]: row for row in snapshot.lookup("run", "uid", reached).to_pylist()}
    uids = [uid for uid in reached if uid not in rows]
    made_of = network_of(snapshot).upstream(uids, depth=1)
    free = {edge.target for edge in made_of if edge.kind in ("output", "re-created") and edge.source not in rows}
    users = {row["created_by"] for row in rows.values()}
    handles = [row["handle"] for row in snapshot.lookup("user", "uid", list(users)).to_pylist()]
    transforms = snapshot.lookup("transform", "uid", list({row["transform"] for row in rows.values()})).to_pylist()
    pairs = keyed(snapshot, uids)
    return Withdrawal(
        f"{artifact.key or artifact.uid} version {artifact.version}",
        pairs,
        tuple(rows),
        tuple(pair for pair in pairs if pair[0] in free),
        _datasets(snapshot, [artifact.uid, *uids]),
        tuple(sorted({row["name"] for row in transforms})),
        tuple(sorted(handles)),
    )


def _datasets(snapshot: Snapshot, artifacts: list[str]) -> tuple[_Pair, ...]:
    """Return the versions of datasets with one of some artifacts: from the one that added it on, all have it."""
    added = snapshot.lookup("dataset_member", "artifact", artifacts)["dataset"].to_pylist()
    first: dict[str, str] = {}
    for row in snapshot.lookup("dataset", "uid", list(set(added))).to_pylist():
        base, uid = str(row["base"]), str(row["uid"])
        first[base] = min(uid, first.get(base, uid))
    rows = snapshot.lookup("dataset", "base", list(first)).to_pylist()
    kept = sorted((row["name"], row["version"], row["uid"]) for row in rows if row["uid"] >= first[row["base"]])
    return tuple((uid, f"{name} version {version}") for name, version, uid in kept)
