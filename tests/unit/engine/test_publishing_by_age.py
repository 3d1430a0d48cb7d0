"""The tail is published when it is old, and at the end when it is long; nobody waits for nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.engine import Lake, Options
from tests.unit.engine.support import SPECS, add, create, once_at, plain, quiet, renames, rows_of, uids

AGES = Options(publish_age=0.15)


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def _published(lake: Lake) -> int:
    with lake.catalog.read() as session:
        return session.meta().head_json


def _timers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lakehouse-timer"]


def test_a_single_commit_is_published_once_it_is_old(tmp_path: Path) -> None:
    with Lake.create(tmp_path / "lake", SPECS, options=AGES) as lake:
        assert not _timers()
        add(lake, "a")
        add(lake, "b")
        assert len(_timers()) <= 1
        _eventually(lambda: _published(lake) == lake.head())
        assert [row["uid"] for row in plain(lake)] == ["a", "b"]
        add(lake, "c")
        _eventually(lambda: _published(lake) == lake.head())
        assert [row["uid"] for row in plain(lake)] == ["a", "b", "c"]


def test_nothing_is_done_while_nothing_waits(tmp_path: Path) -> None:
    with Lake.create(tmp_path / "lake", SPECS, options=AGES) as lake:
        add(lake, "a")
        _eventually(lambda: _published(lake) == lake.head() and not _timers())
        before = (lake.root / "head.json").stat()
        time.sleep(3 * AGES.publish_age)
        after = (lake.root / "head.json").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert not _timers()


def test_a_failed_round_is_tried_again_without_a_further_commit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Lake.create(tmp_path / "lake", SPECS, options=AGES) as lake:
        add(lake, "a")
        lake.flush()
        newest = max((lake.root / "tables" / "label" / "_delta_log").glob("*.json"))
        kept = newest.read_bytes()
        newest.unlink()
        with caplog.at_level(logging.WARNING, "lakehouse"):
            add(lake, "b")
            _eventually(lambda: "will be tried again" in caplog.text)
        newest.write_bytes(kept)
        _eventually(lambda: _published(lake) == lake.head())
        assert [row["uid"] for row in plain(lake)] == ["a", "b"]


def test_closing_publishes_a_long_tail_and_leaves_a_short_one(tmp_path: Path) -> None:
    for name, limit, expected in (("long", 3, ["a", "b", "c", "d"]), ("short", 30, None)):
        with Lake.create(tmp_path / name, SPECS, options=Options(publish_commits=limit)) as lake:
            for uid in "abcd":
                add(lake, uid)
        assert (tmp_path / name / "head.json").exists() == (expected is not None)
        if expected is not None:
            assert [row["uid"] for row in plain(lake)] == expected


def test_closing_publishes_an_old_tail_that_another_process_left(tmp_path: Path) -> None:
    create(tmp_path / "lake").close()
    with Lake.open(tmp_path / "lake", options=quiet()) as other:
        add(other, "old")
    with Lake.open(tmp_path / "lake", options=Options(publish_age=3_600.0)) as lake:
        add(lake, "b")
    assert not (tmp_path / "lake" / "head.json").exists()
    time.sleep(0.02)
    with Lake.open(tmp_path / "lake", options=Options(publish_age=0.01)) as reader:
        assert uids(reader) == ["b", "old"]
    assert not (tmp_path / "lake" / "head.json").exists(), "one that only read published"
    with Lake.open(tmp_path / "lake", options=Options(publish_age=0.01)) as lake:
        add(lake, "c")
    assert [row["uid"] for row in plain(lake)] == ["b", "c", "old"]


def test_closing_does_not_wait_for_another_publisher(tmp_path: Path) -> None:
    with create(tmp_path / "lake") as other:
        lake = Lake.open(tmp_path / "lake", options=Options(publish_commits=3))  # one more waits when it is closed
        for uid in "abc":
            add(lake, uid)
        add(other, "d")
        with once_at("publish.before_delta", lake.close) as seen:
            other.flush()
        assert seen.count("publish.leased") == 1
        assert len(plain(other)) == 4


_SCRIPT = """
import sys
from lakehouse.engine import Lake, Options
from tests.unit.engine.support import label
lake = Lake.open(sys.argv[1], options=Options(publish_commits=int(sys.argv[2]), file_rows=5, publish_age=float(sys.argv[3])))
for step in range(4):
    lake.run(lambda txn: txn.insert("label", [label(f"k{step}{n:02}") for n in range(6)]))
