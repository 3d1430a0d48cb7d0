"""The first sheet of a workbook (.xlsx) as rows of text."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidFile, shown
from lakehouse.optional import require

__all__ = ["is_workbook", "sheet_rows"]

_LARGEST = 2 << 30
"""Bytes of a workbook once unpacked, at most."""


def is_workbook(start: bytes) -> bool:
    """Return whether a file begins as a workbook does.

    Examples
    --------
    >>> is_workbook(b"PK!x"), is_workbook(b"name")
    (True, False)
    """
    return start.startswith(b"PK")


def sheet_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of the first sheet, one after the other: the whole of it is never in memory.

    Raises
    ------
    MissingExtra
        When the package that reads workbooks is not installed.
    InvalidFile
        When it is none, is cut off, or larger than 2 GB once unpacked.
    """
    openpyxl: Any = require("openpyxl", "excel")
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > _LARGEST:
            raise InvalidFile(f"{shown(str(path))} would unpack to {size:,} bytes; at most {_LARGEST:,} are read")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for row in book.worksheets[0].iter_rows(values_only=True):
                yield [_text(value) for value in row]
        finally:
            book.close()
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, EOFError, OSError, SyntaxError) as error:
        if isinstance(error, InvalidFile):
            raise
        raise InvalidFile(f"{shown(str(path))} is no workbook, or is cut off: {error}") from error


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
