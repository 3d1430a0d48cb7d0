"""Uploads to Azure and Google that broke off: the next one sends what is missing, and what arrives is whole."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from formats import transfer
from formats.bucket_azure import AzureBucket
from formats.cache import Cache
from formats.hashing import hash_bytes
from formats.remote import RemoteOptions, filesystem
from formats.storage import Storage
from formats.upload_google import upload as upload_google
from lakehouse.errors import InvalidFile, LakehouseError
from tests.remote.azure import PROGRAM, AzuriteProcess
from tests.remote.google import GoogleProcess
from tests.remote.store import Proxy

DATA = os.urandom(1 << 16) * 67  # 4.4 MB
HASH = hash_bytes(DATA)
PART = 1 << 20
_numbers = itertools.count(1)
_azurite = pytest.mark.skipif(not PROGRAM.exists(), reason="azurite, which `make test` fetches with npm, is not here")
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly")  # which gcsfs does

THIRD = {"az": "blockid=MDAwMDAz", "gs": "upload_id="}
"""The path of a request that sends a part, of Azure's the third one after the first."""


@pytest.fixture(params=[pytest.param("az", marks=_azurite), "gs"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def between(
    scheme: str, request: pytest.FixtureRequest, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """A proxy in front of a store, which the environment names."""
    process: Any = request.getfixturevalue({"az": "azurite", "gs": "google_store"}[scheme])
    assert isinstance(process, AzuriteProcess | GoogleProcess)
    made = Proxy(process.port)
    for name, value in process.environment().items():
        monkeypatch.setenv(name, value.replace(process.endpoint, made.endpoint))
    monkeypatch.setattr(transfer, "PART", PART)
    monkeypatch.setattr(transfer, "THREADS", 2)
    yield made
    made.close()


@pytest.fixture
def storage(between: Proxy, scheme: str) -> Storage:
    name = f"broken-{next(_numbers)}"
    filesystem(f"{scheme}://{name}", RemoteOptions()).mkdir(name)
    between.forget()
    return Storage(f"{scheme}://{name}/below")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(DATA)
    return path


def cut(between: Proxy, scheme: str, after: int = 0) -> None:
    """Let the store refuse a later part from now on, for good."""
    rule = between.rule("denied", method="PUT", path=THIRD[scheme], times=1_000)
    rule.skipped = after if scheme == "gs" else 0


def test_an_upload_that_broke_off_is_taken_up_with_what_arrived(
    storage: Storage, between: Proxy, scheme: str, source: Path
) -> None:
    cut(between, scheme, after=3)
    with pytest.raises(LakehouseError, match="denied") as caught:
        storage.put_object(HASH, ".bin", source)
    assert "upload_id=" not in str(caught.value).replace("upload_id=…", "")
    assert not list(storage.list())
    assert between.sent > 2 * PART
    between.forget()
    seen: list[int] = []
    path = storage.put_object(HASH, ".bin", source, progress=lambda done, total: seen.append(done))
    assert between.sent < len(DATA) - 2 * PART, "what had arrived was sent again"
    assert seen == sorted(seen) and seen[-1] == len(DATA)
    assert storage.local_path(path, size=len(DATA), hash=HASH).read_bytes() == DATA
    assert storage.known_hash(path) is None and not list((Cache().folder.parent / "uploads").glob("*"))


def test_another_process_takes_it_up_and_other_bytes_are_never_mixed_in(
    storage: Storage, between: Proxy, scheme: str, source: Path, tmp_path: Path
) -> None:
    cut(between, scheme, after=3)
    with pytest.raises(LakehouseError):
        storage.put_object(HASH, ".bin", source)
    between.forget()
    other = bytes(reversed(DATA))
    (tmp_path / "other.bin").write_bytes(other)
    there = Storage(storage.root)
    one, two = (
        there.put_object(hash_bytes(data), ".bin", path)
        for data, path in ((other, tmp_path / "other.bin"), (DATA, source))
    )
    assert there.local_path(one).read_bytes() == other
    assert there.local_path(two).read_bytes() == DATA


@pytest.mark.parametrize("action", ["after", "dropped"])
def test_a_part_whose_reply_is_lost_does_no_harm(
    storage: Storage, between: Proxy, scheme: str, source: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scheme == "az":
        monkeypatch.setattr("azure.storage.blob._shared.policies.ExponentialRetry.get_backoff_time", lambda *_: 0.01)
    between.rule(action, method="PUT", path=THIRD[scheme]).skipped = 2 if scheme == "gs" else 0
    path = storage.put_object(HASH, ".bin", source)
    assert storage.local_path(path, size=len(DATA), hash=HASH).read_bytes() == DATA


def test_a_file_that_changed_meanwhile_leaves_nothing_behind(storage: Storage, source: Path) -> None:
    with pytest.raises(InvalidFile, match="changed"):
        storage.put_object(hash_bytes(b"other"), ".bin", source)
    assert not list(storage.list())
    assert not list((Cache().folder.parent / "uploads").glob("*"))


@pytest.mark.parametrize("scheme", [pytest.param("az", marks=_azurite)], indirect=True)
def test_blocks_that_another_program_staged_are_no_hindrance(storage: Storage, source: Path) -> None:
    bucket, name = AzureBucket(storage.root), f"objects/{HASH[:2]}/{HASH}.bin"
    bucket.blob(name).stage_block("1", b"theirs")
    path = storage.put_object(HASH, ".bin", source)
    assert storage.local_path(path, size=len(DATA), hash=HASH).read_bytes() == DATA


@pytest.mark.parametrize("scheme", ["gs"], indirect=True)
def test_the_address_of_an_upload_is_kept_for_its_user_alone_and_begun_anew_when_it_is_over(
    storage: Storage, between: Proxy, scheme: str, source: Path
) -> None:
    cut(between, scheme, after=3)
    with pytest.raises(LakehouseError):
        storage.put_object(HASH, ".bin", source)
    [note] = (Cache().folder.parent / "uploads").iterdir()
    assert "upload_id=" in note.read_text() and stat.S_IMODE(note.stat().st_mode) == 0o600
    note.write_text(note.read_text() + "-that-is-over")
    between.forget()
    path = storage.put_object(HASH, ".bin", source)
    assert storage.local_path(path, size=len(DATA), hash=HASH).read_bytes() == DATA


@pytest.mark.parametrize("scheme", ["gs"], indirect=True)
def test_two_uploads_of_one_file_at_once_are_two_sessions(
    storage: Storage, between: Proxy, scheme: str, tmp_path: Path
) -> None:
    fs, address = filesystem(storage.root, RemoteOptions()), f"{storage.root}/twice.bin"

    def interrupted() -> Iterator[bytes]:
        yield DATA[: 2 * PART]
        upload_google(fs, address, iter([DATA]), len(DATA), tmp_path / "notes")
        yield DATA[2 * PART :]

    upload_google(fs, address, interrupted(), len(DATA), tmp_path / "notes")
    assert storage.local_path("twice.bin").read_bytes() == DATA
