"""Frames of many rows are what pyarrow makes of them, sooner."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from registries.frames import to_pandas

MANY = 2_500


def table(rows: int) -> pa.Table:
    """Return a column of every kind that a registry may have, some with gaps."""
    some = [n if n % 7 else None for n in range(rows)]
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return pa.table(
        {
            "uid": [f"{n:020}" for n in range(rows)],
            "name": [None if n == rows - 1 else f"name {n}" for n in range(rows)],
            "who": pa.array(["ada" if n else None for n in some], pa.string()),
            "none": pa.nulls(rows, pa.string()),
            "synonyms": [[] if n % 3 else [f"s{n}", None] for n in range(rows)],
            "gaps": pa.array(
                [None if n % 5 == 0 else [] if n % 2 else ["x"] for n in range(rows)], pa.list_(pa.string())
            ),
            "numbers": pa.array([[1.5] if n % 2 else [] for n in range(rows)], pa.list_(pa.float64())),
            "size": some,
            "whole": range(rows),
            "flag": [bool(n) if n is not None else None for n in some],
            "day": [now.date()] * rows,
            "at": pa.array([now if n else None for n in some], pa.timestamp("us", "UTC")),
        }
    )


@pytest.mark.parametrize("rows", [0, 3, MANY])
@pytest.mark.parametrize("chunks", [1, 3])
def test_frames_hold_what_pyarrow_makes_of_the_rows(rows: int, chunks: int) -> None:
    whole = pa.concat_tables([table(rows)] * chunks)
    made, plain = to_pandas(whole), whole.to_pandas()
    assert_frame_equal(made, plain)
    kinds = [[type(value) for value in frame["gaps"]] for frame in (made, plain)]
    assert kinds[0] == kinds[1]


def test_cells_of_a_frame_can_be_set_and_leave_the_registry_alone(lake) -> None:
    lake.ULabel.upsert_df(pd.DataFrame({"name": [f"label {n}" for n in range(MANY)]}))
    frame = lake.ULabel.filter().df()
    frame.loc[0, "name"] = "changed"
    frame["size"] = 1
    frame.loc[1, "created_at"] = pd.Timestamp(0, tz="UTC")
    frame.at[2, "synonyms"] = np.array(["x"], dtype=object)
    again = lake.ULabel.filter().df()
    assert set(again["name"]) == {f"label {n}" for n in range(MANY)}
    assert again["created_at"].nunique() == 1
    assert [len(names) for names in again["synonyms"]] == [0] * MANY
