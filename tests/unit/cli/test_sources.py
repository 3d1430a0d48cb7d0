from __future__ import annotations

from pathlib import Path

import pytest

import lakehouse as lh

OLD = """format-version: 1.2

[Term]
id: XX:1
name: cell

[Term]
id: XX:2
name: T-cell
is_a: XX:1

[Term]
id: XX:3
name: helper
is_a: XX:2

[Term]
id: XX:4
name: forgotten
"""
NEW = """format-version: 1.2

[Term]
id: XX:1
name: cell

[Term]
id: XX:2
name: T cell
is_a: XX:1

[Term]
id: XX:3
name: obsolete helper
is_obsolete: true
replaced_by: XX:5

[Term]
id: XX:5
name: CD4 T cell
is_a: XX:2
"""


@pytest.fixture
def mine(run):
    """An instance, and two versions of a source of one's own beside it."""
    run("init", "mylake")
    Path("old.obo").write_text(OLD)
    Path("new.obo").write_text(NEW)
    return run


@pytest.fixture
def imported(mine):
    mine("source", "add", "CellType", "ours", "1", "old.obo", "--prefix", "XX", "--pin")
    assert mine("source", "import", "CellType", "--source", "ours").code == 0
    return mine


def _of(run, *options):
    return {(row["source"], row["version"]): row for row in run("source", "list", *options, "--json").document}


def test_a_source_of_ones_own_is_added_imported_and_listed(mine):
    assert "added ours 1" in mine("source", "add", "CellType", "ours", "1", "old.obo", "--licence", "CC0").out
    row = _of(mine, "cell_type")["ours", "1"]
    assert (row["pinned"], row["entries"], row["file"]) == (False, 0, str(Path("old.obo").absolute()))
    done = mine("source", "import", "CellType", "--source", "ours", "--json").document
    assert (done["source"], done["added"], done["kept"]) == ("ours 1", 4, 0)
    assert "4 were there" in mine("source", "import", "cell_type", "--source", "ours").out
    ((key, row),) = _of(mine, "--imported").items()
    assert (key, row["entries"], row["licence"]) == (("ours", "1"), 4, "CC0")
    assert "CC0" in mine("source", "show", "CellType", "--source", "ours").out


def test_sources_that_are_known_to_all_are_listed_in_an_empty_instance(mine):
    listed = _of(mine)
    assert len(listed) > 26 and not any(row["entries"] or row["pinned"] for row in listed.values())
    assert all(row["file"] for row in _of(mine, "--here").values())


def test_a_pinned_version_is_the_one_that_is_imported(mine):
    for version, file in (("1", "old.obo"), ("2", "new.obo")):
        mine("source", "add", "CellType", "ours", version, file)
    assert mine("source", "pin", "CellType", "2", "--source", "ours").code == 0
    assert mine("source", "import", "CellType", "--source", "ours", "--json").document["source"] == "ours 2"
    assert mine("source", "pin", "CellType", "1", "--source", "ours", "--json").document["pinned"]
    pinned = {key for key, row in _of(mine, "CellType").items() if row["pinned"]}
    assert pinned == {("ours", "1")}


def test_an_upgrade_is_shown_and_changes_nothing_before_it_is_applied(imported):
    Path("a.csv").write_text("x\n1\n")
    with lh.connect("mylake"):
        lh.Artifact("a.csv", key="a.csv").save().cell_types.add("helper")
    options = ("source", "upgrade", "CellType", "--source", "ours", "--version", "2", "--path", "new.obo")
    shown = imported(*options)
    assert shown.code == 0 and "Nothing was changed" in shown.err
    for text in (
        "1 new:\n  XX:5  CD4 T cell",
        "XX:2  T-cell => T cell",
        "-> XX:5 CD4 T cell",
        "XX:4  forgotten",
        "a.csv",
    ):
        assert text in shown.out
    assert "helper" in imported("sql", "select c.name from cell_type c where not obsolete").out
    done = imported(*options, "--apply", "--move-labels", "--json").document
    assert done["applied"] and [one["ontology_id"] for one in done["replaced"]] == ["XX:3"]
    names = imported(
        "sql", "--format", "csv", "select c.name from cell_type c join artifact_cell_type l on c.uid = l.cell_type"
    )
    assert "CD4 T cell" in names.out and "helper" not in names.out


def test_what_is_meant_badly_is_told_with_the_choices(mine):
    wrong = mine("source", "list", "CelType")
    assert wrong.code == 1 and "CellType" in wrong.err
    version = mine("source", "import", "CellType", "--version", "1899-01-01")
    assert version.code == 3 and "choose one of" in version.err
    assert mine("source", "add", "CellType", "ours", "1", "absent.obo").code == 1
    secret = mine("source", "add", "CellType", "ours", "1", "https://me:SECRET@example.org/cl.obo")
    assert secret.code == 1 and "SECRET" not in secret.err
    assert "holds nothing of 'cl'" in mine("source", "upgrade", "CellType", "--path", "new.obo").err
    assert mine("source", "upgrade", "CellType", "--move-labels").code == 2


def test_a_source_out_of_reach_names_the_other_ways(mine, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "copies"))
    monkeypatch.setattr("registries.ontology.obtain._PAUSE", 0)
    mine("source", "add", "CellType", "ours", "3", "http://127.0.0.1:9/ours.obo")
    refused = mine("source", "import", "CellType", "--source", "ours")
    assert refused.code in (1, 4)
    for way in ("--path", "pip package", "put into"):
        assert way in refused.err


def test_the_file_of_a_source_is_told_and_checked(mine):
    mine("source", "add", "CellType", "ours", "1", Path("old.obo").absolute().as_uri())
    assert mine("source", "download", "CellType", "--source", "ours").out.strip() == str(Path("old.obo").absolute())
    mine("source", "add", "CellType", "ours", "2", "new.obo", "--checksum", "0" * 64)
    refused = mine("source", "import", "CellType", "--source", "ours", "--version", "2")
    assert refused.code == 1 and "SHA-256" in refused.err
