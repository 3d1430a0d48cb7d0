"""Encoding rows."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from lakehouse.engine.encoding import Encoder
from lakehouse.errors import InputError, UnknownField

SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False, metadata={b"comment": b"Names the row."}),
        pa.field("n", pa.int64()),
        pa.field("x", pa.float64()),
        pa.field("names", pa.list_(pa.string())),
        pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder("label", SCHEMA)


def test_a_batch_has_the_columns_of_the_table_with_their_comments(encoder: Encoder) -> None:
    batch = encoder.batch([{"at": NOW, "uid": "a", "names": ["b", None]}, {"uid": "c", "x": 1, "n": 2.0, "at": NOW}])
    assert batch.schema.equals(SCHEMA, check_metadata=True)
    assert batch.to_pylist() == [
        {"uid": "a", "n": None, "x": None, "names": ["b", None], "at": NOW},
        {"uid": "c", "n": 2, "x": 1.0, "names": None, "at": NOW},
    ]


def test_a_row_may_be_any_mapping(encoder: Encoder) -> None:
    row = MappingProxyType({"uid": "a", "at": NOW})
    assert encoder.batch([row])["uid"].to_pylist() == ["a"]


def test_no_rows_are_a_batch_without_rows(encoder: Encoder) -> None:
    assert encoder.batch([]).num_rows == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [("n", 1.5), ("n", float("nan")), ("n", 2**63), ("x", "one"), ("names", 1), ("uid", 1), ("at", 1.0)],
)
def test_a_value_that_does_not_fit_is_refused_with_its_column(encoder: Encoder, column: str, value: object) -> None:
    row = {"uid": "a", "at": NOW, column: value}
    with pytest.raises(InputError, match=rf"label\.{column} takes .*, not "):
        encoder.batch([row])
    with pytest.raises(InputError, match=rf"label\.{column} takes .*, not "):
        encoder.batch([{"uid": "b", "at": NOW}, row])


def test_text_with_half_a_surrogate_pair_is_refused(encoder: Encoder) -> None:
    with pytest.raises(InputError, match=r"label\.uid takes string"):
        encoder.batch([{"uid": "\ud800", "at": NOW}])


@pytest.mark.parametrize("missing", [None, pd.NaT, pd.NA])
def test_a_null_where_none_may_be_is_refused_whatever_it_is_written_as(encoder: Encoder, missing: Any) -> None:
    with pytest.raises(InputError, match=r"label.* at, which must not be null|label\.at takes"):
        encoder.batch([{"uid": "a", "at": missing}])
    with pytest.raises(InputError, match=r"label.* at, which must not be null|label\.at takes"):
        encoder.batch([{"uid": "b", "at": NOW}, {"uid": "a", "at": missing}])
    with pytest.raises(InputError, match="a row has no at"):
        encoder.table(pa.table({"uid": ["a"]}))


@pytest.mark.parametrize("missing", [None, pd.NaT, pd.NA])
def test_a_time_that_is_none_is_a_null_where_there_may_be_one(missing: Any) -> None:
    schema = pa.schema([pa.field("uid", pa.string()), pa.field("at", pa.timestamp("us", "UTC"))])
    assert Encoder("label", schema).batch([{"uid": "a", "at": missing}])["at"].to_pylist() == [None]


@pytest.mark.parametrize("rows", [[{"uid": "a", "at": NOW, "nmae": 1}], [{"uid": "a", "at": NOW}, {"nmae": 1}]])
def test_a_column_that_there_is_not_is_named(encoder: Encoder, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(UnknownField, match="label has no column 'nmae'; did you mean 'names'"):
        encoder.batch(rows)
