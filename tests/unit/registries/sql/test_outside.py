"""Out of the instance: into somebody's own DuckDB connection, and into files that plain DuckDB reads."""

from __future__ import annotations

import json
import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from lakehouse.errors import InputError, InvalidName
from registries.instance import Instance


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """An instance of which everything is published but a label; nothing changes it."""
    lake = Instance.create(tmp_path_factory.mktemp("outside") / "lake", user="ada")
    cell = lake.CellType(name="cell").save()
    lake.save([lake.CellType(name="fibroblast", parent_uids=[cell]), lake.Feature(name="temperature", dtype="float")])
    run = lake.Run(transform=lake.Transform(name="align").save()).save()
    with lake.use_run(run):
        artifact = lake.Artifact.from_df(pd.DataFrame({"n": [1]}), key="a.parquet").save()
    lake.Artifact(b"trash", key="b.txt").save().delete()
    lake.Dataset([artifact], name="tables").save()
    artifact.features.add_values({"temperature": 21.5})
    artifact.cell_types.add("fibroblast")
    lake.View(name="heavy", query="select key from artifact where size > 10").save()
    lake.Artifact(b"n,donor\n1,'x\n2,\n", key='it\'s "b".csv').save()
    lake.View(name="inside", query='select * from content."a.parquet"').save()
    lake.View(name="near", query="select name from search_cell_type('fibrblast')").save()
    lake.View(name="nearer", query="select n, name from inside, near").save()
    lake.ULabel(name="later").save()
    yield lake
    lake.close()


@pytest.fixture
def own():
    connection = duckdb.connect()
    connection.execute("create table artifact as select 'mine' as key")
    yield connection
    connection.close()


QUERIES = [
    "select * from {}artifact",
    "select key, deleted_at is null from {}artifact_all",
    "select key, labels, features from {}artifact_annotated",
    "select * from {}artifact_label",
    "select * from {}lineage_edge",
    "select * from {}cell_type_ancestor",
    "select * from {}cell_type_parent",
    "select * from {}artifact_value",
    "select * from {}registry_column",
    "select * from {}heavy",
    'select * from {}content."a.parquet"',
    """select * from {}content."it's ""b"".csv" """,
    "select * from {}inside",
    "select * from {}nearer",
    "select name, field, match from {}search_cell_type('fibrblast', most := 1)",
    "select registry, name from {}search('latr')",
    "select name from {}ulabel",
    "select * from {}descendants((select uid from {}run))",
    "select * from {}ancestors((select uid from {}artifact where key = 'a.parquet'))",
    "select * from {}ancestors((select uid from {}dataset_latest where name = 'tables'))",
]


def test_an_attached_instance_gives_the_rows_of_lh_sql(cells, own):
    cells.attach(own)
    for query in QUERIES:
        wanted = cells.sql(query.replace("{}", "")).fetchall()
        assert wanted, query
        assert told(own.sql(query.replace("{}", "lake.")).fetchall()) == told(wanted), query
    assert own.sql("from artifact").fetchall() == [("mine",)]


def test_search_works_in_the_callers_connection_beside_other_instances(cells, other, own):
    other.CellType(name="neuron").save()
    cells.attach(own)
    other.attach(own, name="theirs")
    assert own.sql("select name from lake.search_cell_type('fibrblast')").fetchall() == [("fibroblast",)]
    assert own.sql("select name from theirs.search_cell_type('nueron')").fetchall() == [("neuron",)]
    assert own.sql("select registry, name from lake.search('latr')").fetchall() == [("ulabel", "later")]


def test_an_attached_instance_stays_as_it_was_until_it_is_attached_again(lake, own):
    lake.ULabel(name="first").save()
    lake.attach(own)
    lake.ULabel(name="latest").save()
    count = "select count(*) from lake.ulabel"
    assert own.sql(count).fetchall() == [(1,)]
    lake.attach(own)
    assert own.sql(count).fetchall() == [(2,)]
    assert own.sql("select name from lake.search_ulabel('latest')").fetchall()[0] == ("latest",)
    lake.attach(own, at=lake.snapshots()[-1])
    assert own.sql(count).fetchall() == [(0,)]


def test_columns_carry_their_comments(cells, own):
    cells.attach(own)
    said = "select comment from duckdb_columns() where database_name='lake' and table_name=? and column_name='size'"
    assert own.execute(said, ["artifact"]).fetchall() == [("Bytes.",)]


def test_a_name_that_is_taken_or_none_and_what_is_no_connection_are_refused(cells, own):
    own.execute("attach ':memory:' as theirs")
    for name in ("theirs", "memory"):
        with pytest.raises(InputError, match="already"):
            cells.attach(own, name=name)
    for name in ("a b", 'x"; drop', "", "1"):
        with pytest.raises(InvalidName):
            cells.attach(own, name=name)
    with pytest.raises(InputError, match="connection"):
        cells.attach("x.duckdb")
    assert ("lake",) not in own.execute("select database_name from duckdb_databases()").fetchall()


def told(rows) -> list[str]:
    """Return rows as text, which does not say by which name UTC goes."""
    return sorted(str([*map(str, row)]) for row in rows)


