"""User SQL can read the files of its tables, and must not be able to write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, Options, TableSpec
from lakehouse.errors import Expired, InvalidQuery

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
SCANNED = Options(auto_publish=False, small_rows=0, retention=0.0, grace=0.0)
ROWS = [("a", "x"), ("b", "y")]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "secret.csv").write_text("secret\n1\n")
    monkeypatch.chdir(tmp_path)  # DuckDB's own folder for spilling would lie here
    with Lake.create(tmp_path / "lake", [TableSpec("label", SCHEMA)], options=SCANNED) as opened:
        opened.run(lambda txn: txn.insert("label", [dict(zip(("uid", "name"), row, strict=True)) for row in ROWS]))
        opened.flush()
        yield opened


WRITES = [
    "WITH x AS (COPY (SELECT 'a' AS uid, 'forged' AS name) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)) FROM x",
    "FROM (WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) FROM x)",
    "SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''{file}'' (USE_TMP_FILE false)) FROM x')",
    "EXPLAIN ANALYZE COPY (SELECT 'a' AS uid, 'forged' AS name) TO '{file}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE CREATE OR REPLACE TEMP VIEW label AS SELECT 'forged' AS uid, 'x' AS name",
    "EXPLAIN ANALYZE DROP VIEW label",
    "EXPLAIN ANALYZE EXPLAIN ANALYZE DROP VIEW label",
    "/* */ EXPLAIN ANALYZE DROP VIEW label",
    "EXPLAIN ANALYZE SET VARIABLE x = 1",
    "WITH x AS (COPY (SELECT 1) TO '.tmp/new.csv') FROM x",
    "SELECT * FROM read_csv('.tmp/secret.csv')",
    "SELECT * FROM glob('.tmp/*')",
]


@pytest.mark.parametrize("query", WRITES)
def test_writes_in_disguise_are_refused_and_change_nothing(lake: Lake, tmp_path: Path, query: str):
    (file,) = (lake.root / "tables" / "label").glob("p-*.parquet")
    before = file.read_bytes()
    with pytest.raises(InvalidQuery):
        lake.sql(query.format(file=file)).fetchall()
    assert file.read_bytes() == before
    assert [path.name for path in (tmp_path / ".tmp").iterdir()] == ["secret.csv"]
    assert lake.sql("select * from label order by uid").fetchall() == ROWS


@pytest.mark.parametrize(
    "query",
    [
        "explain select * from label",
        "EXPLAIN ANALYZE SELECT * FROM label;",
        "select * from label -- all of them",
        "describe label",
        "summarize label",
        "values (1)",
        "with x as (select 1 as a) select * from x;",
        "from label order by name desc limit 1",
    ],
)
def test_everything_that_only_reads_is_admitted(lake: Lake, query: str):
    assert lake.sql(query).fetchall()


def test_results_read_piece_by_piece_go_beside_other_queries(lake: Lake):
    pieces = lake.sql("select range as n from range(200000)").to_arrow_reader(10_000)
    seen = 0
    for piece in pieces:
        seen += piece.num_rows
        assert lake.sql("select count(*) from label").fetchall() == [(2,)]
    assert seen == 200_000


def test_an_old_commit_is_expired_for_a_second_query_too(lake: Lake):
    old = lake.head()
    assert lake.sql("select count(*) from label", at=old).fetchall() == [(2,)]
    for name in "zw":
        lake.run(lambda txn, name=name: txn.upsert("label", [{"uid": "a", "name": name}]))
        lake.flush()
    lake.vacuum()
    with pytest.raises(Expired):
        lake.sql("select count(*) from label", at=old)


@pytest.mark.parametrize("name", ["_tail_label", "_TAIL_LABEL"])
def test_own_data_cannot_take_the_place_of_the_tail(lake: Lake, name: str):
    lake.run(lambda txn: txn.insert("label", [{"uid": "c", "name": "z"}]))
    with pytest.raises(InvalidQuery, match="would hide"):
        lake.sql("select * from label", tables={name: pa.table({"uid": ["forged"], "name": ["x"]})})
