from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from lakehouse.engine import Lake
from lakehouse.errors import InvalidQuery
from tests.unit.engine.support import add, create, label, renames, uids

pytestmark = pytest.mark.catalogs("sqlite")  # user SQL never reaches the catalog
WIDE_OPEN = {
    "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read_csv_auto": "SELECT * FROM read_csv_auto('/etc/passwd', header=false)",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_blob": "SELECT * FROM read_blob('/etc/passwd')",
    "read_json": "SELECT * FROM read_json('/etc/passwd')",
    "bare file": "SELECT * FROM '/etc/passwd'",
    "quoted file": 'SELECT * FROM "/etc/hosts.csv"',
    "glob": "SELECT * FROM glob('/etc/*')",
    "parquet": "SELECT * FROM read_parquet('OUTSIDE')",
    "parquet metadata": "SELECT * FROM parquet_metadata('OUTSIDE')",
    "climbing": "SELECT * FROM read_parquet('ROOT/tables/../../outside.parquet')",
    "catalog": "SELECT * FROM read_blob('ROOT/catalog.db')",
    "sniff": "SELECT * FROM sniff_csv('/etc/passwd')",
    "http": "SELECT * FROM read_csv('http://169.254.169.254/latest/meta-data')",
    "s3": "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "query function": "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "query_table": "SELECT * FROM query_table('/etc/passwd')",
    "in a subquery": "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "explain analyze copy": "EXPLAIN ANALYZE COPY (SELECT 1) TO 'OUT'",
    "getenv": "SELECT getenv('HOME')",
    "replacement scan": "SELECT * FROM local_frame",
    "copy to": "COPY (SELECT 1) TO 'OUT'",
    "copy from": "COPY label FROM '/etc/passwd'",
    "export": "EXPORT DATABASE 'OUT'",
    "attach": "ATTACH 'OUT' AS other",
    "attach sqlite": "ATTACH 'ROOT/catalog.db' AS c (TYPE sqlite)",
    "install": "INSTALL httpfs",
    "load": "LOAD httpfs",
    "set": "SET enable_external_access = true",
    "reset": "RESET lock_configuration",
    "set variable": "SET VARIABLE x = 1",
    "pragma": "PRAGMA database_list",
    "call": "CALL pragma_version()",
    "two statements": "SELECT 1; SELECT 2",
    "hidden second": "SELECT 1; COPY (SELECT 1) TO 'OUT' --",
    "nothing": "",
    "comment only": "-- SELECT 1",
    "insert": "INSERT INTO label VALUES ('x', 'x', 1)",
    "update": "UPDATE label SET n = 1",
    "delete": "DELETE FROM label",
    "create": "CREATE TABLE t AS SELECT 1",
    "create view": "CREATE OR REPLACE VIEW label AS SELECT 1",
    "macro": "CREATE MACRO f() AS TABLE SELECT * FROM read_text('/etc/passwd')",
    "secret": "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "drop": "DROP VIEW label",
    "begin": "BEGIN",
    "prepare": "PREPARE p AS SELECT 1",
    "use": "USE memory",
    "syntax": "SELEC 1",
    "unknown table": "SELECT * FROM lable",
    "unknown column": "SELECT nme FROM label",
    "NUL": "SELECT '\x00",
    "surrogate": "SELECT '\ud800'",
}


def _fill(lake: Lake) -> Lake:
    add(lake, "a")
    lake.flush()
    add(lake, "b")
    pyarrow.parquet.write_table(pa.table({"x": [1]}), lake.root.parent / "outside.parquet")
    return lake


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Return a lake with a published and a tail row, and a Parquet file outside it."""
    return _fill(lake)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Return the same, for all tests that only read."""
    with create(tmp_path_factory.mktemp("shared") / "lake") as lake:
        yield _fill(lake)


@pytest.mark.parametrize("case", WIDE_OPEN)
def test_query_that_leaves_the_instance_is_refused(shared: Lake, tmp_path: Path, case: str) -> None:
    local_frame = pa.table({"x": [1]})  # a Python variable must not become a table
    assert local_frame.num_rows
    out = tmp_path / "out.csv"
    query = WIDE_OPEN[case].replace("OUTSIDE", str(shared.root.parent / "outside.parquet"))
    query = query.replace("OUT", str(out)).replace("ROOT", str(shared.root))
    late = duckdb.PermissionException if case == "sniff" else InvalidQuery  # found out only when it runs
    with pytest.raises((InvalidQuery, late)):
        shared.sql(query).fetchall()
    assert not out.exists()
    assert uids(shared) == ["a", "b"]


