"""Lakes in a bucket: what is acknowledged is published, and one catalog at a time writes."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from formats.bucket import Bucket
from formats.buckets import bucket_at
from formats.cache import Cache
from formats.remote import RemoteOptions, filesystem
from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.options import Options
from lakehouse.errors import (
    Busy,
    ConfigurationError,
    DataLoss,
    Diverged,
    InstanceNotFound,
    ReadOnly,
    Unavailable,
    Unsupported,
)
from tests.remote.store import Proxy

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False), ("name", pa.string())])
SPECS = [TableSpec("label", SCHEMA, unique=(("name",),)), TableSpec("note", SCHEMA)]
QUIET = Options(auto_publish=False)


def put(lake: Lake, *uids: str, table: str = "label") -> int:
    lake.run(lambda txn: txn.insert(table, [{"uid": uid, "name": f"name of {uid}"} for uid in uids]))
    return lake.head()


def uids(lake: Lake, table: str = "label") -> list[str]:
    return [uid for (uid,) in lake.sql(f"select uid from {table} order by uid").fetchall()]


def in_delta(root: str, table: str = "label") -> list[str]:
    found = DeltaTable(f"{root}/tables/{table}", storage_options=RemoteOptions().object_store())
    return sorted(found.to_pyarrow_table()["uid"].to_pylist())


def head_json(root: str) -> dict[str, object]:
    return json.loads(bucket_at(root).get("head.json")[0])


@pytest.fixture
def root(bucket: str) -> str:
    return f"{bucket}/a lake"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine: neither catalog nor cache of this one."""

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other cache"))


# -- writing ----------------------------------------------------------------------------------------------------------
def test_what_is_acknowledged_is_in_the_bucket(root: str) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        assert lake.root == root
        commit = put(lake, "a", "b")
        assert in_delta(root) == ["a", "b"]
        assert head_json(root)["commit"] == commit
        lake.run(lambda txn: txn.upsert("label", [{"uid": "a", "name": "changed"}]))
        lake.run(lambda txn: txn.delete("label", ["b"]))
        assert in_delta(root) == ["a"]
        assert lake.snapshot(commit).get("label", "b") is not None, "older commits are still readable"
    with Lake.open(root, SPECS, options=QUIET) as again:
        assert uids(again) == ["a"]


def test_the_catalog_stays_on_this_machine_where_it_was_named(root: str, tmp_path: Path, machine: Path) -> None:
    with Lake.create(root, SPECS, options=QUIET, catalog=tmp_path / "here" / "catalog.db") as lake:
        put(lake, "a")
    assert not list((machine / "data").rglob("*.db"))
    with Lake.open(root, SPECS, options=QUIET) as again:
        assert again.catalog.path == tmp_path / "here" / "catalog.db"
    assert str(tmp_path) not in json.dumps([str(bucket_at(root).get("lake.json")), head_json(root)])


def test_bulk_inserts_are_staged_in_the_bucket(root: str) -> None:
    with Lake.create(root, SPECS, options=Options(auto_publish=False, bulk_rows=100, file_rows=200)) as lake:
        rows = [{"uid": f"{i:06d}", "name": f"n{i}"} for i in range(1_000)]
        lake.run(lambda txn: txn.insert("note", rows))
        names = filesystem(root, RemoteOptions()).find(f"{root.partition('://')[2]}/tables/note")
        assert sum("/s-" in name for name in names) >= 5
        assert len(in_delta(root, "note")) == 1_000
        lake.run(lambda txn: txn.upsert("note", [{**row, "name": "x"} for row in rows[:300]]))
        assert lake.sql("select count(*) from note where name = 'x'").fetchall() == [(300,)]
    Cache().clear()
    with Lake.open(root, SPECS, options=QUIET) as again:
        assert again.snapshot().count("note") == 1_000


def test_a_new_column_reaches_the_bucket(root: str) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "a")
    wider = [TableSpec("label", SCHEMA.append(pa.field("size", pa.int64())), unique=(("name",),))]
    with Lake.open(root, wider, options=QUIET) as lake:
        lake.run(lambda txn: txn.insert("label", [{"uid": "b", "name": "b", "size": 1}]))
    with Lake.open(root, read_only=True) as reader:
        assert reader.sql("select uid, size from label order by 1").fetchall() == [("a", None), ("b", 1)]


