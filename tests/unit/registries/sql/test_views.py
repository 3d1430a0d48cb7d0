"""What SQL has beyond tables: search, annotations, lineage, saved views, answers that become artifacts."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from lakehouse.errors import InputError, InvalidName, InvalidQuery, ReadOnly


@pytest.fixture
def cells(lake):
    lake.save([lake.CellType(name="fibroblast"), lake.CellType(name="T cell", synonyms=["T lymphocyte"])])
    return lake


def test_sql_searches_a_registry(cells):
    rows = cells.sql("select name, score, field, match from search_cell_type('t lymphocite')").fetchall()
    assert rows[0][0] == "T cell" and rows[0][2:] == ("synonyms", "T lymphocyte")
    assert 0.5 < rows[0][1] < 1


def test_words_and_number_may_be_parameters(cells):
    assert cells.sql("select name from search_cell_type(?, most := 1)", ["fibrblast"]).fetchall() == [("fibroblast",)]
    assert cells.sql("select name from search_cell_type($w)", {"w": "cell T"}).fetchall() == [("T cell",)]


def test_sql_searches_all_registries_and_joins_what_it_finds(cells):
    cells.Artifact(b"1", key="fibroblast.txt").save()
    found = cells.sql("select registry, name from search('fibrblast')").fetchall()
    assert set(found) == {("cell_type", "fibroblast"), ("artifact", "fibroblast.txt")}
    assert cells.sql("select a.size from search_artifact('fibrblast') s join artifact a using (uid)").fetchall() == [
        (1,)
    ]


@pytest.mark.parametrize("words", ["", "  ", None, "'; DROP TABLE x;--", "%", "x" * 1000, "nul\0x", "x" * 200_000])
def test_odd_words_find_nothing_and_do_no_harm(cells, words):
    assert cells.sql("select count(*) from search_cell_type(?)", [words]).fetchall() == [(0,)]


def test_search_in_sql_is_of_the_commit_that_is_asked_for(cells):
    before = cells.snapshots(1)[0]
    cells.CellType(name="neuron").save()
    query = "select count(*) from search_cell_type('neuron')"
    assert cells.sql(query).fetchall() == [(1,)]
    assert cells.sql(query, at=before).fetchall() == [(0,)]


def test_a_program_that_still_holds_an_answer_of_a_search_ends_quietly(cells):
    code = (
        "import sys; from registries import Instance; lake = Instance.open(sys.argv[1], user='x'); "
        "answer = lake.sql(\"select name from search_cell_type('fibrblast')\"); assert answer.fetchall()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cells.root)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_artifacts_come_with_their_labels_and_features(cells):
    cells.save(
        [
            cells.Feature(name="temperature", dtype="float"),
            cells.Feature(name="condition", dtype="cat[ULabel]"),
            cells.ULabel(name="treated"),
        ]
    )
    artifact = cells.Artifact(b"1", key="a.txt").save()
    cells.Artifact(b"2", key="b.txt").save()
    artifact.features.add_values({"temperature": 21.5, "condition": "treated"})
    artifact.cell_types.add(["T cell", "fibroblast"])
    query = "select key, labels, label_names, features from artifact_annotated order by key"
    first, second = cells.sql(query).fetchall()
    assert first[1] == {"cell_type": ["T cell", "fibroblast"], "ulabel": ["treated"]}
    assert first[2] == ["T cell", "fibroblast", "treated"]
    assert first[3] == {"temperature": "21.5", "condition": "treated"}
    assert second == ("b.txt", None, None, None)
    assert cells.sql(
        "select key from artifact_annotated where list_contains(label_names, 'treated') "
        "and features['temperature']::double > 21"
    ).fetchall() == [("a.txt",)]


def test_ancestors_and_descendants_follow_the_edges_at_any_distance(cells):
    run = cells.Run(transform=cells.Transform(name="align").save()).save()
    with cells.use_run(run):
        made = cells.Artifact(b"1", key="made.txt").save()
    up = cells.sql("select uid, type from ancestors(?)", [made.uid]).fetchall()
    assert (run.uid, "run") in up
    assert (made.uid, "artifact") in cells.sql("select * from descendants($r)", {"r": run.uid}).fetchall()
    assert cells.sql("select * from ancestors('nobody')").fetchall() == []


def test_saved_views_are_seen_by_name_and_may_build_on_one_another(cells):
    cells.View(name="long_name", query="select name from cell_type where length(name) > 6").save()
    cells.View(name="loud", query="select upper(name) as name from long_name;", description="for the poster").save()
    assert cells.sql("select * from loud").fetchall() == [("FIBROBLAST",)]
    assert cells.sql("select description from saved_view where name = 'loud'").fetchall() == [("for the poster",)]
    view = cells.View.get(name="long_name")
    view.query = "select name from cell_type"
    view.save()
    assert cells.sql("select count(*) from loud").fetchall() == [(2,)]


def test_a_saved_view_reads_contents_and_searches(cells):
    cells.Artifact.from_df(pd.DataFrame({"donor": ["a", "b"]}), key="donors.csv").save()
    cells.View(name="donors", query='select donor from content."donors.csv"').save()
    cells.View(name="near", query="select name from search_cell_type('fibrblast')").save()
    assert cells.sql("select count(*) from donors").fetchall() == [(2,)]
    assert cells.sql("select name from near").fetchall() == [("fibroblast",)]


@pytest.mark.parametrize(
    "name",
    [
        "artifact",
        "artifact_annotated",
        "cell_type_parent",
        "search_x",
        "content",
        "_x",
        "Heavy",
        "a b",
        'a"; --',
        "x" * 64,
        "",
    ],
)
def test_names_that_sql_has_already_or_cannot_have_are_refused(cells, name):
    with pytest.raises(InvalidName):
        cells.View(name=name, query="select 1").save()


@pytest.mark.parametrize(
    "query",
    [
        "select * from nowhere",
        "select 1; select 2",
        "drop table artifact",
        "copy artifact to '/tmp/x.csv'",
        "with x as (copy artifact to '/tmp/x.csv') select 1",
        "select * from read_csv('/etc/passwd')",
        "select ?",
        "attach ':memory:' as x",
        "",
    ],
)
def test_queries_that_cannot_be_a_view_are_refused(cells, query):
    with pytest.raises(InvalidQuery):
        cells.View(name="odd", query=query).save()
    assert cells.View.filter().count() == 0


def test_a_view_that_names_itself_is_refused_and_so_is_a_circle(cells):
    with pytest.raises(InputError, match="names the view itself"):
        cells.View(name="echo", query="select * from echo").save()
    cells.View(name="one", query="select 1 as n").save()
    cells.View(name="two", query="select * from one").save()
    one = cells.View.get(name="one")
    one.query = "select * from two"
    with pytest.raises(InvalidQuery, match="circle"):
        one.save()


def test_what_somebody_wrote_into_the_table_reaches_no_further_than_a_query(cells, tmp_path):
    target = tmp_path / "stolen.csv"
    for text in (f"select 1; copy artifact to '{target}'", "select * from read_csv('/etc/passwd')"):
        row = cells.View(name="sly", query="select 1").save().to_row() | {"query": text}
        cells.run(lambda txn, row=row: txn.upsert("saved_view", [row]))
        with pytest.raises(InvalidQuery):
            cells.sql("select * from sly").fetchall()
        assert not target.exists()


def test_an_answer_becomes_an_artifact_of_a_run_of_the_query(cells):
    cells.Artifact.from_df(pd.DataFrame({"donor": ["a", "b"]}), key="donors.csv").save()
    saved = cells.sql('select upper(donor) as donor from content."donors.csv"').save("loud.parquet")
    assert saved.load()["donor"].tolist() == ["A", "B"]
    transform = cells.Transform.get(cells.Run.get(saved.run).transform)
    assert transform.kind == "query" and "upper(donor)" in transform.description
    assert "upper(donor)" in saved.description


def test_an_answer_belongs_to_the_run_that_is_under_way(cells):
    run = cells.Run(transform=cells.Transform(name="report").save()).save()
    with cells.use_run(run):
        saved = cells.sql("select name from cell_type").save("names.csv", description="All names")
    assert (saved.run, saved.description, saved.n_rows) == (run.uid, "All names", 2)


def test_answers_are_relations_still(cells):
    answer = cells.sql("select name from cell_type order by name")
    assert answer.columns == ["name"] and len(answer) == 2
    assert answer.filter("name like 'T%'").fetchall() == [("T cell",)]
    assert cells.sql("select count(*) from mine", tables={"mine": answer}).fetchall() == [(2,)]
    assert "fibroblast" in repr(answer)


def test_a_reader_cannot_save_an_answer(cells):
    with type(cells).open(cells.root, read_only=True) as reader, pytest.raises(ReadOnly):
        reader.sql("select 1").save("x.parquet")
