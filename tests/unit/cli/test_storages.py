from __future__ import annotations

from pathlib import Path


def test_storages_are_added_listed_and_moved_to(lake):
    added = lake("storage", "add", "archive", "--description", "rarely read")
    assert added.code == 0 and "registered" in added.out
    assert lake("save", "notes.txt", "--key", "kept.txt", "--storage", "archive").code == 0
    rows = {row["root"]: row for row in lake("storage", "list", "--json").document}
    archive = rows[str(Path("archive").absolute())]
    assert (archive["kind"], archive["artifacts"], archive["bytes"]) == ("file", 1, 21)
    assert rows["storage"]["artifacts"] == 2
    assert lake("storage", "move", "penguins.csv", archive["uid"]).code == 0
    assert lake("storage", "move", "--json", "notes.txt", "archive").document["storage"] == archive["uid"]
    after = {row["root"]: row["artifacts"] for row in lake("storage", "list", "--json").document}
    assert after == {"storage": 0, archive["root"]: 3}
    assert lake("sql", 'select count(*) from content."penguins.csv"').code == 0


def test_an_empty_instance_lists_its_own_storage(run):
    run("init", "mylake")
    (own,) = run("storage", "list", "--json").document
    assert (own["root"], own["artifacts"], own["bytes"]) == ("storage", 0, 0)


def test_equal_bytes_are_counted_once(lake):
    lake("save", "notes.txt", "--key", "again.txt")
    (own,) = lake("storage", "list", "--json").document
    assert (own["artifacts"], own["bytes"]) == (3, 21 + Path("penguins.csv").stat().st_size)


def test_unknown_storages_and_roots_with_secrets_are_refused(lake):
    assert lake("save", "notes.txt", "--key", "x.txt", "--storage", "nowhere").code == 3
    refused = lake("storage", "add", "s3://key:SECRET@bucket")
    assert refused.code == 1 and "SECRET" not in refused.err + refused.out
    assert lake("storage", "move", "absent.txt", "storage").code == 3


def test_the_cache_is_shown_and_cleared(run, monkeypatch, tmp_path):
    from formats.cache import Cache

    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "copies"))
    monkeypatch.setenv("LAKEHOUSE_CACHE_SIZE", "5 MB")
    Cache().add("s3://bucket/a.txt", b"abc", suffix=".txt")
    facts = run("cache", "info", "--json").document
    assert (facts["bytes"], facts["limit"]) == (3, 5_000_000) and facts["folder"].startswith(str(tmp_path / "copies"))
    assert "deleted 1 copy from" in run("cache", "clear").out
    assert run("cache", "info", "--json").document["bytes"] == 0


def test_a_default_storage_is_chosen_shown_and_used(lake):
    archive = str(Path("archive").absolute())
    assert lake("storage", "add", "archive", "--default").code == 0
    assert lake("storage", "default", "--json").document["root"] == archive
    lake("save", "notes.txt", "--key", "kept.txt")
    rows = {row["root"]: row for row in lake("storage", "list", "--json").document}
    assert rows[archive]["role"] == "default"
    assert lake("storage", "default", "storage").out.startswith("new artifacts go to")
    assert lake("storage", "default", "--json").document["root"] != archive
    assert lake("storage", "default", "nowhere").code == 3


def test_all_files_of_a_storage_are_registered_where_they_lie(lake):
    shelf = Path("shelf")
    (shelf / "run 1").mkdir(parents=True)
    (shelf / "run 1" / "a.csv").write_text("a,b\n1,2\n")
    (shelf / "notes.txt").write_text("x")
    lake("storage", "add", "shelf")
    assert "registered 2 artifacts" in lake("storage", "register", "shelf").out
    rows = {row["key"]: row for row in lake("storage", "register", "shelf", "run 1", "--json").document}
    assert (list(rows), rows["run 1/a.csv"]["n_rows"], rows["run 1/a.csv"]["version"]) == (["run 1/a.csv"], 1, 0)
    assert lake("storage", "register", "shelf", "absent").code == 3


def test_an_artifact_is_brought_near_or_copied_to_a_place(lake):
    here = lake("load", "penguins.csv", "--json").document["path"]
    assert Path(here).read_bytes() == Path("penguins.csv").read_bytes()
    assert lake("load", "penguins.csv", "--to", "copy.csv").out.strip() == "copy.csv"
    assert Path("copy.csv").read_bytes() == Path("penguins.csv").read_bytes()
    again = lake("load", "penguins.csv", "--to", "copy.csv")
    assert again.code == 1 and "is there already" in again.err
    assert lake("load", "absent.csv").code == 3


def test_a_command_keeps_nothing_in_memory_which_ends_with_it(lake):
    assert lake("storage", "add", "memory://shelf").code == 0
    for refused in (
        ("storage", "default", "memory://shelf"),
        ("storage", "add", "memory://other", "--default"),
        ("storage", "move", "penguins.csv", "memory://shelf"),
        ("save", "notes.txt", "--key", "kept.txt", "--storage", "memory://shelf"),
    ):
        done = lake(*refused)
        assert done.code == 1 and "ends with this command" in done.err
    assert {row["root"] for row in lake("storage", "list", "--json").document} == {"storage", "memory://shelf"}
    assert lake("load", "penguins.csv").code == 0