def test_threads_and_processes_of_one_machine_share_the_lake(root: str) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "first")
        code = (
            "import sys; from tests.remote.test_lake import *\n"
            "with Lake.open(sys.argv[1], SPECS, options=QUIET) as lake:\n"
            "    for i in range(3): put(lake, f'process-{i}')\n"
        )
        here = str(Path(__file__).resolve().parents[2])
        child = subprocess.Popen([sys.executable, "-c", code, root], cwd=here, env=os.environ | {"PYTHONPATH": here})
        threads = [threading.Thread(target=put, args=(lake, f"thread-{i}")) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert child.wait(60) == 0
        expected = ["first", *(f"process-{i}" for i in range(3)), *(f"thread-{i}" for i in range(3))]
        assert uids(lake) == in_delta(root) == expected


def test_a_forked_child_refuses_to_commit_what_it_cannot_publish(root: str) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "a")
        context = multiprocessing.get_context("fork")
        told = context.Queue()

        def child() -> None:
            try:
                put(lake, "b")
            except Unsupported as error:
                told.put(str(error))
            else:
                told.put("committed")

        process = context.Process(target=child)
        process.start()
        assert "spawn" in told.get(timeout=60)
        process.join(60)
        assert uids(lake) == ["a"]


def test_vacuum_deletes_what_nobody_can_come_to_need(root: str) -> None:
    options = Options(auto_publish=False, retention=0.0, grace=0.0, merge_files=2)
    with Lake.create(root, SPECS, options=options) as lake:
        for i in range(4):
            put(lake, f"u{i}")
        orphan = f"p-0-0-1-{'0' * 16}.{'a' * 32}.parquet"
        bucket_at(f"{root}/tables/label").put(orphan, b"left by a dead publisher")
        late = f"p-99-0-1-{'0' * 16}.{'a' * 32}.parquet"
        bucket_at(f"{root}/tables/label").put(late, b"a zombie may still commit this one")
        assert (lake.vacuum() or 0) >= 3
        names = bucket_at(f"{root}/tables/label").names()
        assert orphan not in names
        assert late in names
        assert uids(lake) == in_delta(root) == ["u0", "u1", "u2", "u3"]


# -- one writer -------------------------------------------------------------------------------------------------------
def test_a_machine_without_the_catalog_is_told_the_choices(root: str, request: pytest.FixtureRequest) -> None:
    Lake.create(root, SPECS, options=QUIET).close()
    request.getfixturevalue("elsewhere")
    for attempt in (lambda: Lake.open(root, SPECS), lambda: Lake.create(root, SPECS)):
        with pytest.raises(InstanceNotFound, match=r"read_only=True.*catalog=.*postgresql"):
            attempt()


def test_a_copied_catalog_waits_for_the_lease_and_cannot_swallow_commits(root: str, tmp_path: Path) -> None:
    options = Options(auto_publish=False, bucket_lease=3_600.0)
    with Lake.create(root, SPECS, options=options, catalog=tmp_path / "one.db") as lake:
        put(lake, "a")
        with (
            closing(sqlite3.connect(tmp_path / "one.db")) as source,
            closing(sqlite3.connect(tmp_path / "two.db")) as to,
        ):
            source.backup(to)
        with pytest.raises(Busy, match=r"another catalog, on .* writes to .*postgresql"):
            Lake.open(root, SPECS, options=options, catalog=tmp_path / "two.db")
        put(lake, "b")
        with Lake.open(root, SPECS, options=options, catalog=tmp_path / "one.db") as beside:
            put(beside, "b2")  # another process with the same catalog shares the lease
        held = json.loads(bucket_at(root).get("writer.json")[0])
        bucket_at(root).put("writer.json", json.dumps(held | {"until": 0.0}).encode())  # it has expired
        with Lake.open(root, SPECS, options=QUIET, catalog=tmp_path / "two.db", read_only=True) as behind:
            assert uids(behind) == ["a"]
        with Lake.open(root, SPECS, options=QUIET, catalog=tmp_path / "two.db") as other:
            for refused in (other.vacuum, other.flush, other.compact, lambda: put(other, "c")):
                with pytest.raises(Diverged):
                    refused()
        assert in_delta(root) == ["a", "b", "b2"], "nothing of the newer history was overwritten"
        assert json.loads(bucket_at(root).get("writer.json")[0])["epoch"] == held["epoch"] + 1


