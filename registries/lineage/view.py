"""What ``view_lineage()`` returns: the lineage around a record, to be looked at or worked with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, did_you_mean, shown
from lakehouse.types import StrPath
from registries.lineage import drawing, export
from registries.lineage.collapse import collapsed
from registries.lineage.graph import Graph, graph_of

if TYPE_CHECKING:
    from registries.instance import Instance
    from registries.lineage.traced import Traced

__all__ = ["DIRECTIONS", "FORMATS", "LineageView", "viewed"]

DIRECTIONS = ("both", "upstream", "downstream")
FORMATS = ("text", "mermaid", "dot", "svg", "html", "json")
_BY_SUFFIX = {".txt": "text", ".mmd": "mermaid", ".md": "mermaid", ".dot": "dot", ".gv": "dot", ".svg": "svg"}
_BY_SUFFIX |= {".html": "html", ".htm": "html", ".json": "json"}


@dataclass(frozen=True)
class LineageView:
    """The lineage around a record: a picture in notebooks, a tree in a terminal.

    Attributes
    ----------
    title
        What was asked about.
    whole
        The graph with all of its nodes.
    collapse
        Whether many nodes that play the same part are shown as one.
    """

    title: str
    whole: Graph
    collapse: bool = True

    @cached_property
    def graph(self) -> Graph:
        """The graph as it is shown."""
        return collapsed(self.whole) if self.collapse else self.whole

    def __str__(self) -> str:
        return export.tree(self.graph)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return drawing.html(self.graph, title=self.title)

    @property
    def svg(self) -> str:
        """The picture as SVG."""
        return drawing.svg(self.graph)

    @property
    def html(self) -> str:
        """The picture with details on a click, as a page of its own."""
        head = (
            f"<!doctype html><html><head><meta charset='utf-8'><title>lineage</title></head><body>{self._repr_html_()}"
        )
        return f"{head}</body></html>"

    @property
    def mermaid(self) -> str:
        """The graph in Mermaid's language."""
        return export.mermaid(self.graph)

    @property
    def dot(self) -> str:
        """The graph in the language of Graphviz."""
        return export.dot(self.graph)

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as it is shown, as plain values that JSON can hold."""
        return export.as_dict(self.graph)

    def to_text(self, format: str) -> str:
        """Return it in one of the formats text, mermaid, dot, svg, html and json."""
        if format not in FORMATS:
            raise InputError(f"format = {shown(format)}{did_you_mean(str(format), FORMATS)}")
        made = {
            "text": lambda: f"{self}\n",
            "mermaid": lambda: self.mermaid,
            "dot": lambda: self.dot,
            "svg": lambda: self.svg,
            "html": lambda: self.html,
            "json": lambda: export.as_json(self.graph) + "\n",
        }
        return made[format]()

    def save(self, path: StrPath, *, format: str | None = None) -> Path:
        """Write it to a file, by default in the format of its suffix, and return the path."""
        target = Path(path)
        found = format or _BY_SUFFIX.get(target.suffix.lower())
        if found is None:
            raise InputError(f"{shown(str(target))} has none of the suffixes {', '.join(_BY_SUFFIX)}: pass format=")
        target.write_text(self.to_text(found), encoding="utf-8")
        return target


def viewed(
    home: Instance,
    roots: Sequence[Traced],
    title: str,
    *,
    direction: str = "both",
    depth: int | None = None,
    collapse: bool = True,
) -> LineageView:
    """Return the lineage around records; see ``Artifact.view_lineage``."""
    if direction not in DIRECTIONS:
        raise InputError(f"direction = {shown(direction)}{did_you_mean(str(direction), DIRECTIONS)}")
    if depth is not None and (type(depth) is not int or depth < 1):
        raise InputError(f"depth = {shown(depth)}: a whole number of steps from 1 is accepted")
    up, down = direction != "downstream", direction != "upstream"
    return LineageView(title, graph_of(home, roots, upstream=up, downstream=down, depth=depth), collapse)
