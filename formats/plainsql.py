"""Files of tables as SQL that DuckDB runs without this program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

__all__ = ["file_in_sql", "text_in_sql", "types_in_sql"]

_KINDS: Mapping[pa.DataType, str] = {
    pa.null(): "VARCHAR",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.date32(): "DATE",
    pa.time32("s"): "TIME",
    pa.timestamp("s"): "TIMESTAMP_S",
    pa.timestamp("ms"): "TIMESTAMP_MS",
    pa.timestamp("us"): "TIMESTAMP",
    pa.timestamp("ns"): "TIMESTAMP_NS",
}


def file_in_sql(path: Path) -> str | None:
    """Return a list of one file as DuckDB takes it; ``None`` for what is no file, or has a name that is no text.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(prefix="it's")) / "x.csv"
    >>> path.touch()
    >>> file_in_sql(path) == f"[{text_in_sql(path.as_posix())}]", file_in_sql(path.parent)
    (True, None)
    """
    name = re.sub(r"([\[*?])", r"[\1]", path.as_posix())  # else a pattern, which other files may match
    try:
        name.encode()
    except UnicodeEncodeError:
        return None
    return f"[{text_in_sql(name)}]" if path.is_file() else None


def text_in_sql(text: str) -> str:
    """Return a quoted text.

    Examples
    --------
    >>> text_in_sql("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def types_in_sql(schema: pa.Schema) -> str | None:
    """Return names and types as readers of DuckDB take them, or ``None`` where one has no such type.

    Examples
    --------
    >>> types_in_sql(pa.schema([("a", pa.int64()), ("b", pa.timestamp("s", "UTC"))]))
    "{'a': 'BIGINT', 'b': 'TIMESTAMP WITH TIME ZONE'}"
    >>> types_in_sql(pa.schema([("a", pa.list_(pa.int64()))])) is None
    True
    """
    kinds = [_kind(field.type) for field in schema]
    if None in kinds:
        return None
    return "{" + ", ".join(f"{text_in_sql(n)}: '{kind}'" for n, kind in zip(schema.names, kinds, strict=True)) + "}"


def _kind(kind: pa.DataType) -> str | None:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return "TIMESTAMP WITH TIME ZONE"
    return _KINDS.get(kind)