def test_of_two_machines_that_make_a_lake_in_one_place_one_is_refused(root: str, tmp_path: Path, monkeypatch) -> None:
    real = Bucket.put_if

    def late(self: Bucket, name: str, data: bytes, tag: str | None) -> bool:
        if name == "lake.json":  # another machine comes in between
            monkeypatch.setattr(Bucket, "put_if", real)
            monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
            Lake.create(root, SPECS, options=QUIET).close()
        return real(self, name, data, tag)

    monkeypatch.setattr(Bucket, "put_if", late)
    with pytest.raises(ConfigurationError, match="another machine"):
        Lake.create(root, SPECS, options=QUIET)


def test_a_catalog_whose_bucket_was_emptied_is_not_used_for_a_new_lake(root: str) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "a")
    fs = filesystem(root, RemoteOptions())
    fs.rm(root, recursive=True)
    with pytest.raises(ConfigurationError, match="no longer in"):
        Lake.create(root, SPECS, options=QUIET)


def test_a_store_that_ignores_conditions_is_found_out_and_refused(root: str, proxy: Proxy) -> None:
    proxy.rule("unconditional", method="PUT", times=1_000)
    with pytest.raises(Unsupported, match=r"ignores conditional writes.*Choose: .*Storage\(root"):
        Lake.create(root, SPECS)
    assert not filesystem(root, RemoteOptions()).find(root), "nothing is left behind"


@pytest.mark.parametrize("url", ["https://host/x", "http://host/x"])
def test_a_root_without_conditional_writes_is_refused_with_the_choices(url: str, machine: Path) -> None:
    with pytest.raises(Unsupported, match="Choose: s3://"):
        Lake.create(url, SPECS)


# -- reading from head.json -------------------------------------------------------------------------------------------
def test_a_reader_needs_no_catalog(root: str, request: pytest.FixtureRequest) -> None:
    with Lake.create(root, SPECS, options=QUIET) as lake:
        commit = put(lake, "a", "b")
        request.getfixturevalue("elsewhere")
        with Lake.open(root, read_only=True) as reader:
            assert (reader.id, reader.head()) == (lake.id, commit)
            assert uids(reader) == ["a", "b"]
            assert reader.snapshot().get("label", "b") == {"uid": "b", "name": "name of b"}
            assert uids(reader, "note") == [], "a table that was never published is there, without rows"
            assert reader.snapshot().at == lake.snapshot().at
            with pytest.raises(ReadOnly):
                put(reader, "c")
            put(lake, "c")
            assert uids(reader) == ["a", "b"], "it stays at its commit"
        with Lake.open(root, read_only=True) as later:
            assert uids(later) == ["a", "b", "c"]


def test_a_reader_of_nothing_is_told_so(bucket: str) -> None:
    with pytest.raises(InstanceNotFound, match=r"head\.json"):
        Lake.open(f"{bucket}/nothing", read_only=True)


def test_copies_are_read_and_damaged_files_are_not_believed(root: str, proxy: Proxy) -> None:
    with Lake.create(root, SPECS, options=Options(auto_publish=False, small_rows=0)) as lake:
        put(lake, "a")
        before = proxy.count("GET", r"\.parquet")
        assert uids(lake) == ["a"]
        assert proxy.count("GET", r"\.parquet") == before, "what was just written is not fetched"
    Cache().clear()
    proxy.rule("truncated", method="GET", path=r"\.parquet")
    with Lake.open(root, read_only=True) as reader:
        assert uids(reader) == ["a"]
    Cache().clear()
    folder = bucket_at(f"{root}/tables/label")
    name = next(name for name in folder.names() if name.endswith(".parquet"))
    folder.put(name, b"x" * int(folder.size(name) or 0))
    with Lake.open(root, read_only=True) as reader, pytest.raises((Unavailable, DataLoss), match="damaged"):
        uids(reader)
