"""The bucket that a URL names."""

from __future__ import annotations

from formats.bucket import Bucket
from formats.bucket_azure import AzureBucket
from formats.bucket_google import GoogleBucket
from formats.bucket_s3 import S3Bucket
from formats.remote import RemoteOptions
from lakehouse.errors import Unsupported, shown

__all__ = ["bucket_at"]

_KINDS: dict[str, type[Bucket]] = {
    "s3": S3Bucket,
    "gs": GoogleBucket,
    "az": AzureBucket,
    "abfs": AzureBucket,
}


def bucket_at(root: str, options: RemoteOptions | None = None) -> Bucket:
    """Return the prefix that a URL names in a store that honours conditional writes.

    Examples
    --------
    >>> bucket_at("az://lab/lake").uri("head.json")
    'az://lab/lake/head.json'

    Raises
    ------
    Unsupported
        When its conditional writes are not known here.
    """
    scheme = root.partition("://")[0]
    if scheme not in _KINDS:
        raise Unsupported(
            f"an instance cannot be written to {shown(scheme + '://')}…, which has no conditional writes that are known "
            "here. Choose: s3:// or gs://bucket/prefix, az://container/prefix, a local folder whose artifacts lie there with "
            "Storage(root=...), or read_only=True"
        )
    return _KINDS[scheme](root, options or RemoteOptions())
