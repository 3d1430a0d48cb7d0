"""One set of options for all libraries that reach a store; what they take, as their documentation says."""

from __future__ import annotations

import pytest

from formats.account_azure import AzureAccount
from formats.remote import RemoteOptions, filesystem, scrubbed
from formats.storage import Storage
from lakehouse.errors import ConfigurationError

KEY = "c2VjcmV0"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


def test_a_connection_string_of_azure_reaches_the_libraries_that_know_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = f"DefaultEndpointsProtocol=http;AccountName=lab;AccountKey={KEY}==;BlobEndpoint=http://127.0.0.1:1/lab/;"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", stated)
    assert RemoteOptions().object_store("az") == {
        "azure_storage_account_name": "lab",
        "azure_storage_account_key": f"{KEY}==",
        "azure_storage_endpoint": "http://127.0.0.1:1/lab",
        "allow_http": "true",
    }
    assert RemoteOptions().tiledb("abfs") == {
        "vfs.azure.storage_account_name": "lab",
        "vfs.azure.storage_account_key": f"{KEY}==",
        "vfs.azure.blob_endpoint": "http://127.0.0.1:1/lab",
    }
    assert KEY not in repr(AzureAccount.found())
    assert scrubbed(f"bad: {stated}") == f"bad: {stated.replace(KEY + '==', '…')}"


def test_the_account_in_a_root_of_azure_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "lab")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=abc")
    root = "abfs://box@other.dfs.core.windows.net/x"
    assert RemoteOptions().tiledb("abfs", root=root) == {
        "vfs.azure.storage_account_name": "other",
        "vfs.azure.storage_sas_token": "sv=1&sig=abc",
        "vfs.azure.blob_endpoint": "https://other.blob.core.windows.net",
    }
    assert filesystem(root, RemoteOptions()).account_name == "other"
    assert filesystem("abfs://box/x", RemoteOptions()).account_name == "lab"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", f"AccountName=lab;AccountKey={KEY}")
    with pytest.raises(ConfigurationError, match="names the account 'other'"):
        filesystem(root, RemoteOptions())


def test_azure_without_an_account_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="set AZURE_STORAGE_CONNECTION_STRING"):
        Storage("az://box/x").exists("y")


def test_google_is_reached_as_tiledb_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RemoteOptions().tiledb("gs") == {}
    assert RemoteOptions(anonymous=True).tiledb("gs") == {"vfs.gcs.endpoint": "https://storage.googleapis.com"}
    assert RemoteOptions(anonymous=True).fsspec("gs")["token"] == "anon"
