"""Registering what lies in a bucket already: nothing is copied, and its store's hash is recorded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats.cache import Cache
from formats.registry import by_name
from formats.remote import RemoteOptions, filesystem
from formats.storehash import digest_of
from lakehouse.errors import DataLoss, InvalidFile
from registries import whereabouts
from registries.instance import Instance
from tests.remote.store import Proxy

FRAME = pd.DataFrame({"donor": [f"D{n}" for n in range(2000)], "age": range(2000)})


@pytest.fixture
def lake(bucket: str, tmp_path: Path) -> Iterator[Instance]:
    with Instance.create(tmp_path / "lab") as made:
        made.Storage(root=f"{bucket}/theirs").save()
        yield made


def put(bucket: str, name: str, data: bytes, **given: str) -> str:
    where = bucket.partition("://")[2]
    filesystem(bucket, RemoteOptions()).call_s3("put_object", Bucket=where, Key=f"theirs/{name}", Body=data, **given)
    return f"{bucket}/theirs/{name}"


def test_a_file_is_registered_by_the_hash_of_its_store(
    lake: Instance, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    source = tmp_path / "x.parquet"
    FRAME.to_parquet(source)
    url = put(bucket, "run 1/x.parquet", source.read_bytes() + b"")
    proxy.forget()
    found = lake.Artifact(url).save()
    assert (found.key, found.hash_kind, found.hash) == ("run 1/x.parquet", "md5", digest_of(source, "md5"))
    assert (found.n_rows, found.size, found.kind) == (2000, source.stat().st_size, "dataframe")
    assert (Cache().used(), proxy.count("PUT", ".*")) == (0, 0)
    assert "md5 " + found.hash in str(found.describe())
    assert found.load().equals(FRAME)
    assert lake.Artifact(url).save() == found
    assert lake.Artifact(source, key="run 1/x.parquet").save() == found, "the same content is the same record"
    assert lake.check(deep=True).ok


def test_a_large_file_is_not_read_to_register_it(
    lake: Instance, bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(bucket, "x.bin", np.random.default_rng(0).bytes(3_000_000))
    proxy.forget()
    lake.Artifact(url).save()
    assert proxy.received < 500_000


def test_what_was_sent_in_parts_or_with_a_checksum_has_a_hash_of_that_kind(lake: Instance, bucket: str) -> None:
    fs, where, data = filesystem(bucket, RemoteOptions()), bucket.partition("://")[2], b"x" * (5 << 20)
    key = {"Bucket": where, "Key": "theirs/parts.bin"}
    begun = fs.call_s3("create_multipart_upload", **key)["UploadId"]
    sent = [fs.call_s3("upload_part", **key, UploadId=begun, PartNumber=n, Body=data)["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(sent, 1)]
    fs.call_s3("complete_multipart_upload", **key, UploadId=begun, MultipartUpload={"Parts": parts})
    found = lake.Artifact(f"{bucket}/theirs/parts.bin").save()
    assert found.hash_kind == "etag"
    assert found.hash.endswith("-2")
    digest = hashlib.sha256(b"abc")
    checked = put(bucket, "sum.bin", b"abc", ChecksumSHA256=base64.b64encode(digest.digest()).decode())
    assert (lake.Artifact(checked).save().hash_kind, lake.Artifact(checked).save().hash) in (
        ("sha256", digest.hexdigest()),
        ("md5", digest_of(b"abc", "md5")),  # a store that does not hand out what it was given
    )
    hidden = put(bucket, "hidden.bin", b"abc", ServerSideEncryption="aws:kms")
    assert lake.Artifact(hidden).save().hash_kind == "blake3"
    assert lake.check(deep=True).ok


def test_a_folder_is_registered_by_its_listing(lake: Instance, bucket: str, tmp_path: Path, proxy: Proxy) -> None:
    by_name("zarr").write(np.arange(100_000, dtype="f8").reshape(100, 1000), tmp_path / "x.zarr")
    fs = filesystem(bucket, RemoteOptions())
    fs.put(str(tmp_path / "x.zarr"), f"{bucket}/theirs/x.zarr", recursive=True)
    found = lake.Artifact(f"{bucket}/theirs/x.zarr").save()
    files = [path for path in (tmp_path / "x.zarr").rglob("*") if path.is_file()]
    assert (found.key, found.format, found.hash_kind, found.n_files) == ("x.zarr", "zarr", "etag-folder", len(files))
    assert found.size == sum(path.stat().st_size for path in files)
    assert Cache().used() == 0
    assert found.load()[99, 999] == 99_999
    assert lake.check(deep=True).ok
    fs.pipe_file(
        f"{bucket}/theirs/x.zarr/zarr.json", b"{}" + b" " * ((tmp_path / "x.zarr/zarr.json").stat().st_size - 2)
    )
    with pytest.raises(DataLoss, match="other content"):
        found.load()
    assert not lake.check(deep=True).ok


def test_other_content_of_the_same_size_is_found_out(lake: Instance, bucket: str) -> None:
    found = lake.Artifact(put(bucket, "a.txt", b"one")).save()
    assert found.load() == b"one"
    put(bucket, "a.txt", b"two")
    with pytest.raises(DataLoss, match=r"other content.*version 0"):
        found.load()
    newer = lake.Artifact(f"{bucket}/theirs/a.txt").save()
    assert (newer.version, newer.load()) == (1, b"two")


def test_what_moves_from_a_bucket_gets_a_hash_of_ours(
    lake: Instance, bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    found = lake.Artifact(put(bucket, "a.txt", b"one")).save()
    store = lake.Storage(root=str(tmp_path / "shelf")).save()
    copy = found.copy_to(store, key="copy.txt")
    assert (copy.hash_kind, copy.load()) == ("blake3", b"one")
    assert found.move_to(store).hash_kind == "blake3"
    assert found.path.is_relative_to(tmp_path / "shelf")
    assert lake.Artifact.get(key="a.txt").load() == b"one"
    assert lake.check(deep=True).ok


def test_a_damaged_file_is_refused_where_it_would_be_registered(lake: Instance, bucket: str) -> None:
    with pytest.raises(InvalidFile, match="cannot be read as parquet"):
        lake.Artifact(put(bucket, "x.parquet", b"PAR1 and no more")).save()
    assert lake.Artifact.filter().count() == 0


def test_a_whole_bucket_is_registered_in_one_commit(lake: Instance, bucket: str, proxy: Proxy, tmp_path: Path) -> None:
    for n in range(12):
        put(bucket, f"run {n % 3}/{n}.csv", b"a,b\n" + b"1,2\n" * (n + 1))
    put(bucket, ".hidden", b"x")
    put(bucket, "objects/ab/abc.txt", b"of another instance")
    by_name("zarr").write(np.arange(10.0), tmp_path / "x.zarr")
    filesystem(bucket, RemoteOptions()).put(str(tmp_path / "x.zarr"), f"{bucket}/theirs/x.zarr", recursive=True)
    before, seen = lake.snapshots()[0].id, list[tuple[int, int | None]]()
    storage = lake.Storage.get(root=f"{bucket}/theirs")
    found = storage.register(progress=lambda done, total: seen.append((done, total)))
    assert sorted(a.key for a in found if a.format == "csv") == sorted(f"run {n % 3}/{n}.csv" for n in range(12))
    assert [a.key for a in found if a.format == "zarr"] == ["x.zarr"]
    assert lake.snapshots()[0].id == before + 1
    assert (seen[-1], Cache().used(), len(found)) == ((13, 13), 0, 13)
    assert {a.hash_kind for a in found} == {"md5", "etag-folder"}
    assert [a.uid for a in storage.register("run 1")] == [a.uid for a in found if a.key.startswith("run 1/")]


def test_files_that_are_not_what_they_are_called_keep_a_bucket_from_being_registered(
    lake: Instance, bucket: str
) -> None:
    put(bucket, "good.csv", b"a\n1\n")
    put(bucket, "bad.parquet", b"no parquet")
    with pytest.raises(InvalidFile, match=r"(?s)1 of 2 files.*bad\.parquet"):
        lake.Storage.get(root=f"{bucket}/theirs").register()
    assert lake.Artifact.filter().count() == 0


@pytest.mark.parametrize("suffix", [".parquet", ".h5ad"])
def test_other_content_is_found_out_where_only_ranges_are_read(
    lake: Instance, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(whereabouts, "_SMALL", 1_000)  # what is larger is opened where it lies
    contents = [content(suffix, number, tmp_path / f"{number}{suffix}") for number in (1, 2)]
    assert len(contents[0]) == len(contents[1]) > 1_000
    found = lake.Artifact(put(bucket, f"x{suffix}", contents[0])).save()
    assert found.hash_kind == "md5"
    with found.open():
        assert Cache().used() == 0
    put(bucket, f"x{suffix}", contents[1])
    for read in (found.open, found.describe, found.load):
        with pytest.raises(DataLoss, match=r"other content.*version 0"):
            read()
    newer = lake.Artifact(f"{bucket}/theirs/x{suffix}").save()
    assert newer.version == 1
    with newer.open():
        assert Cache().used() == 0


def content(suffix: str, number: int, path: Path) -> bytes:
    """Return a file of one size whatever the number that its values begin with."""
    values = np.arange(5_000, dtype="i8") + number
    if suffix == ".parquet":
        pq.write_table(pa.table({"x": values}), path, compression="none", use_dictionary=False)
    else:
        ad.AnnData(values.reshape(-1, 1).astype("f4")).write_h5ad(path)
    return path.read_bytes()
