"""One S3 process for all tests of a worker; a bucket, a cache and an environment for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.remote import RemoteOptions, filesystem
from tests.remote.azure import AzuriteProcess
from tests.remote.google import GoogleProcess
from tests.remote.store import Proxy, S3Process

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Process]:
    process = S3Process()
    yield process
    process.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with credentials and folders of its own."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "LAKEHOUSE_INSTANCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEYOFTHETESTS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETOFTHETESTS")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "aws-credentials"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def bucket(s3: S3Process, machine: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket; the environment names its store."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    root = f"s3://bucket-{next(_numbers)}"
    filesystem(root, RemoteOptions()).call_s3("create_bucket", Bucket=root.partition("://")[2])
    return root


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteProcess]:
    process = AzuriteProcess()
    yield process
    process.close()


@pytest.fixture
def azure(azurite: AzuriteProcess, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account of Azure, which the environment names."""
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def google_store() -> Iterator[GoogleProcess]:
    process = GoogleProcess()
    yield process
    process.close()


@pytest.fixture
def google(google_store: GoogleProcess, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that speaks Google's protocol, which the environment names."""
    for name, value in google_store.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def plain_google(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same with nothing added to the emulator, so that it ignores conditions."""
    process = GoogleProcess("--plain")
    for name, value in process.environment().items():
        monkeypatch.setenv(name, value)
    yield
    process.close()


@pytest.fixture(scope="session")
def _between(s3: S3Process) -> Iterator[Proxy]:
    between = Proxy(s3.port)
    yield between
    between.close()


@pytest.fixture
def proxy(_between: Proxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of the store, which the environment names instead."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _between.endpoint)
    yield _between
    _between.forget()