"""


@pytest.mark.parametrize(("limit", "age", "published"), [(3, 30.0, True), (30, 30.0, False), (30, 0.0, True)])
def test_a_program_that_ends_without_closing_publishes_what_is_due(
    limit: int, age: float, published: bool, tmp_path: Path, root: Path
) -> None:
    create(tmp_path / "lake").close()
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "lake"), str(limit), str(age)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Lake.open(tmp_path / "lake", options=quiet()) as lake:
        assert len(uids(lake)) == 24
        assert (_published(lake) == lake.head()) == published
        if published:
            assert len(plain(lake)) == 24


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_no_timer_and_leaves_publishing_to_its_parent(tmp_path: Path) -> None:
    with Lake.create(tmp_path / "lake", SPECS, options=Options(publish_age=0.4)) as lake:
        add(lake, "a")
        if (child := os.fork()) == 0:
            try:
                add(lake, "child")
                lake.close()
                os._exit(len(_timers()))
            except BaseException:
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        _eventually(lambda: _published(lake) == lake.head())
        assert [row["uid"] for row in plain(lake)] == ["a", "child"]


def test_what_is_committed_while_a_round_runs_long_is_published_by_the_next(tmp_path: Path) -> None:
    with Lake.create(tmp_path / "lake", SPECS, options=AGES) as lake:
        stalled = threading.Event()

        def stall() -> None:
            add(lake, "b")
            time.sleep(3 * AGES.publish_age)  # the timer of that commit fires into the running round
            stalled.set()

        with once_at("publish.before_head", stall):
            add(lake, "a")
            assert stalled.wait(30)
            _eventually(lambda: _published(lake) == lake.head())
        assert [row["uid"] for row in plain(lake)] == ["a", "b"]


WORN = {"small_rows": 0, "file_rows": 10, "bulk_rows": 5, "merge_files": 1_000}


def _wide(root: Path, **options: Any) -> Lake:
    """Return a lake with a published table of many files."""
    lake = Lake.create(root, SPECS, options=Options(**{**WORN, **options}))
    add(lake, *(f"{n:04}" for n in range(1_000)))
    lake.flush()
    return lake


def test_a_change_that_would_rewrite_much_waits_while_inserts_do_not(tmp_path: Path) -> None:
    with _wide(tmp_path / "lake", publish_age=0.1, publish_rewrite=1) as lake:
        lake.run(renames("0500", "another"))
        time.sleep(1.0)
        assert _published(lake) < lake.head()
        assert uids(lake)[500] == "0500"
        lake.flush()
        add(lake, "a new one")
        _eventually(lambda: _published(lake) == lake.head())


def test_changes_are_published_when_they_are_many_or_have_waited_in_proportion(tmp_path: Path) -> None:
    with _wide(tmp_path / "many", publish_age=0.1, publish_rewrite=1) as lake:
        for n in range(11):  # of a thousand rows
            lake.run(renames(f"{90 * n:04}", f"name {n}"))
        _eventually(lambda: _published(lake) == lake.head())
    with _wide(tmp_path / "late", publish_age=0.1, publish_rewrite=1_000) as lake:
        lake.run(renames("0500", "another"))
        _eventually(lambda: _published(lake) == lake.head())
        assert plain(lake)[500]["name"] == "another"


def test_closing_does_not_rewrite_much_for_little(tmp_path: Path) -> None:
    lake = _wide(tmp_path / "lake", publish_age=0.05, publish_rewrite=1)
    lake.run(renames("0500", "another"))
    head = lake.head()
    lake.close()
    with Lake.open(tmp_path / "lake", options=quiet(**WORN)) as again:
        assert _published(again) < head
        assert again.snapshot().get("label", "0500")["name"] == "another"


def test_scattered_changes_are_folded_file_by_file_and_nothing_else_moves(tmp_path: Path) -> None:
    with _wide(tmp_path / "lake", auto_publish=False) as lake:
        before = {file.path for file in lake.snapshot().state("label").base.files}
        for uid in ("0005", "0500", "0995"):
            lake.run(renames(uid, f"{uid} anew"))
        lake.run(lambda txn: txn.delete("label", ["0700"]))
        expected = rows_of(lake)
        lake.flush()
        after = {file.path for file in lake.snapshot().state("label").base.files}
        assert len(before - after) == 4
        assert rows_of(lake) == plain(lake) == expected
