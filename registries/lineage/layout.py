"""A layered layout: data goes from left to right, and lines cross seldom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from registries.lineage.graph import Graph

__all__ = ["Layout", "laid_out"]

WIDTH, HEIGHT = 216, 44
_GAP_X, _GAP_Y, _MARGIN = 72, 16, 20
_SWEEPS = 8


@dataclass(frozen=True)
class Layout:
    """Where nodes and lines are, in pixels.

    Attributes
    ----------
    places
        The left upper corner of each node, by uid.
    lines
        The points that the line of each pair of nodes goes through.
    width, height
        Of the picture.
    """

    places: Mapping[str, tuple[float, float]]
    lines: Mapping[tuple[str, str], list[tuple[float, float]]]
    width: float
    height: float


def laid_out(graph: Graph) -> Layout:
    """Return where the nodes of a graph are drawn.

    Circles are opened at one place; each node stands one layer after the last of what it comes from; the order
    within layers is that of the middle of their neighbours, gone over some times (Sugiyama, Tagawa and Toda 1981).
    """
    pairs = list(dict.fromkeys((edge.source, edge.target) for edge in graph.edges if edge.source != edge.target))
    forward = _without_circles(list(graph.nodes), pairs)
    layer = _layers(list(graph.nodes), forward)
    chains = {pair: _chain(pair, layer) for pair in forward}
    rows = _ordered(sorted(graph.nodes, key=lambda uid: (graph.nodes[uid].title, uid)), layer, chains)
    return _placed(graph, pairs, rows, chains)


def _without_circles(nodes: list[str], pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs with those turned round that close a circle."""
    after: dict[str, list[str]] = {node: [] for node in nodes}
    incoming = dict.fromkeys(nodes, 0)
    for source, target in pairs:
        after[source].append(target)
        incoming[target] += 1
    state: dict[str, int] = {}
    turned: set[tuple[str, str]] = set()
    for start in sorted(nodes, key=lambda node: incoming[node] > 0):  # from where nothing comes in, if there are such
        stack = [(start, iter(after[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[node] = 2
                stack.pop()
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(after[following])))
            elif state[following] == 1:
                turned.add((node, following))
    return list(dict.fromkeys((b, a) if (a, b) in turned else (a, b) for a, b in pairs))


def _layers(nodes: list[str], pairs: list[tuple[str, str]]) -> dict[str, int]:
    after: dict[str, list[str]] = {node: [] for node in nodes}
    left = dict.fromkeys(nodes, 0)
    for source, target in pairs:
        after[source].append(target)
        left[target] += 1
    layer = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not left[node]]
    order: list[str] = []
    while ready:
        node = ready.pop()
        order.append(node)
        for following in after[node]:
            layer[following] = max(layer[following], layer[node] + 1)
            left[following] -= 1
            if not left[following]:
                ready.append(following)
    led_to = {target for _, target in pairs}
    for node in reversed(order):  # what has nothing before it stands right before what it leads to
        if after[node] and node not in led_to:
            layer[node] = min(layer[following] for following in after[node]) - 1
    return layer


def _chain(pair: tuple[str, str], layer: Mapping[str, int]) -> list[str]:
    """Return what a line goes through: a place of its own in each layer between."""
    source, target = pair
    between = [f"{source}>{target}>{number}" for number in range(layer[source] + 1, layer[target])]
    return [source, *between, target]


def _ordered(
    nodes: list[str], layer: Mapping[str, int], chains: Mapping[tuple[str, str], list[str]]
) -> list[list[str]]:
    places = {node: layer[node] for node in nodes}
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for chain in chains.values():
        for offset, node in enumerate(chain):
            places.setdefault(node, layer[chain[0]] + offset)
        for a, b in pairwise(chain):
            after.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    rows: list[list[str]] = [[] for _ in range(max(places.values(), default=-1) + 1)]
    for node, number in places.items():
        rows[number].append(node)
    for sweep in range(_SWEEPS):
        links, numbers = (before, range(1, len(rows))) if sweep % 2 == 0 else (after, range(len(rows) - 2, -1, -1))
        for number in numbers:
            neighbours = rows[number - 1 if sweep % 2 == 0 else number + 1]
            at = {node: place / max(1, len(neighbours) - 1) for place, node in enumerate(neighbours)}
            own = {node: place / max(1, len(rows[number]) - 1) for place, node in enumerate(rows[number])}
            rows[number].sort(key=lambda node: _middle(node, links, at, own))
    return rows


def _middle(
    node: str, links: Mapping[str, list[str]], at: Mapping[str, float], own: Mapping[str, float]
) -> tuple[float, float]:
    found = [at[one] for one in links.get(node, ()) if one in at]
    return (sum(found) / len(found) if found else own[node]), own[node]


def _placed(
    graph: Graph,
    pairs: list[tuple[str, str]],
    rows: list[list[str]],
    chains: Mapping[tuple[str, str], list[str]],
) -> Layout:
    spans = [sum(HEIGHT + _GAP_Y if node in graph.nodes else _GAP_Y for node in row) for row in rows]
    height = max(spans, default=0)
    middles: dict[str, tuple[float, float]] = {}
    for number, (row, span) in enumerate(zip(rows, spans, strict=True)):
        y = _MARGIN + (height - span) / 2
        for node in row:
            size = HEIGHT if node in graph.nodes else 0
            middles[node] = _MARGIN + number * (WIDTH + _GAP_X), y + size / 2
            y += size + _GAP_Y
    places = {node: (x, y - HEIGHT / 2) for node, (x, y) in middles.items() if node in graph.nodes}
    lines = {}
    for source, target in pairs:
        chain = chains.get((source, target)) or list(reversed(chains[target, source]))
        lines[source, target] = _points(chain, middles, backward=(source, target) not in chains)
    width = 2 * _MARGIN + max(0, len(rows) * (WIDTH + _GAP_X) - _GAP_X)
    return Layout(places, lines, width, 2 * _MARGIN + max(height - _GAP_Y, 0))


def _points(
    chain: list[str], middles: Mapping[str, tuple[float, float]], *, backward: bool
) -> list[tuple[float, float]]:
    first, *between, last = chain
    start, end = middles[first], middles[last]
    out, into = (0, WIDTH) if backward else (WIDTH, 0)
    points = [(start[0] + out, start[1])]
    for node in between:  # straight through the layer, so that it does not run over nodes there
        x, y = middles[node]
        points += [(x + WIDTH, y), (x, y)] if backward else [(x, y), (x + WIDTH, y)]
    return [*points, (end[0] + into, end[1])]
