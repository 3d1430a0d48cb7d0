"""Lineage as SVG and as HTML: boxes for artifacts and runs, and details on a click."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from itertools import pairwise
from typing import Final

from lakehouse.ids import new_uid
from registries.lineage.graph import Graph, Node
from registries.lineage.layout import HEIGHT, WIDTH, Layout, laid_out

__all__ = ["html", "svg"]

_FILLS: Final = {"artifact": "#eff6ff", "dataset": "#ecfdf5", "run": "#f4f4f5", "deleted": "#ffffff"}
_LINES: Final = {
    "artifact": "#3b82f6",
    "dataset": "#059669",
    "run": "#71717a",
    "failed": "#dc2626",
    "aborted": "#d97706",
    "deleted": "#a1a1aa",
}
_LONGEST: Final = 28
_LONGEST_NOTE: Final = 35
_FONT: Final = "font-family='system-ui,sans-serif'"


def svg(graph: Graph) -> str:
    """Return the picture as SVG: blue boxes are artifacts, green ones datasets, grey ones runs; red and amber ones failed and were aborted.

    The boxes that were asked about have a thick border, groups a second one behind. A dashed line leads to what was
    made once more; a dotted one to or from a part of a run.
    """
    layout = laid_out(graph)
    kinds: dict[tuple[str, str], set[str]] = {}
    for edge in graph.edges:
        kinds.setdefault((edge.source, edge.target), set()).add(edge.kind)
    lines = [_line(kinds[pair], points) for pair, points in layout.lines.items()]
    boxes = [_box(graph, node, layout) for node in graph.nodes.values()]
    size = f'viewBox="0 0 {layout.width:g} {layout.height:g}" width="{layout.width:g}" height="{layout.height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="lineage">'
    marker = (
        '<defs><marker id="lh-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#71717a"/></marker></defs>'
    )
    ground = f'<rect width="{layout.width:g}" height="{layout.height:g}" fill="#ffffff"/>'
    return "\n".join([head, marker, ground, *lines, *boxes, "</svg>"])


def _line(kinds: set[str], points: list[tuple[float, float]]) -> str:
    dashes = ""
    if kinds <= {"step", "passed"}:
        dashes = ' stroke-dasharray="2 4"'
    elif "re-created" in kinds:
        dashes = ' stroke-dasharray="7 4"'
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = (x2 - x1) / 2
        path += f"C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}" if y1 != y2 else f"L{x2:g} {y2:g}"
    return f'<path d="{path}" fill="none" stroke="#a1a1aa" stroke-width="1.4"{dashes} marker-end="url(#lh-arrow)"/>'


def _box(graph: Graph, node: Node, layout: Layout) -> str:
    x, y = layout.places[node.uid]
    fill = _FILLS.get(node.kind, _FILLS[node.table])
    line = _LINES.get(node.state) or _LINES.get(node.kind) or _LINES[node.table]
    width = 3 if node.uid in graph.roots else 1.2
    radius = HEIGHT / 2 if node.table == "run" else 4
    dashed = ' stroke-dasharray="4 3"' if node.kind == "deleted" or node.state == "running" else ""
    shape = f'width="{WIDTH}" height="{HEIGHT}" rx="{radius:g}" fill="{fill}" stroke="{line}"'
    behind = f'<rect x="{x + 4:g}" y="{y + 4:g}" {shape}/>' if node.members else ""
    tip = escape("\n".join([node.title, node.note, *(f"{k}: {v}" for k, v in node.details.items())]))
    return (
        f'<g data-uid="{escape(node.uid)}" style="cursor:pointer"><title>{tip}</title>{behind}'
        f'<rect x="{x:g}" y="{y:g}" {shape} stroke-width="{width}"{dashed}/>'
        + _text(x, y + 18, _short(node.title, _LONGEST), "13", "#18181b")
        + _text(x, y + 34, _short(node.note, _LONGEST_NOTE), "10.5", "#52525b")
        + "</g>"
    )


def _text(x: float, y: float, text: str, size: str, colour: str) -> str:
    middle = f'x="{x + WIDTH / 2:g}" y="{y:g}" text-anchor="middle"'
    return f'<text {middle} {_FONT} font-size="{size}" fill="{colour}">{escape(text)}</text>'


def _short(text: str, longest: int) -> str:
    """Return a text with its middle left out where it is too long: beginnings and ends of keys tell them apart."""
    visible = "".join(character if character.isprintable() else "�" for character in text)
    if len(visible) <= longest:
        return visible
    tail = (longest - 1) * 2 // 3
    return f"{visible[: longest - 1 - tail]}…{visible[-tail:]}"


_SCRIPT: Final = """
(function(){var box=document.getElementById('ID');if(!box)return;
var data=JSON.parse(box.querySelector('script[type="application/json"]').textContent);
var side=box.querySelector('.lh-details');
box.querySelectorAll('g[data-uid]').forEach(function(g){g.addEventListener('click',function(){
var node=data[g.getAttribute('data-uid')];side.textContent='';
var h=document.createElement('b');h.textContent=node.title;side.appendChild(h);
var t=document.createElement('table');Object.keys(node.details).forEach(function(k){var r=t.insertRow();
r.insertCell().textContent=k;r.insertCell().textContent=node.details[k];});side.appendChild(t);
if(node.members.length){var l=document.createElement('div');l.style.cssText='max-height:12em;overflow:auto';
node.members.forEach(function(m){var d=document.createElement('div');d.textContent=m[1]+'  '+m[0];l.appendChild(d);});
side.appendChild(l);}});});})();
"""


def html(graph: Graph, *, title: str = "") -> str:
    """Return the picture as a part of a page: it scrolls, and shows the details of what is clicked.

    Nothing is fetched from anywhere; where scripts are not run, details come as tooltips.
    """
    name = f"lh-{new_uid()}"
    data = {uid: _data(node) for uid, node in graph.nodes.items()}
    text = json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    head = f"<div style='font:600 14px system-ui,sans-serif;margin:4px 0'>{escape(title)}</div>" if title else ""
    hint = "Click a box for its details." + (
        " There is more beyond the depth that was asked for." if graph.is_cut else ""
    )
    return (
        f"<div id='{name}'>{head}<div style='overflow:auto;max-height:640px;border:1px solid #e4e4e7'>{svg(graph)}</div>"
        f"<div class='lh-details' style='font:13px system-ui,sans-serif;padding:6px'>{hint}</div>"
        f"<script type='application/json'>{text}</script><script>{_SCRIPT.replace('ID', name)}</script></div>"
    )


def _data(node: Node) -> Mapping[str, object]:
    return {"title": node.title, "details": dict(node.details), "members": [list(member) for member in node.members]}
