"""What may enter as a key, a suffix or a source path.

A key is the name under which an artifact is found, in POSIX form (``raw/pbmc.h5ad``). It is not a path
on any disk, yet it becomes one where a user stages or exports, so nothing is admitted that climbs out of
a folder on any platform, that hides in an encoding, or that a terminal shows as something else.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from lakehouse.errors import InvalidKey, NotFound, shown

__all__ = ["MAX_KEY_BYTES", "check_key", "check_source", "check_suffix", "suffix_of"]

MAX_KEY_BYTES = 1024
"""Longest key in bytes of UTF-8, inclusive: the limit of the common object stores."""

_RESERVED = frozenset({"_delta_log", ".lakehouse"})
_DRIVE = re.compile(r"[A-Za-z]:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # pathlib makes one slash of two; one letter is a drive
_SUFFIX = re.compile(r"\.[a-z0-9][a-z0-9_+-]{0,15}")
_COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
# Bidirectional controls, zero-width space, word joiner and byte order mark: a key that holds them reads
# as another key. The zero-width joiners stay, since several scripts need them.
_DECEIVING = frozenset("\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_MAX_DECODINGS = 3


def check_key(key: str) -> str:
    """Return a key in normal form, or say why it is not admitted.

    Doubled slashes and ``./`` are dropped and the text is brought to Unicode NFC, so that twins which look
    the same are the same.

    Parameters
    ----------
    key
        A relative POSIX path such as ``raw/pbmc.h5ad``.

    Raises
    ------
    InvalidKey
        The key climbs (``../``, also percent-encoded), is absolute, starts with ``~``, a drive letter or
        a URL scheme, holds backslashes or characters that cannot be seen, is empty, ends in a slash or
        dot, begins or ends with a blank, lies in a reserved folder, or exceeds 1,024 bytes.

    Examples
    --------
    >>> check_key("raw//./pbmc [1].h5ad")
    'raw/pbmc [1].h5ad'
    """
    if not isinstance(key, str):
        raise InvalidKey(f"a key is a text such as 'raw/pbmc.h5ad', not {shown(key)}")
    if fault := _fault(key):
        raise InvalidKey(f"key {shown(key)} {fault}; use a relative path such as 'raw/pbmc.h5ad'")
    parts = [part for part in unicodedata.normalize("NFC", key).split("/") if part not in {"", "."}]
    normal = "/".join(parts)
    size = len(normal.encode())
    if size > MAX_KEY_BYTES:
        raise InvalidKey(f"key {shown(key)} has {size:,} bytes, the limit is {MAX_KEY_BYTES:,}: shorten it")
    return normal


def _fault(key: str) -> str | None:
    # the length first: nothing below should have to look at a megabyte
    if len(key) > MAX_KEY_BYTES * 4:
        return f"has {len(key):,} characters, the limit is {MAX_KEY_BYTES:,} bytes"
    if not key or key.isspace():
        return "is empty"
    return _fault_of_characters(key) or _fault_of_form(key) or _fault_of_parts(key) or _hidden_fault(key)


def _fault_of_characters(key: str) -> str | None:
    for character in "" if key.isascii() and key.isprintable() else key:
        if unicodedata.category(character) in _UNPRINTABLE:
            return f"holds the control character {character!r}"
        if character in _DECEIVING:
            return f"holds the invisible character {character!r}"
    return "holds a backslash" if "\\" in key else None


def _fault_of_form(key: str) -> str | None:
    if key.startswith("/"):
        return "is absolute"
    if key.startswith("~"):
        return "starts with '~'"
    if _SCHEME.match(key):
        return "is a URL"
    if _DRIVE.match(key):
        return "starts with a drive letter"
    return "ends in a slash" if key.endswith("/") else None


def _fault_of_parts(key: str) -> str | None:
    for part in key.split("/"):
        if part == "..":
            return "climbs with '..'"
        if part != part.strip():
            return f"has a part that begins or ends with a blank, {shown(part)}"
        if part.casefold() in _RESERVED:
            return f"lies in the reserved folder {shown(part)}"
        if part.endswith(".") and part != ".":
            return f"has a part that ends in a dot, {shown(part)}"
    return "ends in a dot" if key.endswith(".") else None


def _hidden_fault(key: str) -> str | None:
    """Look for what percent-encoding hides, also when it was encoded twice."""
    plain = key
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(plain, errors="replace")
        if decoded == plain:
            return None
        if decoded.count("/") != plain.count("/"):
            return "hides a slash in percent-encoding"
        fault = _fault_of_characters(decoded) or _fault_of_form(decoded) or _fault_of_parts(decoded)
        if fault:
            return f"{fault} in percent-encoding"
        plain = decoded
    return "is percent-encoded many times over"


def suffix_of(path_or_key: str | os.PathLike[str]) -> str:
    """Return the lower-case suffix, two parts of it for compressed files, or an empty text.

    What follows the last dot counts as a suffix only if it is at most 16 plain characters.

    Examples
    --------
    >>> suffix_of("raw/PBMC.H5AD"), suffix_of("a.b.csv.gz"), suffix_of("README"), suffix_of(".bashrc")
    ('.h5ad', '.csv.gz', '', '')
    """
    suffixes = [s.lower() for s in PurePosixPath(os.fspath(path_or_key)).suffixes]
    if not suffixes or not _SUFFIX.fullmatch(suffixes[-1]):
        return ""
    if suffixes[-1] in _COMPRESSED and len(suffixes) > 1 and _SUFFIX.fullmatch(suffixes[-2]):
        return suffixes[-2] + suffixes[-1]
    return suffixes[-1]


@lru_cache(256)
def check_suffix(suffix: str) -> str:
    """Return a suffix in lower case (empty is fine), or say why it is not admitted.

    Raises
    ------
    InvalidKey
        It does not start with a dot, is too long, or holds characters that are not plain.

    Examples
    --------
    >>> check_suffix(".CSV.gz")
    '.csv.gz'
    """
    lowered = suffix.lower()
    if lowered and suffix_of("x" + lowered) != lowered:
        raise InvalidKey(f"suffix {shown(suffix)} is not admitted: write one such as '.parquet' or '.csv.gz'")
    return lowered


def check_source(path: str | os.PathLike[str], *, folders: bool = False) -> Path:
    """Return the path of a regular file that is to be read; empty files and odd names are fine.

    Links are followed: whoever names a file may name it through a link.

    Parameters
    ----------
    path
        A path in the local file system.
    folders
        Whether a folder is admitted, too.

    Raises
    ------
    InvalidKey
        It is a URL, a folder, a pipe, a socket or a device.
    NotFound
        Nothing is there.
    """
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise InvalidKey(f"{shown(text)} is no path of a file: name one such as 'raw/pbmc.h5ad'")
    if "://" in text:
        raise _is_url(text.split("://")[0])
    source = Path(text)
    try:
        mode = source.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if (url := _URL.match(text)) is not None:
            raise _is_url(url[1]) from None
        raise NotFound(f"no file at {shown(text)}: check the path (~ is not followed)") from None
    except UnicodeEncodeError:
        raise InvalidKey(
            f"{shown(text)} holds half a surrogate pair, which no file's name does: name the file otherwise"
        ) from None
    except OSError as error:
        raise InvalidKey(f"{shown(text)} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode) and not (folders and stat.S_ISDIR(mode)):
        raise InvalidKey(f"{shown(text)} is {_kind(mode)}: name a regular file")
    return source


def _is_url(scheme: str) -> InvalidKey:
    # only the scheme is shown: what follows may hold a key, a password or a signature
    return InvalidKey(f"{shown(scheme)}:// is a URL and this reads local files: download it first")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "not a file")
