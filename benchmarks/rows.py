"""Made-up tables and rows that all benchmarks share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.engine import TableSpec
from lakehouse.ids import ALPHABET, new_uid

__all__ = ["RULED", "THREE", "big_spec", "big_table", "one_each", "small_specs"]

_TIME = pa.timestamp("us", tz="UTC")


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field("uid", pa.string(), nullable=False), *columns.items()])


_ARTIFACT = _schema(
    key=pa.string(),
    suffix=pa.string(),
    size=pa.int64(),
    hash=pa.string(),
    description=pa.string(),
    created_at=_TIME,
    created_by=pa.string(),
)
_LABEL = _schema(name=pa.string(), description=pa.string(), created_at=_TIME, created_by=pa.string())
_LINK = _schema(artifact=pa.string(), label=pa.string(), created_at=_TIME, created_by=pa.string())
THREE = (TableSpec("artifact", _ARTIFACT), TableSpec("label", _LABEL), TableSpec("artifact_label", _LINK))
"""Three tables without rules."""
RULED = (
    TableSpec("artifact", _ARTIFACT),
    TableSpec("label", _LABEL, unique=(("name",),)),
    TableSpec("artifact_label", _LINK, references={"artifact": "artifact", "label": "label"}),
)
"""The same with a unique name and two references."""
_SMALL = 15


def small_specs() -> list[TableSpec]:
    """Return about as many tables as an instance has."""
    return [TableSpec(f"registry_{i:02}", _LABEL, unique=(("name",),)) for i in range(_SMALL)]


def one_each() -> dict[str, dict[str, Any]]:
    """Return a new row for each of the three tables; the last one refers to the others."""
    now, artifact, label = datetime.now(UTC), new_uid(), new_uid()
    made = {"created_at": now, "created_by": "bench"}
    return {
        "artifact": {
            "uid": artifact,
            "key": f"raw/{artifact}.parquet",
            "suffix": ".parquet",
            "size": 123_456,
            "hash": artifact + artifact,
            "description": "a table of samples",
            **made,
        },
        "label": {"uid": label, "name": f"label {label}", "description": None, **made},
        "artifact_label": {"uid": new_uid(), "artifact": artifact, "label": label, **made},
    }


def _uids(count: int, *, seed: int) -> pa.Array:
    """Return fresh uids as a program would make them: one coarse time, then random, in no order."""
    letters = np.frombuffer(ALPHABET.encode(), dtype="S1")
    drawn = np.random.default_rng(seed).integers(0, 62, size=(count, 12))
    texts = np.empty((count, 20), dtype="S1")
    texts[:, :4] = np.frombuffer(new_uid()[:4].encode(), dtype="S1")
    texts[:, 4:16], texts[:, 16:] = letters[drawn], b"0"
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(20), count, [None, pa.py_buffer(texts.tobytes())])
    return fixed.cast(pa.binary()).cast(pa.string())


_BIG = _schema(name=pa.string(), grp=pa.string(), n=pa.int64(), x=pa.float64(), created_at=_TIME)


def big_spec(name: str = "big", *, unique: bool = False) -> TableSpec:
    """Return a table for many rows."""
    return TableSpec(name, _BIG, unique=(("name",),) if unique else ())


def big_table(count: int, *, seed: int) -> pa.Table:
    """Return many rows whose uids and names are new."""
    random = np.random.default_rng(seed)
    uid = _uids(count, seed=seed)
    groups = pa.array([f"group {i}" for i in range(100)])
    columns = [
        uid,
        pc.binary_join_element_wise(pa.scalar("sample"), pc.utf8_slice_codeunits(uid, 4, 16), " "),
        groups.take(pa.array(random.integers(0, 100, count))),
        pa.array(random.integers(0, 1_000_000, count)),
        pa.array(random.random(count)),
        pa.array(np.full(count, datetime.now(UTC).timestamp() * 1e6, dtype="int64")).cast(pa.timestamp("us", tz="UTC")),
    ]
    return pa.Table.from_arrays(columns, schema=_BIG)
