"""Files on their way to and from a store: in parts, several at once, each of them checked.

An upload that breaks off stays begun in the store: when the same file is sent again, the parts that arrived are not.
A download that breaks off leaves its parts and a list of them beside the copy, and goes on from there.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from lakehouse.errors import InvalidFile, Unavailable
from lakehouse.types import Progress

__all__ = [
    "PART",
    "THREADS",
    "download",
    "journal_of",
    "part_size",
    "put_whole",
    "regrouped",
    "several",
    "tag_of",
    "upload",
]

PART = 16 << 20
"""Bytes of a part; a file of up to two of them is sent and fetched whole."""
THREADS = 8
_MOST_PARTS = 9_000
_TRIES = 3

T = TypeVar("T")


def part_size(size: int) -> int:
    """Return the bytes of a part; the same for the same size, so that an upload is taken up with the same parts.

    Examples
    --------
    >>> part_size(100 << 20) == PART, part_size(1 << 40) // PART
    (True, 7)
    """
    return max(PART, -(-size // _MOST_PARTS))


def tag_of(digests: list[bytes]) -> str:
    """Return the tag that S3 gives to an object of parts with these MD5 digests.

    Examples
    --------
    >>> tag_of([hashlib.md5(b"a").digest()])
    'b6ff9a06b7e20bcb2858c5b8ff744aea-1'
    """
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


# -- to a store of S3 -------------------------------------------------------------------------------------------------
def put_whole(fs: Any, address: str, data: bytes) -> None:
    """Send an object in one request; the store refuses what arrives damaged.

    Raises
    ------
    Unavailable
        What the store says it holds is something else.
    """
    digest = _md5(data)
    reply = fs.call_s3("put_object", **_named(fs, address), Body=data, ContentMD5=_text(digest))
    _check_tag(address, digest.hex(), reply)


def upload(fs: Any, address: str, pieces: Iterator[bytes], size: int, progress: Progress | None = None) -> None:
    """Send a large object in parts, several at once; it appears whole at the end.

    Parameters
    ----------
    fs
        A file system of s3fs.
    address
        The object.
    pieces
        Its bytes, which may raise :class:`~lakehouse.errors.InvalidFile`: then nothing stays in the store.
    size
        How many they are.
    progress
        Is told of the bytes that arrived.
    """
    sending = _Upload(fs, address, size)
    try:
        digests = sending.send(pieces, progress)
        reply = sending.complete()
    except InvalidFile:
        sending.abort()
        raise
    except Exception:
        if not sending.is_there():  # another process may have completed the same upload
            raise
        return
    _check_tag(address, tag_of(digests), reply)


class _Upload:
    """One upload of parts: begun, or taken up where one was left."""

    def __init__(self, fs: Any, address: str, size: int) -> None:
        self._fs, self._size, self._target = fs, size, _named(fs, address)
        self._there: dict[int, tuple[int, str]] = {}
        self._tags: dict[int, str] = {}
        found = self._left()
        if found is None:
            found = str(fs.call_s3("create_multipart_upload", **self._target)["UploadId"])
        self._given = self._target | {"UploadId": found}

    def _left(self) -> str | None:
        """Return the newest upload of this object that was begun, and note its parts."""
        with suppress(OSError):  # none is begun, or these credentials may not ask: a new one then
            key = self._target["Key"]
            found = self._fs.call_s3("list_multipart_uploads", Bucket=self._target["Bucket"], Prefix=key)
            begun = [one for one in found.get("Uploads", ()) if one["Key"] == key]
            for one in sorted(begun, key=lambda one: one["Initiated"])[-1:]:
                self._there = dict(self._parts(one["UploadId"]))
                return str(one["UploadId"])
        return None

    def _parts(self, begun: str) -> Iterator[tuple[int, tuple[int, str]]]:
        asked: dict[str, Any] = self._target | {"UploadId": begun}
        while True:
            page = self._fs.call_s3("list_parts", **asked)
            for part in page.get("Parts", ()):
                yield part["PartNumber"], (part["Size"], _bare(part["ETag"]))
            if not page.get("IsTruncated"):
                return
            asked["PartNumberMarker"] = page["NextPartNumberMarker"]

    def send(self, pieces: Iterator[bytes], progress: Progress | None) -> list[bytes]:
        """Send what is not there yet; returns the digests of all parts."""
        digests, done = [], 0
        parts = enumerate(regrouped(pieces, part_size(self._size)), start=1)
        for digest, length in several(self._part, parts):
            digests.append(digest)
            done += length
            if progress:
                progress(done, self._size)
        return digests

    def _part(self, numbered: tuple[int, bytes]) -> tuple[bytes, int]:
        number, data = numbered
        digest = _md5(data)
        if self._there.get(number) == (len(data), digest.hex()):
            self._tags[number] = digest.hex()
        else:
            given = {"PartNumber": number, "Body": data, "ContentMD5": _text(digest)}
            self._tags[number] = _bare(self._fs.call_s3("upload_part", **self._given, **given)["ETag"])
        return digest, len(data)

    def complete(self) -> dict[str, Any]:
        """Make one object of the parts; returns the reply."""
        parts = [{"PartNumber": number, "ETag": f'"{tag}"'} for number, tag in sorted(self._tags.items())]
        wanted = {"MultipartUpload": {"Parts": parts}}
        done: dict[str, Any] = self._fs.call_s3("complete_multipart_upload", **self._given, **wanted)
        return done

    def abort(self) -> None:
        """Let the store forget the parts."""
        with suppress(OSError):
            self._fs.call_s3("abort_multipart_upload", **self._given)

    def is_there(self) -> bool:
        """Tell whether the object is there, whoever completed it."""
        try:
            found = self._fs.call_s3("head_object", **self._target)
        except Exception:  # noqa: BLE001 - the first error is the one to tell
            return False
        return bool(found["ContentLength"] == self._size)


# -- from any store ---------------------------------------------------------------------------------------------------
def download(
    fs: Any, address: str, target: Path, size: int, *, progress: Progress | None = None, resume: bool = False
) -> None:
    """Fetch a file, a large one in parts.

    Parameters
    ----------
    fs
        A file system of fsspec that reads ranges.
    address
        The file.
    target
        A local path.
    size
        The bytes that the file has.
    progress
        Is told of the bytes that arrived.
    resume
        Whether to go on where an earlier download to the same target was broken off, and to leave what a later one
        can go on with. Whoever asks for it checks the whole file.

    Raises
    ------
    Unavailable
        What arrives is cut off, several times.
    """
    if size <= 2 * PART:
        target.write_bytes(_range(fs, address, 0, size))
    else:
        _in_parts(fs, address, target, size, progress, resume=resume)
    if progress:
        progress(size, size)


def journal_of(target: Path) -> Path:
    """Return where the parts that arrived are noted."""
    return target.with_name(f"{target.name}.done")


def _in_parts(fs: Any, address: str, target: Path, size: int, progress: Progress | None, *, resume: bool) -> None:
    step = part_size(size)
    journal = journal_of(target)
    there = _noted(journal, target, size) if resume else set[int]()
    missing = [start for start in range(0, size, step) if start not in there]
    done = size - sum(min(step, size - start) for start in missing)

    def fetch(start: int) -> tuple[int, bytes]:
        return start, _range(fs, address, start, min(start + step, size))

    with target.open("r+b" if there else "wb", buffering=0) as file, journal.open("a" if there else "w") as noted:
        noted.write("" if there else f"{_boot()} {size}\n")
        for start, data in several(fetch, missing):
            _write_at(file, start, data)
            done += len(data)
            noted.write(f"{start}\n")
            noted.flush()
            if progress:
                progress(done, size)
    journal.unlink(missing_ok=True)


def _noted(journal: Path, target: Path, size: int) -> set[int]:
    """Return where the parts begin that an earlier download fetched.

    Those from before the machine was started last do not count: a list may have reached the disk before its parts did.
    """
    if not (journal.is_file() and target.is_file()):
        return set()
    first, *rest = journal.read_text().splitlines() or [""]
    return {int(line) for line in rest if line.isdigit()} if first == f"{_boot()} {size}" else set()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # only Linux has it
        return str(os.getpid())


def _write_at(file: io.FileIO, start: int, data: bytes) -> None:
    file.seek(start)
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _range(fs: Any, address: str, start: int, end: int) -> bytes:
    found = b""
    for _ in range(_TRIES):
        found = bytes(fs.cat_file(address, start=start, end=end)) if end > start else b""
        if len(found) == end - start:
            return found
    raise Unavailable(f"{address} arrives cut off: {len(found):,} of {end - start:,} bytes; try again")


# -- both -------------------------------------------------------------------------------------------------------------
def several(act: Callable[[Any], T], things: Iterable[Any]) -> Iterator[T]:
    """Yield what comes of each thing, in order; a few are at work at once, so that memory stays bounded."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for thing in things:
                waiting.append(pool.submit(act, thing))
                if len(waiting) >= THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def regrouped(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in parts of a size; the last is smaller."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _named(fs: Any, address: str) -> dict[str, Any]:
    bucket, key, _ = fs.split_path(address)
    return {"Bucket": bucket, "Key": key}


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _bare(tag: str | None) -> str:
    return (tag or "").strip('"')


def _check_tag(address: str, expected: str, reply: dict[str, Any]) -> None:
    """Compare the tag of an object with what was sent; one that is encrypted with a key of its own has another tag."""
    if reply.get("SSECustomerAlgorithm") or str(reply.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return
    found = _bare(reply.get("ETag"))
    if len(found) == len(expected) and found != expected:
        raise Unavailable(f"{address} is not as it was sent: save it again")
