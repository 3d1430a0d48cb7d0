"""A part of the lineage as a value: nodes, edges, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lakehouse.engine.pruning import Among
from lakehouse.engine.scan import quoted
from registries.lineage.network import Edge, network_of
from registries.lineage.parameters import PARAM, read_parameter
from registries.lineage.process import is_gone

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.instance import Instance
    from registries.lineage.traced import Traced

__all__ = ["Graph", "Node", "graph_of"]

_MOST: Final = 20_000
_MOST_WITH_PARAMETERS: Final = 1_000
_FEW, _LONGEST = 20, 60
"""Parameters that the details of a run name, and how many characters of each value."""
_ARTIFACT: Final = (
    "uid",
    "key",
    "version",
    "kind",
    "format",
    "size",
    "n_rows",
    "description",
    "created_at",
    "created_by",
    "run",
    "deleted_at",
)
_RUN: Final = (
    "uid",
    "transform",
    "started_at",
    "finished_at",
    "outcome",
    "error",
    "host",
    "created_by",
    "run",
    "git_commit",
    "process",
    "report",
)


@dataclass(frozen=True)
class Node:
    """An artifact, a run or a dataset.

    Attributes
    ----------
    uid
        Its uid; of a group, that of its first member.
    table
        artifact, run or dataset.
    title
        What it is called: a key, or the name of a transform.
    note
        A second line.
    kind
        Of an artifact its kind, or ``deleted``; of a run that of its transform.
    state
        Of a run its outcome, ``running`` or ``aborted``.
    details
        What is shown on asking.
    members
        Of a group, the uids of all nodes in it, and what they are called.
    """

    uid: str
    table: str
    title: str
    note: str = ""
    kind: str = ""
    state: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    members: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Graph:
    """Nodes by uid, and the edges between them.

    Attributes
    ----------
    roots
        The nodes that were asked about.
    nodes, edges
        All of them; an edge leads from what data came from to where it went.
    is_cut
        Whether there is more than was asked for.
    """

    roots: tuple[str, ...]
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    is_cut: bool = False

    def upstream(self) -> Mapping[str, list[str]]:
        """Return what each node's data came from."""
        found: dict[str, list[str]] = {uid: [] for uid in self.nodes}
        for edge in self.edges:
            if edge.source not in found[edge.target]:
                found[edge.target].append(edge.source)
        return found

    def downstream(self) -> Mapping[str, list[str]]:
        """Return where each node's data went."""
        found: dict[str, list[str]] = {uid: [] for uid in self.nodes}
        for edge in self.edges:
            if edge.target not in found[edge.source]:
                found[edge.source].append(edge.target)
        return found


def graph_of(
    home: Instance,
    roots: Sequence[Traced],
    *,
    upstream: bool = True,
    downstream: bool = True,
    depth: int | None = None,
    snapshot: Snapshot | None = None,
) -> Graph:
    """Return the lineage around records: artifacts, runs, or transforms, which stand for their runs.

    Parameters
    ----------
    home
        The instance.
    roots
        The records.
    upstream, downstream
        The directions that are followed.
    depth
        How many steps; from an artifact to the run that made it is one.
    snapshot
        As of when; now, where none is given.
    """
    home.settle_runs()
    snapshot = home.snapshot() if snapshot is None else snapshot
    network = network_of(snapshot)
    uids = list(dict.fromkeys(uid for root in roots for uid in root.lineage_start(snapshot)))
    edges: dict[tuple[str, str, str], Edge] = {}
    walks = [walk for walk, wanted in ((network.upstream, upstream), (network.downstream, downstream)) if wanted]
    for walk in walks:
        for edge in walk(uids, depth=depth, most=_MOST):
            edges[edge.source, edge.target, edge.kind] = edge
    named = dict.fromkeys([*uids, *(uid for edge in edges.values() for uid in (edge.source, edge.target))])
    nodes = nodes_of(snapshot, list(named))
    kept = tuple(edge for edge in edges.values() if edge.source in nodes and edge.target in nodes)
    cut = len(named) >= _MOST or (
        depth is not None and _leads_on(network, uids, depth, upstream, downstream, len(edges))
    )
    sets = {
        node.uid: (node, root.lineage_start(snapshot)) for root in roots if (node := root.lineage_node()) is not None
    }
    if not sets:
        return Graph(tuple(uids), nodes, kept, cut)
    nodes |= {uid: node for uid, (node, _) in sets.items()}
    members = tuple(Edge(uid, node.uid, "member") for node, inside in sets.values() for uid in inside if uid in nodes)
    return Graph(tuple(sets), nodes, kept + members, cut)


