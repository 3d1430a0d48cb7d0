"""The maintenance commands: what they say, what they leave, and their exit codes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from lakehouse.cli.maintenance import seconds
from lakehouse.errors import InputError


def test_check_says_that_nothing_is_found(lake):
    assert lake("flush").code == 0
    done = lake("check")
    assert done.code == 0 and "nothing found" in done.out and "--deep" in done.err
    document = lake("check", "--deep", "--json").document
    assert document["ok"] and document["deep"] and document["objects"] == 2 and document["findings"] == []


def test_check_shows_harm_and_ends_with_1(lake):
    (file,) = Path("mylake/storage/objects").glob("*/*.csv")
    file.unlink()
    done = lake("check")
    assert done.code == 1
    assert "missing" in done.out and "penguins.csv" in done.out and "1 harm" in done.out
    document = json.loads(lake("check", "--json").out)
    assert not document["ok"]
    assert [f["kind"] for f in document["findings"]] == ["missing"]
    assert {"severity", "kind", "where", "message"} <= document["findings"][0].keys()


def test_vacuum_says_what_it_would_do_before_it_does_it(lake):
    for file in Path("mylake/storage/objects").glob("*/*"):
        shutil.copy(file, file.with_name("a" * 32 + ".bin"))
        os.utime(file.with_name("a" * 32 + ".bin"), (1, 1))
    said = lake("vacuum", "--dry-run")
    assert said.code == 0 and "would delete 0 data files and 2 stored objects" in said.out
    done = lake("vacuum", "--retention", "12h", "--json").document
    assert (done["objects"], done["dry_run"], done["pins"]) == (2, False, [])
    assert "deleted 0 data files and 0 stored objects" in lake("vacuum").out
    assert lake("check").code == 0


def test_compact_rewrites_small_files_and_no_rows(lake):
    for n in range(3):
        lake("save", "notes.txt", "--key", f"n{n}.txt")
        lake("flush")
    before = lake("ls", "--json").document
    done = lake("compact", "--json").document
    assert done["removed"] > done["added"] > 0
    assert lake("ls", "--json").document == before
    assert "rewrote 0 data files" in lake("compact").out
    assert lake("check", "--deep").code == 0


def test_vacuum_refuses_what_is_no_span(lake):
    failed = lake("vacuum", "--retention", "seven days")
    assert failed.code == 1 and "7d" in failed.err


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("30m", 1800), ("2W", 1_209_600), (" 0 ", 0)])
def test_spans_are_read(text: str, expected: float):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7d1h", "1e9d", "7 d", "٧d d"])
def test_other_spans_are_refused(text: str):
    with pytest.raises(InputError, match="no span"):
        seconds(text)


def test_a_backup_is_restored_and_refused_where_it_lacks_commits(lake):
    lake("flush")
    made = lake("backup", "b.db")
    assert made.code == 0 and "up to commit 2" in made.out and "tables, storage" in made.err
    assert lake("backup", "b.db").code == 1
    lake("save", "notes.txt", "--key", "later.txt")
    refused = lake("restore", "--backup", "b.db")
    assert refused.code == 1 and "holds 1 commits" in refused.err and "--discard-newer" in refused.err
    assert len(lake("ls", "--json").document) == 3
    done = lake("restore", "--backup", "b.db", "--discard-newer", "--json").document
    assert (done["commit"], done["given_up"]) == (2, 1)
    assert len(lake("ls", "--json").document) == 2
    assert lake("check", "--deep").code == 0


def test_a_lost_catalog_is_rebuilt_and_the_loss_is_said(lake):
    lake("flush")
    lake("save", "notes.txt", "--key", "later.txt")
    for file in Path("mylake").glob("catalog.db*"):
        file.unlink()
    lost = lake("info")
    assert lost.code == 3 and "lakehouse restore --backup FILE" in lost.err and "lakehouse rebuild" in lost.err
    done = lake("rebuild")
    assert done.code == 0 and "as of commit 2" in done.out and "lost: what was committed after it" in done.out
    keys = {row["key"] for row in lake("ls", "--json").document}
    assert keys == {"penguins.csv", "notes.txt"}
    assert lake("check", "--deep").code == 0
    assert lake("save", "notes.txt", "--key", "later.txt").code == 0
    refused = lake("rebuild")
    assert refused.code == 1 and "is a sound catalog" in refused.err