@pytest.mark.parametrize("small_rows", [0, 200_000])
def test_large_tables_are_read_and_files_beside_them_are_not(make: object, small_rows: int) -> None:
    lake: Lake = make(small_rows=small_rows)  # type: ignore[operator]
    add(lake, "a")
    lake.flush()
    assert lake.sql("SELECT uid FROM label").fetchall() == [("a",)]
    folder = lake.root / "tables" / "label"
    with pytest.raises(InvalidQuery):
        lake.sql(f"SELECT * FROM read_text('{folder}/_delta_log/00000000000000000000.json')").fetchall()
    with pytest.raises(InvalidQuery):
        lake.sql(f"SELECT * FROM glob('{folder}/*')").fetchall()


def test_refused_file_access_says_how_to_hand_data_in(shared: Lake) -> None:
    with pytest.raises(InvalidQuery, match="tables="):
        shared.sql("SELECT * FROM read_csv('/etc/passwd')")


def test_parameters_are_bound_by_place_and_by_name(shared: Lake) -> None:
    by_place = shared.sql("SELECT uid FROM label WHERE name = ? OR uid = ?", ["name of a", "'; DROP TABLE label;--"])
    assert by_place.fetchall() == [("a",)]
    assert shared.sql("SELECT uid FROM label WHERE uid = $key", {"key": "b"}).fetchall() == [("b",)]
    for odd in ("$1", "?", "%s", 'a" OR 1=1', "a\\"):
        assert shared.sql("SELECT uid FROM label WHERE uid = ?", [odd]).fetchall() == []
        assert shared.sql("SELECT ? AS v", [odd]).fetchall() == [(odd,)]


@pytest.mark.parametrize("params", [None, [], ["a", "b"], {"other": 1}], ids=str)
def test_wrong_parameters_are_refused(shared: Lake, params: object) -> None:
    with pytest.raises(InvalidQuery):
        shared.sql("SELECT uid FROM label WHERE uid = ?", params).fetchall()  # type: ignore[arg-type]


def test_explain_and_with_and_from_first_work(shared: Lake) -> None:
    assert shared.sql("EXPLAIN SELECT * FROM label").fetchall()
    assert shared.sql("WITH x AS (SELECT 1 AS v) SELECT v FROM x").fetchall() == [(1,)]
    assert shared.sql("FROM label SELECT count(*);").fetchall() == [(2,)]


def given(kind: str) -> object:
    table = pa.table({"uid": ["a", "z"], "score": [1, 2]})
    if kind == "arrow":
        return table
    if kind == "dataset":
        return pyarrow.dataset.dataset(table)
    if kind == "pandas":
        return table.to_pandas()
    if kind == "relation":
        return duckdb.connect().sql("SELECT * FROM (VALUES ('a', 1), ('z', 2)) t(uid, score)")
    import polars

    frame = polars.DataFrame({"uid": ["a", "z"], "score": [1, 2]})
    return frame.lazy() if kind == "lazy" else frame


@pytest.mark.parametrize("kind", ["arrow", "dataset", "pandas", "polars", "lazy", "relation"])
@pytest.mark.parametrize("name", ["mine", ("content", "my.csv"), 'a"b', "select", "naïve table"], ids=str)
def test_own_data_is_joined(shared: Lake, kind: str, name: str | tuple[str, str]) -> None:
    parts = [name] if isinstance(name, str) else name
    quoted = ".".join('"' + p.replace('"', '""') + '"' for p in parts)
    found = shared.sql(f"SELECT label.name, score FROM label JOIN {quoted} USING (uid)", tables={name: given(kind)})  # type: ignore[dict-item]
    assert found.fetchall() == [("name of a", 1)]


@pytest.mark.parametrize("data", [object(), 5, "text", None, {"x": "y"}], ids=["object", "int", "text", "none", "dict"])
def test_own_data_of_a_foreign_kind_is_refused(shared: Lake, data: object) -> None:
    with pytest.raises(InvalidQuery, match="hand in a pandas or Polars frame"):
        shared.sql("SELECT * FROM mine", tables={"mine": data})


def test_views_are_seen_and_broken_ones_refused(shared: Lake) -> None:
    views = {"named": "SELECT name FROM label ORDER BY uid"}
    assert shared.sql("SELECT * FROM named", views=views).fetchall() == [("name of a",), ("name of b",)]
    with pytest.raises(InvalidQuery):
        shared.sql("SELECT * FROM broken", views={"broken": "SELECT nothing FROM nowhere"})


