"""Large files on their way to Google: one part after the other in a session; what broke off is taken up again.

The store tells how far a session came, for a week. Where it is asked is kept on this machine
(:mod:`formats.begun`): https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from formats.begun import Begun
from formats.transfer import part_size, regrouped
from lakehouse.errors import InvalidFile, Unavailable
from lakehouse.types import Progress

__all__ = ["upload"]

_UNIT = 256 << 10
"""A session takes, and keeps, multiples of this, but for the end."""


def upload(
    fs: Any, address: str, pieces: Iterator[bytes], size: int, folder: Path, progress: Progress | None = None
) -> None:
    """Send a large object in a session; it appears whole at the end.

    Parameters
    ----------
    fs
        A file system of gcsfs.
    address
        The object, whose name must say what its bytes are: a session goes on with those that it has.
    pieces
        Its bytes, which may raise :class:`~lakehouse.errors.InvalidFile`: then there is no object.
    size
        How many they are.
    folder
        Where this machine keeps which sessions were begun.
    progress
        Is told of the bytes that arrived.
    """
    with Begun(folder, f"{fs._location} {address} {size}") as begun:
        session = _Session(fs, address, size, begun)
        try:
            session.send(pieces, progress)
        except InvalidFile:
            begun.ended()  # nobody goes on with it, and the store forgets it in a week
            raise
        begun.ended()


class _Session:
    """A session: begun, or taken up where one was left."""

    def __init__(self, fs: Any, address: str, size: int, begun: Begun) -> None:
        self._fs, self._address, self._size, self._begun = fs, address, size, begun
        self._url = begun.read()
        left = self._reached() if self._url else None
        self._have = self._start() if left is None else left

    def _start(self) -> int:
        bucket, key, _ = self._fs.split_path(self._address)
        place = f"{self._fs._location}/upload/storage/v1/b/{quote(bucket)}/o"
        kind = {"X-Upload-Content-Type": "application/octet-stream", "X-Upload-Content-Length": str(self._size)}
        given = {"uploadType": "resumable", "name": key}
        headers, _ = self._fs.call("POST", place, headers=kind, json={"name": key}, **given)
        self._url = headers["Location"]
        self._begun.note(self._url)
        return 0

    def _reached(self) -> int | None:
        """Return how many bytes the store has; None when the session is over, or cannot be asked."""
        try:
            return self._answer(b"", f"bytes */{self._size}")
        except Exception:  # noqa: BLE001 - whatever it is: a new session says so, too, unless it ends with this one
            return None

    def send(self, pieces: Iterator[bytes], progress: Progress | None) -> None:
        """Send what is not there yet."""
        step = -(-part_size(self._size) // _UNIT) * _UNIT
        done = 0
        for part in _held_back(regrouped(pieces, step)):
            start, done = done, done + len(part)
            while self._have < done:
                self._put(part[self._have - start :])
            if progress:
                progress(done, self._size)

    def _put(self, data: bytes) -> None:
        before = self._have
        try:
            self._have = self._answer(data, f"bytes {before}-{before + len(data) - 1}/{self._size}")
        except Exception:  # the reply may have been lost
            left = self._reached()
            if left is None or left <= before:
                raise
            self._have = left
        if self._have <= before:
            raise Unavailable(f"{self._address}: the store took nothing of what was sent: try again")

    def _answer(self, data: bytes, told: str) -> int:
        """Send a request to the session; return how many bytes the store has."""
        headers, body = self._fs.call("PUT", self._url, headers={"Content-Range": told}, data=data)
        if body and json.loads(body).get("name"):  # it is complete
            return self._size
        last = str(headers.get("Range", "")).rpartition("-")[2]
        return (int(last) + 1) // _UNIT * _UNIT if last.isdigit() else 0


def _held_back(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same, each when the next is there: the last part makes the object, and its bytes are checked before."""
    held = None
    for part in parts:
        if held is not None:
            yield held
        held = part
    if held is not None:
        yield held
