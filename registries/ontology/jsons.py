"""JSON read as a stream: members and elements come one by one, and no more of a file than one of them is in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import texts

__all__ = ["JsonStream"]

_LARGEST = 64 << 20
"""Characters of one value, at most."""
_BLANK = " \t\r\n"


class JsonStream:
    """The text of a JSON file with a place in it; each method begins at that place and leaves it behind what it read.

    Parameters
    ----------
    path
        The file; gzip, zstd and bzip2 are unpacked as they are read.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.json"
    >>> _ = file.write_text('{"a": [1, {"b": 2}], "c": 3}')
    >>> stream = JsonStream(file)
    >>> [list(stream.elements()) if key == "a" else stream.value() for key in stream.members()]
    [[1, {'b': 2}], 3]
    """

    def __init__(self, path: Path) -> None:
        self._path, self._source, self._decoder = path, texts(path), json.JSONDecoder()
        self._text, self._at = "", 0

    def next(self) -> str:
        """Return the character that comes next, blanks left out."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                raise self._broken()

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; the value of each is to be read before the next one."""
        self._take("{")
        while self.next() != "}":
            key = self.value()
            if not isinstance(key, str):
                raise self._broken()
            self._take(":")
            yield key
            self._separated("}")
        self._take("}")

    def elements(self) -> Iterator[Any]:
        """Yield the elements of an array."""
        for _ in self.places():
            yield self.value()

    def places(self) -> Iterator[None]:
        """Yield at the place of each element of an array, which is to be read before the next one."""
        self._take("[")
        while self.next() != "]":
            yield
            self._separated("]")
        self._take("]")

    def value(self) -> Any:
        """Return a whole value."""
        self.next()
        while True:
            try:
                found, after = self._decoder.raw_decode(self._text, self._at)
            except ValueError:
                if len(self._text) - self._at > _LARGEST or not self._more():
                    raise self._broken() from None
                continue
            except RecursionError:
                raise self._broken() from None
            if after == len(self._text) and self._more():  # a number may go on
                continue
            self._at = after
            return found

    def skip(self) -> None:
        """Go past a value, without having the whole of an object or array in memory."""
        kind = self.next()
        if kind == "[":
            for _ in self.elements():
                pass
        elif kind == "{":
            for _ in self.members():
                self.value()
        else:
            self.value()

    def _separated(self, end: str) -> None:
        if self.next() == ",":
            self._at += 1
            if self.next() == end:
                raise self._broken()
        elif self.next() != end:
            raise self._broken()

    def _take(self, character: str) -> None:
        if self.next() != character:
            raise self._broken()
        self._at += 1

    def _more(self) -> bool:
        """Read on; what was read before the place is dropped."""
        text = next(self._source, None)
        if text is None:
            return False
        self._text, self._at = self._text[self._at :] + text, 0
        return True

    def _broken(self) -> InvalidFile:
        near = shown(self._text[self._at :], 60) if self._at < len(self._text) else "its end"
        return InvalidFile(
            f"{shown(str(self._path))} is no JSON, is cut off, or nested too deeply, or is no such document: near {near}"
        )
