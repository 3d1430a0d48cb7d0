from __future__ import annotations

import json
from pathlib import Path


def test_init_leaves_a_pointer_that_later_commands_follow(run):
    made = run("init", "mylake")
    assert made.code == 0 and "made an instance in" in made.out and "lakehouse save FILE" in made.err
    assert Path(".lakehouse").is_file()
    assert str(Path("mylake").resolve()) in run("info").out


def test_init_on_an_existing_instance_connects_and_says_so(run):
    first = run("init", "mylake", "--json").document
    again = run("init", "mylake")
    assert again.code == 0 and "already in" in again.out
    second = run("init", "mylake", "--json").document
    assert first["created"] and not second["created"] and first["id"] == second["id"]


def test_init_without_a_folder_uses_the_working_folder(run):
    assert run("init", "--json").document["root"] == str(Path.cwd())


def test_connect_points_this_folder_at_an_instance_elsewhere(run, tmp_path, monkeypatch):
    run("init", "mylake")
    other = tmp_path / "elsewhere"
    other.mkdir()
    monkeypatch.chdir(other)
    assert run("info").code == 3
    assert run("connect", tmp_path / "work" / "mylake").code == 0
    assert run("info", "--json").document["root"] == str(tmp_path / "work" / "mylake")


def test_connect_to_what_is_no_instance_is_not_found_and_leaves_no_pointer(run):
    failed = run("connect", "nowhere")
    assert failed.code == 3 and "`lakehouse init" in failed.err
    assert not Path(".lakehouse").exists()


def test_a_named_instance_comes_before_the_environment_and_the_pointer(run, monkeypatch):
    run("init", "pointed")
    for name in ("named", "environment"):
        run("--instance", name, "init")
    run("connect", "pointed")
    monkeypatch.setenv("LAKEHOUSE_INSTANCE", "environment")
    assert run("info", "--json").document["root"].endswith("environment")
    assert run("info", "--json", "--instance", "named").document["root"].endswith("named")
    assert run("--instance=named", "info", "--json").document["root"].endswith("named")


def test_info_tells_place_user_commits_counts_and_sizes(lake):
    facts = lake("info", "--json").document
    assert facts["user"] == "tester" and facts["catalog"].endswith("catalog.db")
    assert facts["head"]["commit"] == 2 and facts["published"] is None
    assert facts["records"]["artifact"] == 2 and facts["records"]["ulabel"] == 1
    assert facts["bytes"]["objects"] > 0 and facts["bytes"]["catalog"] > 0
    shown = lake("info").out
    assert "artifact 2" in shown and "nothing yet: `lakehouse flush`" in shown


def test_flush_publishes_up_to_the_newest_commit(lake):
    assert lake("flush", "--json").document == {"published": 2}
    assert lake("info", "--json").document["published"]["commit"] == 2
    assert "published up to commit 2" in lake("flush").out


def test_snapshots_come_newest_first_and_say_when_there_are_more(lake):
    found = lake("snapshots", "--json").document
    assert [commit["commit"] for commit in found] == [2, 1]
    assert found[0]["message"] == "save penguins.csv and 1 more"
    limited = lake("snapshots", "--limit", "1")
    assert len(limited.out.splitlines()) == 2 and "--limit 0" in limited.err


def test_no_instance_at_all_is_not_found_with_the_command_that_makes_one(run):
    failed = run("ls", "--json")
    assert failed.code == 3 and not failed.out
    error = json.loads(failed.err)["error"]
    assert error["type"] == "InstanceNotFound" and "`lakehouse init ./mylake`" in error["message"]
