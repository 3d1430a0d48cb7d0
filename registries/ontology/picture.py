"""The terms above a term, as a picture: SVG where it can be shown, an indented list elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lakehouse.types import StrPath

__all__ = ["Picture"]

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 190, 34, 16, 46
_LONGEST = 26


@dataclass(frozen=True)
class Picture:
    """What ``view_parents()`` returns; notebooks show it as SVG.

    Attributes
    ----------
    term
        The one at the bottom.
    names
        What terms are called, by uid; this one and all that are above it.
    links
        The uids of each one's parents, and how they are related.

    Examples
    --------
    >>> picture = Picture("b", {"a": "cell", "b": "T cell"}, {"b": [("a", "is_a")]})
    >>> print(picture)
    T cell
    └─ cell
    >>> picture.svg.startswith("<svg")
    True
    """

    term: str
    names: Mapping[str, str]
    links: Mapping[str, Sequence[tuple[str, str]]]

    def __str__(self) -> str:
        """Return it as text: each term with its parents below it, what was shown already without them."""
        lines, shown = [self.names[self.term]], {self.term}
        waiting = self._below(self.term, "")
        while waiting:
            uid, relation, indent, last = waiting.pop()
            kind = " (part of)" if relation == "part_of" else ""
            again = " …" if uid in shown and self.links.get(uid) else ""
            lines.append(f"{indent}{'└' if last else '├'}─ {self.names[uid]}{kind}{again}")
            if uid not in shown:
                shown.add(uid)
                waiting += self._below(uid, indent + ("   " if last else "│  "))
        return "\n".join(lines)

    def _below(self, uid: str, indent: str) -> list[tuple[str, str, str, bool]]:
        parents = [link for link in self.links.get(uid, ()) if link[0] in self.names]
        found = [(one, kind, indent, place == len(parents) - 1) for place, (one, kind) in enumerate(parents)]
        return found[::-1]

    def _levels(self) -> list[list[str]]:
        """Return the terms by their longest way up from the term, which circles do not lengthen for ever."""
        level = {self.term: 0}
        for _ in range(len(self.names)):
            changed = False
            for uid, parents in self.links.items():
                for parent, _kind in parents:
                    if (
                        uid in level
                        and parent in self.names
                        and level.get(parent, -1) < level[uid] + 1 < len(self.names)
                    ):
                        level[parent] = level[uid] + 1
                        changed = True
            if not changed:
                break
        rows: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
        for uid in sorted(level, key=lambda uid: self.names[uid]):
            rows[level[uid]].append(uid)
        return [row for row in rows if row][::-1]

    @property
    def svg(self) -> str:
        """The picture as SVG text."""
        rows = self._levels()
        width = max(map(len, rows)) * (_WIDTH + _GAP_X) + _GAP_X
        height = len(rows) * (_HEIGHT + _GAP_Y) + _GAP_X
        at: dict[str, tuple[float, float]] = {}
        for number, row in enumerate(rows):
            left = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
            for place, uid in enumerate(row):
                at[uid] = left + place * (_WIDTH + _GAP_X), _GAP_X + number * (_HEIGHT + _GAP_Y)
        edges = [
            self._edge(at[uid], at[parent], kind)
            for uid in at
            for parent, kind in self.links.get(uid, ())
            if parent in at
        ]
        boxes = [self._box(uid, *place) for uid, place in at.items()]
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        return "\n".join([head, *edges, *boxes, "</svg>"])

    def _edge(self, low: tuple[float, float], high: tuple[float, float], kind: str) -> str:
        dashes = ' stroke-dasharray="5 4"' if kind == "part_of" else ""
        middle = _WIDTH / 2
        ends = f'x1="{low[0] + middle:g}" y1="{low[1]:g}" x2="{high[0] + middle:g}" y2="{high[1] + _HEIGHT:g}"'
        return f'<line {ends} stroke="#8a8a8a"{dashes}/>'

    def _box(self, uid: str, x: float, y: float) -> str:
        name, fill = self.names[uid], "#dbeafe" if uid == self.term else "#f4f4f5"
        short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
        return (
            f'<g><title>{escape(name)}</title><rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" '
            f'fill="{fill}" stroke="#71717a"/><text x="{x + _WIDTH / 2:g}" y="{y + 22:g}" text-anchor="middle" '
            f'font-family="sans-serif" font-size="12">{escape(short)}</text></g>'
        )

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: StrPath) -> Path:
        """Write the SVG to a file, and return its path."""
        target = Path(path)
        target.write_text(self.svg, encoding="utf-8")
        return target
