"""What a lake asks of a bucket beyond storing files: conditional writes, and listings that begin after a name.

Everything is one request, so that what another writer sees is never half of it. A reply may be lost: a plain put is
then simply made again, and a conditional one that finds its own bytes there has succeeded.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from formats.remote import RemoteOptions, check_url
from lakehouse.errors import NotFound, Unavailable, Unsupported

__all__ = ["Bucket", "Refused"]


class Refused(Unavailable):
    """A condition did not hold, or another writer was at the same object."""


@dataclass(frozen=True)
class Bucket(ABC):
    """A prefix in a bucket of an object store.

    Parameters
    ----------
    root
        ``s3://bucket/prefix``, or that of another store.
    options
        How it is reached.
    """

    root: str
    options: RemoteOptions = field(default_factory=RemoteOptions)
    _ANOTHER_TAG: ClassVar[str]
    """A tag that no object has."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_url(self.root))

    # -- what each store does in its own way -----------------------------------------------------------------------
    @abstractmethod
    def _got(self, name: str) -> tuple[bytes, str, int | None]:
        """Return an object's bytes, its tag, and how many bytes were promised; raises ``NotFound``."""

    @abstractmethod
    def _put_if(self, name: str, data: bytes, tag: str | None) -> None:
        """Store an object on a condition; raises ``Refused``."""

    @abstractmethod
    def _listed(self, after: str) -> Iterable[str]:
        """Return the names directly below the prefix that sort after a text."""

    @abstractmethod
    def look(self) -> None:
        """Ask for one name below the prefix, whether there is one or not; raises ``NotFound`` without the bucket."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return an object's bytes, None when there is none."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Store an object, whatever is there."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""

    # -- what all of them share ------------------------------------------------------------------------------------
    def below(self, *names: str) -> Bucket:
        """Return a prefix inside this one."""
        return type(self)("/".join([self.root, *names]), self.options)

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

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a local file; raises ``NotFound``."""
        target.write_bytes(self.get(name)[0])

    def put_if(self, name: str, data: bytes, tag: str | None) -> bool:
        """Store an object if the one that is there has this tag (None: if none is there); False if it has not."""
        try:
            self._put_if(name, data, tag)
        except Refused:
            with suppress(NotFound):  # the reply to our own first attempt may have been lost
                return self.get(name)[0] == data
            return False
        except NotFound:  # the one that was to be replaced is gone
            if tag is None:
                raise
            return False
        return True

    def names(self, after: str = "") -> list[str]:
        """Return the names of the objects directly below the prefix that sort after a text, sorted."""
        return sorted(self._listed(after))

    def refuse_unconditional(self) -> None:
        """Find out whether the store honours conditional writes.

        Raises
        ------
        Unsupported
            When it does not: two writers would overwrite each other's commits.
        """
        _probe(self.resolved())

    def resolved(self) -> Bucket:
        """Return the same place with what environment and profile say of it."""
        return self

    def probe(self) -> bool:
        """Tell whether the store refuses a put whose condition does not hold."""
        name = f".probe-{secrets.token_hex(8)}"
        try:
            first = self.put_if(name, b"1", None)
            second = self.put_if(name, b"2", None)
            third = self.put_if(name, b"3", self._ANOTHER_TAG)
            return first and not second and not third
        finally:
            self.remove(name)

    def _split(self, name: str) -> tuple[str, str]:
        bucket, _, prefix = self.root.partition("://")[2].partition("/")
        return bucket, f"{prefix}/{name}" if prefix else name


@lru_cache(maxsize=64)
def _probe(place: Bucket) -> None:
    """Probe once per place and process; what fails is asked again."""
    if not place.probe():
        raise Unsupported(
            f"the store of {place.root} ignores conditional writes (If-None-Match), so that two writers would overwrite "
            "each other's commits. Choose: a store that honours them (AWS S3, MinIO, Ceph, R2, Google, Azure), or an instance "
            "in a local folder whose artifacts lie there with Storage(root=...)"
        )
