from __future__ import annotations

from pathlib import Path


def test_what_is_deleted_is_listed_no_more_and_comes_back(lake):
    done = lake("delete", "penguins.csv")
    assert done.code == 0 and "in the trash" in done.out
    assert [row["key"] for row in lake("ls", "--json").document] == ["notes.txt"]
    assert lake("describe", "penguins.csv").code == 3
    assert lake("delete", "penguins.csv").code == 3
    assert lake("restore", "penguins.csv").code == 0
    assert len(lake("ls", "--json").document) == 2
    missing = lake("restore", "penguins.csv")
    assert missing.code == 3 and "nothing in the trash" in missing.err


def test_what_is_deleted_for_good_does_not_come_back_by_its_uid_either(lake):
    uid = lake("delete", "--json", "penguins.csv").document["uid"]
    assert lake("delete", uid, "--permanent").code == 0
    assert lake("restore", uid).code == 3
    assert lake("sql", "select count(*) from artifact_all", "--json").out.count("1") >= 1
    assert Path("penguins.csv").exists()


def test_restore_takes_a_name_or_a_backup_and_says_so(lake):
    for arguments in ((), ("penguins.csv", "--backup", "x.backup")):
        done = lake("restore", *arguments)
        assert done.code == 2 and "--backup" in done.err


def test_labels_of_all_registries_are_listed(lake):
    import lakehouse as lh

    with lh.connect() as home:
        home.Artifact.get(key="notes.txt").cell_types.add("T cell", create=True)
    lh.disconnect()
    (row,) = (row for row in lake("ls", "--json").document if row["key"] == "notes.txt")
    assert row["labels"] == ["T cell", "birds"]


def test_datasets_go_to_the_trash_by_name_or_uid_and_come_back(lake):
    import lakehouse as lh

    with lh.connect() as home:
        home.Dataset(home.Artifact.filter(), name="all").save()
        home.Dataset(home.Artifact.filter(key="notes.txt"), name="penguins.csv").save()
    lh.disconnect()
    done = lake("delete", "all", "--json")
    assert done.document["outcome"] == "in the trash"
    assert lake("delete", "all").code == 3
    assert [row["name"] for row in lake("ls", "--registry", "dataset", "--json").document] == ["penguins.csv"]
    assert "all, version 0: restored" in lake("restore", "all").out
    assert lake("delete", done.document["uid"][:16]).code == 0
    assert lake("delete", done.document["uid"], "--permanent").code == 0
    assert lake("restore", done.document["uid"]).code == 3
    both = lake("delete", "penguins.csv")
    assert both.code != 0 and "give a uid" in both.err
