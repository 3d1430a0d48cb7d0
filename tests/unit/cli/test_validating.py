"""``lakehouse validate`` and ``lakehouse schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SCHEMA = "name: birds\nslots:\n  columns:\n    rules:\n    - {name: species, dtype: str}\n    - {name: mass, dtype: int, ge: 1000}\n"


@pytest.fixture
def birds(lake):
    Path("birds.yaml").write_text(SCHEMA)
    assert "version 0" in lake("schema", "add", "birds.yaml").out
    Path("bad.csv").write_text("species,mass\nAdelie,37\n")
    return lake


def test_schemas_are_added_listed_and_shown(birds):
    assert birds("--json", "schema", "list").document[0]["name"] == "birds"
    shown = birds("schema", "show", "birds").out
    Path("again.yaml").write_text(shown)
    assert birds("--json", "schema", "add", "again.yaml").document["version"] == 0
    assert birds("schema", "show", "brids").code == 3


def test_a_schema_is_inferred_from_a_table(birds):
    assert birds("schema", "add", "penguins.csv", "--name", "penguins").code == 0
    assert birds("validate", "penguins.csv", "--schema", "penguins").code == 0


def test_the_exit_code_tells_whether_files_conform(birds):
    assert birds("validate", "penguins.csv", "--schema", "birds").code == 0
    done = birds("--json", "validate", "penguins.csv", "bad.csv", "--schema", "birds")
    assert done.code == 1
    good, bad = done.document
    assert (good["outcome"], bad["outcome"]) == ("valid", "invalid")
    assert bad["faults"][0]["reason"] == "out_of_range" and bad["faults"][0]["rows"] == [0]
    assert "37 is not at least 1000" in birds("validate", "bad.csv", "--schema", "birds").out


def test_bad_files_are_refused_moved_or_registered(birds):
    assert birds("validate", "bad.csv", "--schema", "birds", "--save").code == 1
    assert not birds("--json", "sql", "select 1 from artifact where key = 'bad.csv'").document
    assert birds("validate", "bad.csv", "--schema", "birds", "--save", "--on-invalid", "register").code == 1
    assert birds("--json", "sql", "select status from artifact_schema").document == [{"status": "invalid"}]
    done = birds("validate", "bad.csv", "--schema", "birds", "--on-invalid", "quarantine", "--quarantine", "away")
    assert done.code == 1 and not Path("bad.csv").exists()
    assert json.loads(Path("away/bad.csv.report.json").read_text())["ok"] is False


def test_stale_artifacts_are_listed(birds):
    assert birds("validate", "penguins.csv", "--schema", "birds", "--save").code == 0
    assert birds("validate", "--stale").code == 0
    Path("birds.yaml").write_text(SCHEMA.replace("1000", "4000"))
    assert birds("schema", "add", "birds.yaml").code == 0
    done = birds("--json", "validate", "--stale")
    assert done.code == 1 and done.document[0]["name"] == "penguins.csv"


def test_what_is_missing_is_told(birds):
    assert "needs a PATH" in birds("validate").err
    assert "needs --schema" in birds("validate", "bad.csv").err
    assert birds("validate", "gone.csv", "--schema", "birds").code == 3
    assert birds("validate", "bad.csv", "--schema", "birds", "--on-invalid", "drop").code == 1
    Path("evil.yaml").write_text("slots: !!python/object/apply:os.system ['true']")
    assert birds("schema", "add", "evil.yaml").code == 1
