"""Identifiers: 20 base62 characters, 16 that name a thing and 4 that count its versions.

A *uid* is a stem of 16 characters and a version of 4. A random stem begins with four characters of coarse
time (one tick is an hour), so that rows made together lie together and file statistics prune look-ups by uid;
the other twelve are random (71 bits), so that two writers never meet. Things that mean the same everywhere, such
as the terms of a public ontology, have a stem computed from what identifies them, equal in every instance.

The alphabet is in ASCII order, so the order of two uids as text is the order of their numbers.
"""

from __future__ import annotations

import os
import time
from hashlib import blake2b
from typing import Final

from lakehouse.errors import InvalidName, shown

__all__ = ["ALPHABET", "STEM", "UID", "derived_uid", "is_uid", "new_uid", "stem", "version_of", "with_version"]

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The 62 characters of a uid, in ASCII order."""

STEM: Final = 16
"""Characters of a stem."""

UID: Final = 20
"""Characters of a uid."""

_TIME: Final = 4
_VERSION: Final = UID - STEM
_TICK: Final = 3600  # seconds; 62**4 of them reach the year 3655
_FIRST: Final = "0" * _VERSION
_PAIRS: Final = [a + b for a in ALPHABET for b in ALPHABET]
_DIGITS: Final = {character: digit for digit, character in enumerate(ALPHABET)}
_CHARACTERS: Final = frozenset(ALPHABET)


def new_uid(now: float | None = None) -> str:
    """Return a uid that nobody else has, at version 0.

    Parameters
    ----------
    now
        Seconds since 1970 in UTC; the clock, if left out. A time before 1970 counts as 1970.

    Examples
    --------
    >>> first, second = new_uid(), new_uid()
    >>> len(first), first != second, version_of(first)
    (20, True, 0)
    >>> new_uid(now=0.0) < new_uid(now=1e9)
    True
    """
    ticks = max(0, int(time.time() if now is None else now) // _TICK)
    # The remainder of 128 random bits is even to one part in 10**17. The operating system's source also stays apart
    # after a fork, which a generator kept in this process would not.
    random = int.from_bytes(os.urandom(16))
    return _encode(ticks, _TIME) + _encode(random, STEM - _TIME) + _FIRST


def derived_uid(*parts: str) -> str:
    """Return the uid, at version 0, of a thing that is identified by ``parts``: the same on every machine.

    The parts are taken as they are: neither case nor blanks nor Unicode forms are made alike, and
    ``("ab", "c")`` differs from ``("a", "bc")``.

    Raises
    ------
    InvalidName
        No parts, or one that is not valid Unicode.

    Examples
    --------
    >>> derived_uid("CellType", "CL:0000084")
    'QsTGvz1GZuSOzWQh0000'
    """
    if not parts:
        raise InvalidName("a derived uid needs at least one part that identifies the thing")
    digest = blake2b(digest_size=16, person=b"lakehouse")
    for part in parts:
        data = _utf8(part)
        digest.update(len(data).to_bytes(8) + data)
    return _encode(int.from_bytes(digest.digest()), STEM) + _FIRST


def is_uid(text: str) -> bool:
    """Return whether ``text`` has the form of a uid.

    Examples
    --------
    >>> is_uid(new_uid()), is_uid("pbmc.h5ad")
    (True, False)
    """
    return len(text) == UID and _CHARACTERS.issuperset(text)


def stem(uid: str) -> str:
    """Return the 16 characters that all versions of a thing share.

    Examples
    --------
    >>> stem("0GhJ9zM3xUq7vWbT0002")
    '0GhJ9zM3xUq7vWbT'
    """
    return _checked(uid)[:STEM]


def version_of(uid: str) -> int:
    """Return which version of the thing ``uid`` names; the first is 0.

    Examples
    --------
    >>> version_of("0GhJ9zM3xUq7vWbT0002")
    2
    """
    number = 0
    for character in _checked(uid)[STEM:]:
        number = number * 62 + _DIGITS[character]
    return number


def with_version(uid: str, number: int) -> str:
    """Return the uid of version ``number`` of the thing that ``uid``, a uid or a bare stem, names.

    Raises
    ------
    InvalidName
        ``uid`` is neither, or ``number`` is not within 0 to 62**4 - 1.

    Examples
    --------
    >>> with_version("0GhJ9zM3xUq7vWbT", 63)
    '0GhJ9zM3xUq7vWbT0011'
    """
    if not 0 <= number < 62**_VERSION:
        raise InvalidName(f"a version is a number from 0 to {62**_VERSION - 1}, not {shown(number)}")
    whole = uid if len(uid) != STEM else uid + _FIRST
    return _checked(whole)[:STEM] + _encode(number, _VERSION)


def _encode(number: int, width: int) -> str:
    """Return the last ``width`` (an even number) base62 digits of a number."""
    digits = []
    for _ in range(width // 2):
        number, pair = divmod(number, 62 * 62)
        digits.append(_PAIRS[pair])
    return "".join(reversed(digits))


def _checked(uid: str) -> str:
    if not is_uid(uid):
        raise InvalidName(f"{shown(uid)} is not a uid: it takes {UID} characters out of 0-9, A-Z and a-z")
    return uid


def _utf8(part: str) -> bytes:
    try:
        return part.encode()
    except UnicodeEncodeError as error:
        raise InvalidName(f"{shown(part)} is not valid Unicode, so no uid can be derived from it") from error
