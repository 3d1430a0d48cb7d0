"""How records, queries and descriptions look in notebooks (HTML) and in terminals that use rich."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from lakehouse.errors import shown

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["html_fields", "html_table", "html_tree", "rich_fields", "rich_tree", "visible_value"]

_LONGEST = 200
_Section = tuple[str, Sequence[str]]


def visible_value(value: Any) -> str:
    r"""Return a value for the eye; what cannot be seen in a text is written out.

    Examples
    --------
    >>> visible_value(12_345), visible_value("a\nb"), visible_value(None)
    ('12,345', "'a\\nb'", '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ", ".join(visible_value(item) for item in value[:10]) + (", …" if len(value) > 10 else "")
    text = str(value)
    return text if text.isprintable() and len(text) <= _LONGEST else shown(text, _LONGEST)


def _filled(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: visible_value(value) for name, value in fields.items() if value not in (None, [], ())}


def html_fields(title: str, fields: Mapping[str, Any]) -> str:
    """Return a record as an HTML table of fields and values.

    Examples
    --------
    >>> html_fields("ULabel", {"name": "<b>"})
    '<table><caption>ULabel</caption><tr><th>name</th><td>&lt;b&gt;</td></tr></table>'
    """
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in _filled(fields).items())
    return f"<table><caption>{escape(title)}</caption>{rows}</table>"


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as an HTML table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(visible_value(value))}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{body}</table>"


def html_tree(title: str, sections: Sequence[_Section]) -> str:
    """Return titled sections as nested HTML lists."""
    parts = "".join(
        f"<li><b>{escape(name)}</b><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></li>"
        for name, lines in sections
    )
    return f"<div><b>{escape(title)}</b><ul>{parts}</ul></div>"


def rich_fields(title: str, fields: Mapping[str, Any]) -> RenderableType:
    """Return a record as a rich table of fields and values."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, show_header=False, title_justify="left", box=None, pad_edge=False)
    for name, text in _filled(fields).items():
        table.add_row(Text(name, "bold"), Text(text))
    return table


def rich_tree(title: str, sections: Sequence[_Section]) -> RenderableType:
    """Return titled sections as a rich tree."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(title, "bold"))
    for name, lines in sections:
        branch = tree.add(Text(name, "cyan"))
        for line in lines:
            branch.add(Text(line))
    return tree
