"""Lakes and artifacts in Azure's blob storage and in Google's cloud storage."""

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
from lakehouse.errors import Busy, Diverged, NotFound, Unsupported
from tests.remote.azure import KEY, PROGRAM
from tests.remote.test_lake import QUIET, SPECS, put, uids

_azurite = pytest.mark.skipif(not PROGRAM.exists(), reason="azurite, which `make test` fetches with npm, is not here")
_numbers = itertools.count(1)


@pytest.fixture(params=[pytest.param("az", marks=_azurite), "gs"])
def store(request: pytest.FixtureRequest) -> str:
    """The scheme of a store that the environment names."""
    request.getfixturevalue({"az": "azure", "gs": "google"}[request.param])
    return str(request.param)


@pytest.fixture
def container(store: str) -> str:
    """The URL of a new container, or bucket."""
    name = f"box-{next(_numbers)}"
    filesystem(f"{store}://{name}", RemoteOptions()).mkdir(name)
    return f"{store}://{name}"


def in_delta(root: str) -> list[str]:
    options = RemoteOptions().object_store(root.partition("://")[0])
    return sorted(DeltaTable(f"{root}/tables/label", storage_options=options).to_pyarrow_table()["uid"].to_pylist())


def test_conditional_writes_hold_and_listings_go_on_after_a_name(container: str) -> None:
    bucket = bucket_at(f"{container}/a prefix")
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
    bucket, won = bucket_at(f"{container}/race"), list[int]()
    threads = [
        threading.Thread(target=lambda n=n: bucket.put_if("x", str(n).encode(), None) and won.append(n))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and bucket.get("x")[0] == str(won[0]).encode()


def test_what_is_acknowledged_is_in_the_container(container: str) -> None:
    root = f"{container}/lake"
    with Lake.create(root, SPECS, options=QUIET) as lake:
        put(lake, "a")
        put(lake, "b")
        assert in_delta(root) == uids(lake) == ["a", "b"]
        assert json.loads(bucket_at(root).get("head.json")[0])["commit"] == lake.head()
    with Lake.open(root, read_only=True) as reader:
        assert uids(reader) == ["a", "b"]


def test_another_machine_waits_for_the_lease_and_swallows_nothing(container: str, tmp_path: Path) -> None:
    root, options = f"{container}/lake", Options(auto_publish=False, bucket_lease=3_600.0)
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
    with lh.init(f"{container}/lab") as home:
        saved = lh.Artifact(b"a,b\n1,2\n", key="x.csv").save()
        assert lh.sql('select * from content."x.csv"').fetchall() == [(1, 2)]
        assert home.Artifact.get(key="x.csv").load()["b"].tolist() == [2]
        stored = filesystem(container, RemoteOptions()).find(f"{container.partition('://')[2]}/lab/storage")
        assert len(stored) == 1 and saved.size == 8
    for file in machine.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@_azurite
@pytest.mark.usefixtures("azure")
def test_abfs_is_another_name_of_the_same_store() -> None:
    filesystem("abfs://other-name", RemoteOptions()).mkdir("other-name")
    with Lake.create("abfs://other-name/lake", SPECS, options=QUIET) as lake:
        put(lake, "a")
    with Lake.open("az://other-name/lake", read_only=True) as reader:
        assert in_delta("az://other-name/lake") == uids(reader) == ["a"]


def test_a_google_store_that_ignores_conditions_is_refused(plain_google: None) -> None:
    filesystem("gs://careless", RemoteOptions()).mkdir("careless")
    with pytest.raises(Unsupported, match="ignores conditional writes"):
        Lake.create("gs://careless/lake", SPECS, options=QUIET)
