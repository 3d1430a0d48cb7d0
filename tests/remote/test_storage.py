"""Storages in a bucket, on a web server, and what goes wrong between."""

from __future__ import annotations

import functools
import http.server
import json
import logging
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats import transfer
from formats.cache import Cache
from formats.folders import read_folder
from formats.hashing import hash_bytes
from formats.remote import RemoteOptions, check_url, filesystem
from formats.storage import Storage
from lakehouse.errors import (
    ConfigurationError,
    InvalidFile,
    InvalidKey,
    LakehouseError,
    MissingExtra,
    NotFound,
    ReadOnly,
    Unavailable,
    Unsupported,
)
from tests.remote.store import Proxy

DATA = b"some bytes"
HASH = hash_bytes(DATA)
PATH = f"objects/{HASH[:2]}/{HASH}.bin"


def test_bytes_come_back_under_their_hash(bucket: str) -> None:
    storage = Storage(f"{bucket}/a prefix/")
    assert storage.root == f"{bucket}/a prefix"
    assert storage.put_object(HASH, ".bin", DATA) == PATH
    assert storage.exists(PATH)
    assert storage.exists("objects")
    assert (storage.size(PATH), storage.holds(PATH, len(DATA)), storage.holds(PATH, 1)) == (len(DATA), True, False)
    with storage.open(PATH) as file:
        assert file.read() == DATA
    assert storage.local_path(PATH).read_bytes() == DATA
    assert storage.local_path(PATH).suffix == ".bin"
    assert list(storage.list()) == list(storage.list("objects")) == [PATH]
    assert storage.relative(storage.uri(PATH)) == PATH
    storage.remove(PATH)
    assert not storage.exists(PATH)
    with pytest.raises(NotFound):
        storage.size(PATH)
    with pytest.raises(NotFound):
        storage.open("absent")


def test_odd_names_keep_to_themselves(bucket: str) -> None:
    fs = filesystem(bucket, RemoteOptions())
    storage = Storage(bucket)
    for name in ("a b/50%.txt", "naïve #1.csv", "plus+equals=.txt", "star*[x].txt"):
        fs.call_s3("put_object", Bucket=bucket.partition("://")[2], Key=name, Body=name.encode())
        assert storage.local_path(name).read_bytes() == name.encode()
    assert len(list(storage.list())) == 4


def test_names_that_climb_are_refused_and_make_no_folder_outside(bucket: str, machine: Path) -> None:
    fs = filesystem(bucket, RemoteOptions())
    for name in ("x.bundle/a", "x.bundle/../../../../climbed/b"):
        fs.call_s3("put_object", Bucket=bucket.partition("://")[2], Key=name, Body=b"1")
    with pytest.raises(LakehouseError):
        Storage(bucket).local_path("x.bundle")
    assert not list(machine.rglob("climbed"))


def test_a_copy_is_not_fetched_again(bucket: str, proxy: Proxy) -> None:
    storage = Storage(bucket)
    storage.put_object(HASH, ".bin", DATA)
    storage.local_path(PATH)
    before = len(proxy.log)
    assert storage.local_path(PATH).read_bytes() == DATA
    assert len(proxy.log) == before


def test_a_file_that_is_not_ours_is_fetched_again_when_it_changed(bucket: str) -> None:
    storage, name = Storage(bucket), bucket.partition("://")[2]
    fs = filesystem(bucket, RemoteOptions())
    for content in (b"one", b"two"):
        fs.call_s3("put_object", Bucket=name, Key="theirs.txt", Body=content)
        assert storage.local_path("theirs.txt").read_bytes() == content


def test_a_large_file_is_streamed_and_one_that_changed_leaves_nothing(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PART", 5 * 2**20)
    data = bytes(range(256)) * 50_000  # 12.8 MB: several parts
    source = tmp_path / "large.bin"
    source.write_bytes(data)
    storage, seen = Storage(bucket), []
    path = storage.put_object(hash_bytes(data), ".bin", source, progress=lambda done, total: seen.append((done, total)))
    assert storage.local_path(path).read_bytes() == data
    assert seen[-1] == (len(data), len(data))
    with pytest.raises(InvalidFile, match="changed"):
        storage.put_object(hash_bytes(b"other"), ".bin", source)
    assert list(storage.list()) == [path]
    pending = filesystem(bucket, RemoteOptions()).call_s3("list_multipart_uploads", Bucket=bucket.partition("://")[2])
    assert not pending.get("Uploads")


def test_a_folder_is_stored_and_comes_back_whole(bucket: str, tmp_path: Path) -> None:
    top = tmp_path / "x.zarr"
    (top / "c" / "0").mkdir(parents=True)
    (top / "zarr.json").write_bytes(b"{}")
    (top / "c" / "0" / "1").write_bytes(DATA)
    folder, storage = read_folder(top), Storage(bucket)
    path = storage.put_folder(folder, ".zarr")
    assert storage.holds_folder(path, folder.size, folder.n_files)
    found = storage.local_path(path)
    assert found.suffix == ".zarr"
    assert read_folder(found).hash == folder.hash
    storage.remove(f"{path}/zarr.json")
    assert not storage.holds_folder(path, folder.size, folder.n_files)
    assert storage.put_folder(folder, ".zarr") == path
    assert storage.holds_folder(path, folder.size, folder.n_files)


def test_a_bucket_that_is_absent_or_closed_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="no-such-bucket"):
        Storage("s3://no-such-bucket/x").put_object(HASH, "", DATA)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="try again"):
        Storage(bucket).exists("x")


