"""A storage is added after its store was asked: what is not there is refused, what may not be listed is told."""

from __future__ import annotations

import functools
import http.server
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.remote import RemoteOptions, filesystem
from lakehouse.cli import main
from lakehouse.errors import NotFound, ReadOnly, Unavailable
from registries.instance import Instance
from tests.remote.azure import PROGRAM
from tests.remote.store import Proxy

_azurite = pytest.mark.skipif(not PROGRAM.exists(), reason="azurite, which `make test` fetches with npm, is not here")
_numbers = itertools.count(1)


@pytest.fixture
def lake(tmp_path: Path, machine: Path) -> Iterator[Instance]:
    with Instance.create(tmp_path / "lab") as made:
        yield made


@pytest.fixture(params=["s3", pytest.param("az", marks=_azurite), "gs"])
def scheme(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue({"s3": "bucket", "az": "azure", "gs": "google"}[request.param])
    return str(request.param)


def test_a_bucket_that_is_not_there_is_no_storage_and_one_that_is_needs_nothing_in_it(
    scheme: str, lake: Instance
) -> None:
    name = f"asked-{scheme}-{next(_numbers)}"
    with pytest.raises(NotFound, match=rf"{name}.*(create|make) it.*or mend the name"):
        lake.Storage(root=f"{scheme}://{name}/below").save()
    assert lake.Storage.filter(root__contains=name).count() == 0
    fs = filesystem(f"{scheme}://{name}", RemoteOptions())
    fs.call_s3("create_bucket", Bucket=name) if scheme == "s3" else fs.mkdir(name)
    assert lake.Storage(root=f"{scheme}://{name}/below").save().kind == scheme


def test_a_storage_that_is_known_already_is_not_asked_again(bucket: str, proxy: Proxy, lake: Instance) -> None:
    first = lake.Storage(root=f"{bucket}/cold").save()
    proxy.forget()
    assert lake.Storage(root=f"{bucket}/cold/").save() == first
    assert proxy.log == []


def test_who_may_not_list_adds_a_storage_and_is_told(
    bucket: str, proxy: Proxy, lake: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.rule("denied", method="GET", path="list-type", times=99)
    cold = lake.Storage(root=f"{bucket}/cold").save()
    assert f"may not list {bucket}/cold" in caplog.text
    assert lake.Artifact(b"1", key="a.txt", storage=cold).save().load() == b"1"


def test_a_token_that_ended_and_a_store_out_of_reach_are_told_and_add_nothing(
    bucket: str, proxy: Proxy, lake: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    proxy.rule("expired", method="GET", path="list-type", times=99)
    with pytest.raises(Unavailable, match="expired"):
        lake.Storage(root=f"{bucket}/cold").save()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for root in (f"{bucket}/cold", "http://127.0.0.1:9/theirs"):
        with pytest.raises(Unavailable, match="cannot be reached"):
            lake.Storage(root=root).save()
    assert lake.Storage.filter(kind__ne="file").count() == 0


def test_the_command_says_what_is_not_there_and_registers_nothing(
    bucket: str, lake: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--instance", str(lake.root), "storage", "add", "s3://no-such-bucket"]) == 3
    assert "no-such-bucket" in capsys.readouterr().err
    assert lake.Storage.filter(kind="s3").count() == 0


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def list_directory(self, path: object) -> None:
        self.send_error(403 if "closed" in self.path else 404)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server with files that lists no folder."""
    (tmp_path / "site" / "closed").mkdir(parents=True)
    (tmp_path / "site" / "a.txt").write_text("1")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server_is_a_storage_to_read_and_never_the_default(
    site: str, lake: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = lake.Storage(root=site).save()
    assert lake.Storage(root=f"{site}/closed").save().kind == "http"
    assert lake.Artifact(f"{site}/a.txt").save().load() == b"1"
    with pytest.raises(ReadOnly, match=r"only read.*choose a folder or a bucket"):
        theirs.make_default()
    for refused in (["default", site], ["add", f"{site}/more", "--default"]):
        assert main(["--instance", str(lake.root), "storage", *refused]) == 1
        assert "only read" in capsys.readouterr().err
    assert lake.Storage.filter(role="default").count() == 0
    assert lake.Storage.filter(root=f"{site}/more").count() == 0
