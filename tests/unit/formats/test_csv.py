"""Tables as text."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from formats import csv as csv_module
from formats.base import ColumnInfo
from formats.csv import CsvFormat
from formats.testing import FormatConformance
from lakehouse.errors import InvalidFile, UnknownFormat

FORMAT = CsvFormat()


class TestConformance(FormatConformance):
    format = FORMAT
    detects_truncation = False

    def objects(self) -> list[Any]:
        return [
            pd.DataFrame(
                {
                    "text": ["x", None, ""],
                    "comma": ["a,b", 'say "hi"', "two\nlines"],
                    "number": [1, 2, 3],
                    "fraction": [0.5, np.nan, -1e300],
                    "flag": [True, False, True],
                    "when": pd.to_datetime(["2026-01-01 10:00", "2026-01-02 00:00", None]),
                }
            ),
            pd.DataFrame({"only header": pd.Series([], dtype=str)}),
            pd.DataFrame(),
            pl.DataFrame({"a": ["x", None], "k": pl.Series(["u", "v"], dtype=pl.Categorical)}),
            pa.table({"a": [1, 2], "=formula": ["=1+1", "@x"]}),
        ]

    def snapshot(self, obj: Any) -> Any:
        return obj.clone() if isinstance(obj, pl.DataFrame) else obj.copy() if isinstance(obj, pd.DataFrame) else obj

    def same(self, left: Any, right: Any) -> bool:
        if isinstance(left, pd.DataFrame):
            pd.testing.assert_frame_equal(left, right, check_dtype=len(left) > 0, check_column_type=left.size > 0)
            return True
        return _plain(left) == _plain(right)


def _plain(frame: Any) -> list[dict[str, Any]]:
    if isinstance(frame, pl.DataFrame):
        return frame.to_dicts()
    return frame.to_pylist() if isinstance(frame, pa.Table) else frame.to_dict("records")


def _text(tmp_path: Path, data: bytes | str, name: str = "x.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_load_open_and_sql_agree_on_types_and_nulls(tmp_path: Path) -> None:
    path = _text(tmp_path, 'a,b,c,d\n1,True,NA,\n2,false,x,\n3,TRUE,"",\n')
    rows = [(1, True, None, None), (2, False, "x", None), (3, True, "", None)]
    table = FORMAT.table(path)
    connection = duckdb.connect()
    connection.register("t", table)
    assert connection.execute("select * from t order by a").fetchall() == rows
    assert FORMAT.open(path).collect().rows() == rows
    loaded = FORMAT.load(path)
    assert loaded.dtypes[["a", "b"]].astype(str).tolist() == ["int64", "bool"]
    assert [column.dtype for column in FORMAT.describe(path).columns] == ["int64", "bool", "string", "null"]


def test_tabs_separate_in_tsv(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv.gz"
    FORMAT.write(pd.DataFrame({"a": [1], "b": ["x,y"]}), path)
    assert gzip.decompress(path.read_bytes()) == b'"a"\t"b"\n1\t"x,y"\n'
    assert FORMAT.load(path).to_dict("records") == [{"a": 1, "b": "x,y"}]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = _text(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n")
    assert FORMAT.describe(path).columns == (ColumnInfo("a", "int64"), ColumnInfo("b", "int64"))
    assert FORMAT.open(path).collect().columns == list(FORMAT.load(path).columns) == ["a", "b"]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n"])
def test_an_empty_file_is_a_table_without_columns(tmp_path: Path, data: bytes) -> None:
    path = _text(tmp_path, data)
    assert FORMAT.describe(path).shape == (0, 0)
    assert FORMAT.load(path).shape == (0, 0)
    assert FORMAT.open(path).collect().shape == (0, 0)
    assert FORMAT.table(path) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"a\nx\n" + "é".encode("latin-1") + b"\n", "not UTF-8"),
        ("é,b\n1,2\n".encode("latin-1"), "x.csv"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "looks like a PNG image"),
        (gzip.compress(b"a\n1\n"), "looks like gzip-compressed"),
        (b"PAR1" + bytes(50), "looks like a Parquet file"),
    ],
    ids=["short row", "long row", "latin-1", "latin-1 header", "utf-16", "png", "gzip", "parquet"],
)
def test_what_is_no_sound_csv_is_refused_by_all_that_read(tmp_path: Path, data: bytes, says: str) -> None:
    path = _text(tmp_path, data)
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open, FORMAT.table):
        with pytest.raises(InvalidFile, match=says):
            read(path)


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n" * 50)[:-9]], ids=["plain", "cut"])
def test_a_gz_that_is_no_sound_gzip_is_refused(tmp_path: Path, data: bytes) -> None:
    path = _text(tmp_path, data, "x.csv.gz")
    for read in (FORMAT.describe, FORMAT.load, FORMAT.open):
        with pytest.raises(InvalidFile, match=r"x\.csv\.gz"):
            read(path)


def test_describing_a_gzip_bomb_unpacks_no_more_than_a_bounded_part(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("formats.limits._ALWAYS_ALLOWED", 1 << 20)
    monkeypatch.setattr(csv_module, "_HEAD", 1 << 16)
    monkeypatch.setattr(csv_module, "_BLOCK", 1 << 15)
    path = _text(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * (3 << 20), mtime=0), "bomb.csv.gz")
    assert path.stat().st_size < 20_000
    for read in (FORMAT.describe, FORMAT.load):
        with pytest.raises(InvalidFile, match="decompression bomb"):
            read(path)


def test_a_large_file_is_typed_by_its_beginning_and_counted_to_its_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(csv_module, "_HEAD", 1 << 12)
    monkeypatch.setattr(csv_module, "_BLOCK", 1 << 11)
    path = _text(tmp_path, "a,b\n" + '1,"two\nlines"\n' * 2000)
    assert FORMAT.describe(path).shape == (2000, 2)
    assert len(FORMAT.load(path)) == 2000
    monkeypatch.setattr(csv_module, "_COUNT_UP_TO", 1 << 12)
    assert FORMAT.describe(path).n_rows is None
    assert FORMAT.describe(path).shape is None


@pytest.mark.parametrize(
    "frame", [pa.table({"nested": [[1]]}), pd.DataFrame({"mixed": [1, "x"]})], ids=["nested", "mixed"]
)
def test_what_text_cannot_hold_is_refused(frame: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat):
        FORMAT.write(frame, tmp_path / "x.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_index_with_a_name_is_written_as_a_column(tmp_path: Path) -> None:
    FORMAT.write(pd.DataFrame({"a": [1]}, index=pd.Index(["r"], name="row")), tmp_path / "x.csv")
    assert sorted(FORMAT.load(tmp_path / "x.csv").columns) == ["a", "row"]


def test_real_files_are_described_as_they_load(real_data: Path) -> None:
    files = sorted((real_data / "tabular").glob("*.csv")) + sorted((real_data / "markers").glob("*.csv"))
    assert files
    for path in files:
        described, frame = FORMAT.describe(path), FORMAT.load(path)
        assert described.shape == frame.shape
        assert FORMAT.open(path).collect().shape == frame.shape
        assert FORMAT.table(path).to_table().num_rows == len(frame)


def test_columns_without_a_name_or_with_the_same_one_get_names_of_their_own(tmp_path: Path) -> None:
    path = _text(tmp_path, b"\xef\xbb\xbf,a,a,a_1,\r\n1,2,3,4,x\r\n")
    names = ["column0", "a", "a_2", "a_1", "column4"]
    assert [column.name for column in FORMAT.describe(path).columns] == names
    assert FORMAT.table(path).to_table().to_pylist() == [dict(zip(names, [1, 2, 3, 4, "x"], strict=True))]
    assert FORMAT.open(path).collect().rows() == [(1, 2, 3, 4, "x")]
    assert FORMAT.load(path).columns.tolist() == names
    assert FORMAT.describe(path).n_rows == 1


@pytest.mark.parametrize("comment", ["# made by a program\n# of 2020, in a hurry\n", "##fileformat=1\n#\n"])
def test_comments_before_the_names_are_passed_over_where_they_are_no_names(tmp_path: Path, comment: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(comment + "#id,b,b\n1,2,3\n")
    assert FORMAT.load(path).to_dict("list") == {"#id": [1], "b": [2], "b_1": [3]}
    assert FORMAT.describe(path).shape == (1, 3)
    assert FORMAT.open(path).collect().rows() == [(1, 2, 3)]
    path.write_text("# id,name\n1,x\n")
    assert FORMAT.load(path).columns.tolist() == ["# id", "name"]
    path.write_text("# made by a program\na,b\n1,2,3\n")
    with pytest.raises(InvalidFile, match="Expected 2 columns, got 3"):
        FORMAT.load(path)


def test_sql_reads_a_file_whose_names_follow_comments(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("# made by a program\n# of 2020\na,b\n1,2\n")
    with duckdb.connect() as connection:
        rows = connection.from_arrow(FORMAT.table(path))
        assert rows.project("a, b").fetchall() == [(1, 2)]
        assert rows.count("*").fetchall() == [(1,)]


ALONE = {
    "types.csv": 'a,b,c,d,e,f\n1,x,1.5,true,2026-01-02,2026-01-02 10:00:00\n,NA,nan,,,\n3,"",-inf,FALSE,2026-01-03,\n',
    "quotes.csv": 'a,b\n1,"said ""no"", then\nleft"\n2,\'\n',
    "zones.csv": "a,t\n1,2026-01-02T10:00:00Z\n2,2026-01-02 10:00:00+02:00\n",
    "marks.csv": 'a,b\n"NA",1\nNA,2\n"1",null\n',
    "mark.csv": "\ufeffa,b\r\n 1, x\r\n\r\n007,y",
    "names.csv": "a,a,,ä\n1,2,3,4\n",
    "comments.csv": "# made by\na,b\n1,2\n",
    "nothing.csv": "a,b\n,x\n,y\n",
    "it's [1]*.tsv": "a\tb\nx y\t1\n",
    "one.csv": "a\n1\n2\n",
}


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_duckdb_alone_reads_what_sql_reads(tmp_path: Path, name: str, packed: str) -> None:
    path = tmp_path / f"{name}{packed}"
    data = ALONE[name].encode()
    path.write_bytes(
        gzip.compress(data) if packed == ".gz" else pa.compress(data, "zstd", asbytes=True) if packed else data
    )
    (tmp_path / "it's 1x.tsv").write_text("a\tb\nanother\t1\n")  # which the name would match as a pattern
    with duckdb.connect() as connection:
        wanted = connection.from_arrow(FORMAT.table(path))
        found = connection.sql(FORMAT.plain_sql(path) or "")
        assert (found.columns, found.types) == (wanted.columns, wanted.types)
        assert str(found.fetchall()) == str(wanted.fetchall())


@pytest.mark.parametrize("text", ["a\n1\n\n2\n", "a,A\n1,2\n", ""])
def test_what_duckdb_alone_would_read_otherwise_it_is_not_given(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert FORMAT.plain_sql(path) is None