def _leads_on(network: Any, uids: list[str], depth: int, up: bool, down: bool, found: int) -> bool:  # noqa: FBT001
    more: set[Edge] = set()
    if up:
        more.update(network.upstream(uids, depth=depth + 1, most=_MOST))
    if down:
        more.update(network.downstream(uids, depth=depth + 1, most=_MOST))
    return len(more) > found


def nodes_of(snapshot: Snapshot, uids: Sequence[str]) -> dict[str, Node]:
    """Return what is known of artifacts and runs; what is neither was an artifact that is deleted."""
    runs = _rows(snapshot, "run", _RUN, uids)
    artifacts = _rows(snapshot, "artifact", _ARTIFACT, [uid for uid in uids if uid not in runs])
    transforms = _rows(
        snapshot, "transform", ("uid", "name", "version", "kind"), {r["transform"] for r in runs.values()}
    )
    users = {row["uid"]: row["handle"] for row in snapshot.rows("user").to_pylist()} if len(uids) else {}
    given = _parameters(snapshot, list(runs))
    found: dict[str, Node] = {}
    for uid in uids:
        if uid in runs:
            transform = transforms.get(runs[uid]["transform"], {})
            found[uid] = _run(runs[uid], transform, users, _status(runs[uid]), given.get(uid, ""))
        elif uid in artifacts:
            found[uid] = _artifact(artifacts[uid], users)
        else:
            found[uid] = Node(uid, "artifact", f"deleted {uid}", "was deleted for good", "deleted", "", {"uid": uid})
    return found


def _status(row: Mapping[str, Any]) -> str:
    if row["outcome"] is not None:
        return str(row["outcome"])
    return "aborted" if row["process"] is not None and is_gone(row["process"], row["host"]) else "running"


def _parameters(snapshot: Snapshot, runs: list[str]) -> dict[str, str]:
    """Return the parameters of runs as text; of thousands, which are shown as groups, none."""
    if len(runs) > _MOST_WITH_PARAMETERS:
        return {}
    found: dict[str, list[str]] = {}
    for row in sorted(snapshot.lookup(PARAM, "subject", runs).to_pylist(), key=lambda row: str(row["name"])):
        found.setdefault(row["subject"], []).append(f"{row['name']} = {str(read_parameter(row))[:_LONGEST]}")
    return {uid: ", ".join(texts[:_FEW] + ["…"] * (len(texts) > _FEW)) for uid, texts in found.items()}


def _rows(snapshot: Snapshot, table: str, columns: Sequence[str], uids: Iterable[str]) -> dict[str, dict[str, Any]]:
    wanted = list(uids)
    if not wanted:
        return {}
    if snapshot.is_large(table):
        listed = ", ".join(map(quoted, columns))
        statement = f"select {listed} from {quoted(table)} where uid in (select unnest(?::VARCHAR[]))"
        found = snapshot.arrow(statement, [wanted], [table], bounds={table: (Among("uid", sorted(wanted)),)})
    else:
        found = snapshot.lookup(table, "uid", wanted)
    rows = found.select(list(columns)).to_pylist()
    return {row["uid"]: row for row in rows}


def _artifact(row: Mapping[str, Any], users: Mapping[str, str]) -> Node:
    title = row["key"] or row["description"] or row["uid"]
    shape = f"{row['n_rows']:,} rows" if row["n_rows"] is not None else f"{row['size']:,} bytes"
    trash = "in the trash" if row["deleted_at"] is not None else None
    details = _details(
        uid=row["uid"],
        key=row["key"],
        version=row["version"],
        kind=f"{row['kind']} ({row['format']})",
        size=f"{row['size']:,} bytes",
        rows=row["n_rows"],
        description=row["description"],
        created=_time(row["created_at"]),
        by=users.get(row["created_by"]),
        state=trash,
    )
    note = f"version {row['version']}, {shape}" + (f", {trash}" if trash else "")
    return Node(row["uid"], "artifact", title, note, row["kind"], "", details)


def _run(
    row: Mapping[str, Any], transform: Mapping[str, Any], users: Mapping[str, str], status: str, parameters: str
) -> Node:
    name = str(transform.get("name", row["transform"]))
    details = _details(
        uid=row["uid"],
        transform=f"{name}, version {transform.get('version')}",
        parameters=parameters or None,
        outcome=status,
        started=_time(row["started_at"]),
        finished=_time(row["finished_at"]),
        host=row["host"],
        by=users.get(row["created_by"]),
        commit=row["git_commit"],
        error=(row["error"] or "").strip().rpartition("\n")[2] or None,
    )
    note = f"version {transform.get('version')}, {status}"
    return Node(row["uid"], "run", name, note, str(transform.get("kind", "")), status, details)


def _details(**values: Any) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _time(moment: Any) -> str | None:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment is not None else None
