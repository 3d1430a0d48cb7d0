"""The JSON of cellxgene-ontology-guide: an object of terms with their ancestors and how far these are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import texts
from registries.ontology.parsed import Parsed

__all__ = ["read_cxg"]

_LARGEST = 64 << 20


def read_cxg(path: Path) -> Iterator[Parsed]:
    """Yield the terms of a file, in its order; a term's parents are its ancestors at distance 1.

    The file tells kinds and parts not apart, so parents are related as ``parent``; its synonyms are exact.

    Raises
    ------
    InvalidFile
        When it is no such JSON, or is cut off.
    """
    for key, found in _members(path):
        if not isinstance(found, dict) or not isinstance(found.get("ancestors", {}), dict):
            raise InvalidFile(f"{shown(str(path))}: {shown(key)} is no term with a label and ancestors")
        yield _term(key, found)


def _term(key: str, found: dict[str, Any]) -> Parsed:
    parents = _nearest(found.get("ancestors", {}))
    synonyms = found.get("synonyms") or ()
    replaced = found.get("replaced_by")
    return Parsed(
        id=key.removeprefix("uniprot:"),
        name=found.get("label") or None,
        definition=found.get("description") or None,
        synonyms=synonyms,
        synonym_scopes=["EXACT"] * len(synonyms),
        parents=parents,
        relations=["parent"] * len(parents),
        obsolete=bool(found.get("deprecated")),
        replaced_by=replaced if isinstance(replaced, str) else None,
    )


def _nearest(ancestors: dict[str, Any]) -> list[str]:
    """Return those at distance 1: mostly one, of thirty ancestors that a species has."""
    distances = list(ancestors.values())
    if distances.count(1) == 1:
        return [list(ancestors)[distances.index(1)]]
    return [parent for parent, distance in ancestors.items() if distance == 1]


def _members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the members of the outermost object one by one: the whole of it may be a gigabyte."""
    source, decoder = texts(path), json.JSONDecoder()
    buffer = next(source, "")
    position = buffer.find("{") + 1
    if buffer[:1] != "{":
        raise InvalidFile(f"{shown(str(path))} begins with {shown(buffer[:20])}: a JSON object of terms is expected")
    while buffer[position : position + 1] != "}":
        try:
            found, after = _member(buffer, position, decoder)
        except (ValueError, IndexError):  # the member is not yet whole
            more = next(source, None)
            if more is None or len(buffer) > _LARGEST:
                raise InvalidFile(
                    f"{shown(str(path))} is cut off, or no JSON, near {shown(buffer[position:], 60)}"
                ) from None
            buffer, position = buffer[position:] + more, 0
            continue
        except RecursionError:
            raise InvalidFile(f"{shown(str(path))} is nested too deeply") from None
        yield found
        position = after


def _member(buffer: str, position: int, decoder: json.JSONDecoder) -> tuple[tuple[str, Any], int]:
    while buffer[position] in " \t\r\n,":
        position += 1
    if buffer[position] != '"':
        raise ValueError
    key, position = decoder.raw_decode(buffer, position)
    while buffer[position] in " \t\r\n:":
        position += 1
    value, position = decoder.raw_decode(buffer, position)
    while buffer[position] in " \t\r\n":
        position += 1
    if buffer[position] not in ",}":
        raise ValueError
    return (key, value), position
