"""Lineage as text: a tree for terminals, Mermaid, DOT, and plain values for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from registries.lineage.graph import Graph, Node

__all__ = ["as_dict", "dot", "mermaid", "tree"]

_ASCII = str.maketrans("└├─│…×", "`|-|~x")


def tree(graph: Graph, *, ascii_only: bool = False) -> str:
    """Return the graph as an indented list: what the roots came from, then where their data went.

    What was listed already is not followed again, which ``…`` says.

    Parameters
    ----------
    graph
        The graph.
    ascii_only
        Whether lines are drawn in ASCII.
    """
    lines = []
    for root in graph.roots:
        lines.append(_called(graph.nodes[root]))
        for title, links in (("came from", graph.upstream()), ("went to", graph.downstream())):
            branches = list(_branches(graph, root, links))
            if branches:
                lines += [f"  {title}:", *(f"  {line}" for line in branches)]
        if len(lines) == 1:
            lines.append("  nothing is recorded around it")
    if graph.is_cut:
        lines.append("there is more beyond the depth that was asked for")
    text = "\n".join(lines)
    return text.translate(_ASCII) if ascii_only else text


def _branches(graph: Graph, root: str, links: Mapping[str, list[str]]) -> Iterator[str]:
    shown = {root}
    waiting = _below(links, root, "")
    while waiting:
        uid, indent, last = waiting.pop()
        again = uid in shown and links.get(uid)
        yield f"{indent}{'└' if last else '├'}─ {_called(graph.nodes[uid])}{' …' if again else ''}"
        if uid not in shown:
            shown.add(uid)
            waiting += _below(links, uid, indent + ("   " if last else "│  "))


def _below(links: Mapping[str, list[str]], uid: str, indent: str) -> list[tuple[str, str, bool]]:
    found = links.get(uid, [])
    return [(one, indent, place == len(found) - 1) for place, one in enumerate(found)][::-1]


def _called(node: Node) -> str:
    sign = "run " if node.table == "run" and not node.members else ""
    return _visible(f"{sign}{node.title} ({node.note})" if node.note else f"{sign}{node.title}")


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def mermaid(graph: Graph) -> str:
    """Return the graph in Mermaid's language, which GitHub, GitLab and many editors draw."""
    names = {uid: f"n{number}" for number, uid in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for uid, node in graph.nodes.items():
        label = _mermaid_text(node.title) + (f"<br/>{_mermaid_text(node.note)}" if node.note else "")
        left, right = ('(["', '"])') if node.table == "run" else ('["', '"]')
        lines.append(f"  {names[uid]}{left}{label}{right}")
    for source, target, kind in _pairs(graph):
        arrow = "-.->" if kind in ("re-created", "step", "passed") else "-->"
        label = f"|{kind}|" if kind == "re-created" else ""
        lines.append(f"  {names[source]} {arrow}{label} {names[target]}")
    lines += ["  classDef root stroke-width:3px", *(f"  class {names[uid]} root" for uid in graph.roots)]
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Return a text with everything escaped that means something to Mermaid."""
    return "".join(c if c.isalnum() or c in " ./_-,:×…" else f"#{ord(c)};" for c in _visible(text))


def dot(graph: Graph) -> str:
    """Return the graph in the language of Graphviz."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif" fontsize=11];']
    for uid, node in graph.nodes.items():
        shape = "shape=box style=rounded" if node.table == "run" else "shape=box"
        thick = " penwidth=3" if uid in graph.roots else ""
        label = f"{_dot_text(node.title)}\\n{_dot_text(node.note)}"
        lines.append(f'  "{uid}" [label="{label}" {shape}{thick}];')
    for source, target, kind in _pairs(graph):
        style = " [style=dashed]" if kind in ("re-created", "step", "passed") else ""
        lines.append(f'  "{source}" -> "{target}"{style};')
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    return _visible(text).replace("\\", "\\\\").replace('"', '\\"')


def _pairs(graph: Graph) -> list[tuple[str, str, str]]:
    found: dict[tuple[str, str], str] = {}
    for edge in graph.edges:
        found.setdefault((edge.source, edge.target), edge.kind)
    return [(source, target, kind) for (source, target), kind in found.items()]


def as_dict(graph: Graph) -> dict[str, Any]:
    """Return plain values that JSON can hold: roots, nodes and edges."""
    nodes = [
        {
            "uid": node.uid,
            "type": node.table,
            "title": node.title,
            "note": node.note,
            "kind": node.kind or None,
            "state": node.state or None,
            "details": dict(node.details),
            "members": [uid for uid, _ in node.members],
        }
        for node in graph.nodes.values()
    ]
    edges = [{"source": edge.source, "target": edge.target, "kind": edge.kind} for edge in graph.edges]
    return {"roots": list(graph.roots), "nodes": nodes, "edges": edges, "cut": graph.is_cut}


def as_json(graph: Graph) -> str:
    """Return :func:`as_dict` as text."""
    return json.dumps(as_dict(graph), indent=1)
