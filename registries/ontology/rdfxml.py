"""Ontologies of the OBO family as RDF/XML (``.owl``): classes with their labels, synonyms and parents, as a stream.

``owl:imports`` are not followed, and of a document type only short names for namespaces are accepted: nothing is
fetched, and nothing grows while it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from xml.parsers import expat

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import chunks
from registries.ontology.parsed import Parsed

__all__ = ["curie", "read_rdfxml"]

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_RDFS = "http://www.w3.org/2000/01/rdf-schema# "
_OWL = "http://www.w3.org/2002/07/owl# "
_OBO = "http://purl.obolibrary.org/obo/ "
_OIO = "http://www.geneontology.org/formats/oboInOwl# "
_EFO = "http://www.ebi.ac.uk/efo/ "
_SKOS = "http://www.w3.org/2004/02/skos/core# "

_ABOUT, _RESOURCE = _RDF + "about", _RDF + "resource"
_CLASSES = (_OWL + "Class", _RDF + "Description")
_TEXTS = {
    _RDFS + "label": "name",
    _OBO + "IAO_0000115": "definition",
    _EFO + "definition": "definition",
    _OIO + "hasDefinition": "definition",
    _SKOS + "definition": "definition",
    _OIO + "hasExactSynonym": "EXACT",
    _OIO + "hasNarrowSynonym": "NARROW",
    _OIO + "hasBroadSynonym": "BROAD",
    _OIO + "hasRelatedSynonym": "RELATED",
    _OIO + "hasSynonym": "RELATED",
    _EFO + "alternative_term": "EXACT",
    _OIO + "hasAlternativeId": "alternative",
    _OBO + "IAO_0100001": "replaced",
    _OWL + "deprecated": "deprecated",
}
_SUBCLASS, _TYPE = _RDFS + "subClassOf", _RDF + "type"
_WANTED = frozenset({*_TEXTS, _SUBCLASS, _TYPE})
_CLASS_IRI = _CLASSES[0].replace(" ", "")
_SCOPES = ("EXACT", "NARROW", "BROAD", "RELATED")
_PART_OF = (_OBO.strip() + "BFO_0000050", _OBO.strip() + "part_of", "http://purl.obolibrary.org/obo/OBO_REL_part_of")
_TAIL = re.compile(r"[/#]([A-Za-z][A-Za-z0-9.]*)_(\w*\d\w*)$")
_BEGIN, _END = b"\n    <owl:Axiom>\n", b"\n    </owl:Axiom>"
_REFERENCE = re.compile(
    rb"\n {8}<oboInOwl:(hasDbXref|inSubset|hasOBONamespace|id|created_by|creation_date)[ >][^\n]*(?:/>|</oboInOwl:\1>)(?=\n)"
)
_LONGEST_ENTITY = 500
_LONGEST_TEXT = 1 << 20


@lru_cache(maxsize=65_536)
def curie(iri: str) -> str:
    """Return the short form of an identifier.

    Examples
    --------
    >>> curie("http://purl.obolibrary.org/obo/CL_0000084"), curie("http://edamontology.org/operation_0004")
    ('CL:0000084', 'operation:0004')
    """
    found = _TAIL.search(iri)
    return f"{found[1]}:{found[2]}" if found else iri


def read_rdfxml(path: Path) -> Iterator[Parsed]:
    """Yield the classes of a file, in its order; what it says of a class in a second place is yielded as well.

    Raises
    ------
    InvalidFile
        When it is no XML, is cut off, or declares entities that are more than short names.
    """
    reader = _Reader(path)
    try:
        for data in _lean(chunks(path)):
            reader.parser.Parse(data, False)  # noqa: FBT003 - takes no keyword
            yield from reader.taken()
        reader.parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise InvalidFile(f"{shown(str(path))} is no XML, or is cut off: {error}") from None
    yield from reader.taken()


def _lean(data: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out what says nothing of terms that is read here, as all programs of the OBO family lay it out.

    These are annotations of statements, and references: half of many a file, which a parser would have to go through tag
    by tag. What is laid out in another way, or may be quoted text, is handed on as it is.
    """
    rest = b""
    for chunk in data:
        text, rest = rest + chunk, b""
        if b"<![CDATA[" in text:
            yield text
            continue
        first, *parts = text.split(_BEGIN)
        if parts and _END not in parts[-1] and len(parts[-1]) < _LONGEST_TEXT:
            rest = _BEGIN + parts.pop()  # ends in the next chunk
        yield _REFERENCE.sub(b"", first + b"".join(map(_after_axiom, parts)))
    yield rest


