"""Uploads in parts to a store of S3 that were begun and never ended: their parts are kept, and paid for, unseen.

One is given up when neither it nor any of its parts is younger than a time; until then a later save of the same file
takes it up. Azure and Google forget theirs after a week.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

__all__ = ["abandon_uploads"]


def abandon_uploads(fs: Any, bucket: str, prefix: str, *, before: float, dry_run: bool = False) -> Iterator[str]:
    """Let a store forget the uploads below a prefix to which nothing was added since a time.

    Parameters
    ----------
    fs
        A file system of s3fs.
    bucket, prefix
        Where they would appear; the prefix ends with a slash.
    before
        Seconds since 1970.
    dry_run
        Only name them.

    Yields
    ------
    str
        The key of each.
    """
    for begun in list(_pages(fs, "list_multipart_uploads", "Uploads", _MARKS, Bucket=bucket, Prefix=prefix)):
        named = {"Bucket": bucket, "Key": begun["Key"], "UploadId": begun["UploadId"]}
        with suppress(FileNotFoundError):  # it ended, or somebody else gave it up
            if begun["Initiated"].timestamp() >= before or _newest_part(fs, named) >= before:
                continue
            if not dry_run:
                fs.call_s3("abort_multipart_upload", **named)
            yield str(begun["Key"])


_MARKS = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}


def _newest_part(fs: Any, named: dict[str, Any]) -> float:
    marks = {"PartNumberMarker": "NextPartNumberMarker"}
    return max(
        (part["LastModified"].timestamp() for part in _pages(fs, "list_parts", "Parts", marks, **named)), default=0
    )


def _pages(fs: Any, method: str, what: str, marks: dict[str, str], **asked: Any) -> Iterator[dict[str, Any]]:
    while True:
        page = fs.call_s3(method, **asked)
        yield from page.get(what, ())
        if not page.get("IsTruncated"):
            return
        asked |= {mark: page[following] for mark, following in marks.items()}
