"""What a lake asks of a bucket beyond storing files: conditional writes, and listings that begin after a name.

Everything is one request, so that what another writer sees is never half of it. A reply may be lost: a plain put is
then simply made again, and a conditional one that finds its own bytes there has succeeded.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from formats.remote import RemoteOptions, check_url, filesystem, reaching
from lakehouse.errors import NotFound, Unavailable, Unsupported

__all__ = ["Bucket"]

_REFUSED = (409, 412)


@dataclass(frozen=True)
class Bucket:
    """A prefix in a bucket of an S3-compatible store.

    Parameters
    ----------
    root
        ``s3://bucket/prefix``.
    options
        How it is reached.
    """

    root: str
    options: RemoteOptions = field(default_factory=RemoteOptions)

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_url(self.root))

    def below(self, *names: str) -> Bucket:
        """Return a prefix inside this one."""
        return Bucket("/".join([self.root, *names]), self.options)

    def uri(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self.root}/{name}"

    def get(self, name: str) -> tuple[bytes, str]:
        """Return an object's bytes and its tag; raises ``NotFound``."""
        for attempt in (1, 2, 3):
            data, tag, length = self._got(name)
            if length is None or len(data) == length:
                return data, tag
            if attempt == 3:
                raise Unavailable(f"{self.uri(name)} arrives cut off: {len(data)} of {length} bytes; try again")
        raise AssertionError

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

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a local file; raises ``NotFound``."""
        target.write_bytes(self.get(name)[0])

    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""
        try:
            return int(self._call("head_object", name)["ContentLength"])
        except NotFound:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Store an object, whatever is there."""
        self._call("put_object", name, writing=True, Body=data)

    def put_if(self, name: str, data: bytes, tag: str | None) -> bool:
        """Store an object if the one that is there has this tag (None: if none is there); False if it has not."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            self._call("put_object", name, writing=True, Body=data, **condition)
        except _Refused:
            with suppress(NotFound):  # the reply to our own first attempt may have been lost
                return self.get(name)[0] == data
            return False
        except NotFound:  # the one that was to be replaced is gone
            if tag is None:
                raise
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        self._call("delete_object", name, writing=True)

    def names(self, after: str = "") -> list[str]:
        """Return the names of the objects directly below the prefix that sort after a text, sorted."""
        return sorted(self._listed(after))

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

    def refuse_unconditional(self) -> None:
        """Find out whether the store honours conditional writes.

        Raises
        ------
        Unsupported
            When it does not: two writers would overwrite each other's commits.
        """
        _probe(Bucket(self.root, self.options.found()))

    def probe(self) -> bool:
        """Tell whether the store refuses a put whose condition does not hold."""
        name = f".probe-{secrets.token_hex(8)}"
        try:
            first = self.put_if(name, b"1", None)
            second = self.put_if(name, b"2", None)
            third = self.put_if(name, b"3", '"00000000000000000000000000000000"')
            return first and not second and not third
        finally:
            self.remove(name)

    @property
    def _fs(self) -> Any:
        return filesystem(self.root, self.options)

    def _split(self, name: str) -> tuple[str, str]:
        bucket, _, prefix = self.root.partition("://")[2].partition("/")
        return bucket, f"{prefix}/{name}" if prefix else name

    def _named(self, name: str) -> dict[str, str]:
        bucket, key = self._split(name)
        return {"Bucket": bucket, "Key": key}

    def _call(self, method: str, name: str, *, writing: bool = False, **given: Any) -> dict[str, Any]:
        with reaching(self.uri(name), writing=writing):
            try:
                reply: dict[str, Any] = self._fs.call_s3(method, **self._named(name), **given)
            except Exception as error:
                if _status(error) in _REFUSED:
                    raise _Refused(f"{self.uri(name)}: the condition does not hold") from None
                raise
        return reply


class _Refused(Unavailable):
    """A condition did not hold, or another writer was at the same object."""


def _status(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of a client."""
    for found in (error, error.__cause__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return status
    return None


@lru_cache(maxsize=64)
def _probe(place: Bucket) -> None:
    """Probe once per place and process; what fails is asked again."""
    if not place.probe():
        raise Unsupported(
            f"the store of {place.root} ignores conditional writes (If-None-Match), so that two writers would overwrite "
            "each other's commits. Choose: a store that honours them (AWS S3, MinIO, Ceph, R2), or an instance in a "
            "local folder whose artifacts lie there with Storage(root=...)"
        )
