"""Registries out of sample sheets: what is inferred, what is refused, and updates by key."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pytest

from lakehouse.cli import main
from lakehouse.errors import Duplicate, InputError, InvalidFile, InvalidName, NotFound, OlderFormat, Unsupported
from registries import Instance
from registries.binding import REGISTRIES
from registries.sheetfile import guessed, read_sheet
from registries.sheets import create

SHEET = """\ufeffSample ID,Age,organism,Batch No.,Collected,passed,mass,run
s1,31,human,007,2026-01-31,true,1.5,4
s2,,mouse,042,2026-02-01,false,NA,5

s3,45,human,1,,TRUE,2,6
"""


@pytest.fixture(autouse=True)
def _as_before():
    there = dict(REGISTRIES)
    yield
    REGISTRIES.clear()
    REGISTRIES.update(there)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with Instance.create(tmp_path_factory.mktemp("sheets") / "lake", user="ada") as lake:
        for organism in ("human", "mouse"):
            lake.Organism(name=organism).save()
        yield lake


def sheet(tmp_path, text, name="samples.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_types_references_and_names_are_inferred_and_told(home, tmp_path):
    report = create(home, "sample", sheet(tmp_path, SHEET), key="Sample ID")
    assert [(one.column, one.kind) for one in report.decisions] == [
        ("sample_id", "text"),
        ("age", "whole number"),
        ("organism", "-> Organism"),
        ("batch_no", "text"),
        ("collected", "date"),
        ("passed", "true or false"),
        ("mass", "number"),
        ("run_value", "whole number"),
    ]
    told = {one.column: one.why for one in report.decisions}
    assert told["batch_no"] == "mixed: 1 of 3 are whole numbers, others are text such as '007': kept as text"
    assert told["mass"] == "1 cells such as 'NA' mean no value"
    assert told["run_value"] == "every record has that name already"
    second = home.Sample.get(sample_id="s2")
    assert (second.age, second.batch_no, second.passed, second.mass) == (None, "042", False, None)
    assert second.collected == dt.date(2026, 2, 1)
    assert home.Sample.filter(organism__name="human").count() == 2
    artifact = home.Artifact(b"\0", key="a.bin").save()
    artifact.samples.add("s1")
    assert home.Artifact.filter(samples__organism__name="human").one() == artifact
    assert home.Sample.validate(["s1", "S9"]) == [True, False]


def test_another_sheet_updates_by_key_and_adds_columns_and_wider_types(home, tmp_path):
    create(home, "donor", sheet(tmp_path, "id,age,site\nd1,31,A\nd2,45,B\n"), key="id")
    head = home.lake.head()
    assert repr(create(home, "donor", sheet(tmp_path, "id,age,site\nd1,31,A\n"), key="id")).endswith(
        "0 inserted, 0 updated, 1 unchanged"
    )
    assert home.lake.head() == head
    report = create(home, "donor", sheet(tmp_path, "id,age,smoker\nd2,45.5,true\nd3,12,false\n"), key="id")
    assert (report.inserted, report.updated, report.unchanged) == (1, 1, 0)
    rows = home.Donor.filter().order_by("id").pl().select("id", "age", "site", "smoker").rows()
    assert rows == [("d1", 31.0, "A", None), ("d2", 45.5, "B", True), ("d3", 12.0, None, False)]
    assert home.sql("select age from donor where id = 'd2'", at=head).fetchall() == [(45,)]
    assert home.Donor.filter(age__gt=40).count() == 1
    create(home, "visit", sheet(tmp_path, "visit,donor_id\nv1,d1\nv2,d3\n"), key="visit")
    assert home.Visit.filter(donor_id__smoker=False).one().visit == "v2"
    with pytest.raises(InputError, match="donor_id: Donor has no 'd9'"):
        create(home, "visit", sheet(tmp_path, "visit,donor_id\nv3,d9\n"), key="visit")
    with pytest.raises(InputError, match="told apart by 'id', not by 'site'"):
        create(home, "donor", sheet(tmp_path, "site\nA\n"), key="site")


def test_values_that_are_not_all_records_stay_text_and_the_report_says_so(home, tmp_path):
    report = create(home, "mix", sheet(tmp_path, "k\torganism\n1\thuman\n2\tyeti\n", "m.tsv"), key="k")
    assert report.decisions[1].kind == "text"
    assert report.decisions[1].why == "1 of 2 values are records of Organism: kept as text"
    assert home.Mix.get(k="2").organism == "yeti"


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_are_as_good_as_files(home, frame):
    name = f"plate_{frame.__module__[:2]}"
    given = frame({"plate": ["p1", "p2"], "wells": [96, 384], "at": [dt.date(2026, 1, 1), None]})
    report = create(home, name, given, key="plate")
    assert [one.kind for one in report.decisions] == ["text", "whole number", "date"]
    assert report.inserted == 2


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("id,age\na,1\na,2\nb,3\n", Duplicate, "1 values of the key 'id' occur more than once, such as 'a'"),
        ("id,age\n,1\nb,3\n", InvalidFile, "the key 'id' is empty in 1 rows, such as row 1"),
        ("id,age,age\na,1,2\n", InvalidFile, "the header 'age' is over columns 2 and 3"),
        ("id,Age,age\na,1,2\n", InvalidFile, "'Age' and 'age' both come to 'age'"),
        ("id,,age\na,1,2\n", InvalidFile, "column 2 has values and no header"),
        ("id,age\na,1,2\nb,3\n", InvalidFile, "line 2 has 3 cells and the header 2"),
        ("id,age\na,1\nb\n", InvalidFile, "line 3 has 1 cells and the header 2"),
        ("", InvalidFile, "is empty"),
        ("id,%\na,1\n", InvalidFile, "'%' has no letter or digit"),
        ('id,age\n"a,1\n', InvalidFile, "no table of text"),
        ("name,age\na,1\n", InputError, "the sheet has no column 'id'; it has 'name', 'age'"),
        ("id,age\na\u202e,1\n", InvalidName, "direction-changing"),
    ],
)
def test_a_sheet_that_contradicts_itself_is_refused_and_leaves_nothing(home, tmp_path, text, error, told):
    head = home.lake.head()
    with pytest.raises(error, match=told.replace("(", r"\(")):
        create(home, "bad", sheet(tmp_path, text), key="id")
    assert home.lake.head() == head
    assert not home.has("bad")
    assert "bad" not in REGISTRIES


def test_what_cannot_be_a_sheet_or_a_name_is_refused(home, tmp_path):
    path = sheet(tmp_path, "id\na\n")
    with pytest.raises(InvalidName, match="Artifact is built in"):
        create(home, "artifact", path, key="id")
    for name in ("", "a" * 70, "'; DROP TABLE x;--" * 9, None, "artifact_label"):
        with pytest.raises((InvalidName, InvalidFile)):
            create(home, name, path, key="id")
    with pytest.raises(InvalidFile, match="UTF-8"):
        create(home, "latin", sheet(tmp_path, "id,site\na,Zürich\n", encoding="latin-1"), key="id")
    with pytest.raises(Unsupported, match="hand in others as a frame"):
        create(home, "book", tmp_path / "book.xlsx", key="id")
    with pytest.raises(NotFound):
        create(home, "gone", tmp_path / "gone.csv", key="id")
    with pytest.raises(InvalidFile, match="several columns 'id'"):
        create(home, "twice", pd.DataFrame([[1, 2]], columns=["id", "id"]), key="id")
    with pytest.raises(InputError, match="mixed types"):
        create(home, "mixed", pd.DataFrame({"id": ["a", "b"], "x": [1, "one"]}), key="id")
    with Instance.open(home.root, read_only=True) as reader, pytest.raises(Exception, match="reading only"):
        create(reader, "sample", path, key="id")
    assert not issubclass(OlderFormat, InputError)


def test_odd_columns_without_values_and_trailing_commas_are_no_fault(home, tmp_path):
    assert read_sheet(sheet(tmp_path, "id,note,\na,,\nb,,\n")) == {"id": ["a", "b"], "note": [None, None]}
    assert read_sheet(sheet(tmp_path, "id;x\na;1,5\n")) == {"id": ["a"], "x": ["1,5"]}
    assert guessed(["9223372036854775808", "1"]).kind == "string"
    assert guessed(["1e400", "1"]).kind == "string"
    assert guessed(["2026-02-30"]).kind == "string"
    assert guessed(["2026-01-01T10:00:00+01:00"]).values.to_pylist()[0].hour == 9


def test_the_command_tells_what_it_decided_and_asks_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import lakehouse as lh\n\n\nclass Kit(lh.Record, natural=('name',)):\n    '''A kit.'''\n\n"
        "    name: lh.Column[str] = lh.column(doc='What it is called.', unique=True)\n"
    )
    sheet(tmp_path, "sample_id,age\ns1,31\n")
    assert main(["init", "lake"]) == 0
    capsys.readouterr()
    arguments = ["registry", "create", "sample", "--from", "samples.csv", "--key", "sample_id"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "would be told apart by sample_id" in capsys.readouterr().out
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "age" in shown
    assert "whole number" in shown
    assert "1 inserted, 0 updated, 0 unchanged" in shown
    assert main(["registry", "add", "mine:Kit"]) == 0
    assert "kit: a new table with 5 columns" in capsys.readouterr().out
    assert main(["registry", "list"]) == 0
    listed = capsys.readouterr().out
    assert "mine:Kit" in listed
    assert "CellType" in listed
    assert main(["registry", "show", "sample"]) == 0
    assert "sample_id" in capsys.readouterr().out
    assert main(["registry", "add", "mine:Kti"]) == 1
    assert "did you mean 'Kit'" in capsys.readouterr().err
    assert main(["migrate", "list"]) == 0
    assert "kit: a new table" in capsys.readouterr().out
    assert main(["ls", "--registry", "sample"]) == 0
    assert "s1" in capsys.readouterr().out
    assert main(["sql", "select age from sample"]) == 0
    assert "31" in capsys.readouterr().out


def test_a_column_refers_to_the_registry_it_is_called_after_and_to_no_one_of_several(home, tmp_path):
    create(home, "vial", sheet(tmp_path, "vial_id\nv1\n"), key="vial_id")
    create(home, "aliquot", sheet(tmp_path, "vial_id\nv1\n"), key="vial_id")
    create(home, "tray", sheet(tmp_path, "shelf\nx\n"), key="shelf")
    create(home, "rack", sheet(tmp_path, "shelf\nx\n"), key="shelf")
    kinds = [one.kind for one in create(home, "box", sheet(tmp_path, "k,vial_id,shelf\n1,v1,x\n"), key="k").decisions]
    assert kinds == ["text", "-> Vial", "text"]


def test_what_another_instance_calls_the_same_is_left_out_of_what_is_added_here(lake, other, tmp_path):
    create(lake, "cohort", sheet(tmp_path, "name,age\na,31.5\n"), key="name")
    create(other, "cohort", sheet(tmp_path, "name,age,note\nb,31,x\n", "b.csv"), key="name")
    create(lake, "plot", sheet(tmp_path, "plot\np1\n", "c.csv"), key="plot")
    assert lake.sql("select * exclude (uid, created_at, created_by, run) from cohort").fetchall() == [("a", 31.5)]
    assert other.sql("select age, note from cohort").fetchall() == [(31, "x")]
