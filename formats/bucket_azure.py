"""Containers of Azure Blob Storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from formats.bucket import Bucket, Refused
from formats.remote import RemoteOptions, filesystem, reaching
from lakehouse.errors import NotFound

__all__ = ["AzureBucket"]

_TOLD = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_ID")


class AzureBucket(Bucket):
    """A prefix in a container of an Azure storage account, whose tags are entity tags."""

    _ANOTHER_TAG = '"0x8D0000000000000"'

    def _got(self, name: str) -> tuple[bytes, str, int | None]:
        with self.reaching(name):
            found = self.blob(name).download_blob()
            return found.readall(), str(found.properties.etag), int(found.size)

    def look(self) -> None:
        """Ask for one name below the prefix, whether there is one or not; raises ``NotFound`` without the container."""
        with self.reaching(""):
            next(iter(self._container.list_blobs(name_starts_with=self._split("")[1], results_per_page=1)), None)

    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""
        try:
            with self.reaching(name):
                return int(self.blob(name).get_blob_properties().size)
        except NotFound:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Store an object, whatever is there."""
        with self.reaching(name, writing=True):
            self.blob(name).upload_blob(data, overwrite=True)

    def _put_if(self, name: str, data: bytes, tag: str | None) -> None:
        from azure.core import MatchConditions

        condition = {"etag": tag, "match_condition": MatchConditions.IfNotModified} if tag is not None else {}
        with self.reaching(name, writing=True):
            self.blob(name).upload_blob(data, overwrite=tag is not None, **condition)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        try:
            with self.reaching(name, writing=True):
                self.blob(name).delete_blob()
        except NotFound:
            pass

    def _listed(self, after: str) -> Iterator[str]:
        _, prefix = self._split("")
        with self.reaching(""):
            for found in self._container.walk_blobs(name_starts_with=prefix, delimiter="/"):
                name = found.name[len(prefix) :]
                if name > after and not name.endswith("/"):
                    yield name

    @property
    def _container(self) -> Any:
        return _container(os.getpid(), self.root.partition("://")[0], self._split("")[0], self.options, *_told())

    def blob(self, name: str) -> Any:
        """Return a client of one blob."""
        return self._container.get_blob_client(self._split(name)[1])

    @contextmanager
    def reaching(self, name: str, *, writing: bool = False) -> Iterator[None]:
        """Say what the client raises as other clients do."""
        with reaching(self.uri(name), writing=writing):
            try:
                yield
            except Exception as error:
                if (status := getattr(error, "status_code", None)) in (409, 412):
                    raise Refused(f"{self.uri(name)}: the condition does not hold") from None
                if status == 404:
                    raise FileNotFoundError(str(error)) from None
                if status in (401, 403):
                    raise PermissionError(str(error)) from None
                raise


def _told() -> tuple[str | None, ...]:
    return tuple(map(os.environ.get, _TOLD))


@lru_cache(maxsize=16)
def _container(pid: int, scheme: str, holder: str, options: RemoteOptions, *told: str | None) -> Any:
    """Return a client for one process, with the credentials that adlfs finds; the holder may name the account, too."""
    known, container = filesystem(f"{scheme}://{holder}", options), holder.partition("@")[0]
    from azure.storage.blob import ContainerClient

    if known.connection_string:
        return ContainerClient.from_connection_string(known.connection_string, container)
    secret = known.account_key or known.sas_token or known.sync_credential
    return ContainerClient(known.account_url, container, credential=secret)
