"""Text that is safe to show: names and data must not drive a terminal."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

__all__ = ["Format", "aligned", "cell", "json_text", "plain", "visible"]


class Format(StrEnum):
    """How the rows of a query are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


# Controls (with the C1 set, which some terminals obey), half surrogates, line separators, and the characters that
# change direction or cannot be seen. The zero-width joiners stay, since several scripts and emoji need them.
_HIDDEN = "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
_UNSAFE = re.compile(f"[{_HIDDEN}]")
_UNSAFE_BUT_LINES = re.compile(f"[{_HIDDEN}]".replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return text with every character escaped that a terminal would obey or hide.

    Parameters
    ----------
    text
        Anything.
    lines
        Whether line ends stay.

    Examples
    --------
    >>> visible("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    >>> visible("naïve 細胞 \u202e")
    'naïve 細胞 \\u202e'
    """
    return (_UNSAFE_BUT_LINES if lines else _UNSAFE).sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _NAMED.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cell(value: Any) -> str:
    """Return a value as a table shows it: nothing for null, times in UTC to the second.

    Examples
    --------
    >>> cell(None), cell(True), cell([1, 2]), cell(dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC))
    ('', 'true', '[1, 2]', '2026-01-02 03:04:05')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ", "seconds")
    if isinstance(value, list | tuple | dict | bytes):
        return json_text(value)
    return visible(str(value))


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    r"""Return JSON that is valid everywhere and safe to show in a terminal.

    Examples
    --------
    >>> json_text({"a": float("nan"), "b": dt.date(2026, 1, 2), "c": "\x9b31m ü"})
    '{"a": null, "b": "2026-01-02", "c": "\\u009b31m ü"}'
    """
    text = json.dumps(plain(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    # What is left beyond ASCII stands inside strings, where JSON's own escapes mean the same; line ends are layout.
    return _UNSAFE_BUT_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def plain(value: Any) -> Any:
    """Return a value in the types that JSON has: ISO 8601 for times, base64 for bytes, null for what is no number."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.is_finite() else str(value)
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(inner) for inner in value]
    return str(value)


def aligned(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[bool]) -> str:
    """Return a table in plain text: columns two blanks apart, as wide as they need to be.

    Examples
    --------
    >>> print(aligned(["key", "rows"], [["a.csv", 3], ["b.csv", 12]], [False, True]), end="")
    key    rows
    a.csv     3
    b.csv    12
    """
    cells = [[visible(name) for name in columns], *([cell(value) for value in row] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = []
    for line in cells:
        parts = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        lines.append("  ".join(parts).rstrip() + "\n")
    return "".join(lines)
