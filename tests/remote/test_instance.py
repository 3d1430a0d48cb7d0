"""Instances in a bucket, read from elsewhere, and storages beside them."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lakehouse as lh
from formats.cache import Cache
from formats.remote import RemoteOptions, filesystem
from lakehouse.errors import DataLoss, InputError, InvalidKey, ReadOnly, Unsupported
from registries.instance import Instance

SAMPLES = pd.DataFrame({"donor": ["D1", "D2"], "age": [31, 45]})


@pytest.fixture
def root(bucket: str) -> str:
    return f"{bucket}/lab"


@pytest.fixture
def alone() -> Iterator[None]:
    yield
    lh.disconnect()


def filled(root: str | Path) -> Instance:
    lake = Instance.create(root)
    lake.Artifact.from_df(SAMPLES, key="samples.parquet").save()
    lake.Artifact(b"1,2\n", key="raw/a.csv").save().labels.add(lake.ULabel(name="pilot").save())
    return lake


def test_an_instance_in_a_bucket_is_made_connected_to_and_queried(root: str, alone: None) -> None:
    lh.init(root)
    samples = lh.Artifact.from_df(SAMPLES, key="samples.parquet").save()
    lh.ULabel(name="pilot").save()
    samples.labels.add("pilot")
    assert samples.load().equals(SAMPLES)
    assert lh.sql('select avg(age) from content."samples.parquet"').fetchall() == [(38.0,)]
    lh.disconnect()
    lake = lh.connect()  # the pointer names the bucket
    assert lake.root == root
    assert repr(lake) == f"<Instance {root}>"
    assert lh.Artifact.filter(ulabels__name="pilot").one().key == "samples.parquet"
    again = lh.Artifact.from_df(SAMPLES, key="samples.parquet").save()
    assert again == samples
    newer = lh.Artifact.from_df(SAMPLES.head(1), key="samples.parquet").save()
    assert (newer.version, len(newer.versions)) == (1, 2)
    own = lake.Storage.filter().one()
    assert (own.kind, own.root) == ("s3", "storage")
    assert lake.check().ok


def test_bytes_that_were_lost_in_the_bucket_are_said_and_put_back(root: str) -> None:
    with filled(root) as lake:
        found = lake.Artifact.get(key="raw/a.csv")
        store = lake.stores.of(found.storage)
        path = next(path for path in store.list() if path.endswith(".csv"))
        store.remove(path)
        Cache().clear()
        with pytest.raises(DataLoss, match="save the same content again"):
            found.load()
        assert lake.Artifact(b"1,2\n", key="raw/a.csv").save() == found
        assert found.path.read_bytes() == b"1,2\n"


def test_a_colleague_reads_it_without_the_catalog(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(root).close()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other cache"))
    with lh.open(root, read_only=True) as theirs:
        assert theirs.Artifact.filter(ulabels__name="pilot").one().key == "raw/a.csv"
        assert theirs.Artifact.get(key="samples.parquet").load().equals(SAMPLES)
        assert theirs.sql('select max(age) from content."samples.parquet"').fetchall() == [(45,)]
        assert theirs.Transform.filter().count() == 0
        with pytest.raises(ReadOnly):
            theirs.ULabel(name="mine").save()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def test_a_published_folder_is_read_over_plain_http(machine: Path, tmp_path: Path) -> None:
    with filled(tmp_path / "lab") as lake:
        lake.Artifact(np.arange(4), key="a.zarr").save()
        lake.flush()
        served = functools.partial(_Quiet, directory=str(tmp_path))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), served)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            with lh.open(f"http://127.0.0.1:{server.server_address[1]}/lab", read_only=True) as theirs:
                assert theirs.lake.id == lake.lake.id
                assert [a.key for a in theirs.Artifact.filter().order_by("key").all()] == [
                    "a.zarr",
                    "raw/a.csv",
                    "samples.parquet",
                ]
                assert theirs.Artifact.get(key="samples.parquet").load().equals(SAMPLES)
                folder = theirs.Artifact.get(key="a.zarr")
                for look in (folder.load, folder.open, folder.describe, folder.stage):
                    with pytest.raises(Unsupported, match="cannot list its files"):
                        look()
            with pytest.raises(Unsupported, match="read_only=True"):
                lh.open(f"http://127.0.0.1:{server.server_address[1]}/lab")
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


# -- storages beside an instance --------------------------------------------------------------------------------------
def test_artifacts_of_a_local_instance_lie_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    with Instance.create(tmp_path / "lab") as lake:
        cold = lake.Storage(root=f"{bucket}/cold/").save()
        assert (cold.kind, cold.root) == ("s3", f"{bucket}/cold")
        kept = lake.Artifact.from_df(SAMPLES, key="samples.parquet", storage=cold).save()
        lake.Artifact(b"2", key="b.txt", storage=f"{bucket}/cold").save()
        (tmp_path / "x.zarr").mkdir()
        (tmp_path / "x.zarr" / "zarr.json").write_text("{}")
        folder = lake.Artifact.from_dir(tmp_path / "x.zarr", key="x.zarr", storage=cold).save()
        assert kept.load().equals(SAMPLES)
        assert (folder.path / "zarr.json").read_text() == "{}"
        assert len(filesystem(bucket, RemoteOptions()).find(f"{bucket}/cold")) == 3
        assert lake.check(deep=True).ok
        with pytest.raises(InputError):
            lake.Storage(root="s3://KEY:SECRET@bucket/x").save()
    with Instance.open(tmp_path / "lab", read_only=True) as again:
        assert again.Artifact.get(key="b.txt").path.read_bytes() == b"2"


def test_what_lies_in_a_registered_bucket_is_registered_without_a_copy(bucket: str, tmp_path: Path) -> None:
    fs = filesystem(bucket, RemoteOptions())
    source = tmp_path / "samples.csv"
    SAMPLES.to_csv(source, index=False)
    fs.pipe_file(f"{bucket}/theirs/run 1/samples.csv", source.read_bytes())
    with Instance.create(tmp_path / "lab") as lake:
        with pytest.raises(InvalidKey, match=r"Storage\(root=\.\.\.\).save\(\) registers"):
            lake.Artifact(f"{bucket}/theirs/run 1/samples.csv").save()
        lake.Storage(root=f"{bucket}/theirs").save()
        found = lake.Artifact(f"{bucket}/theirs/run 1/samples.csv").save()
        assert (found.key, found.n_rows, found.kind) == ("run 1/samples.csv", 2, "dataframe")
        assert found.load().equals(SAMPLES)
        assert lake.Artifact(source, key="run 1/samples.csv").save() == found, "the same content is the same record"
        assert len(fs.find(f"{bucket}/theirs")) == 1
        fs.pipe_file(f"{bucket}/theirs/run 1/samples.csv", b"other")
        with pytest.raises(DataLoss, match="5 bytes"):
            found.load()


def test_a_presigned_url_is_no_storage_and_shows_nowhere(tmp_path: Path, machine: Path) -> None:
    url = "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=SECRETSIGNATURE"
    with Instance.create(tmp_path / "lab") as lake:
        for attempt in (
            lambda: lake.Storage(root=url).save(),
            lambda: lake.Artifact(url, key="a.txt").save(),
            lambda: lake.Artifact(b"1", key="a.txt", storage=url).save(),
        ):
            with pytest.raises((InputError, InvalidKey)) as caught:
                attempt()
            assert "SECRETSIGNATURE" not in str(caught.value)
