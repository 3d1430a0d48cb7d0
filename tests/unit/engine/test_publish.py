from __future__ import annotations

import itertools
import json
import logging
import threading
from pathlib import Path

import duckdb
import pytest

from lakehouse.engine import Lake, Options
from lakehouse.errors import Busy, DataLoss
from tests.unit.engine.support import SPECS, add, label, once_at, plain, quiet, renames, rows_of, uids


def head(lake: Lake) -> dict:
    return json.loads((lake.root / "head.json").read_text())


def test_nothing_reaches_delta_before_it_is_published(lake: Lake) -> None:
    add(lake, "a")
    assert not (lake.root / "tables" / "label" / "_delta_log").exists()
    assert not (lake.root / "head.json").exists()


def test_plain_delta_reader_sees_what_was_committed(lake: Lake) -> None:
    add(lake, "a", "b")
    lake.flush()
    lake.run(renames("a", "new"))
    lake.run(lambda txn: txn.delete("label", ["b"]))
    add(lake, "c")
    assert lake.flush() == lake.head()
    assert plain(lake) == rows_of(lake) == [label("a", "new"), label("c")]


def test_flush_without_changes_writes_no_version(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    before = head(lake)["tables"]
    assert lake.flush() == lake.head()
    assert head(lake)["tables"] == before


def test_table_without_changes_is_not_advanced(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    add(lake, "e", table="event")
    lake.flush()
    assert head(lake)["tables"]["label"]["version"] == 1
    assert set(head(lake)["tables"]) == {"label", "event"}


def test_versions_in_head_json_belong_together(lake: Lake) -> None:
    heads = []
    for step in range(4):
        with lake.transaction():
            add(lake, f"a{step}")
            add(lake, f"e{step}", table="event")
        if step % 2:
            add(lake, f"b{step}")
        lake.flush()
        heads.append(head(lake))
    for found in heads:
        for table in ("label", "event"):
            version = found["tables"][table]["version"]
            assert [r["uid"] for r in plain(lake, table, version)] == uids(lake, table, found["commit"])
    assert found["lake"] == lake.id
    assert [h["commit"] for h in heads] == sorted({h["commit"] for h in heads})
    assert all(h["epoch"] < k["epoch"] for h, k in itertools.pairwise(heads))


def test_listed_files_are_the_table_for_any_parquet_reader(make: object) -> None:
    lake: Lake = make(bulk_rows=5, file_rows=4)  # type: ignore[operator]
    lake.run(lambda txn: txn.insert("label", [label(f"k{n}") for n in range(10)]))
    lake.run(renames("k3", "new"))
    lake.flush()
    folder = lake.root / "tables" / "label"
    files = [str(folder / f) for f in head(lake)["tables"]["label"]["files"]]
    found = duckdb.connect().execute("SELECT * FROM read_parquet(?) ORDER BY uid", [files]).fetchall()
    assert found == [tuple(row.values()) for row in rows_of(lake)]


def test_untouched_staged_files_enter_delta_as_they_are(make: object) -> None:
    lake: Lake = make(bulk_rows=5, file_rows=4)  # type: ignore[operator]
    lake.run(lambda txn: txn.insert("label", [label(f"k{n}") for n in range(8)]))
    staged = {f.path for _, f in lake.snapshot().state("label").tail.staged}
    lake.run(renames("k0", "new"))
    lake.flush()
    published = set(head(lake)["tables"]["label"]["files"])
    assert len(staged) == 2
    assert len(staged & published) == 1
    assert plain(lake) == rows_of(lake)


def test_update_rewrites_only_the_file_that_holds_the_row(make: object) -> None:
    lake: Lake = make(bulk_rows=5, file_rows=4)  # type: ignore[operator]
    lake.run(lambda txn: txn.insert("label", [label(f"k{n:02}") for n in range(16)]))
    lake.flush()
    before = set(head(lake)["tables"]["label"]["files"])
    lake.run(renames("k05", "new"))
    lake.flush()
    after = set(head(lake)["tables"]["label"]["files"])
    assert (len(before), len(before - after), len(after - before)) == (4, 1, 1)
    assert plain(lake) == rows_of(lake)


def test_many_small_files_are_merged(make: object) -> None:
    lake: Lake = make(merge_files=4)  # type: ignore[operator]
    counts = []
    for step in range(10):
        add(lake, f"k{step}")
        lake.flush()
        counts.append(len(head(lake)["tables"]["label"]["files"]))
    assert max(counts) <= 4
    assert min(counts[4:]) == 1
    assert [r["uid"] for r in plain(lake)] == [f"k{n}" for n in range(10)]


def test_checkpoint_is_written_and_read_by_plain_readers(make: object) -> None:
    lake: Lake = make(checkpoint_every=3)  # type: ignore[operator]
    for step in range(5):
        add(lake, f"k{step}")
        lake.flush()
    log = lake.root / "tables" / "label" / "_delta_log"
    assert (log / "00000000000000000003.checkpoint.parquet").exists()
    assert plain(lake) == rows_of(lake)
    add(lake, "last")
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_older_delta_versions_show_older_commits(lake: Lake) -> None:
    seen = []
    for step in range(3):
        add(lake, f"k{step}")
        lake.flush()
        seen.append(head(lake)["tables"]["label"]["version"])
    assert [len(plain(lake, version=v)) for v in seen] == [1, 2, 3]


def test_all_rows_deleted_leaves_an_empty_delta_table(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    lake.run(lambda txn: txn.delete("label", ["a"]))
    lake.flush()
    assert plain(lake) == rows_of(lake) == []


def test_row_that_came_and_went_before_publishing_leaves_nothing(lake: Lake) -> None:
    add(lake, "a")
    lake.run(lambda txn: txn.delete("label", ["a"]))
    lake.flush()
    assert plain(lake) == []
    add(lake, "a")
    lake.flush()
    assert [r["uid"] for r in plain(lake)] == ["a"]


def test_commit_during_a_round_waits_for_the_next(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    with once_at("publish.before_delta", lambda: add(other, "b")):
        done = lake.publisher.publish()
    assert done == lake.head() - 1
    assert [r["uid"] for r in plain(lake)] == ["a"]
    assert lake.flush() == lake.head()
    assert [r["uid"] for r in plain(lake)] == ["a", "b"]


def test_flush_gives_up_while_another_holds_the_lease(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    raised: list[BaseException] = []

    def impatient() -> None:
        try:
            other.flush(timeout=0.05)
        except Busy as error:
            raised.append(error)

    with once_at("publish.before_delta", impatient):
        lake.flush()
    assert "publishing" in str(raised[0])
    assert plain(lake) == rows_of(lake)


# -- in the background -------------------------------------------------------------------------------------------------
def settled(lake: Lake) -> None:
    """Wait for rounds in the background to end."""
    for thread in threading.enumerate():
        if thread.name == "lakehouse-publisher":
            thread.join(30)


def test_long_tail_is_published_in_the_background(tmp_path: Path) -> None:
    options = Options(publish_commits=5)
    with Lake.create(tmp_path / "lake", SPECS, options=options) as lake:
        for step in range(70):
            add(lake, f"k{step:02}")
        settled(lake)
        found = [r["uid"] for r in plain(lake)]
    assert len(found) >= 30
    assert found == [f"k{n:02}" for n in range(len(found))]


def test_failed_round_in_the_background_is_logged_and_loses_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = Options(publish_commits=5)
    with Lake.create(tmp_path / "lake", SPECS, options=options) as lake:
        add(lake, "first")
        lake.flush()
        log = lake.root / "tables" / "label" / "_delta_log"
        newest = max(log.glob("*.json"))
        kept = newest.read_bytes()
        newest.unlink()
        with caplog.at_level(logging.WARNING, "lakehouse"):
            for step in range(70):
                add(lake, f"k{step:02}")
            settled(lake)
        assert "publishing failed and will be tried again" in caplog.text
        assert "restore the folder from a backup" in caplog.text
        assert len(uids(lake)) == 71
        newest.write_bytes(kept)
        lake.flush()
        assert len(plain(lake)) == 71


def test_full_disk_in_the_background_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    real = os.fsync

    def full(fd: int) -> None:
        if threading.current_thread().name == "lakehouse-publisher":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd)

    with Lake.create(tmp_path / "lake", SPECS, options=Options(publish_commits=5)) as lake:
        monkeypatch.setattr(os, "fsync", full)
        with caplog.at_level(logging.WARNING, "lakehouse"):
            for step in range(70):
                add(lake, f"k{step:02}")
            settled(lake)
        monkeypatch.undo()
        assert "No space left on device" in caplog.text
        lake.flush()
        assert len(plain(lake)) == 70


def test_published_file_that_is_gone_is_a_loss_that_names_it(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    (name,) = head(lake)["tables"]["label"]["files"]
    (lake.root / "tables" / "label" / name).unlink()
    with Lake.open(lake.root, options=quiet()) as fresh, pytest.raises(DataLoss, match=name):
        fresh.snapshot().get("label", "a")
