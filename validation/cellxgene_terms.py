"""Which ontology terms the CELLxGENE schema 7.1 admits in which field, by organism and kind of tissue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HUMAN", "MOUSE", "ONTOLOGIES", "ORGANISMS", "Admitted", "Terms", "admitted", "suspensions"]

ONTOLOGIES: tuple[str, ...] = (
    "CL",
    "EFO",
    "MONDO",
    "PATO",
    "UBERON",
    "HANCESTRO",
    "HsapDv",
    "MmusDv",
    "ZFA",
    "FBbt",
    "FBdv",
    "WBbt",
)
ONTOLOGIES += ("WBls", "CVCL", "NCBITaxon", "CHEBI", "UniProt")
"""The ontologies whose terms may be asked for."""

ORGANISMS = frozenset(
    f"NCBITaxon:{n}" for n in (9606, 10090, 7227, 7955, 6239, 9541, 9986, 9483, 9595, 9544, 9598, 9823, 30608, 10116)
)
"""Organisms that are admitted as such; none of them is below another."""
_KEPT_IN = {"AFPO": "HANCESTRO", "AfPO": "HANCESTRO", "ZFS": "ZFA"}
HUMAN, MOUSE, _WORM, _FISH, _FLY = (f"NCBITaxon:{n}" for n in (9606, 10090, 6239, 7955, 7227))


class Terms:
    """What is known of ontology terms.

    Parameters
    ----------
    read
        Takes the name of an ontology (one of ``ONTOLOGIES``), returns its terms by id: each a mapping with
        ``ancestors`` (ids) and ``deprecated``.

    Examples
    --------
    >>> terms = Terms(lambda name: {"CL:2": {"ancestors": {"CL:1": 1}}} if name == "CL" else {})
    >>> terms.is_in("CL:2", ["CL"]), terms.below("CL:2", ["CL:1"]), terms.is_in("CL:3", ["CL"])
    (True, True, False)
    """

    def __init__(self, read: Callable[[str], Mapping[str, Mapping[str, Any]]]) -> None:
        self._read = read
        self._known: dict[str, Mapping[str, Mapping[str, Any]]] = {}

    def _of(self, ontology: str) -> Mapping[str, Mapping[str, Any]]:
        name = _KEPT_IN.get(ontology, ontology)
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def find(self, term: str) -> Mapping[str, Any] | None:
        """Return what is known of a term."""
        prefix = re.split(r"[:_]", term, maxsplit=1)[0]
        name = _KEPT_IN.get(prefix, next((one for one in ONTOLOGIES if one.lower() == prefix.lower()), ""))
        return self._of(name).get(term) if name else None

    def is_in(self, term: str, ontologies: Iterable[str]) -> bool:
        """Return whether a term is one of some ontologies."""
        prefix = re.split(r"[:_]", term, maxsplit=1)[0]
        names = {_KEPT_IN.get(one, one).lower() for one in ontologies}
        return _KEPT_IN.get(prefix, prefix).lower() in names and self.find(term) is not None

    def is_deprecated(self, term: str) -> bool:
        """Return whether its ontology has withdrawn a term."""
        return bool((self.find(term) or {}).get("deprecated"))

    def below(self, term: str, ancestors: Iterable[str], *, inclusive: bool = False) -> bool:
        """Return whether a term is below one of others."""
        above = (self.find(term) or {}).get("ancestors") or ()
        return any(one in above or (inclusive and one == term) for one in ancestors)


@dataclass(frozen=True)
class Admitted:
    """Which terms a field admits."""

    ontologies: tuple[str, ...]
    below: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    never_below: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    """Ontologies of which every term is admitted."""
    prefix: str = ""
    """What may stand before a term, such as ``anti-``."""
    several: bool = False
    several_in: tuple[str, ...] = field(default=())

    def refuses(self, value: str, terms: Terms) -> str | None:
        """Return why a value is not admitted."""
        if value in self.words:
            return None
        if not self.ontologies:
            return f"is not {' or '.join(self.words)}"
        parts = value.split(" || ") if self.several else [value]
        for part in parts:
            why = self._refuses_one(part, terms)
            if why is None and len(parts) > 1 and self.several_in and not terms.is_in(part, self.several_in):
                why = f"{part} may not stand beside others"
            if why is not None:
                return why
        return None if parts == sorted(set(parts)) else "is not in ascending order without repeats"

    def _refuses_one(self, term: str, terms: Terms) -> str | None:
        term = term.removeprefix(self.prefix)
        if term in self.never:
            return f"{term} is not admitted"
        if not terms.is_in(term, self.ontologies):
            return f"is no term of {', '.join(self.ontologies)}"
        if terms.is_deprecated(term):
            return f"{term} is deprecated"
        if self.never_below and terms.below(term, self.never_below):
            return f"{term} is below a term that is not admitted"
        if self.whole and terms.is_in(term, self.whole):
            return None
        if (self.below or self.also) and term not in self.also and not terms.below(term, self.below):
            return f"{term} is not below {', '.join(self.below)}"
        return None


_CELL_NEVER = ("CL:0000255", "CL:0000257", "CL:0000548", "WBbt:0006803")
_CELLS = ("CL:0000000", "ZFA:0009000", "FBbt:00007002", "WBbt:0004017")
_ANATOMY = ("UBERON:0001062", "ZFA:0100000", "FBbt:10000000", "WBbt:0005766")
_NO_TISSUE: tuple[str, ...] = (
    "ZFA:0009000",
    "ZFA:0001093",
    "FBbt:00007002",
    "WBbt:0007849",
    "WBbt:0007850",
    "WBbt:0008595",
)
_NO_TISSUE += ("WBbt:0004017", "WBbt:0006803")
_OF_CELLS = ("ZFA:0009000", "WBbt:0004017", "WBbt:0006803", "FBbt:00007002")
_SEXES = ("PATO:0000383", "PATO:0000384", "PATO:0001340")
_ASSAY = Admitted(("EFO",), ("EFO:0002772", "EFO:0010183"))
_DISEASE = Admitted(
    ("MONDO", "PATO"),
    ("MONDO:0000001", "MONDO:0021178"),
    ("PATO:0000461", "MONDO:0021178"),
    several=True,
    several_in=("MONDO",),
)
_ETHNICITY = Admitted(("HANCESTRO", "AFPO"), ("HANCESTRO:0601", "HANCESTRO:0602"), words=("unknown",), several=True)
_CHEMICALS_NEVER = tuple(
    f"CHEBI:{n}"
    for n in (
        *(23367, 24431, 24835, 24867, 24870, 25212, 25367, 25699, 33238, 33259, 33497, 33595, 33674, 33675),
        *(36342, 36357, 36358, 36914, 37577, 50906),
    )
)
_CONDITION = Admitted(
    ("CHEBI", "EFO", "UniProt"),
    ("CHEBI:24431", "EFO:0002755"),
    ("EFO:0001702", "EFO:0002755", "EFO:0002756"),
    ("na",),
    _CHEMICALS_NEVER,
    ("CHEBI:36342", "CHEBI:50906"),
    ("UniProt",),
    "anti-",
    several=True,
)
_NA = Admitted((), words=("na",))
_STAGES = {
    HUMAN: Admitted(("HsapDv",), ("HsapDv:0000001",), words=("unknown",)),
    MOUSE: Admitted(("MmusDv",), ("MmusDv:0000001",), words=("unknown",)),
    _FISH: Admitted(("ZFA", "ZFS"), ("ZFS:0100000",), words=("unknown",), never=("ZFS:0000000",)),
    _FLY: Admitted(("FBdv",), ("FBdv:00007014", "FBdv:00005259"), words=("unknown",), never=("FBdv:00007012",)),
    _WORM: Admitted(("WBls",), ("WBls:0000803", "WBls:0000804"), ("WBls:0000669",), words=("unknown",)),
}
_OTHER_STAGE = Admitted(("UBERON",), ("UBERON:0000105",), words=("unknown",), never=("UBERON:0000071",))


def _cell_type(organism: str, tissue_type: str) -> Admitted:
    own = {_WORM: ("WBbt",), _FISH: ("ZFA",), _FLY: ("FBbt",)}.get(organism, ())
    words = ("unknown", "na") if tissue_type == "cell line" else ("unknown",)
    return Admitted(("CL", *own), _CELLS, ("CL:0000000",), words, _CELL_NEVER, ("WBbt:0006803",))


def _tissue(organism: str, tissue_type: str) -> Admitted:
    if tissue_type == "cell line":
        return Admitted(("CVCL",))
    own = {_WORM: ("WBbt",), _FISH: ("ZFA",), _FLY: ("FBbt",)}.get(organism, ())
    if tissue_type == "primary cell culture":
        return Admitted(("CL", *own), _CELLS, (), ("unknown",), _CELL_NEVER, ("WBbt:0006803",))
    never = (*_NO_TISSUE, "UBERON:0000922") if tissue_type == "organoid" else _NO_TISSUE
    return Admitted(("UBERON", *own), _ANATOMY, (), (), never, _OF_CELLS)


def admitted(name: str, organism: str, tissue_type: str, terms: Terms) -> Admitted:
    """Return which terms a field admits in rows of one kind of tissue."""
    line = tissue_type == "cell line"
    if name == "cell_type":
        return _cell_type(organism, tissue_type)
    if name == "tissue":
        return _tissue(organism, tissue_type)
    if name == "sex":
        sexes = _SEXES[1:] if organism == _WORM else _SEXES
        return _NA if line else Admitted(("PATO",), also=sexes, words=("unknown",))
    if name == "self_reported_ethnicity":
        return _NA if line or organism != HUMAN else _ETHNICITY
    if name == "development_stage":
        # the taxonomy has more than a million terms, and is not read for what is known without it
        own = MOUSE if organism not in ORGANISMS and terms.below(organism, [MOUSE]) else organism
        return _NA if line else _STAGES.get(own, _OTHER_STAGE)
    if name == "experimental_condition":
        return _CONDITION
    return _ASSAY if name == "assay" else _DISEASE


_SUSPENSIONS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("EFO:0030080", "EFO:0010184", "EFO:0010010", "EFO:0009919"),
        ("EFO:0008722", "EFO:0008780", "EFO:0700010", "EFO:0700011", "EFO:0030060", "EFO:0022490", "EFO:0030028"),
        ("cell", "nucleus"),
    ),
    (("EFO:0007045", "EFO:0002761"), ("EFO:0008720", "EFO:0030026"), ("nucleus",)),
    (
        ("EFO:0008919", "EFO:0008853", "EFO:0008953"),
        ("EFO:0030002", "EFO:0008796", "EFO:0700003", "EFO:0700004", "EFO:0008679", "EFO:0008877"),
        ("cell",),
    ),
    (("EFO:0008994",), ("EFO:0008992",), ("na",)),
)
"""By assay (below, or exactly): which suspensions there may be."""


def suspensions(assay: str, terms: Terms) -> tuple[str, ...]:
    """Return which suspensions an assay takes; empty where any is admitted."""
    for below, exactly, wanted in _SUSPENSIONS:
        if assay in exactly or terms.below(assay, below, inclusive=True):
            return wanted
    return ()
