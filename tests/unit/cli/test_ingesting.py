"""``lakehouse ingest``, as cron and a new user run it."""

from __future__ import annotations

import json
import os
import time

import pytest


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "run1"
    top.mkdir()
    for n in range(4):
        (top / f"{n}.txt").write_text(f"{n}")
    aged(top)
    return top


def aged(top):
    for path in top.iterdir():
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_a_folder_is_ingested_and_the_report_says_what_became_of_each_file(run, folder):
    run("init", "mylake")
    done = run("ingest", folder, "--label", "pilot", "--create-labels", "--report", "report.json")
    assert done.code == 0
    assert "4 new" in done.out
    with open("report.json") as file:
        assert json.load(file)["counts"] == {"new": 4}
    assert run("--json", "ingest", folder).document["counts"] == {"unchanged": 4}
    assert "run1/0.txt" in run("ls").out


def test_files_that_fail_are_told_with_what_to_do_and_a_code_of_their_own(run, folder):
    run("init", "mylake")
    (folder / "broken.parquet").write_bytes(b"PAR1 nothing else")
    stopped = run("ingest", folder)
    assert stopped.code == 1
    assert "broken.parquet" in stopped.err
    assert "--on-error skip" in stopped.err
    skipped = run("ingest", folder, "--on-error", "skip")
    assert skipped.code == 1
    assert "have them sent again, or save them with --format blob" in skipped.out
    assert run("ingest", folder, "--on-error", "later").code == 1
    assert "--create-labels" in run("ingest", folder, "--label", "pilot").err
    assert run("ingest", folder / "nowhere").code == 3


def test_a_folder_is_followed_and_an_empty_one_is_believed_where_that_is_said(run, folder):
    run("init", "mylake")
    assert run("--json", "ingest", folder, "--sync").document["counts"] == {"new": 4}
    (folder / "fresh.txt").write_text("half")
    assert run("--json", "ingest", folder, "--sync", "--settle", "30").document["counts"] == {
        "unchanged": 4,
        "waiting": 1,
    }
    for path in folder.iterdir():
        path.unlink()
    refused = run("ingest", folder, "--sync")
    assert refused.code == 4
    assert "--most-vanished" in refused.err
    assert run("--json", "ingest", folder, "--sync", "--most-vanished", "1").document["counts"] == {"vanished": 4}
