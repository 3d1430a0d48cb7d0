"""Arrow tables in files that tell when they are damaged: Arrow takes other bytes for other values, or ends the process."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import feather

from formats.hashing import hash_bytes

__all__ = ["read_sealed", "write_sealed"]

_SEAL = len(hash_bytes(b""))


def write_sealed(table: pa.Table, path: Path, *, compression: str) -> None:
    """Write a table behind the hash of its bytes; ``compression`` is lz4 or zstd."""
    sink = pa.BufferOutputStream()
    feather.write_feather(table, sink, compression=compression)
    body = sink.getvalue().to_pybytes()
    with path.open("wb") as file:
        file.write(hash_bytes(body).encode("ascii"))
        file.write(body)


def read_sealed(path: Path) -> pa.Table | None:
    """Return the table of a file; None of one that is damaged, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x")
    >>> write_sealed(pa.table({"a": [1]}), path, compression="lz4")
    >>> read_sealed(path).to_pydict()
    {'a': [1]}
    >>> _ = path.write_bytes(path.read_bytes()[:-1])
    >>> read_sealed(path) is None
    True
    """
    try:
        data = path.read_bytes()
    except OSError:  # what is kept so is a copy, or a memory: without it the original is asked
        return None
    seal, body = data[:_SEAL], data[_SEAL:]
    if hash_bytes(body).encode("ascii") != seal:
        return None
    return feather.read_table(pa.BufferReader(body), memory_map=False)