def _after_axiom(part: bytes) -> bytes:
    """Return what follows an axiom whose beginning was cut off; all of it where it does not end."""
    _, end, after = part.partition(_END)
    return after if end else _BEGIN + part


class _Term:
    """What is known so far of the class that is being read."""

    __slots__ = ("alternatives", "first", "iri", "is_class", "parents", "synonyms")

    def __init__(self, iri: str) -> None:
        self.iri, self.is_class = iri, False
        self.first: dict[str, str] = {}
        self.synonyms: dict[str, str] = {}
        self.alternatives: list[str] = []
        self.parents: dict[str, str] = {}

    def parsed(self) -> Parsed:
        return Parsed(
            curie(self.iri),
            self.first.get("name"),
            self.first.get("definition"),
            list(self.synonyms),
            list(self.synonyms.values()),
            self.alternatives,
            list(self.parents),
            list(self.parents.values()),
            self.first.get("deprecated", "").strip() in ("true", "1"),
            curie(self.first["replaced"]) if self.first.get("replaced") else None,
        )


class _Reader:
    """Takes the events of a parser, and gathers the terms that they make.

    The handlers are called for every tag of files that have millions: what is of no interest returns at once, and texts
    are only handed over where one is wanted.
    """

    __slots__ = ("_depth", "_done", "_inside", "_kind", "_path", "_property", "_term", "_text", "parser")

    def __init__(self, path: Path) -> None:
        self._path, self._depth = path, 0
        self._term: _Term | None = None
        self._kind: str | None = None
        self._text: list[str] = []
        self._property = ""
        self._inside = False  # of a subClassOf that is spelled out
        self._done: list[Parsed] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = self._entity

    def taken(self) -> list[Parsed]:
        """Return the terms that were completed since the last call."""
        if sum(map(len, self._text)) > _LONGEST_TEXT:
            raise InvalidFile(f"{shown(str(self._path))} has a text of more than {_LONGEST_TEXT:,} characters")
        done, self._done = self._done, []
        return done

    def _entity(self, name: str, is_parameter: object, value: str | None, *rest: object) -> None:
        if value is None or is_parameter or "&" in value or len(value) > _LONGEST_ENTITY:
            raise InvalidFile(
                f"{shown(str(self._path))} declares the entity {shown(name)}, which is more than a short name of a namespace: "
                "it is not read"
            )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth = depth = self._depth + 1
        if depth == 3:
            if name in _WANTED and self._term is not None:
                self._begin(self._term, name, attributes)
        elif depth == 2:
            if name in _CLASSES and _ABOUT in attributes:
                self._term = _Term(attributes[_ABOUT])
                self._term.is_class = name == _CLASSES[0]
        elif self._inside and self._term is not None:
            self._nested(self._term, name, attributes)

    def _begin(self, term: _Term, name: str, attributes: dict[str, str]) -> None:
        """Begin what is said directly of the class."""
        resource = attributes.get(_RESOURCE)
        if name == _SUBCLASS:
            if resource is None:
                self._inside, self._property = True, ""
            else:
                term.parents.setdefault(curie(resource), "is_a")
        elif name == _TYPE:
            term.is_class = term.is_class or resource == _CLASS_IRI
        elif _TEXTS[name] == "replaced" and resource is not None:
            term.first.setdefault("replaced", resource)
        else:
            self._kind, self._text = _TEXTS[name], []
            self.parser.CharacterDataHandler = self._text.append

    def _nested(self, term: _Term, name: str, attributes: dict[str, str]) -> None:
        """Take ``part_of some X`` out of a restriction; of anything else nothing is taken."""
        if self._depth == 5 and name == _OWL + "onProperty":
            self._property = attributes.get(_RESOURCE, "")
        filler = attributes.get(_RESOURCE) if self._depth == 5 and name == _OWL + "someValuesFrom" else None
        if filler is not None and self._property in _PART_OF:
            term.parents.setdefault(curie(filler), "part_of")

    def _end(self, name: str) -> None:
        depth = self._depth
        self._depth = depth - 1
        if depth == 3:
            self._inside = False
            if self._kind is not None:
                self._finish(self._kind, "".join(self._text))
        elif depth == 2 and self._term is not None:
            if self._term.is_class:
                self._done.append(self._term.parsed())
            self._term = None

    def _finish(self, kind: str, text: str) -> None:
        self._kind, self.parser.CharacterDataHandler = None, None
        if (term := self._term) is None:
            return
        if kind in _SCOPES:
            if text:
                term.synonyms.setdefault(text, kind)
        elif kind == "alternative":
            term.alternatives.append(text.strip())
        else:
            term.first.setdefault(kind, text)
