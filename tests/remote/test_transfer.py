"""Large files on their way: in parts, several at once, taken up after a break, checked at the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from formats import transfer
from formats.cache import Cache
from formats.folders import read_folder
from formats.hashing import hash_bytes
from formats.remote import RemoteOptions, filesystem
from formats.storage import Storage
from lakehouse.errors import InvalidFile, Unavailable
from registries.instance import Instance
from tests.remote.store import Proxy

DATA = bytes(range(256)) * 75_000  # 19.2 MB
HASH = hash_bytes(DATA)
PART = 5 << 20
PARTS = 4


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PART", PART)
    monkeypatch.setattr(transfer, "THREADS", 2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up at once."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def told() -> tuple[list[tuple[int, int | None]], Callable[[int, int | None], None]]:
    seen: list[tuple[int, int | None]] = []
    return seen, lambda done, total: seen.append((done, total))


def uploads(bucket: str) -> list[str]:
    fs, name = filesystem(bucket, RemoteOptions()), bucket.partition("://")[2]
    return [one["Key"] for one in fs.call_s3("list_multipart_uploads", Bucket=name).get("Uploads", ())]


def copy(storage: Storage, path: str, **given: object) -> Path:
    return storage.local_path(path, size=len(DATA), **given)  # type: ignore[arg-type]


def test_a_large_file_goes_and_comes_in_parts_and_says_how_far_it_is(bucket: str, proxy: Proxy, source: Path) -> None:
    storage, (seen, progress) = Storage(bucket), told()
    path = storage.put_object(HASH, ".bin", source, progress=progress)
    assert proxy.count("PUT", "partNumber=") == PARTS
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)
    assert len(set(seen)) >= PARTS
    seen.clear()
    assert copy(storage, path, progress=progress).read_bytes() == DATA
    assert proxy.count("GET", r"/objects/.*\.bin$") == PARTS
    assert seen[-1] == (len(DATA), len(DATA))
    assert len(set(seen)) >= PARTS


@pytest.mark.parametrize("action", ["before", "after", "dropped", "throttled"])
def test_a_part_that_stumbles_is_sent_again_alone(bucket: str, proxy: Proxy, source: Path, action: str) -> None:
    proxy.rule(action, method="PUT", path="partNumber=3")
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)
    assert PARTS < proxy.count("PUT", "partNumber=") <= PARTS + 2
    assert copy(storage, path).read_bytes() == DATA
    assert uploads(bucket) == []


@pytest.mark.parametrize("action", ["before", "dropped", "throttled", "truncated"])
def test_a_part_that_does_not_arrive_is_fetched_again_alone(
    bucket: str, proxy: Proxy, source: Path, action: str
) -> None:
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)
    proxy.rule(action, method="GET", path=r"/objects/.*\.bin$", times=2)
    assert copy(storage, path).read_bytes() == DATA
    assert PARTS < proxy.count("GET", r"/objects/.*\.bin$") <= PARTS + 4


def test_an_upload_that_broke_off_is_taken_up_with_the_parts_that_arrived(
    bucket: str, proxy: Proxy, source: Path, hasty: None
) -> None:
    storage = Storage(bucket)
    proxy.rule("before", method="PUT", path="partNumber=4", times=1_000)
    with pytest.raises(Unavailable):
        storage.put_object(HASH, ".bin", source)
    assert not list(storage.list())
    assert len(uploads(bucket)) == 1
    proxy.forget()
    path = storage.put_object(HASH, ".bin", source)
    assert proxy.count("PUT", "partNumber=") < PARTS
    assert uploads(bucket) == []
    assert copy(storage, path).read_bytes() == DATA


def test_parts_of_other_bytes_are_not_taken_for_those_of_the_file(bucket: str, source: Path) -> None:
    fs, name = filesystem(bucket, RemoteOptions()), bucket.partition("://")[2]
    key = f"objects/{HASH[:2]}/{HASH}.bin"
    begun = fs.call_s3("create_multipart_upload", Bucket=name, Key=key)["UploadId"]
    fs.call_s3("upload_part", Bucket=name, Key=key, UploadId=begun, PartNumber=2, Body=b"x" * PART)
    storage = Storage(bucket)
    assert copy(storage, storage.put_object(HASH, ".bin", source)).read_bytes() == DATA


def test_a_completion_whose_reply_was_lost_is_no_failure(bucket: str, proxy: Proxy, source: Path) -> None:
    proxy.rule("after", method="POST", path="uploadId=")
    storage = Storage(bucket)
    assert copy(storage, storage.put_object(HASH, ".bin", source)).read_bytes() == DATA


def test_a_file_that_changed_leaves_nothing_in_the_store(bucket: str, source: Path) -> None:
    storage = Storage(bucket)
    with pytest.raises(InvalidFile, match="changed"):
        storage.put_object(hash_bytes(b"other"), ".bin", source)
    assert (list(storage.list()), uploads(bucket)) == ([], [])


def test_a_download_that_broke_off_goes_on_with_what_is_missing(
    bucket: str, proxy: Proxy, source: Path, hasty: None
) -> None:
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)

    class Stop(KeyboardInterrupt): ...

    def stop(done: int, total: int | None) -> None:
        if done > len(DATA) // 3:
            raise Stop

    with pytest.raises(Stop):
        copy(storage, path, progress=stop)
    assert Cache().used() == 0
    proxy.forget()
    assert copy(Storage(bucket), path).read_bytes() == DATA
    assert proxy.count("GET", r"/objects/.*\.bin$") < PARTS


_FETCH = """
import sys
from formats import transfer
from formats.storage import Storage
transfer.PART = int(sys.argv[3])
Storage(sys.argv[1]).local_path(sys.argv[2], size=int(sys.argv[4]), progress=lambda done, total: print(done, flush=True))
"""


def test_a_download_whose_process_was_killed_is_finished_by_another(bucket: str, proxy: Proxy, source: Path) -> None:
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)
    proxy.rule("slow", method="GET", path=r"/objects/.*\.bin$", times=1_000)
    arguments = [sys.executable, "-c", _FETCH, bucket, path, str(PART), str(len(DATA))]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    proxy.forget()
    assert copy(storage, path).read_bytes() == DATA
    assert proxy.count("GET", r"/objects/.*\.bin$") < PARTS


def test_two_processes_fetch_a_large_file_once(bucket: str, proxy: Proxy, source: Path) -> None:
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)
    proxy.forget()
    arguments = [sys.executable, "-c", _FETCH, bucket, path, str(PART), str(len(DATA))]
    children = [subprocess.Popen(arguments, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
    assert proxy.count("GET", r"/objects/.*\.bin$") == PARTS


def test_a_part_that_was_changed_on_the_disk_meanwhile_is_found_out(bucket: str, source: Path) -> None:
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", source)

    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(storage, path, progress=stop)
    [draft] = [found for found in Cache().folder.glob("*/.tmp-*") if found.suffix == ""]
    with draft.open("r+b") as file:
        file.write(b"damaged")
    assert copy(storage, path).read_bytes() == DATA


def test_many_files_of_a_folder_go_side_by_side(bucket: str, proxy: Proxy, tmp_path: Path) -> None:
    top = tmp_path / "x.zarr"
    top.mkdir()
    for number in range(6):
        (top / f"{number}").write_bytes(b"%d" % number)
    (top / "large").write_bytes(DATA)
    storage, (seen, progress), folder = Storage(bucket), told(), read_folder(top)
    path = storage.put_folder(folder, ".zarr", progress=progress)
    assert seen[-1] == (folder.size, folder.size)
    assert read_folder(storage.local_path(path, size=folder.size)).hash == folder.hash
    assert proxy.most_at_once > 1


def test_a_vacuum_gives_up_uploads_that_nobody_went_on_with(
    bucket: str, proxy: Proxy, source: Path, hasty: None, tmp_path: Path
) -> None:
    proxy.rule("before", method="PUT", path="partNumber=3", times=99)
    fs, name = filesystem(bucket, RemoteOptions()), bucket.partition("://")[2]
    fs.call_s3("create_multipart_upload", Bucket=name, Key="cold/objects.of/others")
    with Instance.create(tmp_path / "lab") as lake:
        cold = lake.Storage(root=f"{bucket}/cold").save()
        with pytest.raises(Unavailable):
            lake.Artifact(source, storage=cold).save()
        begun = uploads(bucket)
        assert len(begun) == 2
        assert (lake.vacuum().uploads, uploads(bucket)) == (0, begun), "somebody may still be at it"
        lake.lake.options = replace(lake.lake.options, grace=0.0)
        assert (lake.vacuum(dry_run=True).uploads, uploads(bucket)) == (1, begun)
        assert (lake.vacuum().uploads, uploads(bucket)) == (1, ["cold/objects.of/others"])
        proxy.forget()
        assert lake.Artifact(source, storage=cold).save().load() == DATA


def test_a_bucket_that_cannot_be_reached_does_not_stop_a_vacuum(
    bucket: str, proxy: Proxy, hasty: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.rule("before", method="GET", path="uploads", times=99)
    with Instance.create(tmp_path / "lab") as lake:
        lake.Storage(root=f"{bucket}/cold").save()
        assert lake.vacuum().uploads == 0
    assert f"uploads that broke off in {bucket}/cold are not looked for" in caplog.text