def test_missing_credentials_are_said_with_the_choices(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match=r"AWS_PROFILE.*anonymous=True"):
        Storage(bucket).exists("x")
    assert not Storage(bucket, options=RemoteOptions(anonymous=True)).exists("x")


def test_a_profile_serves_fsspec_and_delta_alike(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    (machine / "aws-config").write_text("[profile lab]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9000\n")
    (machine / "aws-credentials").write_text("[lab]\naws_access_key_id = A\naws_secret_access_key = B\n")
    options = RemoteOptions(profile="lab")
    delta = options.object_store()
    assert (delta["AWS_ACCESS_KEY_ID"], delta["AWS_REGION"]) == ("A", "eu-west-1")
    assert delta["AWS_ENDPOINT_URL"] == options.fsspec()["endpoint_url"] == "http://127.0.0.1:9000"
    assert options.tiledb()["vfs.s3.endpoint_override"] == "127.0.0.1:9000"


# -- secrets ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "root",
    [
        "s3://KEY:SECRET@bucket/x",
        "s3://bucket/x?X-Amz-Signature=SECRET",
        "https://me:SECRET@host/x",
        "https://host/x?sig=SECRET",
        "abfs://me:SECRET@account.dfs.core.windows.net/x",
        "http://169.254.169.254/latest",
        "http://169.254.169.254.:80/latest",
        "http://2852039166/latest",
        "http://0xA9FEA9FE/latest",
        "http://0251.0376.0251.0376/latest",
        "http://169.254.43518/latest",
        "http://[::ffff:169.254.169.254]/latest",
        "http://[fe80::1%25eth0]/latest",
        "http://[fd00:ec2::254]/latest",
        "https://METADATA.google.internal/latest",
        "s3://bucket/../x",
        "s3:///x",
    ],
)
def test_a_root_with_a_secret_or_without_a_place_is_refused(root: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        Storage(root)
    assert "SECRET" not in str(caught.value)


def test_a_container_of_an_account_is_a_root() -> None:
    assert check_url("abfs://box@account.dfs.core.windows.net/x/") == "abfs://box@account.dfs.core.windows.net/x"


def test_an_endpoint_with_a_password_is_refused_wherever_it_comes_from(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:SECRET@127.0.0.1:9000")
    with pytest.raises(ConfigurationError, match="endpoint") as caught:
        Storage(bucket).exists("x")
    assert "me:" not in str(caught.value)


def test_secrets_show_nowhere(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    storage = Storage(bucket)
    storage.put_object(HASH, ".bin", DATA)
    with pytest.raises(NotFound) as caught:
        storage.open("absent")
    shown = [repr(storage), str(caught.value), repr(vars(storage)), repr(RemoteOptions()), caplog.text]
    shown.append(filesystem(bucket, RemoteOptions()).to_json())
    assert not any("SECRETOFTHETESTS" in text for text in shown)
    assert b"SECRETOFTHETESTS" not in pickle.dumps(storage)
    storage.local_path(PATH)
    assert pickle.loads(pickle.dumps(storage)).local_path(PATH).read_bytes() == DATA


@pytest.mark.parametrize(
    ("root", "package", "extra"), [("gs://bucket/x", "gcsfs", "gcs"), ("az://box/x", "adlfs", "azure")]
)
def test_a_missing_extra_is_named_with_the_command(
    root: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.setenv("AWS_PROFILE", f"without-{extra}")  # a client of its own
    with pytest.raises(MissingExtra, match=rf'pip install "lakehouse-toolkit\[{extra}\]"'):
        Storage(root).exists("x")


# -- faults -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("action", ["before", "after", "dropped", "slow", "throttled"])
def test_a_put_that_stumbles_is_made_good(bucket: str, proxy: Proxy, action: str) -> None:
    rule = proxy.rule(action, method="PUT", path="objects/")
    storage = Storage(bucket)
    path = storage.put_object(HASH, ".bin", DATA)
    assert rule.seen == 1
    assert storage.local_path(path).read_bytes() == DATA


def test_a_put_that_never_arrives_is_said(bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    proxy.rule("before", method="PUT", path="objects/", times=1_000)
    with pytest.raises(Unavailable):
        Storage(bucket).put_object(HASH, ".bin", DATA)
    assert not Storage(bucket).exists(PATH)


def test_half_a_body_never_becomes_a_copy(bucket: str, proxy: Proxy, machine: Path) -> None:
    storage = Storage(bucket)
    storage.put_object(HASH, ".bin", DATA)
    proxy.rule("truncated", method="GET", path="objects/")
    assert storage.local_path(PATH).read_bytes() == DATA


def test_other_bytes_under_a_hash_are_refused(bucket: str) -> None:
    storage = Storage(bucket)
    storage.put_object(HASH, ".bin", DATA)
    filesystem(bucket, RemoteOptions()).call_s3(
        "put_object", Bucket=bucket.partition("://")[2], Key=PATH, Body=b"SOME BYTES"
    )
    with pytest.raises(Unavailable, match="damaged"):
        storage.local_path(PATH)
    assert Cache().used() == 0


# -- web servers ------------------------------------------------------------------------------------------------------
class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site(tmp_path: Path, machine: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server_is_read_and_never_written(site: tuple[str, Path]) -> None:
    root, folder = site
    Storage(folder).put_object(HASH, ".bin", DATA)
    (folder / "a file #1.json").write_text(json.dumps({"a": 1}))
    storage = Storage(root)
    assert storage.exists(PATH)
    assert storage.size(PATH) == len(DATA)
    assert storage.local_path(PATH).read_bytes() == DATA
    assert json.loads(storage.local_path("a file #1.json").read_text()) == {"a": 1}
    with pytest.raises(NotFound):
        storage.local_path("absent.txt")
    for refused in (lambda: storage.put_object(HASH, ".bin", DATA), lambda: storage.remove(PATH)):
        with pytest.raises(ReadOnly):
            refused()
    with pytest.raises(Unsupported, match="cannot list"):
        list(storage.list())


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "//2852039166/latest"])
def test_a_server_that_points_to_the_machines_own_network_is_not_followed(
    site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def redirect(self: _Quiet) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    monkeypatch.setattr(_Quiet, "do_GET", redirect)
    root = site[0]
    with pytest.raises(InvalidKey, match="own network"):
        filesystem(root, RemoteOptions()).cat_file(f"{root}/a.json")
    for look in (Storage(root).local_path, Storage(root).exists, Storage(root).size):
        with pytest.raises(InvalidKey, match="own network"):
            look("a.json")


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_a_name_that_leads_to_the_machines_own_network_is_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def looked_up(host: str, port: int, *_: object, **__: object) -> list[object]:  # no name server is ours to fill
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        place = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, socket.SOCK_STREAM, 6, "", place)]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    storage = Storage(f"http://name-{address[-3:].strip(':')}.example.org/data")
    with pytest.raises(InvalidKey, match=r"example\.org leads to .*own network"):
        storage.local_path("a.json")


def test_a_web_server_that_is_away_denies_or_fails_has_not_lost_its_files(
    site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(self: _Quiet) -> None:
        self.send_error(int(self.path[1:4]))

    monkeypatch.setattr(_Quiet, "do_GET", answer)
    monkeypatch.setattr(_Quiet, "do_HEAD", answer)
    storage = Storage(site[0])
    assert not storage.exists("404.json")
    with pytest.raises(NotFound):
        storage.local_path("410.json")
    with pytest.raises(Unavailable, match="denied"):
        storage.local_path("403.json")
    for look in (storage.local_path, storage.exists, storage.size):
        with pytest.raises(Unavailable, match="503"):
            look("503.json")
    with pytest.raises(Unavailable):
        Storage("http://127.0.0.1:9").exists("a.json")


def test_a_server_that_points_elsewhere_is_followed(site: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root, folder = site
    (folder / "b.json").write_text("{}")
    plain = _Quiet.do_GET

    def redirect(self: _Quiet) -> None:
        if self.path != "/a.json":
            return plain(self)
        self.send_response(302)
        self.send_header("Location", "/b.json")
        self.end_headers()
        return None

    monkeypatch.setattr(_Quiet, "do_GET", redirect)
    monkeypatch.setattr(_Quiet, "do_HEAD", redirect)
    assert Storage(root).local_path("a.json").read_text() == "{}"
