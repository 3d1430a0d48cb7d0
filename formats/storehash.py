"""Hashes that a store keeps of what lies in it, so that nothing has to be read to know it.

What a hash is of is part of it: ``md5`` and ``sha256`` are over the bytes; ``etag`` is that of S3 for an object that was
sent in parts, which says nothing of other files but changes with the content; ``etag-folder`` is over the names in a
folder and the hashes of its files.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from formats.hashing import tree_hash

__all__ = ["BYTES", "digest_of", "folder_hash", "hash_in_store", "hash_of_info"]

BYTES = ("md5", "sha256")
"""Kinds of hashes over the bytes alone, which can be made of any copy."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_PARTS = re.compile(r"[0-9a-f]{32}-\d+")


def hash_in_store(fs: Any, scheme: str, address: str) -> tuple[str, str] | None:
    """Return kind and text of the hash that a store has of a file, or ``None`` if it has none that says anything.

    Parameters
    ----------
    fs
        A file system of fsspec.
    scheme
        The protocol, such as ``s3``.
    address
        What the file system calls the file.
    """
    if scheme != "s3":
        return hash_of_info(fs.info(address))
    bucket, key, _ = fs.split_path(address)
    found = fs.call_s3("head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    if found.get("ChecksumSHA256") and found.get("ChecksumType") != "COMPOSITE":
        with suppress(ValueError):  # of an older store, which gives that of its parts the same name
            return "sha256", base64.b64decode(found["ChecksumSHA256"], validate=True).hex()
    if found.get("SSECustomerAlgorithm") or str(found.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return None  # its tag is of the encrypted bytes
    return _of_tag(found.get("ETag"))


def folder_hash(fs: Any, address: str) -> tuple[str, int, int] | None:
    """Return hash, bytes and number of files of a folder from its listing; ``None`` if a file has no hash there."""
    found = fs.find(address, detail=True)
    start, entries, size = len(address.rstrip("/")) + 1, list[tuple[str, str]](), 0
    for name, info in found.items():
        known = hash_of_info(info)
        if known is None:
            return None
        entries.append((name[start:], f"{known[0]} {known[1]}"))
        size += int(info["size"])
    return (tree_hash(sorted(entries)), size, len(entries)) if entries else None


def digest_of(source: Path | bytes, kind: str) -> str:
    """Return a hash of one of the kinds in :data:`BYTES` of a local file or of bytes.

    Examples
    --------
    >>> digest_of(b"", "md5")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    if isinstance(source, bytes):
        return hashlib.new(kind, source, usedforsecurity=False).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def hash_of_info(info: dict[str, Any]) -> tuple[str, str] | None:
    """Return the hash that an entry of fsspec states, if it does: a tag of S3, or the MD5 that Google and Azure give."""
    if "ETag" in info and ("StorageClass" in info or "Key" in info):
        return _of_tag(info["ETag"])
    stated = info.get("md5Hash") or (info.get("content_settings") or {}).get("content_md5")
    if not stated:
        return None
    return "md5", (base64.b64decode(stated) if isinstance(stated, str) else bytes(stated)).hex()


def _of_tag(tag: str | None) -> tuple[str, str] | None:
    bare = (tag or "").strip('"')
    if _MD5.fullmatch(bare):
        return "md5", bare
    return ("etag", bare) if _PARTS.fullmatch(bare) else None
