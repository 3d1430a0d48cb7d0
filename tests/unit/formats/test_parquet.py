"""Parquet tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats import limits
from formats.base import ColumnInfo
from formats.parquet import ParquetFormat
from formats.testing import FormatConformance
from lakehouse.errors import InvalidFile, UnknownFormat

FORMAT = ParquetFormat()


class TestConformance(FormatConformance):
    format = FORMAT

    def objects(self) -> list[Any]:
        frame = pd.DataFrame(
            {
                "text": ["x", None, "ü"],
                "number": [1, 2, 3],
                "fraction": [0.5, np.nan, 1.5],
                "kind": pd.Categorical(["u", "v", "u"]),
                "when": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
            }
        )
        return [
            frame,
            frame.set_index("text"),
            frame.drop(columns="kind").iloc[:0],
            pd.DataFrame(),
            pl.DataFrame({"a": ["x", None], "k": pl.Series(["u", "v"], dtype=pl.Categorical)}),
            pa.table({"a": [1, 2], "nested": [[1], [2, 3]]}),
        ]

    def snapshot(self, obj: Any) -> Any:
        return obj.clone() if isinstance(obj, pl.DataFrame) else obj.copy() if isinstance(obj, pd.DataFrame) else obj

    def same(self, left: Any, right: Any) -> bool:
        if isinstance(left, pd.DataFrame):
            pd.testing.assert_frame_equal(left, right)
            return True
        rows = right.to_pylist() if isinstance(right, pa.Table) else None
        if isinstance(left, pl.DataFrame):
            return left.to_dicts() == (right.to_dicts() if isinstance(right, pl.DataFrame) else _records(right))
        return left.to_pylist() == (rows if rows is not None else _records(right))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in frame.to_dict("records")
    ]


def test_describe_reads_types_that_all_formats_share(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": ["x"], "b": [1.5], "k": pl.Series(["u"], dtype=pl.Categorical), "t": [True]})
    FORMAT.write(frame, tmp_path / "x.parquet")
    described = FORMAT.describe(tmp_path / "x.parquet")
    assert described.shape == (1, 4)
    assert described.columns == (
        ColumnInfo("a", "string"),
        ColumnInfo("b", "float64"),
        ColumnInfo("k", "category"),
        ColumnInfo("t", "bool"),
    )


def test_an_unnamed_index_becomes_a_column_for_sql_and_an_index_for_pandas(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    FORMAT.write(pd.DataFrame({"a": [1, 2]}, index=["r", "s"]), path)
    assert FORMAT.table(path).to_table().to_pylist()[0] == {"a": 1, "__index_level_0__": "r"}
    assert FORMAT.load(path).index.tolist() == ["r", "s"]


def test_open_reads_lazily_with_polars(tmp_path: Path) -> None:
    path = tmp_path / "glob[1]*.parquet"
    FORMAT.write(pd.DataFrame({"a": range(10)}), path)
    lazy = FORMAT.open(path)
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.filter(pl.col("a") > 7).collect()["a"].to_list() == [8, 9]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"mixed": [1, "x"]}),
        pd.DataFrame({"objects": [object(), object()]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pl.DataFrame({"objects": pl.Series([object()], dtype=pl.Object)}),
    ],
    ids=["mixed", "objects", "twice", "polars objects"],
)
def test_what_parquet_cannot_hold_is_refused_and_no_file_left(frame: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat):
        FORMAT.write(frame, tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_large_table_is_not_serialised_in_memory() -> None:
    assert FORMAT.dump(pa.table({"a": np.zeros(5 << 20)})) is None


def test_a_footer_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    FORMAT.write(pd.DataFrame({"a": range(10)}), path)
    path.write_bytes(path.read_bytes()[:-5])
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open, FORMAT.table):
        with pytest.raises(InvalidFile, match="cannot be read as parquet"):
            read(path)


def test_a_wrong_suffix_is_named_for_what_the_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InvalidFile, match="looks like an HDF5 file"):
        FORMAT.describe(path)


def test_an_empty_file_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").touch()
    with pytest.raises(InvalidFile, match="it is empty"):
        FORMAT.describe(tmp_path / "x.parquet")


def test_a_dictionary_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "bomb.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2_000_000, dtype="int32")), ["x" * 1000]).cast("string")
    pq.write_table(pa.table({"a": column}), path)
    assert path.stat().st_size < 300_000
    monkeypatch.setattr(limits, "physical_memory", lambda: 4_000_000)
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(InvalidFile, match="of memory; open"):
        FORMAT.load(path)
    assert FORMAT.describe(path).n_rows == 2_000_000


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "year=2026").mkdir()
    path = tmp_path / "year=2026" / "x.parquet"
    FORMAT.write(pd.DataFrame({"a": [1]}), path)
    assert list(FORMAT.load(path).columns) == ["a"]
    assert FORMAT.open(path).collect().columns == ["a"]
    assert FORMAT.table(path).schema.names == ["a"]


def test_writing_and_describing_a_pandas_frame_loads_no_polars(tmp_path: Path) -> None:
    program = f"""
import sys, pathlib, pandas, pyarrow
from formats.registry import format_for
from formats.hashing import hash_bytes
from formats.storage import Storage
frame = pandas.DataFrame({{"a": [1], "b": ["x"]}})
storage = Storage({str(tmp_path)!r})
for suffix in (".parquet", ".csv", ".csv.gz"):
    data = format_for(frame, suffix=suffix).dump(frame, suffix=suffix)
    path = storage.put_object(hash_bytes(data), suffix, data)
    assert format_for(path=path).describe(storage.local_path(path)).n_rows == 1
    format_for(path=path).load(storage.local_path(path))
assert "polars" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_describes_and_loads(tmp_path: Path) -> None:
    import signal

    frame, path = pd.DataFrame({"a": range(1000), "b": ["x"] * 1000}), tmp_path / "x.parquet"
    FORMAT.write(frame, tmp_path / "warm.parquet")
    FORMAT.load(tmp_path / "warm.parquet")
    pl.from_pandas(frame).lazy().filter(pl.col("a") > 1).collect()  # threads that the child will not have
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        FORMAT.write(frame, path)
        os._exit(0 if FORMAT.describe(path).n_rows == len(FORMAT.load(path)) == 1000 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_real_files_are_described_as_they_load(real_data: Path) -> None:
    files = sorted(real_data.rglob("*.parquet"))
    assert files
    for path in files:
        described, frame = FORMAT.describe(path), FORMAT.load(path)
        assert described.n_rows == len(frame) == FORMAT.open(path).collect().height
