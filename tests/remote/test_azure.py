"""Lakes and artifacts in a container of Azure's blob storage."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from deltalake import DeltaTable

import lakehouse as lh
from formats.buckets import bucket_at
from formats.remote import RemoteOptions, filesystem
from lakehouse.engine import Lake, Options
from lakehouse.errors import Busy, Diverged, NotFound
from tests.remote.azure import KEY, PROGRAM
from tests.remote.test_lake import QUIET, SPECS, put, uids

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="azurite, which `make test` fetches with npm, is not here")
_numbers = itertools.count(1)


@pytest.fixture
def container(azure: None) -> str:
    """The name of a new container."""
    name = f"box-{next(_numbers)}"
    filesystem(f"az://{name}", RemoteOptions()).mkdir(name)
    return name


def in_delta(root: str) -> list[str]:
    table = DeltaTable(f"{root}/tables/label", storage_options=RemoteOptions().object_store("az"))
    return sorted(table.to_pyarrow_table()["uid"].to_pylist())


def test_conditional_writes_hold_and_listings_go_on_after_a_name(container: str) -> None:
    bucket = bucket_at(f"az://{container}/a prefix")
    assert bucket.probe()
    assert bucket.put_if("x", b"1", None) and not bucket.put_if("x", b"2", None)
    data, tag = bucket.get("x")
    assert data == b"1" and bucket.put_if("x", b"3", tag) and not bucket.put_if("x", b"4", tag)
    assert bucket.put_if("x", b"3", tag), "the reply to a first attempt was lost"
    bucket.put("y", b"22")
    bucket.below("inner").put("z", b"")
    assert (bucket.names(), bucket.names(after="x"), bucket.size("y"), bucket.size("z")) == (["x", "y"], ["y"], 2, None)
    bucket.remove("x")
    bucket.remove("x")
    with pytest.raises(NotFound):
        bucket.get("x")


def test_of_many_writers_of_one_version_one_succeeds(container: str) -> None:
    bucket, won = bucket_at(f"az://{container}/race"), list[int]()
    threads = [
        threading.Thread(target=lambda n=n: bucket.put_if("x", str(n).encode(), None) and won.append(n))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and bucket.get("x")[0] == str(won[0]).encode()


@pytest.mark.parametrize("scheme", ["az", "abfs"])
def test_what_is_acknowledged_is_in_the_container(container: str, scheme: str) -> None:
    root = f"{scheme}://{container}/lake"
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "a")
        put(lake, "b")
        assert in_delta(root) == uids(lake) == ["a", "b"]
        assert json.loads(bucket_at(root).get("head.json")[0])["commit"] == lake.head()
    with Lake.open(root, read_only=True) as reader:
        assert uids(reader) == ["a", "b"]


def test_another_machine_waits_for_the_lease_and_swallows_nothing(container: str, tmp_path: Path) -> None:
    root, options = f"az://{container}/lake", Options(auto_publish=False, bucket_lease=3_600.0)
    with Lake.create(root, SPECS, options=options, catalog=tmp_path / "one.db") as lake:
        put(lake, "a")
        with (
            closing(sqlite3.connect(tmp_path / "one.db")) as here,
            closing(sqlite3.connect(tmp_path / "two.db")) as there,
        ):
            here.backup(there)
        with pytest.raises(Busy, match="another catalog"):
            Lake.open(root, SPECS, options=options, catalog=tmp_path / "two.db")
        put(lake, "b")
        bucket = bucket_at(root)
        held = json.loads(bucket.get("writer.json")[0])
        bucket.put("writer.json", json.dumps(held | {"until": 0.0}).encode())  # it has expired
        with Lake.open(root, SPECS, options=QUIET, catalog=tmp_path / "two.db") as other, pytest.raises(Diverged):
            put(other, "theirs")
        assert in_delta(root) == ["a", "b"]


def test_an_instance_keeps_its_artifacts_there_and_no_key_anywhere(container: str, machine: Path) -> None:
    with lh.init(f"az://{container}/lab") as home:
        saved = lh.Artifact(b"a,b\n1,2\n", key="x.csv").save()
        assert lh.sql('select * from content."x.csv"').fetchall() == [(1, 2)]
        assert home.Artifact.get(key="x.csv").load()["b"].tolist() == [2]
        stored = filesystem(f"az://{container}", RemoteOptions()).find(f"{container}/lab/storage")
        assert len(stored) == 1 and saved.size == 8
    for file in machine.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
