"""JSON documents: ``.json``, plain or compressed with gzip or zstd.

``load`` returns the value: dicts, lists, texts, numbers. A list of objects is a table, too, for
``load(as_="pandas")`` and for SQL. An object that has the same name twice is refused, since readers disagree on what
it says; so is what nests more than some hundred levels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa

from formats.base import ColumnInfo, Description, Format, new_file, reading
from formats.convert import convert, table_of_records
from formats.frames import FRAME_TYPES, columns_of, to_arrow
from formats.jsonlines import json_lines
from formats.keys import suffix_of
from formats.limits import refuse_oversize
from formats.opened import closing
from formats.packed import open_unpacked, packing
from lakehouse.errors import UnknownFormat

__all__ = ["JsonFormat"]

_PYTHON_TAKES = 8
"""Times the bytes of a document that Python's objects take, roughly."""

_DESCRIBED_UP_TO = 16 << 20


class JsonFormat(Format):
    """JSON documents.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.json"
    >>> JsonFormat().write({"a": [1, 2]}, path)
    >>> JsonFormat().load(path)
    {'a': [1, 2]}
    """

    name: ClassVar[str] = "json"
    kind: ClassVar[str] = "json"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".json.gz", ".json.zst")
    types: ClassVar[tuple[str, ...]] = ("builtins.dict", "builtins.list", *FRAME_TYPES)

    def write(self, obj: object, path: Path) -> None:
        """Write a dict or a list, or a frame as a list of objects."""
        self.check_accepts(obj)
        data = _encoded(obj)
        with new_file(path), path.open("wb") as file, packing(file, suffix_of(path)) as packed:
            packed.write(data)

    def load(self, path: Path) -> Any:
        """Return the value."""
        with reading(path, self.name), _stream(path) as file:
            return _parsed(_bounded(file, path))

    def load_as(self, path: Path, form: str) -> Any:
        """Return a list of objects as ``pandas``, ``polars``, ``arrow`` or ``numpy``."""
        with reading(path, self.name):
            return convert(self.load(path), form, path)

    def open(self, path: Path) -> Any:
        """Return the value, since JSON can only be read whole; a dict or list works in a ``with`` block, too."""
        found = self.load(path)
        return closing(found) if isinstance(found, dict | list) else found

    def table(self, path: Path) -> pa.Table | None:
        """Return a list of objects as a table, or ``None`` for anything else."""
        value = self.load(path)
        if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
            return None
        with reading(path, self.name):
            return table_of_records(value)

    def describe(self, path: Path) -> Description:
        """Read up to 16 MB; of a larger document only the first bytes."""
        with reading(path, self.name):
            with _stream(path) as file:
                head = file.read(_DESCRIBED_UP_TO + 1)
            if len(head) > _DESCRIBED_UP_TO:
                kind = {b"[": "array", b"{": "object"}.get(head.lstrip()[:1], "value")
                return Description(self.name, self.kind, attributes={"value": kind})
            return self._described(_parsed(head))

    def _described(self, value: Any) -> Description:
        if isinstance(value, dict):
            columns = tuple(ColumnInfo(name, type(inner).__name__) for name, inner in value.items())
            return Description(self.name, self.kind, None, None, columns, attributes={"value": "object"})
        if not isinstance(value, list):
            return Description(self.name, self.kind, attributes={"value": type(value).__name__})
        rows, columns = len(value), ()
        if value and all(isinstance(row, dict) for row in value):
            columns = columns_of(table_of_records(value).schema)
        return Description(self.name, self.kind, rows, None, columns, attributes={"value": "array"})


def _encoded(obj: Any) -> bytes:
    if not isinstance(obj, dict | list):
        lines = b"".join(json_lines(to_arrow(obj))).splitlines()
        return b"[" + b",\n".join(lines) + b"]\n"
    try:
        return (json.dumps(obj, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnknownFormat(f"this {type(obj).__name__} cannot be stored as JSON: {str(error)[:300]}") from error


def _stream(path: Path) -> BinaryIO:
    return open_unpacked(path, suffix_of(path))


def _bounded(file: BinaryIO, path: Path) -> bytes:
    data = file.read()
    refuse_oversize(path, len(data) * _PYTHON_TAKES, hint="write it as .jsonl, which is read piecewise")
    return data


def _parsed(data: bytes) -> Any:
    text = data.decode("utf-8-sig")
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it nests too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the name {twice[:50]!r} twice")
    return found
