"""Buckets of Google Cloud Storage, whose conditions are on the generation of an object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from formats.bucket import Bucket, Refused
from formats.remote import filesystem, reaching
from lakehouse.errors import NotFound

__all__ = ["GoogleBucket"]


class GoogleBucket(Bucket):
    """A prefix in a bucket of Google Cloud Storage, whose tags are generations.

    Requests and preconditions are those of its JSON interface: https://cloud.google.com/storage/docs/json_api
    """

    _ANOTHER_TAG = "1"

    def _got(self, name: str) -> tuple[bytes, str, int | None]:
        place = "{}/download/storage/v1/b/{}/o/{}"
        headers, data = self._call(name, "GET", place, alt="media")
        length = headers.get("Content-Length")
        return data, headers["x-goog-generation"], int(length) if length is not None else None

    def look(self) -> None:
        """Ask for one name below the prefix, whether there is one or not; raises ``NotFound`` without the bucket."""
        prefix = self._split("")[1]
        self._call("", "GET", "{}/storage/v1/b/{}/o", json_out=True, prefix=prefix, maxResults=1)

    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""
        try:
            return int(self._call(name, "GET", "{}/storage/v1/b/{}/o/{}", json_out=True)["size"])
        except NotFound:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Store an object, whatever is there."""
        self._upload(name, data)

    def _put_if(self, name: str, data: bytes, tag: str | None) -> None:
        self._upload(name, data, ifGenerationMatch="0" if tag is None else tag)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        try:
            self._call(name, "DELETE", "{}/storage/v1/b/{}/o/{}", writing=True)
        except NotFound:
            pass

    def _listed(self, after: str) -> Iterator[str]:
        _, prefix = self._split("")
        given: dict[str, Any] = {"prefix": prefix, "delimiter": "/", "startOffset": prefix + after}
        while True:
            page = self._call("", "GET", "{}/storage/v1/b/{}/o", json_out=True, **given)
            names = (item["name"][len(prefix) :] for item in page.get("items", ()))
            yield from (name for name in names if name > after)  # the offset itself is listed, too
            if not (token := page.get("nextPageToken")):
                return
            given["pageToken"] = token

    def _upload(self, name: str, data: bytes, **condition: str) -> None:
        kind = {"Content-Type": "application/octet-stream"}
        given = {"uploadType": "media", "name": self._split(name)[1], **condition}
        self._call(name, "POST", "{}/upload/storage/v1/b/{}/o", writing=True, data=data, headers=kind, **given)

    def _call(self, name: str, method: str, path: str, /, *, writing: bool = False, **given: Any) -> Any:
        """Make one request about an object (or the bucket) with the credentials and retries of gcsfs."""
        fs, (bucket, key) = filesystem(self.root, self.options), self._split(name)
        with self._reaching(name, writing=writing):
            return fs.call(method, path.format(fs._location, quote(bucket, safe=""), quote(key, safe="")), **given)

    @contextmanager
    def _reaching(self, name: str, *, writing: bool) -> Iterator[None]:
        """Say what the client raises as other clients do."""
        with reaching(self.uri(name), writing=writing):
            try:
                yield
            except FileExistsError:  # what gcsfs makes of a precondition that failed
                raise Refused(f"{self.uri(name)}: the condition does not hold") from None
            except OSError as error:
                if str(error).startswith("Forbidden"):
                    raise PermissionError(str(error)) from None
                raise
