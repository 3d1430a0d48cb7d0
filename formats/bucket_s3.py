"""Buckets of S3 and of stores that speak its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from formats.bucket import Bucket, Refused
from formats.remote import filesystem, reaching
from lakehouse.errors import NotFound

__all__ = ["S3Bucket"]

_REFUSED = (409, 412)


class S3Bucket(Bucket):
    """A prefix in a bucket of an S3-compatible store, whose tags are entity tags."""

    _ANOTHER_TAG = '"00000000000000000000000000000000"'

    def resolved(self) -> Bucket:
        """Return the same place with what environment and profile say of it."""
        return S3Bucket(self.root, self.options.found())

    def _got(self, name: str) -> tuple[bytes, str, int | None]:
        from fsspec.asyn import sync

        fs = self._fs

        async def fetch() -> tuple[bytes, str, int | None]:
            reply = await fs._call_s3("get_object", **self._named(name))
            async with reply["Body"] as body:
                return await body.read(), reply["ETag"], reply.get("ContentLength")

        with reaching(self.uri(name)):
            found: Any = sync(fs.loop, fetch)
        data, tag, length = found
        return data, tag, length

    def look(self) -> None:
        """Ask for one name below the prefix, whether there is one or not; raises ``NotFound`` without the bucket."""
        bucket, prefix = self._split("")
        with reaching(self.root):
            self._fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)

    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""
        try:
            return int(self._call("head_object", name)["ContentLength"])
        except NotFound:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Store an object, whatever is there."""
        self._call("put_object", name, writing=True, Body=data)

    def _put_if(self, name: str, data: bytes, tag: str | None) -> None:
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        self._call("put_object", name, writing=True, Body=data, **condition)

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._call("delete_object", name, writing=True)

    def _listed(self, after: str) -> Iterator[str]:
        bucket, prefix = self._split("")
        given: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/"}
        if after:
            given["StartAfter"] = prefix + after
        while True:
            with reaching(self.root):
                page = self._fs.call_s3("list_objects_v2", **given)
            yield from (item["Key"][len(prefix) :] for item in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            given["ContinuationToken"] = page["NextContinuationToken"]

    @property
    def _fs(self) -> Any:
        return filesystem(self.root, self.options)

    def _named(self, name: str) -> dict[str, str]:
        bucket, key = self._split(name)
        return {"Bucket": bucket, "Key": key}

    def _call(self, method: str, name: str, *, writing: bool = False, **given: Any) -> dict[str, Any]:
        with reaching(self.uri(name), writing=writing):
            try:
                reply: dict[str, Any] = self._fs.call_s3(method, **self._named(name), **given)
            except Exception as error:
                if _status(error) in _REFUSED:
                    raise Refused(f"{self.uri(name)}: the condition does not hold") from None
                raise
        return reply


def _status(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of a client."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status
    return None
