"""What readers, planners and waiters hold stays true while others vacuum, commit and interrupt."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, Options, TableSpec, TableUntouched
from lakehouse.errors import ChangedSinceRead, ConfigurationError, InputError

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
SCANNED = Options(auto_publish=False, small_rows=0, retention=0.0, grace=0.0)


def made(root: Path) -> Lake:
    specs = [TableSpec("label", SCHEMA), TableSpec("note", SCHEMA)]
    return Lake.create(root, specs, options=SCANNED)


@pytest.mark.parametrize("folder", ["name=foo", "uid=7"])
def test_a_folder_that_looks_like_a_partition_lends_no_values(tmp_path: Path, folder: str):
    with made(tmp_path / folder / "lake") as lake:
        lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "x"}]))
        lake.flush()
        assert lake.snapshot().get("label", "a") == {"uid": "a", "name": "x"}
        assert lake.snapshot().lookup("label", "name", ["x"]).num_rows == 1
        assert lake.sql("select uid, name from label").fetchall() == [("a", "x")]


def test_a_pinned_snapshot_reads_on_when_its_commit_is_published_and_vacuumed(tmp_path: Path):
    with made(tmp_path / "lake") as lake:
        lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "x"}]))
        lake.flush()
        lake.run(lambda txn: txn.upsert("label", [{"uid": "a", "name": "y"}]))
        with lake.pinned() as commit:
            held = lake.snapshot(commit)
            assert held.get("label", "a") == {"uid": "a", "name": "y"}
            lake.flush()
            assert lake.vacuum() == 1  # the file that the snapshot began from
            assert held.get("label", "a") == {"uid": "a", "name": "y"}
            assert held.arrow("select name from label", [], ["label"])["name"].to_pylist() == ["y"]


def test_a_requirement_made_outside_a_plan_is_not_lost_on_replay(tmp_path: Path):
    with made(tmp_path / "lake") as lake, pytest.raises(ChangedSinceRead), lake.transaction() as txn:
        labels = lake.snapshot().count("label")
        txn.require(TableUntouched("label"))
        lake.run(lambda inner: inner.insert("note", [{"uid": "sum", "name": f"{labels} labels"}]))
        writer = lake.begin()
        writer.insert("label", [{"uid": "a", "name": "x"}])
        lake.commit(writer)
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.snapshot().get("note", "sum") is None


def test_a_plan_inside_a_plan_joins_it_on_replay_too(tmp_path: Path):
    with made(tmp_path / "lake") as lake:
        lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "0"}]))

        def raised(txn):
            row = txn.snapshot.get("label", "a")
            txn.upsert("label", [{"uid": "a", "name": row["name"] + "+"}], as_read=[row])
            lake.run(lambda inner: inner.upsert("note", [{"uid": "n", "name": row["name"]}]))
            assert lake.snapshot().get("note", "n")["name"] == row["name"]

        with lake.transaction("both"):
            lake.run(raised)
            other = lake.begin()
            other.upsert("label", [{"uid": "a", "name": "1"}])
            lake.commit(other)
        assert lake.snapshot().get("label", "a")["name"] == "1+"
        assert lake.snapshot().get("note", "n")["name"] == "1"
        assert [commit.message for commit in lake.commits(limit=2)] == ["both", ""]


def test_a_null_where_none_may_be_is_refused_before_it_blocks_publishing(tmp_path: Path):
    strict = pa.schema([pa.field("uid", pa.string(), nullable=False), pa.field("name", pa.string(), nullable=False)])
    with Lake.create(tmp_path / "lake", [TableSpec("label", strict)], options=SCANNED) as lake:
        for rows in ([{"uid": "a"}], pa.table({"uid": ["a"]}), pa.table({"uid": ["a"], "name": [None]})):
            with pytest.raises(InputError, match="label: a row has no name, which must not be null"):
                lake.run(lambda txn, rows=rows: txn.insert("label", rows))
        lake.run(lambda txn: txn.insert("label", [{"uid": "a", "name": "x"}]))
        assert lake.flush() == lake.head()


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ms"), pa.timestamp("us", "Europe/Berlin"), pa.time64("us"), pa.uint8(), pa.null()], ids=str
)
def test_a_type_that_delta_cannot_hold_is_refused_when_it_is_declared(kind: pa.DataType):
    with pytest.raises(ConfigurationError, match=r"label\.odd: a registry holds no .*; choose string"):
        TableSpec("label", pa.schema([pa.field("uid", pa.string(), nullable=False), ("odd", kind)]))


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupted_wait_for_the_head_lock_leaves_it_free(tmp_path: Path):
    made(tmp_path / "lake").close()
    script = """
        import fcntl, os, signal, sys, threading, time
        from lakehouse.engine import Lake, Options
        lake = Lake.open(sys.argv[1], options=Options(lock_timeout=20))
        other = os.open(sys.argv[1] + "/catalog.lock", os.O_RDWR)
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            lake.run(lambda txn: txn.insert("label", [{"uid": "a"}]))
        except KeyboardInterrupt:
            os.close(other)
            time.sleep(0.3)
            lake.run(lambda txn: txn.insert("label", [{"uid": "b"}]))
            print("went on")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "lake")],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "went on\n", done.stderr
