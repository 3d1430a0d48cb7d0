"""Large fan-outs as groups: nodes that play the same part in the graph become one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from registries.lineage.graph import Graph, Node
from registries.lineage.network import Edge

__all__ = ["collapsed"]

FEW: Final = 6
"""Nodes of one part that are still shown one by one."""
_READABLE: Final = 80
"""Nodes of a picture that can be taken in."""
_MEMBERS: Final = 200


def collapsed(graph: Graph, *, few: int = FEW, readable: int = _READABLE) -> Graph:
    """Return the graph with nodes that play the same part as groups.

    At first these are nodes of one kind whose neighbours are of the same parts; where that leaves too many, fewer
    steps around are looked at, until the picture can be taken in.

    Parameters
    ----------
    graph
        The graph.
    few
        Nodes of one part that are still shown one by one.
    readable
        The nodes that there may be in the end.
    """
    up, down = graph.upstream(), graph.downstream()
    levels = _levels(graph, up, down)
    for rounds in (3, 1, 0):
        parts = _parts(graph, up, down, levels, rounds)
        found = _merged(graph, parts, few)
        if len(found.nodes) <= readable:
            return found
    coarse = {
        uid: (node.table, levels[uid] > 0) if uid not in graph.roots else (uid,) for uid, node in graph.nodes.items()
    }
    by_level = {
        uid: (node.table, levels[uid]) if uid not in graph.roots else (uid,) for uid, node in graph.nodes.items()
    }
    found = _merged(graph, by_level, 1)
    return found if len(found.nodes) <= 2 * readable else _merged(graph, coarse, 1)


def _levels(graph: Graph, up: Mapping[str, list[str]], down: Mapping[str, list[str]]) -> dict[str, int]:
    """Return how many steps each node is away from the roots: below 0 before them, above 0 after them."""
    found = dict.fromkeys(graph.roots, 0)
    for links, sign in ((up, -1), (down, 1)):
        frontier = list(graph.roots)
        steps = 0
        while frontier:
            steps += sign
            frontier = list(dict.fromkeys(far for uid in frontier for far in links[uid] if far not in found))
            found |= dict.fromkeys(frontier, steps)
    return {uid: found.get(uid, 0) for uid in graph.nodes}


def _parts(
    graph: Graph,
    up: Mapping[str, list[str]],
    down: Mapping[str, list[str]],
    levels: Mapping[str, int],
    rounds: int,
) -> Mapping[str, object]:
    """Return the part of each node: what it is, and the parts of its neighbours as far as some steps around."""
    colours: dict[str, int] = _numbered({uid: _sort(graph, node, levels[uid]) for uid, node in graph.nodes.items()})
    for _ in range(rounds):
        colours = _numbered(
            {
                uid: (colours[uid], frozenset(colours[n] for n in up[uid]), frozenset(colours[n] for n in down[uid]))
                for uid in graph.nodes
            }
        )
    return colours


def _sort(graph: Graph, node: Node, level: int) -> object:
    if node.uid in graph.roots and len(graph.roots) <= FEW:
        return node.uid
    if node.table == "run":
        return node.table, node.title, node.state, level
    return node.table, node.kind, node.title.rpartition(".")[2] if "." in node.title else "", level


def _numbered(parts: Mapping[str, object]) -> dict[str, int]:
    numbers: dict[object, int] = {}
    return {uid: numbers.setdefault(part, len(numbers)) for uid, part in parts.items()}


def _merged(graph: Graph, parts: Mapping[str, object], few: int) -> Graph:
    members: defaultdict[object, list[str]] = defaultdict(list)
    for uid, part in parts.items():
        members[part].append(uid)
    into: dict[str, str] = {}
    nodes: dict[str, Node] = {}
    for uids in members.values():
        if len(uids) <= few or all(uid in graph.roots and len(graph.roots) <= FEW for uid in uids):
            nodes |= {uid: graph.nodes[uid] for uid in uids}
            into |= dict(zip(uids, uids, strict=True))
        else:
            group = _group([graph.nodes[uid] for uid in uids])
            nodes[group.uid] = group
            into |= dict.fromkeys(uids, group.uid)
    edges = dict.fromkeys(Edge(into[e.source], into[e.target], e.kind) for e in graph.edges)
    kept = tuple(edge for edge in edges if edge.source != edge.target)
    return replace(graph, roots=tuple(dict.fromkeys(into[uid] for uid in graph.roots)), nodes=nodes, edges=kept)


def _group(nodes: list[Node]) -> Node:
    first = nodes[0]
    titles = Counter(node.title for node in nodes)
    many = f"{len(nodes):,} {'runs' if first.table == 'run' else 'artifacts'}"
    title = f"{len(nodes):,} × {first.title}" if len(titles) == 1 else f"{many}: {_common([n.title for n in nodes])}"
    states = Counter(node.state for node in nodes if node.state)
    kinds = Counter(node.kind for node in nodes if node.kind)
    note = ", ".join(f"{count:,} {what}" for what, count in (states or kinds).most_common(3))
    members = tuple((node.uid, node.title) for node in nodes[:_MEMBERS])
    details = {"members": many, **({"outcomes": note} if states else {"kinds": note})}
    state = states.most_common(1)[0][0] if len(states) == 1 else ("failed" if "failed" in states else "")
    kind = first.kind if len(kinds) == 1 else ""
    return Node(first.uid, first.table, title, note, kind, state, details, members)


def _common(titles: list[str]) -> str:
    """Return what the titles have in common, such as ``raw/….csv``."""
    low, high = min(titles), max(titles)
    size = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    ends = {title.rpartition(".")[2] if "." in title else "" for title in titles}
    tail = f".{ends.pop()}" if len(ends) == 1 and "" not in ends else ""
    start = low[:size].rpartition("/")
    return f"{start[0]}{start[1]}…{tail}" if len(set(titles)) > 1 else low
