"""Standards that are shipped as schemas, with what they ask beyond columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import MissingExtra
from registries.ontology.guide import PACKAGE, guide_files
from registries.parts import opened_data
from registries.vocabulary import vocabulary_of
from validation import Fault, Spec
from validation.cellxgene import CELLXGENE, Terms, cellxgene_faults

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["STANDARDS", "guide_terms", "standard_faults"]

STANDARDS: Mapping[str, tuple[Spec, str]] = {"cellxgene": (CELLXGENE, "CELLxGENE schema 7.1")}
"""By name: the specification, and what it is."""

Standard = Callable[[Any, "Instance"], list[Fault]]


def standard_faults(spec: Spec, data: Any, home: Instance, *, terms: Terms | None = None) -> list[Fault]:
    """Return what is wrong with data beyond their columns, where a specification is that of a standard.

    Parameters
    ----------
    spec
        Any specification.
    data
        As for a curator.
    home
        The instance, whose genes are used if it has any.
    terms
        What is known of ontology terms; those of the package cellxgene-ontology-guide, where none are given.

    Raises
    ------
    MissingExtra
        When the package is needed and not installed.
    """
    if spec != CELLXGENE:
        return []
    with opened_data(data) as found:
        if not hasattr(found, "obs") or hasattr(found, "mod"):
            return []  # told as missing slots already
        return cellxgene_faults(found, terms or guide_terms(), _genes(home))


@cache
def guide_terms() -> Terms:
    """Return the terms in the newest files of the package cellxgene-ontology-guide; each ontology is read once."""
    if not guide_files("CL"):
        raise MissingExtra(
            f"the schema 'cellxgene' needs the ontologies in {PACKAGE}: pip install 'lakehouse-toolkit[ontologies]'"
        )
    return Terms(_read)


def _read(ontology: str) -> Mapping[str, Mapping[str, Any]]:
    files = guide_files(ontology)
    return _parsed(next(iter(files.values()))) if files else {}


def _parsed(path: Path) -> Mapping[str, Mapping[str, Any]]:
    import pyarrow as pa

    with pa.input_stream(path, compression="zstd" if path.suffix == ".zst" else "gzip") as stream:
        found: Mapping[str, Mapping[str, Any]] = json.loads(stream.read())
        return found


def _genes(home: Instance) -> Callable[[Any, str], list[str]] | None:
    """Return what finds unknown feature ids; None where the instance has no genes, whose form is looked at then."""
    known = vocabulary_of(home.Gene, home, field="ensembl_gene_id")
    if not len(known.values()):
        return None

    def unknown(names: Any, organism: str) -> list[str]:
        own = vocabulary_of(home.Gene, home, field="ensembl_gene_id", where={"organism__ontology_id": organism})
        return [name for name, ok in zip(names, own.validate(list(names)), strict=True) if not ok]

    return unknown
