from __future__ import annotations

from pathlib import Path

import pytest

from registries.instance import Instance


def keys(done) -> set[str]:
    return {row["key"] for row in done.document}


def test_ls_narrows_by_suffix_label_and_text(lake):
    Path("more.csv").write_text("x\n1\n")
    lake("save", "more.csv", "--label", "extra", "--create-labels", "--key", "raw/More.csv")
    assert keys(lake("ls", "--json", "--suffix", ".csv")) == {"penguins.csv", "raw/More.csv"}
    assert keys(lake("ls", "--json", "--suffix", "txt")) == {"notes.txt"}
    assert keys(lake("ls", "--json", "--label", "birds")) == {"penguins.csv", "notes.txt"}
    assert keys(lake("ls", "--json", "--label", "birds", "--label", "extra")) == set()
    assert keys(lake("ls", "--json", "--search", "MORE")) == {"raw/More.csv"}
    assert keys(lake("ls", "--json", "--search", "%")) == set()


def test_ls_shows_latest_versions_unless_all_are_asked_for(lake):
    Path("notes.txt").write_text("changed")
    lake("save", "notes.txt")
    assert len(lake("ls", "--json").document) == 2
    versions = [row["version"] for row in lake("ls", "--json", "--all-versions", "--search", "notes").document]
    assert versions == [1, 0]


def test_ls_says_how_many_there_are_beyond_the_limit(lake):
    limited = lake("ls", "--limit", "1")
    assert len(limited.out.splitlines()) == 2 and "1 of 2 are shown" in limited.err
    assert len(lake("ls", "--limit", "0").out.splitlines()) == 3


def test_piped_tables_are_plain_text(lake):
    out = lake("ls").out
    assert "\x1b" not in out and out.splitlines()[0].startswith("key ") and "birds" in out


@pytest.mark.parametrize("name", ["ulabel", "ULabel", "user", "storage", "feature", "artifact_ulabel"])
def test_ls_lists_every_registry(lake, name):
    assert lake("ls", "--registry", name).code == 0
    rows = lake("ls", "--registry", name, "--json").document
    assert isinstance(rows, list) and bool(rows) == (name != "feature")


def test_ls_of_an_unknown_registry_is_wrong_usage_with_the_near_one(lake):
    failed = lake("ls", "--registry", "artefact")
    assert failed.code == 2 and "did you mean 'artifact'" in failed.err
    assert lake("ls", "--registry", "ulabel", "--suffix", ".csv").code == 2


def test_ls_by_an_unknown_label_is_not_found(lake):
    failed = lake("ls", "--label", "brids")
    assert failed.code == 3 and "'birds'" in failed.err


def test_ls_of_an_empty_instance_says_what_to_do(run):
    run("init", "mylake")
    done = run("ls")
    assert done.code == 0 and not done.out and "lakehouse save FILE" in done.err
    assert run("ls", "--json").document == []


def test_describe_finds_by_key_uid_and_prefix(lake):
    uid = lake("ls", "--json", "--search", "penguins").document[0]["uid"]
    for name in ("penguins.csv", uid, uid[:16], uid[:12]):
        shown = lake("describe", name)
        assert shown.code == 0 and shown.out.startswith("Artifact penguins.csv\n") and "birds" in shown.out
    assert lake("describe", "penguins.csv", "--json").document["title"] == "penguins.csv"


def test_describe_tells_of_datasets_by_name_and_uid(lake):
    with Instance.open("mylake") as home:
        made = home.Dataset(home.Artifact.filter(), name="all").save()
        home.Dataset(home.Artifact.filter(), name="penguins.csv").save()
    for name in ("all", made.uid, made.uid[:14]):
        shown = lake("describe", name)
        assert shown.code == 0 and shown.out.startswith("Dataset all\n") and "penguins.csv" in shown.out
    document = lake("describe", "all", "--json").document
    assert (document["title"], document["n_members"]) == ("all", len(made))
    failed = lake("describe", "penguins.csv")
    assert failed.code == 1 and "give a uid" in failed.err


def test_describe_of_nothing_is_not_found_with_the_near_key(lake):
    failed = lake("describe", "pengiuns.csv")
    assert failed.code == 3 and "did you mean 'penguins.csv'?" in failed.err and "lakehouse ls" in failed.err


def test_names_inside_files_cannot_drive_the_terminal(lake):
    Path("evil.csv").write_text("a\x1b[31mb,c\u202ed\n1,2\n")
    lake("save", "evil.csv", "--description", "x\x1b]0;title\x07\nforged: line")
    shown = lake("describe", "evil.csv").out
    assert "a\\x1b[31mb" in shown and "c\\u202ed" in shown and "\\x07\\nforged: line" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    document = lake("describe", "evil.csv", "--json")
    assert "\x1b" not in document.out and "\u202e" not in document.out
    assert "x\x1b]0;title\x07\nforged: line" in document.document["general"].values()
