"""What may be stored as a name or as text."""

from __future__ import annotations

import unicodedata

from lakehouse.errors import InputError, InvalidName, shown

__all__ = ["MOST_CHARACTERS", "check_message", "check_name", "check_text", "is_utf8"]

MOST_CHARACTERS = 1_000
"""The longest name, inclusive, in characters."""

_LONGEST_MESSAGE = 100_000

# Invisible or direction-changing characters make two names look alike that are not, or one look like another.
_REFUSED = {
    "Cc": "a control character",
    "Cf": "an invisible or direction-changing character",
    "Cs": "half a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def check_name(name: str, field: str = "name") -> str:
    """Return a name in Unicode normal form C.

    Parameters
    ----------
    name
        1 to 1,000 characters.
    field
        What to call it in an error.

    Raises
    ------
    InvalidName
        When it is empty, too long, begins or ends with a blank, or holds a character that cannot be seen.

    Examples
    --------
    >>> check_name("CD8-positive, alpha-beta T cell")
    'CD8-positive, alpha-beta T cell'
    >>> check_name(" treated")
    Traceback (most recent call last):
    lakehouse.errors.InvalidName: name ' treated' begins or ends with a blank: give it without
    """
    if len(name) > MOST_CHARACTERS:
        raise InvalidName(f"{field} {shown(name, 40)} has {len(name):,} characters: at most {MOST_CHARACTERS:,} fit")
    if not name or name.isspace():
        raise InvalidName(f"{field} {shown(name)} is empty: give at least one visible character")
    if name != name.strip():
        raise InvalidName(f"{field} {shown(name)} begins or ends with a blank: give it without")
    if name.isascii() and name.isprintable():
        return name
    _refuse_unseen(name, field)
    normal = unicodedata.normalize("NFC", name)
    if len(normal) > MOST_CHARACTERS:
        raise InvalidName(f"{field} {shown(name, 40)} is longer than {MOST_CHARACTERS:,} characters once normalised")
    return normal


def _refuse_unseen(name: str, field: str) -> None:
    for character in name:
        reason = _REFUSED.get(unicodedata.category(character))
        if reason is not None:
            raise InvalidName(f"{field} {shown(name)} holds {reason} (U+{ord(character):04X}): remove it")


def check_text(text: str, field: str) -> str:
    """Return text that can be stored as UTF-8: no NUL, no half of a surrogate pair.

    Examples
    --------
    >>> check_text("any prose, even with % and _", "description")
    'any prose, even with % and _'
    """
    if "\0" in text:
        raise InvalidName(f"{field} {shown(text)} holds a NUL character: remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidName(
                f"{field} {shown(text)} holds half a surrogate pair (position {error.start}): remove it"
            ) from None
    return text


def check_message(message: object) -> str:
    """Return the message of a commit, of at most 100,000 characters; it is read with every listing of commits.

    Examples
    --------
    >>> check_message("import batch 7")
    'import batch 7'
    """
    if not isinstance(message, str):
        raise InputError(f"message {shown(message)} is a {type(message).__name__}: text is accepted")
    if len(message) > _LONGEST_MESSAGE:
        raise InputError(
            f"message {shown(message, 40)} has {len(message):,} characters: at most {_LONGEST_MESSAGE:,} fit"
        )
    return check_text(message, "message")


def is_utf8(text: str) -> bool:
    r"""Return whether text has a form in UTF-8; names of files may not.

    Examples
    --------
    >>> is_utf8("caf\u00e9"), is_utf8("caf\udce9")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
