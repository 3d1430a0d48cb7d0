"""OBO 1.2 and 1.4, as lenient as real files demand: what a line lacks is taken as its default, nothing stops the file.

The format: https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html. Strict parsers stop at undeclared synonym
types, missing scopes, odd identifiers and unescaped characters; a reader of terms needs none of these to be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import LONGEST_LINE, texts
from registries.ontology.parsed import Parsed

__all__ = ["read_obo"]

_ESCAPE = re.compile(r"\\(.)")
_WHITE = {"n": "\n", "t": "\t", "W": " "}
_PARTS = frozenset({"part_of", "BFO:0000050", "http://purl.obolibrary.org/obo/BFO_0000050"})
_SCOPES = frozenset({"EXACT", "NARROW", "BROAD", "RELATED"})
_OLD = {
    "exact_synonym": "EXACT",
    "narrow_synonym": "NARROW",
    "broad_synonym": "BROAD",
    "related_synonym": "RELATED",
}


def read_obo(path: Path) -> Iterator[Parsed]:
    """Yield the terms of a file, in its order; one that comes twice is yielded twice.

    Raises
    ------
    InvalidFile
        When there is no stanza in it, or a line or stanza that no real file has.
    """
    for stanza in _stanzas(path):
        if stanza.startswith("Term]") and (term := _term(stanza)) is not None:
            yield term


def _stanzas(path: Path) -> Iterator[str]:
    """Yield what stands between two lines that begin with a bracket."""
    rest, found = "\n", False  # so that a bracket in the first line begins a stanza, too
    for text in texts(path):
        first, *parts = (rest + text).replace("\r\n", "\n").split("\n[")
        if found and parts:
            yield first
        rest, found = (parts or [first])[-1], found or bool(parts)
        yield from parts[:-1]
        if len(rest) > LONGEST_LINE:
            raise InvalidFile(f"{shown(str(path))} has a stanza of more than {LONGEST_LINE:,} characters")
    if not found:
        raise InvalidFile(f"{shown(str(path))} has no [Term] in it: it is no OBO file")
    yield rest


def _term(stanza: str) -> Parsed | None:
    """Return the term of a stanza; None where it has no id."""
    identifier = name = definition = replaced = None
    synonyms, alternatives, parents = dict[str, str](), list[str](), dict[str, str]()
    obsolete = False
    for line in stanza.split("\n"):
        tag, colon, value = line.partition(":")
        if not colon:
            continue
        if tag == "is_a":
            parents.setdefault(_first(value), "is_a")
        elif tag == "synonym":
            _add_synonym(synonyms, value)
        elif tag == "name":
            name = name or _plain(value)
        elif tag == "id":
            identifier = identifier or _first(value)
        elif tag == "def":
            definition = definition or _quoted(value)[0]
        elif tag == "relationship":
            relation, _, target = value.strip().partition(" ")
            if relation in _PARTS and target:
                parents.setdefault(_first(target), "part_of")
        elif tag == "alt_id":
            alternatives.append(_first(value))
        elif tag == "is_obsolete":
            obsolete = obsolete or value.strip().lower().startswith("true")
        elif tag == "replaced_by":
            replaced = replaced or _first(value)
        elif tag in _OLD:
            synonyms.setdefault(_quoted(value)[0], _OLD[tag])
    if not identifier:
        return None
    scopes = list(synonyms.values())
    relations = list(parents.values())
    return Parsed(
        identifier, name, definition, list(synonyms), scopes, alternatives, list(parents), relations, obsolete, replaced
    )


def _first(value: str) -> str:
    """Return an identifier, which ends at the first blank; what follows are qualifiers and a comment."""
    parts = value.split(None, 1)
    return _unescaped(parts[0]) if parts else ""


def _plain(value: str) -> str:
    """Return unquoted text; only a qualifier block at its end is taken off, as real names hold ``!``."""
    text = value.strip()
    if text.endswith("}") and (start := text.rfind(" {")) >= 0 and "=" in text[start:]:
        text = text[:start].rstrip()
    return _unescaped(text)


def _quoted(value: str) -> tuple[str, str]:
    """Return the text between the first pair of quotes, and what follows it."""
    start = value.find('"')
    if start < 0:
        return _plain(value), ""
    end = value.find('"', start + 1)
    if "\\" in value:
        while end > 0 and _is_escaped(value, end):
            end = value.find('"', end + 1)
    if end < 0:
        return _unescaped(value[start + 1 :].strip()), ""
    return _unescaped(value[start + 1 : end]), value[end + 1 :]


def _is_escaped(text: str, place: int) -> bool:
    before = text[:place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _add_synonym(synonyms: dict[str, str], value: str) -> None:
    text, after = _quoted(value)
    words = after.split(None, 1)
    scope = words[0] if words and words[0] in _SCOPES else "RELATED"
    if text:
        synonyms.setdefault(text, scope)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _WHITE.get(found[1], found[1]), text)
