"""Programs are run tracked from outside, and lineage is shown, compared, exported and taken in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lakehouse as lh
from tests.unit.cli.conftest import Run

SCRIPT = """
import sys
import lakehouse as lh
lh.connect()
table = lh.Artifact.get(key="penguins.csv").load()
if "--fail" in sys.argv:
    raise SystemExit("no penguins, token=hunter2")
print("heavy ones")
lh.Artifact.from_df(table[table.mass > 4000], key="heavy.csv").save()
"""


def make(mass: int) -> None:
    """Do what the script does, tracked in this process."""
    Path("heavy.py").write_text(SCRIPT.replace("4000", str(mass)))
    lh.connect("mylake")
    with lh.track(path="heavy.py", params={"mass": mass}):
        table = lh.Artifact.get(key="penguins.csv").load()
        lh.Artifact.from_df(table[table.mass > mass], key="heavy.csv").save()
    lh.disconnect()


@pytest.fixture
def made(lake: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """An instance in which a script made one file of another."""
    monkeypatch.delenv("LAKEHOUSE_RUN", raising=False)
    make(4000)
    return lake


@pytest.fixture
def ran(lake: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same by a script in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("LAKEHOUSE_RUN", raising=False)
    Path("heavy.py").write_text(SCRIPT)
    done = lake("run", "--param", "mass=4000", "--log", "heavy.py", "--json", "--token", "hunter2")
    assert done.code == 0, done.err
    assert "of heavy.py finished" in done.err
    return lake


def test_a_script_runs_tracked_without_touching_its_code_and_its_failure_is_recorded(ran: Run):
    (run,) = ran("runs", "--json").document
    assert (run["transform__name"], run["outcome"]) == ("heavy.py", "finished")
    assert json.loads(run["arguments"]) == ["heavy.py", "--json", "--token", "***"]
    found = ran("runs", "show", run["uid"], "--json").document
    assert (found["inputs"], found["outputs"], found["parameters"]) == (["penguins.csv"], ["heavy.csv"], {"mass": 4000})
    assert ran("sql", f"select count(*) as n from artifact where uid = '{run['log']}'", "--json").document == [{"n": 1}]
    assert "heavy.py" in ran("runs").out

    done = ran("run", "heavy.py", "--fail")
    assert done.code == 1 and "no penguins" in done.err
    (failed,) = ran("runs", "--status", "failed", "--json").document
    assert failed["error"] == "no penguins, token=***"


def test_a_run_of_nothing_is_refused(lake: Run):
    assert lake("run", "nowhere.py").code == 3
    assert lake("run").code == 2
    Path("job.sh").write_text("echo 1")
    refused = lake("run", "job.sh")
    assert refused.code == 1 and "lakehouse runs start" in refused.err
    assert lake("runs", "--json").document == []
    assert lake("runs", "--status", "odd").code == 2


def test_lineage_is_shown_in_every_format(made: Run):
    tree = made("lineage", "heavy.csv").out
    assert "run heavy.py (version 1, finished)" in tree and "penguins.csv" in tree
    assert "penguins.csv" not in made("lineage", "heavy.csv", "--depth", "1").out
    assert made("lineage", "heavy.py", "--downstream").out.count("heavy.csv") == 1
    assert made("lineage", "--format", "mermaid", "heavy.csv").out.startswith("flowchart LR")
    assert len(made("lineage", "heavy.csv", "--json").document["nodes"]) == 3
    assert made("lineage", "heavy.csv", "--output", "x.svg").code == 0
    assert Path("x.svg").read_text().startswith("<svg")
    assert made("lineage", "nothing.csv").code == 3
    assert made("lineage", "heavy.csv", "--format", "png").code == 2


def test_a_recipe_a_difference_and_a_withdrawal_are_told(made: Run):
    recipe = made("lineage", "recipe", "heavy.csv").out
    for told in (
        "heavy.py, version 1 (script)",
        "lakehouse load source/heavy.py",
        "param:   mass = 4000",
        "input:   penguins.csv",
        "duckdb==",
    ):
        assert told in recipe
    make(5100)
    first = made("sql", "select uid from artifact_all where key = 'heavy.csv' order by version", "--json").document
    told = made("lineage", "diff", first[0]["uid"], first[1]["uid"], "--json").document
    assert told["parameters"] == {"mass": [4000, 5100]}
    assert told["code"] == {"heavy.py": ["version 1", "version 2"]}
    assert told["only_first"] == told["only_second"] == []
    broken = made("lineage", "withdrawal", "penguins.csv").out
    assert broken.startswith("2 artifacts and 2 runs came of penguins.csv version 0")
    assert "nothing came of" in made("lineage", "withdrawal", "notes.txt").out


def test_other_programs_begin_and_end_runs_and_what_they_load_and_save_belongs_to_them(made: Run, monkeypatch):
    uid = made("runs", "start", "nf-core/rnaseq", "--version", "3.1", "--param", "aligner=star").out.strip()
    monkeypatch.setenv("LAKEHOUSE_RUN", uid)
    assert made("load", "penguins.csv").code == 0
    Path("counts.csv").write_text("a,b\n1,2\n")
    assert made("save", "counts.csv").code == 0
    monkeypatch.delenv("LAKEHOUSE_RUN")
    Path("trace.txt").write_text("done")
    assert made("runs", "finish", uid, "--report", "trace.txt").code == 0
    assert made("runs", "finish", uid).code == 1
    found = made("runs", "show", uid, "--json").document
    assert (found["inputs"], found["outputs"]) == (["penguins.csv"], ["counts.csv"])
    assert (found["transform"], found["outcome"], found["parameters"]) == (
        "nf-core/rnaseq, version 3.1",
        "finished",
        {"aligner": "star"},
    )
    assert made("runs", "start", "x", "--param", "novalue").code == 2


def test_events_of_openlineage_are_written_and_read_and_told_twice_are_the_same(made: Run, tmp_path: Path):
    assert made("lineage", "export", "heavy.csv", "--output", "events.jsonl").code == 0
    events = [json.loads(line) for line in Path("events.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert [data["name"] for data in events[1]["inputs"] + events[1]["outputs"]] == ["penguins.csv", "heavy.csv"]
    assert made("lineage", "import", "events.jsonl").out.startswith("recorded 1 runs with 0 inputs and 0 outputs")
    dag = {"namespace": "airflow", "name": "nightly"}
    told = [
        {
            "eventType": "START",
            "eventTime": "2026-01-01T00:00:00Z",
            "run": {"runId": "r1"},
            "job": dag,
            "inputs": [],
            "outputs": [],
        },
        {
            "eventType": "FAIL",
            "eventTime": "2026-01-01T00:01:00Z",
            "run": {
                "runId": "r2",
                "facets": {
                    "parent": {"run": {"runId": "r1"}, "job": dag},
                    "errorMessage": {"message": "password=hunter2", "programmingLanguage": "python"},
                },
            },
            "job": {"namespace": "airflow", "name": "nightly.load"},
            "inputs": [{"namespace": "any", "name": "penguins.csv"}, {"namespace": "s3://b", "name": "unknown"}],
            "outputs": [{"namespace": "any", "name": "notes.txt"}],
        },
    ]
    Path("airflow.json").write_text(json.dumps(told))
    for expected in ("recorded 2 runs with 1 inputs and 1 outputs", "recorded 2 runs with 0 inputs and 0 outputs"):
        done = made("lineage", "import", "airflow.json")
        assert done.out.startswith(expected) and "s3://b unknown" in done.err
    lake = lh.connect("mylake")
    run = lake.Run.filter(external_id="r2").one()
    assert (run.outcome, run.error, run.run) == ("failed", "password=***", lake.Run.filter(external_id="r1").one().uid)
    assert [a.key for a in run.inputs] == ["penguins.csv"]
    for wrong in (
        '{"eventType": "START"}',
        "[1]",
        "{",
        '[{"eventType": "START", "eventTime": "x", "run": {}, "job": {}}]',
    ):
        Path("wrong.json").write_text(wrong)
        assert made("lineage", "import", "wrong.json").code == 1
