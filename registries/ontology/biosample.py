"""The attributes of biological samples that NCBI lists, as XML; nothing that a document type declares is expanded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import chunks
from registries.ontology.parsed import Parsed

__all__ = ["read_biosample"]

_LONGEST = 1 << 20


def read_biosample(path: Path) -> Iterator[Parsed]:
    """Yield the attributes of a list of NCBI, known by their harmonized names.

    Raises
    ------
    InvalidFile
        When it is no such XML, is cut off, or declares entities.
    """
    reader, count = _Reader(path), 0
    try:
        for data in chunks(path):
            reader.parser.Parse(data, False)  # noqa: FBT003 - takes no keyword
            for one in reader.taken():
                count += 1
                yield one
        reader.parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise InvalidFile(f"{shown(str(path))} is no XML, or is cut off: {error}") from None
    if not count:
        raise InvalidFile(f"{shown(str(path))} has no Attribute with a HarmonizedName")


class _Reader:
    """Takes the events of a parser, and gathers the attributes that they make."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fields: dict[str, list[str]] | None = None
        self._text: list[str] = []
        self._size = 0
        self._done: list[Parsed] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._entity

    def taken(self) -> list[Parsed]:
        """Return what was completed since the last call."""
        done, self._done = self._done, []
        return done

    def _entity(self, name: str, *rest: object) -> None:
        raise InvalidFile(f"{shown(str(self._path))} declares the entity {shown(name)}: it is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._text, self._size = [], 0
        if name == "Attribute":
            self._fields = {}

    def _characters(self, text: str) -> None:
        self._size += len(text)
        if self._size > _LONGEST:
            raise InvalidFile(f"{shown(str(self._path))} has a text of more than {_LONGEST:,} characters")
        self._text.append(text)

    def _end(self, name: str) -> None:
        text, self._text = " ".join("".join(self._text).split()), []
        if self._fields is None:
            return
        if name != "Attribute":
            self._fields.setdefault(name, []).extend([text] if text else [])
            return
        if self._fields.get("HarmonizedName"):
            self._done.append(_attribute(self._fields))
        self._fields = None


def _attribute(fields: dict[str, list[str]]) -> Parsed:
    name, harmonized = (fields.get(one) or [""] for one in ("Name", "HarmonizedName"))
    known = (name[0] or harmonized[0], harmonized[0])
    synonyms = [one for one in dict.fromkeys((harmonized[0], *fields.get("Synonym", ()))) if one != known[0]]
    definition = " ".join(fields.get("Description", ())) or None
    return Parsed(harmonized[0], known[0], definition, synonyms, ["EXACT"] * len(synonyms))
