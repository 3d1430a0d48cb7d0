"""Content hashes: BLAKE3 over every byte, as 32 characters of lower-case base32.

The text is safe in file names on disks that ignore case (base64 or base62 twins would collide there).
It holds the first 160 bits of the digest.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from lakehouse.errors import InvalidFile, NotFound, shown
from lakehouse.types import Progress

__all__ = [
    "PREFIXES",
    "Hasher",
    "Opener",
    "digest_of",
    "hash_bytes",
    "hash_file",
    "is_hash",
    "read_stable",
    "texts_of",
    "tree_hash",
]

B = TypeVar("B", bytes, memoryview)

Opener = Callable[[Path], int]
"""Opens a file for reading and returns its descriptor."""

CHUNK = 2 << 20
"""Bytes read at a time: large enough for every thread to have work, small enough to stay in cache."""

_PARALLEL_FROM = 4 << 20
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"
_ALPHABET = frozenset(_LETTERS.decode())
PREFIXES = frozenset(first + second for first in _ALPHABET for second in _ALPHABET)
"""The two characters that a hash may begin with."""
_DIGEST_BYTES = 20
_TEXT_LENGTH = 32


class Hasher:
    """A running content hash.

    Parameters
    ----------
    size
        Bytes expected, where known: large inputs are hashed by several threads.

    Examples
    --------
    >>> hasher = Hasher()
    >>> for part in (b"ab", b"c"):
    ...     hasher.update(part)
    >>> hasher.text() == hash_bytes(b"abc")
    True
    """

    def __init__(self, *, size: int = 0) -> None:
        # A fixed number of threads gives the hasher a pool of its own. blake3.AUTO uses the process-wide
        # pool instead, whose threads do not exist in a forked child: hashing there would never return.
        self._blake3 = blake3(max_threads=_threads(size))

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self._blake3.update(data)

    def text(self) -> str:
        """Return the hash of all bytes so far."""
        return _as_text(self._blake3.digest(_DIGEST_BYTES))


def hash_bytes(data: bytes) -> str:
    """Return the content hash of bytes.

    Examples
    --------
    >>> hash_bytes(b"")
    'v4jutopv7gq2nicajxvdnxgjjgn4wjoj'
    """
    return _as_text(digest_of(data))


def digest_of(data: bytes) -> bytes:
    """Return what the content hash of bytes is the text of."""
    return blake3(data).digest(_DIGEST_BYTES)


def hash_file(path: Path, *, progress: Progress | None = None, opener: Opener | None = None) -> str:
    """Return the content hash of a whole file, read once in pieces of a few megabytes.

    Parameters
    ----------
    path
        A regular file; an empty one is fine.
    progress
        Called with the bytes done and the bytes in all.
    opener
        Opens the file, where its path is not to be trusted.

    Raises
    ------
    InvalidFile
        The file changed while it was read, so there is no one content to speak of.
    NotFound
        There is no such file.
    """
    hasher: Hasher | None = None
    for piece, total in _stable(path, progress, opener, _reused):
        hasher = hasher or Hasher(size=total)
        hasher.update(piece)
    return hasher.text() if hasher else hash_bytes(b"")


def tree_hash(entries: Iterable[tuple[str, str]]) -> str:
    """Return the content hash of a folder: of the paths and content hashes of its files.

    Parameters
    ----------
    entries
        Relative POSIX path and content hash of each file, sorted by the bytes of the path.

    Examples
    --------
    >>> one, two = hash_bytes(b"1"), hash_bytes(b"2")
    >>> tree_hash([("a", one), ("b", two)]) == tree_hash([("a", two), ("b", one)])
    False
    """
    hasher = blake3(derive_key_context="lakehouse folder 1")  # so that no file has the hash of a folder
    for path, digest in entries:
        hasher.update(os.fsencode(path) + b"\0" + digest.encode("ascii") + b"\n")
    return _as_text(hasher.digest(_DIGEST_BYTES))


def is_hash(text: str) -> bool:
    """Tell whether a text has the form of a content hash.

    Examples
    --------
    >>> is_hash(hash_bytes(b"x")), is_hash("../x")
    (True, False)
    """
    return len(text) == _TEXT_LENGTH and _ALPHABET.issuperset(text)


def read_stable(
    path: Path, *, progress: Progress | None = None, opener: Opener | None = None
) -> Iterator[tuple[bytes, int]]:
    """Yield ``(piece, size of the file)`` and raise at the end if the file changed meanwhile.

    Plain reads are used rather than a memory map: a map of a file that is cut short by another
    program kills this process with SIGBUS.

    Parameters
    ----------
    path
        A regular file.
    progress
        Called with the bytes done and the bytes in all, after each piece and for an empty file once.
    opener
        Opens the file, where its path is not to be trusted.

    Raises
    ------
    InvalidFile
        Size or modification time differ before and after.
    NotFound
        There is no such file.
    """
    return _stable(path, progress, opener, lambda file, _: iter(lambda: file.read(CHUNK), b""))


def _stable(
    path: Path, progress: Progress | None, opener: Opener | None, read: Callable[[io.FileIO, int], Iterator[B]]
) -> Iterator[tuple[B, int]]:
    done = 0
    with _open(path, opener) as file:
        before = os.fstat(file.fileno())
        for piece in read(file, before.st_size):
            done += len(piece)
            if progress:
                progress(done, before.st_size)
            yield piece, before.st_size
        after = os.fstat(file.fileno())
    if done == 0 and progress:
        progress(0, 0)
    if done != before.st_size or _identity(before) != _identity(after):
        raise InvalidFile(
            f"{shown(str(path))} changed while it was read ({before.st_size} bytes at first, then "
            f"{max(done, after.st_size)}): wait until its writer is done, then save again"
        )


def _reused(file: io.FileIO, size: int) -> Iterator[memoryview]:
    """Yield pieces in memory that the next one overwrites: what is new for each piece costs a fifth more."""
    held = memoryview(bytearray(min(CHUNK, size + 1)))
    while length := file.readinto(held):
        yield held[:length]


def _threads(size: int) -> int:
    """Return how many threads hash so many bytes.

    Of two cores one does as well alone, and twice as well where others are at work: pieces wait for the second thread.
    """
    cores = os.cpu_count() or 1
    return min(cores, 8) if cores > 2 and size >= _PARALLEL_FROM else 1


def _open(path: Path, opener: Opener | None) -> io.FileIO:
    try:
        return io.FileIO(path, "r") if opener is None else io.FileIO(opener(path), "r")
    except FileNotFoundError:
        raise NotFound(f"no file at {shown(str(path))}") from None


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns


def _as_text(digest: bytes) -> str:
    return base64.b32encode(digest).decode("ascii").lower()


def texts_of(digests: Sequence[bytes]) -> list[str]:
    """Return the text of digests of 20 bytes; of many at once, as one by one it takes longer than hashing a small file.

    Examples
    --------
    >>> texts_of([blake3(b"").digest(20)]) == [hash_bytes(b"")]
    True
    """
    import numpy as np

    groups = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 5).astype(np.uint64)
    bits = groups @ np.array([1 << 32, 1 << 24, 1 << 16, 1 << 8, 1], np.uint64)  # 40 of them make 8 letters
    places = (bits[:, None] >> np.arange(35, -1, -5, dtype=np.uint64)) & np.uint64(31)
    text = np.frombuffer(_LETTERS, np.uint8)[places].tobytes().decode("ascii")
    return [text[at : at + _TEXT_LENGTH] for at in range(0, len(text), _TEXT_LENGTH)]
