from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def edited(lake):
    """The instance with a tag, and changes after it."""
    assert lake("tag", "paper-v1", "--message", "as submitted").code == 0
    Path("penguins.csv").write_text("species,mass\nAdelie,1\n")
    assert lake("save", "penguins.csv", "--description", "corrected").code == 0
    return lake


def test_a_tag_reads_its_commit_and_is_listed_with_it(edited):
    count = "select count(*) as n from artifact"
    assert edited("sql", count, "--at", "paper-v1", "--json").document == [{"n": 2}]
    assert edited("sql", count, "--json").document == [{"n": 3}]
    (tag,) = edited("tags", "--json").document
    assert (tag["tag"], tag["commit"], tag["user"], tag["message"]) == ("paper-v1", 2, "tester", "as submitted")
    assert [c["tags"] for c in edited("snapshots", "--json").document] == [[], ["paper-v1"], []]
    assert "paper-v1" in edited("snapshots").out and "as submitted" in edited("tags").out


def test_tags_are_moved_and_dropped_and_exit_codes_tell_why_not(edited):
    taken = edited("tag", "paper-v1")
    assert taken.code == 4 and "--move" in taken.err and "move=True" not in taken.err
    assert edited("tag", "paper-v1", "--move", "--json").document["commit"] == 3
    assert edited("tag", "first", "--at", "1", "--json").document["commit"] == 1
    assert edited("untag", "frist").code == 3
    assert edited("untag", "first", "--json").document == {"untagged": "first"}
    assert edited("sql", "select 1", "--at", "first").code == 1
    assert edited("tag", "2026-01-01").code == 1
    assert edited("untag", "paper-v1").code == 0
    assert "lakehouse tag NAME" in edited("tags").err


def test_changes_tell_what_was_and_what_is(edited):
    (row,) = edited("changes", "--since", "paper-v1", "--table", "artifact", "--json").document
    assert (row["commit"], row["op"], row["user"], row["before"]) == (3, "insert", "tester", None)
    assert (row["after"]["description"], row["after"]["version"]) == ("corrected", 1)
    every = edited("changes", "--json").document
    assert [r["commit"] for r in every] == sorted((r["commit"] for r in every), reverse=True)
    assert {r["table"] for r in every} >= {"user", "storage", "artifact", "ulabel", "artifact_ulabel"}
    shown = edited("changes", "--limit", "1")
    assert "description='corrected'" in shown.out and "There are older ones" in shown.err
    assert "nothing was changed" in edited("changes", "--since", "3").err
    assert edited("changes", "--table", "artefact").code == 1
    assert edited("changes", "--since", "9").code == 1


def test_a_revert_is_a_commit_and_a_refused_one_says_what_depends_on_it(edited):
    assert edited("revert", "3", "--message", "wrong file", "--json").document == {"commit": 4}
    assert edited("snapshots", "--json").document[0]["message"] == "wrong file"
    update = edited("changes", "--since", "3", "--table", "artifact", "--json").document
    assert [row["op"] for row in update] == ["delete"]
    assert edited("revert", "4").code == 0
    refused = edited("revert", "3")
    assert refused.code == 0, "what a revert of the revert brought back is as it was"
    again = edited("revert", "3")
    assert again.code == 4 and "commit 3 cannot be reverted" in again.err
    assert json.loads(edited("revert", "3", "--json").err)["error"]["type"] == "ChangedSinceRead"
    assert edited("revert", "99").code == 1


@pytest.mark.parametrize(
    "text", ["", "\x1b[31m", "x" * 100_000, "'; DROP TABLE tag;--", "-1"], ids=lambda t: ascii(t)[:12]
)
@pytest.mark.parametrize(
    "command",
    [("sql", "select 1", "--at"), ("changes", "--since"), ("changes", "--table"), ("revert",), ("untag",)],
    ids=" ".join,
)
def test_points_in_history_that_are_none_are_refused_in_one_line(lake, command, text):
    done = lake(*command, text)
    assert done.code in (1, 2, 3), done.err[:300]
    assert "unexpected" not in done.err and "\x1b" not in done.err
    assert len(done.err) < 12_000