def test_older_relation_goes_on_showing_its_snapshot(filled: Lake) -> None:
    relation = filled.sql("SELECT uid, name FROM label ORDER BY uid")
    derived = relation.filter("uid <> 'zz'")
    filled.run(renames("a", "new"))
    add(filled, "c")
    filled.flush()
    assert filled.sql("SELECT count(*) FROM label").fetchall() == [(3,)]
    assert relation.fetchall() == [("a", "name of a"), ("b", "name of b")]
    assert derived.fetchall() == [("a", "name of a"), ("b", "name of b")]


def test_query_travels_in_time(shared: Lake) -> None:
    first = shared.commits()[1]
    assert shared.sql("SELECT uid FROM label", at=first.id).fetchall() == [("a",)]
    assert shared.sql("SELECT uid FROM label", at=first.at).fetchall() == [("a",)]


def test_relation_derived_from_a_result_is_locked_too(shared: Lake) -> None:
    relation = shared.sql("SELECT uid FROM label")
    with pytest.raises(duckdb.Error):
        relation.query("r", "SELECT * FROM read_text('/etc/passwd')").fetchall()
    with pytest.raises(duckdb.Error):
        relation.write_csv(str(shared.root / "out.csv"))
    assert not (shared.root / "out.csv").exists()


def test_odd_names_in_values_come_back_as_they_are(filled: Lake) -> None:
    odd = ["a\\", "x\x00y", "line\nbreak", "\u202eabc", "é", "e\u0301", "a\u200bb", "'; DROP TABLE x;--", "%_"]
    rows = [label(f"o{n}", name) for n, name in enumerate(odd)]
    filled.run(lambda txn: txn.insert("label", rows))
    for row in rows:
        assert filled.sql("SELECT uid FROM label WHERE name = ?", [row["name"]]).fetchall() == [(row["uid"],)]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep DuckDB from looking into the user's own folder of extensions."""
    monkeypatch.setenv("HOME", str(tmp_path))
    yield


def test_own_data_cannot_hide_a_registry(lake):
    with pytest.raises(InvalidQuery, match="would hide what the instance calls so"):
        lake.sql("select * from label", tables={"LABEL": pa.table({"uid": ["mine"]})})


def test_one_query_after_another_sees_what_was_committed_in_between(lake):
    count = "select count(*) from label"
    before = lake.sql(count).fetchall()[0][0]
    assert lake.sql(count).fetchall() == [(before,)]
    lake.run(lambda txn: txn.insert("label", [{"uid": "in between"}]))
    assert lake.sql(count).fetchall() == [(before + 1,)]
    assert lake.sql(count, at=lake.head() - 1).fetchall() == [(before,)]
    with lake.transaction():
        lake.run(lambda txn: txn.insert("label", [{"uid": "of the transaction"}]))
        assert lake.sql(count).fetchall() == [(before + 2,)]
        raise_away = lake.sql(count)
    assert raise_away.fetchall() == [(before + 2,)]


def test_a_misspelt_table_is_named_with_the_near_one(shared: Lake) -> None:
    with pytest.raises(InvalidQuery, match='Did you mean "label"'):
        shared.sql("SELECT * FROM labels")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT view_name FROM duckdb_views() WHERE NOT internal",
        "SELECT table_name FROM information_schema.tables",
        "FROM (SHOW TABLES)",
    ],
)
def test_what_lists_tables_lists_them_all_whichever_were_asked_for_before(shared: Lake, query: str) -> None:
    shared.sql("SELECT count(*) FROM label").fetchall()
    assert {"label", "link"} <= {row[0] for row in shared.sql(query).fetchall()}


@pytest.mark.parametrize(
    "query",
    ["SELECT uid FROM query_table('lab' || 'el') ORDER BY 1", 'SELECT "LABEL".uid FROM temp."Label" ORDER BY 1'],
)
def test_a_table_is_found_however_it_is_named(shared: Lake, query: str) -> None:
    assert shared.sql(query).fetchall() == [("a",), ("b",)]


def test_views_over_views_are_found_through_each_other(shared: Lake) -> None:
    views = {"label": "SELECT * FROM _table_label WHERE uid = 'a'", "named": "SELECT name FROM LABEL"}
    assert shared.sql("SELECT * FROM named", views=views).fetchall() == [("name of a",)]
    assert shared.sql("SELECT count(*) FROM label").fetchall() == [(2,)]
    assert shared.sql("SELECT count(*) FROM label", views=views).fetchall() == [(1,)]
