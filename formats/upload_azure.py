"""Large files on their way to Azure: in blocks, several at once; what broke off is taken up again.

A block is named by its number and the MD5 of its bytes. The store keeps those that were staged for a week and tells
which they are, so that of a file that is sent again only what it lacks is sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from formats.bucket_azure import AzureBucket
from formats.transfer import part_size, regrouped, several
from lakehouse.types import Progress

__all__ = ["upload"]


def upload(
    bucket: AzureBucket, name: str, pieces: Iterator[bytes], size: int, whole: Any, progress: Progress | None = None
) -> None:
    """Send a large blob in blocks; it appears whole at the end.

    Parameters
    ----------
    bucket, name
        Where it is to lie.
    pieces
        Its bytes, which may raise :class:`~lakehouse.errors.InvalidFile`: then there is no blob, and the store forgets
        the blocks.
    size
        How many they are.
    whole
        An object of hashlib that has the MD5 of the bytes once all were read; it is kept with the blob.
    progress
        Is told of the bytes that arrived.
    """
    from azure.storage.blob import ContentSettings

    with bucket.reaching(name, writing=True):
        sending = _Blocks(bucket.blob(name))
        names, done = [], 0
        for block, length in several(sending.stage, enumerate(regrouped(pieces, part_size(size)))):
            names.append(block)
            done += length
            if progress:
                progress(done, size)
        sending.commit(names, ContentSettings(content_md5=bytearray(whole.digest())))


class _Blocks:
    """The blocks of one blob: those that are staged, whoever did so, and those that are to be."""

    def __init__(self, blob: Any) -> None:
        self._blob, self._there = blob, _staged(blob)
        if any(len(name) != _LENGTH for name in self._there):  # all names of a blob's blocks must have one length
            blob.commit_block_list([])  # which discards what is staged
            self._there = {}

    def stage(self, numbered: tuple[int, bytes]) -> tuple[str, int]:
        """Send a block unless it is there; returns its name and its bytes."""
        number, data = numbered
        digest = hashlib.md5(data, usedforsecurity=False)
        name = f"{number:06d}-{digest.hexdigest()}"
        if self._there.get(name) != len(data):
            self._blob.stage_block(name, data, length=len(data), transactional_content_md5=digest.digest())
        return name, len(data)

    def commit(self, names: list[str], settings: Any) -> None:
        """Make a blob of the blocks."""
        from azure.storage.blob import BlobBlock

        self._blob.commit_block_list([BlobBlock(name) for name in names], content_settings=settings)


_LENGTH = len("000000-") + 32


def _staged(blob: Any) -> dict[str, int]:
    """Return the bytes of each block that was staged and is part of no blob yet."""
    from azure.core.exceptions import HttpResponseError

    try:
        _, found = blob.get_block_list("uncommitted")
    except HttpResponseError as error:
        if error.status_code in (403, 404):  # nothing is staged, or these credentials may not ask
            return {}
        raise
    return {str(block.id): int(block.size) for block in found}