PLAIN = """
import json, sys, duckdb
connection = duckdb.connect(sys.argv[1]) if sys.argv[1].endswith(".duckdb") else duckdb.connect()
if sys.argv[1].endswith(".sql"):
    connection.execute(open(sys.argv[1]).read())
print(json.dumps([sorted(str([*map(str, row)]) for row in connection.sql(q).fetchall()) for q in json.loads(sys.argv[2])]))
assert not any(name.startswith(("lakehouse", "registries")) for name in sys.modules)
"""


@pytest.mark.parametrize("suffix", [".duckdb", ".sql"])
def test_plain_duckdb_reads_an_export_without_us(cells, tmp_path, suffix):
    target = tmp_path / f"export{suffix}"
    made = cells.export_sql(target)
    assert made.path == target and made.commit == cells.snapshots()[0].id and not made.left_out
    queries = [query.replace("{}", "") for query in QUERIES]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, str(target), json.dumps(queries)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    for query, found in zip(queries, json.loads(done.stdout), strict=True):
        assert found == told(cells.sql(query).fetchall()), query


def test_an_export_that_cannot_be_made_leaves_nothing(cells, tmp_path):
    target = tmp_path / "there.duckdb"
    target.write_bytes(b"mine")
    with pytest.raises(InputError, match="there already"):
        cells.export_sql(target)
    assert target.read_bytes() == b"mine"
    with pytest.raises(InputError, match=r"\.duckdb or \.sql"):
        cells.export_sql(tmp_path / "x.csv")
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["there.duckdb"]


@pytest.fixture
def mixed(lake):
    """An instance with contents, and views over them, of which DuckDB alone can have but one."""
    lake.Artifact.from_df(pd.DataFrame({"n": [1]}), key="a.parquet").save()
    lake.Artifact(b'{"n": 1}\n', key="b.jsonl").save()
    memory = lake.Storage(root="memory://outside").save()
    lake.Artifact.from_df(pd.DataFrame({"n": [1]}), key="far.parquet", storage=memory).save()
    damaged = lake.Artifact.from_df(pd.DataFrame({"n": [2]}), key="damaged.parquet").save()
    for name, key in (("fine", "a.parquet"), ("lines", "b.jsonl"), ("distant", "far.parquet")):
        lake.View(name=name, query=f'select * from content."{key}"').save()
    damaged.path.chmod(0o600)
    damaged.path.write_bytes(b"x" * damaged.size)
    return lake


LEFT_OUT = {'content."b.jsonl"', 'content."far.parquet"', 'content."damaged.parquet"', "lines", "distant"}


@pytest.mark.parametrize("suffix", [".duckdb", ".sql"])
def test_what_duckdb_alone_cannot_have_is_left_out_and_told(mixed, tmp_path, suffix, caplog):
    made = mixed.export_sql(tmp_path / f"export{suffix}")
    assert set(made.left_out) == LEFT_OUT and made.contents == 1
    assert "left out" in caplog.text and "b.jsonl" in caplog.text
    with duckdb.connect(str(made.path) if suffix == ".duckdb" else ":memory:") as connection:
        if suffix == ".sql":
            connection.execute(made.path.read_text())
        assert connection.sql("from fine").fetchall() == [(1,)]


def test_the_newest_contents_are_attached_and_as_many_as_one_asks_for(mixed, own, caplog):
    mixed.attach(own)
    assert "content." in caplog.text and own.sql("from lake.fine").fetchall() == [(1,)]
    mixed.Artifact.from_df(pd.DataFrame({"n": [3]}), key="newer.parquet").save()
    mixed.attach(own, contents=1)
    assert own.sql('from lake.content."newer.parquet"').fetchall() == [(3,)]
    with pytest.raises(duckdb.Error):
        own.sql('from lake.content."a.parquet"')
    with pytest.raises(InputError, match="contents"):
        mixed.attach(own, contents=-1)


def test_an_older_commit_is_attached_with_the_contents_of_that_time(lake, own):
    first = lake.Artifact(b"n\n1\n", key="a.csv").save()
    before = lake.snapshots()[0]
    first.replace(b"n\n2\n")
    lake.attach(own, at=before)
    lake.attach(own, name="now")
    assert own.sql('select * from lake.content."a.csv", now.content."a.csv"').fetchall() == [(1, 2)]


@pytest.mark.parametrize("query", ["select 1; copy artifact to '{}'", "select * from read_csv('{}')", "from '{}'"])
def test_what_somebody_wrote_into_the_table_of_views_is_made_nowhere(lake, own, tmp_path, query):
    target = tmp_path / "secret.csv"
    target.write_text("n\n1\n")
    row = lake.View(name="sly", query="select 1").save().to_row() | {"query": query.format(target)}
    lake.run(lambda txn: txn.upsert("saved_view", [row]))
    lake.attach(own)
    exported = [lake.export_sql(tmp_path / name) for name in ("x.sql", "x.duckdb")]
    assert [one.left_out for one in exported] == [("sly",), ("sly",)]
    assert str(target) not in exported[0].path.read_text()
    assert own.sql("select 1 from duckdb_views() where view_name = 'sly'").fetchall() == []
    assert target.read_text() == "n\n1\n"


def test_a_reader_is_told_to_flush_first(lake, tmp_path):
    lake.ULabel(name="first").save()
    with type(lake).open(lake.root, read_only=True) as reader, pytest.raises(InputError, match="flush"):
        reader.export_sql(tmp_path / "x.sql")
    lake.flush()
    with type(lake).open(lake.root, read_only=True) as reader:
        assert reader.export_sql(tmp_path / "x.sql").commit == lake.snapshots()[0].id
