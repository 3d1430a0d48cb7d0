"""Arrow files and streams, JSON lines and JSON documents."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pytest

from formats.arrow import ArrowFormat
from formats.csv import CsvFormat
from formats.json import JsonFormat
from formats.jsonlines import JsonLinesFormat
from formats.parquet import ParquetFormat
from formats.testing import FormatConformance
from lakehouse.errors import InvalidFile, UnknownFormat, Unsupported

ARROW, LINES, JSON = ArrowFormat(), JsonLinesFormat(), JsonFormat()


def _records(frame: Any) -> list[dict[str, Any]]:
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.lazy().collect().to_dicts()
    if isinstance(frame, pa.Table):
        return frame.to_pylist()
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in rows]


class _Frames(FormatConformance):
    def objects(self) -> list[Any]:
        return [
            pd.DataFrame({"text": ["x", None, "ü"], "number": [1, 2, 3], "fraction": [0.5, np.nan, 1.5]}),
            pl.DataFrame({"a": ["x", None], "n": [1, 2]}),
            pa.table({"a": [1, 2], "nested": [[1], [2, 3]]}),
        ]

    def snapshot(self, obj: Any) -> Any:
        return obj.copy() if isinstance(obj, pd.DataFrame) else obj

    def same(self, left: Any, right: Any) -> bool:
        return _records(left) == (right if isinstance(right, list) else _records(right))


class TestArrow(_Frames):
    format = ARROW


class TestJsonLines(_Frames):
    format = LINES
    detects_truncation = False


class TestJson(_Frames):
    format = JSON

    def objects(self) -> list[Any]:
        return [*super().objects(), {"a": {"b": [1, None]}}, [1, "x", []], {}]

    def same(self, left: Any, right: Any) -> bool:
        return left == right if isinstance(left, dict | list) else super().same(left, right)


TABLES = [(ParquetFormat(), ".parquet"), (CsvFormat(), ".csv.zst"), (ARROW, ".feather"), (LINES, ".jsonl.gz")]


@pytest.mark.parametrize(("fmt", "suffix"), TABLES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_table_loads_and_opens_in_every_form(fmt: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    fmt.write(pl.LazyFrame(rows), path)
    assert _records(fmt.load_as(path, "pandas")) == rows
    assert fmt.load_as(path, "polars").to_dicts() == rows
    assert fmt.load_as(path, "arrow").to_pylist() == rows
    assert fmt.load_as(path, "numpy").tolist() == [[1, "x"], [2, "y"]]
    with fmt.open(path) as lazy:
        assert isinstance(lazy, pl.LazyFrame)
        assert lazy.filter(pl.col("a") > 1).select("b").collect().to_dicts() == [{"b": "y"}]
    with fmt.open_as(path, "arrow") as dataset:
        assert isinstance(dataset, ds.Dataset)
        assert dataset.to_table(columns=["b"]).to_pylist() == [{"b": "x"}, {"b": "y"}]
    with fmt.open_as(path, "duckdb") as relation:
        assert isinstance(relation, duckdb.DuckDBPyRelation)
        assert relation.filter("a = 2").fetchall() == [(2, "y")]
    for call in (fmt.load_as, fmt.open_as):
        with pytest.raises(Unsupported, match="polars"):
            call(path, "polar")


def test_a_dataset_is_written_like_a_table(tmp_path: Path) -> None:
    ARROW.write(ds.dataset(pa.table({"a": [1]})), tmp_path / "x.arrow")
    assert feather.read_table(tmp_path / "x.arrow").to_pylist() == [{"a": 1}]


def test_a_stream_under_the_name_of_a_file_is_read(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2]})
    with ipc.new_stream(str(tmp_path / "x.arrow"), table.schema) as writer:
        writer.write_table(table)
    described = ARROW.describe(tmp_path / "x.arrow")
    assert (described.n_rows, described.attributes) == (None, {"layout": "Arrow stream"})
    assert ARROW.load(tmp_path / "x.arrow")["a"].tolist() == [1, 2]
    assert ARROW.open(tmp_path / "x.arrow").head(1).collect().to_dicts() == [{"a": 1}]


def _wild(*places: int, texts: bytes = b"ab") -> bytes:
    """An Arrow file with other offsets, and other bytes, of its two texts than it was written with."""
    schema = pa.schema({"a": pa.string()})
    sink = io.BytesIO()
    with ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch({"a": ["a", "b"]}, schema=schema))
    offsets = np.array([0, 1, 2, 0], dtype=np.int32).tobytes()
    head, _, tail = sink.getvalue().rpartition(offsets)
    return head + np.array([*places, 0], dtype=np.int32).tobytes() + tail.replace(b"ab", texts, 1)


@pytest.mark.parametrize("places", [(0, 1, 2**30), (0, 2, 1), (-1, 1, 2), (0, 2**30, 2), (0, -5, 2)])
def test_offsets_that_leave_the_texts_or_run_back_are_refused(tmp_path: Path, places: tuple[int, ...]) -> None:
    path = tmp_path / "x.arrow"
    path.write_bytes(_wild(*places))
    with pytest.raises(InvalidFile, match=r"x\.arrow"):
        ARROW.read(path)


def test_texts_that_are_no_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    path.write_bytes(_wild(0, 1, 2, texts=b"\xff\xfe"))
    with pytest.raises(InvalidFile, match=r"x\.arrow"):
        ARROW.read(path)
    path.write_bytes(_wild(0, 1, 2, texts="\u00fc".encode()))  # a letter cut in two
    with pytest.raises(InvalidFile, match=r"x\.arrow"):
        ARROW.read(path)


def test_a_long_table_is_written_in_batches_so_that_its_first_rows_are_had_without_the_rest(tmp_path: Path) -> None:
    ARROW.write(pa.table({"a": np.arange(200_000)}), tmp_path / "x.arrow")
    with ipc.open_file(str(tmp_path / "x.arrow")) as reader:
        assert reader.num_record_batches == 4
    assert ARROW.describe(tmp_path / "x.arrow").n_rows == 200_000
    assert ARROW.open(tmp_path / "x.arrow").head(2).collect()["a"].to_list() == [0, 1]


def test_wild_offsets_are_refused_and_crash_nobody(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    path.write_bytes(_wild(0, 1, 2**30))
    script = (
        "from pathlib import Path; from formats.arrow import ArrowFormat; import sys\n"
        "from lakehouse.errors import InvalidFile\n"
        "path = Path(sys.argv[1]); fmt = ArrowFormat()\n"
        "for call in (fmt.load, fmt.table, lambda p: fmt.load_as(p, 'polars'), lambda p: fmt.open(p).collect()):\n"
        "    try: call(path); print('read')\n"
        "    except Exception as error: print(type(error).__name__, path.name in str(error))\n"
    )
    child = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert "read" not in child.stdout
    assert child.stdout.count("InvalidFile True") >= 3, child.stdout


@pytest.mark.parametrize("cut", [7, 40, 200, 400])
def test_arrow_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    ARROW.write(pa.table({"a": list(range(100))}), tmp_path / "x.arrow")
    data = (tmp_path / "x.arrow").read_bytes()
    (tmp_path / "x.arrow").write_bytes(data[:cut])
    with pytest.raises(InvalidFile):
        ARROW.load(tmp_path / "x.arrow")


@pytest.mark.parametrize("line", [b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a":' * 100_000])
@pytest.mark.parametrize(("fmt", "name"), [("jsonlines:JsonLinesFormat", "x.jsonl"), ("json:JsonFormat", "x.json")])
def test_deep_json_is_refused_and_crashes_nobody(tmp_path: Path, line: bytes, fmt: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(line + b"\n")
    module, _, cls = fmt.partition(":")
    script = (
        f"from pathlib import Path; from formats.{module} import {cls}; import sys\n"
        f"path = Path(sys.argv[1]); fmt = {cls}()\n"
        "for call in (fmt.load, fmt.open, fmt.table, fmt.describe):\n"
        "    try: call(path); print('read')\n"
        "    except Exception as error: print(type(error).__name__)\n"
    )
    child = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert (child.returncode, child.stdout.split()) == (0, ["InvalidFile"] * 4), child.stderr


def test_a_field_that_appears_late_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formats.jsonlines._HEAD", 64)
    monkeypatch.setattr("formats.jsonlines._CHUNK", 64)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a":1}\n' * 20 + b'{"a":2.5,"b":"x"}\n')
    assert LINES.describe(path).n_rows is None
    for table in (LINES.read(path), LINES.table(path).to_table(), LINES.open(path).collect().to_arrow()):
        assert table.to_pylist()[-1] == {"a": 2.5, "b": "x"}
        assert table.num_rows == 21


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":1,"a":2}\n', "twice"),
        (b'{"a":1}\n{"a":"x"}\n', "number|int64|incompatible"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b'{"a":\n', "JSON"),
    ],
)
def test_json_lines_that_contradict_are_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(data)
    with pytest.raises(InvalidFile, match=reason):
        LINES.load(tmp_path / "x.jsonl")


def test_json_with_a_name_twice_is_refused_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a":{"b":1,"b":2}}')
    with pytest.raises(InvalidFile, match="'b' twice"):
        JSON.load(tmp_path / "x.json")
    (tmp_path / "y.json").write_bytes(b'\xef\xbb\xbf{"a":1}')
    (tmp_path / "y.jsonl").write_bytes(b'\xef\xbb\xbf{"a":1}\n')
    assert JSON.load(tmp_path / "y.json") == {"a": 1}
    assert LINES.load(tmp_path / "y.jsonl")["a"].tolist() == [1]


def test_a_list_of_objects_is_a_table_and_other_json_is_none(tmp_path: Path) -> None:
    JSON.write([{"a": 1}, {"a": 2, "b": "x"}], tmp_path / "x.json")
    assert JSON.load_as(tmp_path / "x.json", "pandas").shape == (2, 2)
    assert JSON.load_as(tmp_path / "x.json", "numpy").shape == (2, 2)
    assert JSON.table(tmp_path / "x.json").to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    JSON.write({"a": 1}, tmp_path / "y.json")
    assert JSON.table(tmp_path / "y.json") is None
    with pytest.raises(Unsupported, match=r"y\.json"):
        JSON.load_as(tmp_path / "y.json", "pandas")


@pytest.mark.parametrize("obj", [{"a": object()}, [float("inf")], {"a": b"x"}])
def test_what_json_cannot_say_is_refused(tmp_path: Path, obj: object) -> None:
    with pytest.raises(UnknownFormat, match="JSON"):
        JSON.write(obj, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_times_are_written_as_iso_8601(tmp_path: Path) -> None:
    LINES.write(pd.DataFrame({"t": pd.to_datetime(["2026-01-02", None])}), tmp_path / "x.jsonl")
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()] == [
        {"t": "2026-01-02T00:00:00"},
        {"t": None},
    ]


@pytest.mark.parametrize("suffix", [".csv.zst", ".jsonl.zst", ".jsonl.gz"])
def test_a_bomb_in_text_stops_early(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("formats.limits._ALWAYS_ALLOWED", 1 << 20)
    path = tmp_path / f"x{suffix}"
    import gzip

    row = b'{"a":0}\n' if "json" in suffix else b"0\n"
    data = row * ((8 << 20) // len(row))
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else pa.compress(data, "zstd", asbytes=True))
    with pytest.raises(InvalidFile, match="bomb"):
        (LINES if "json" in suffix else CsvFormat()).load(path)


def test_rows_of_an_arrow_file_are_counted_from_headers_alone(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(1000)), "b": ["x" * 100] * 1000})
    for version, options in enumerate((ipc.IpcWriteOptions(), ipc.IpcWriteOptions(use_legacy_format=True))):
        path = tmp_path / f"{version}.arrow"
        with ipc.new_file(str(path), table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=300)
        assert ARROW.describe(path).shape == (1000, 2)
    ARROW.write(table.slice(0, 0), tmp_path / "empty.arrow")
    assert ARROW.describe(tmp_path / "empty.arrow").shape == (0, 2)


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_of_an_arrow_file_those_columns_are_read_that_a_statement_needs(tmp_path: Path, new: Any) -> None:
    table = pa.table({"A": [1, 2], "b": ["x", "y"], "c": [None, 2.5]})
    with new(tmp_path / "x.arrow", table.schema) as writer:
        writer.write_table(table)
    assert ARROW.table(tmp_path / "x.arrow", columns={"c", "a", "other"}).equals(table.select(["A", "c"]))
    assert ARROW.table(tmp_path / "x.arrow", columns={"other"}).equals(table), "rows are counted by some column"


@pytest.mark.parametrize("value", [{"a": [1]}, [1, {"b": None}]])
def test_a_json_document_opens_in_a_block(tmp_path: Path, value: Any) -> None:
    JSON.write(value, tmp_path / "x.json")
    with JSON.open(tmp_path / "x.json") as opened:
        assert opened == value
        assert isinstance(opened, type(value))
