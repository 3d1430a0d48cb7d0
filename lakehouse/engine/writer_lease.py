"""The right to write to a lake in a bucket: one catalog at a time has it.

A catalog in a local file is not shared between machines, so a copy of it on another machine would commit a history of
its own. Whoever has the lease in the bucket writes, and renews it while doing so; the epoch grows with every change of
hands. The lease is for telling people in time: should two write all the same, the second one's Delta commit is refused
(its version is taken), and nothing of it was acknowledged.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from formats.bucket import Bucket
from lakehouse.errors import Busy, IntegrityError, NotFound

__all__ = ["WRITER", "WriterLease"]

WRITER = "writer.json"
_TRIES = 5


@dataclass(frozen=True)
class _Held:
    lake: str
    holder: str
    """Stands for a catalog file: equal for all processes that use it, different for a copy."""
    host: str
    epoch: int
    until: float
    """Seconds since 1970."""
    nonce: str
    """Tells our own put from an equal one of somebody else."""


class WriterLease:
    """Takes and renews the lease for one catalog file.

    Parameters
    ----------
    bucket
        The lake's root.
    catalog
        The catalog file.
    lake
        The lake's id.
    seconds
        How long the lease lives without renewal.
    """

    def __init__(self, bucket: Bucket, catalog: Path, lake: str, seconds: float) -> None:
        self._bucket, self._lake, self._seconds = bucket, lake, seconds
        status = catalog.stat()
        told = f"{socket.gethostname()} {catalog.resolve()} {status.st_dev} {status.st_ino}"
        self._holder = hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()
        self._until = 0.0
        self._lock, self._pid = threading.Lock(), os.getpid()

    def hold(self) -> None:
        """Have the lease, for half of its life at least.

        Raises
        ------
        Busy
            When another catalog has it.
        """
        if self._pid != os.getpid():  # a thread that stayed in the parent may hold the mutex
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            now = time.time()
            if not now + self._seconds / 2 < self._until <= now + self._seconds:
                self._until = self._taken()

    def _taken(self) -> float:
        for _ in range(_TRIES):
            now = time.time()
            found, tag = self._found()
            # an end that lies further ahead than any lease comes from a clock that was set back since
            if found is not None and found.holder != self._holder and now < found.until <= now + 2 * self._seconds + 60:
                raise self._busy(found)
            same = found is not None and found.holder == self._holder
            epoch = (found.epoch if found else 0) + (0 if same else 1)
            mine = _Held(
                self._lake, self._holder, socket.gethostname(), epoch, now + self._seconds, secrets.token_hex(8)
            )
            if self._bucket.put_if(WRITER, json.dumps(asdict(mine)).encode(), tag):
                return mine.until
        raise Busy(f"{self._bucket.uri(WRITER)} keeps changing: several catalogs want to write; try again")

    def _found(self) -> tuple[_Held | None, str | None]:
        try:
            data, tag = self._bucket.get(WRITER)
        except NotFound:
            return None, None
        try:
            return _Held(**json.loads(data)), tag
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{self._bucket.uri(WRITER)} is damaged: remove it if nobody writes") from error

    def _busy(self, found: _Held) -> Busy:
        until = datetime.fromtimestamp(found.until, UTC).isoformat(timespec="seconds")
        return Busy(
            f"another catalog, on {found.host}, writes to {self._bucket.root} until {until} at least: open the instance "
            "with read_only=True, end that writer and wait, or share a catalog with catalog='postgresql://...'"
        )
