"""Sample sheets as columns of text, and which type the texts of a column have in common."""

from __future__ import annotations

import csv
import datetime as dt
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.errors import InvalidFile, NotFound, shown

__all__ = ["Guess", "guessed", "read_sheet", "snake"]

_DELIMITERS = (",", "\t", ";")
_WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NOTHING = frozenset({"na", "n/a", "nan", "null", "none", "-", "."})
"""What people write into cells of numbers and dates that have no value."""
_MOST = 2**63


def read_sheet(path: Path) -> dict[str, list[str | None]]:
    """Return the columns of a csv or tsv file by header; empty cells are None, blanks around values are taken off.

    Raises
    ------
    InvalidFile
        When headers are missing or repeated, rows are ragged, or it is no text in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            first = lines.readline()
            lines.seek(0)
            delimiter = "\t" if path.suffix in (".tsv", ".tab") else max(_DELIMITERS, key=first.count)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidFile(f"{path} is no table of text in UTF-8 ({error}): save it as csv or tsv") from None
    rows = [(number, [cell.strip() for cell in row]) for number, row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise InvalidFile(f"{path} is empty: a header and rows are needed")
    return _columns(path, rows[0][1], rows[1:])


def _columns(path: Path, header: list[str], rows: Sequence[tuple[int, list[str]]]) -> dict[str, list[str | None]]:
    ragged = [(number, len(row)) for number, row in rows if len(row) != len(header)]
    if ragged:
        number, count = ragged[0]
        raise InvalidFile(
            f"{path}: line {number} has {count} cells and the header {len(header)}"
            + (f" ({len(ragged):,} such lines)" if len(ragged) > 1 else "")
        )
    seen: dict[str, int] = {}
    for place, name in enumerate(header, start=1):
        if not name and any(row[place - 1] for _, row in rows):
            raise InvalidFile(f"{path}: column {place} has values and no header: name it")
        if name in seen and name:
            raise InvalidFile(f"{path}: the header {shown(name)} is over columns {seen[name]} and {place}: rename one")
        seen[name] = place
    return {name: [row[i] or None for _, row in rows] for i, name in enumerate(header) if name}


def snake(header: str) -> str:
    """Return a header as a column is called.

    Examples
    --------
    >>> snake("Sample ID"), snake("% mito (max)"), snake("CellType"), snake("2nd")
    ('sample_id', 'mito_max', 'cell_type', 'x2nd')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", header).strip("_").lower()
    words = re.sub(r"_+", "_", words)[:60].strip("_")
    if not words:
        raise InvalidFile(
            f"the header {shown(header)} has no letter or digit that a column could be called by: rename it"
        )
    return words if words[0].isalpha() else f"x{words}"


@dataclass(frozen=True)
class Guess:
    """The type that the values of a column have in common.

    Attributes
    ----------
    kind
        The Arrow type.
    values
        The values of that type.
    why
        What was decided, in words; empty where there was nothing to decide.
    """

    kind: pa.DataType
    values: pa.Array
    why: str = ""


def guessed(texts: Sequence[str | None]) -> Guess:
    """Return what the texts of a column are.

    Examples
    --------
    >>> guessed(["1", "2", None]).kind, guessed(["1", "2.5", "NA"]).values.to_pylist()
    (DataType(int64), [1.0, 2.5, None])
    >>> guessed(["1", "2", "two"]).why
    "mixed: 2 of 3 are whole numbers, others are text such as 'two': kept as text"
    >>> guessed(["007", "042"]).why
    ''
    """
    there = [text for text in texts if text is not None]
    said = [text for text in there if text.lower() not in _NOTHING]
    for kind, _, read in _KINDS:
        if said and all(read(text) is not None for text in said):
            values = [None if text is None else read(text) for text in texts]
            left = len(there) - len(said)
            why = (
                f"{left:,} cells such as {shown(next(t for t in there if t.lower() in _NOTHING))} mean no value"
                if left
                else ""
            )
            return Guess(kind, pa.array(values, kind), why)
    return Guess(pa.string(), pa.array(texts, pa.string()), _mixed(there))


def _mixed(there: list[str]) -> str:
    for _, words, read in _KINDS:
        fit = sum(read(text) is not None for text in there)
        if fit and fit < len(there):
            other = next(text for text in there if read(text) is None)
            return f"mixed: {fit:,} of {len(there):,} are {words}, others are text such as {shown(other)}: kept as text"
    return ""


def _whole(text: str) -> int | None:
    if not _WHOLE.fullmatch(text) or len(text) > 20:
        return None
    value = int(text)
    return value if -_MOST <= value < _MOST else None


def _number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else None
    digits = sum(letter.isdigit() for letter in text.lower().partition("e")[0])
    return (
        value if value is not None and math.isfinite(value) and digits <= 17 else None
    )  # longer ones would be rounded


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _day(text: str) -> dt.date | None:
    return _iso(dt.date.fromisoformat, text) if _DAY.fullmatch(text) else None


def _moment(text: str) -> dt.datetime | None:
    found = _iso(dt.datetime.fromisoformat, text) if _DAY.match(text) and len(text) > 10 else None
    return found.astimezone(dt.UTC) if found is not None and found.tzinfo is not None else None


def _iso(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except (ValueError, OverflowError):
        return None


_KINDS: Sequence[tuple[pa.DataType, str, Callable[[str], Any]]] = (
    (pa.int64(), "whole numbers", _whole),
    (pa.float64(), "numbers", _number),
    (pa.bool_(), "true or false", _truth),
    (pa.date32(), "dates", _day),
    (pa.timestamp("us", "UTC"), "times with a zone", _moment),
)
