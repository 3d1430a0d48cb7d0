"""The CELLxGENE schema 7.1: what an AnnData has to be to be accepted there.

Columns, dtypes and closed lists are a plain specification; which ontology terms are admitted depends on the organism and
the kind of tissue, and is told by :class:`Terms`. Images and positions of spatial assays and the details of genetic
perturbations are not looked at, which a note says.

https://github.com/chanzuckerberg/single-cell-curation/blob/main/schema/7.1.0/schema.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from validation.report import Fault
from validation.rules import Rule, Slot
from validation.spec import Spec

__all__ = ["CELLXGENE", "ONTOLOGIES", "Terms", "cellxgene_faults"]

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

_KEPT_IN = {"AFPO": "HANCESTRO", "AfPO": "HANCESTRO", "ZFS": "ZFA"}
_HUMAN, _MOUSE, _WORM, _FISH, _FLY = (f"NCBITaxon:{n}" for n in (9606, 10090, 6239, 7955, 7227))
_ORGANISMS = {
    f"NCBITaxon:{n}" for n in (9606, 10090, 7227, 7955, 6239, 9541, 9986, 9483, 9595, 9544, 9598, 9823, 30608)
}
_ORGANISMS |= {"NCBITaxon:10116"}
_BELOW = tuple(f"NCBITaxon:{n}" for n in (9541, 9544, 10090, 9986, 9598, 10116, 9823))
_TISSUE_TYPES = ("primary cell culture", "organoid", "tissue", "cell line")
_DEPRECATED_UNS: tuple[str, ...] = (
    "X_normalization",
    "default_field",
    "layer_descriptions",
    "tags",
    "version",
    "contributors",
)
_DEPRECATED_UNS += ("preprint_doi", "project_description", "project_links", "project_name", "publication_doi")
_RESERVED_UNS = ("schema_version", "schema_reference", "citation", "is_pre_analysis", "organism")
_ANNOTATED = ("cell_type", "assay", "disease", "sex", "tissue", "self_reported_ethnicity", "development_stage")
_RESERVED_OBS = ("observation_joinid", "experimental_condition", "perturbation_types", *_ANNOTATED)
_DEPRECATED_OBS = ("ethnicity", "ethnicity_ontology_term_id", "organism", "organism_ontology_term_id")
_RESERVED_VAR = ("feature_name", "feature_reference", "feature_biotype", "feature_length", "feature_type")
_CHUNK = 10_000
_SPARSE = 0.5
_EMBEDDING = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]*")


def _curie(name: str) -> Rule:
    return Rule(f"{name}_ontology_term_id", "str")


CELLXGENE = Spec(
    {
        "obs": Slot(
            [
                replace(_curie("cell_type"), required=False),  # a dataset that is not analysed yet has none
                *map(_curie, _ANNOTATED[1:]),
                Rule("donor_id", "str", min_length=1),
                Rule("is_primary_data", "bool"),
                Rule("suspension_type", "cat", isin=("cell", "nucleus", "na")),
                Rule("tissue_type", "cat", isin=_TISSUE_TYPES),
                *(Rule(name, forbidden=True) for name in (*_DEPRECATED_OBS, *_RESERVED_OBS)),
            ],
            index=Rule("index", "str", unique=True),
            extra="allow",
        ),
        "var": Slot(
            [Rule("feature_is_filtered", "bool"), *(Rule(name, forbidden=True) for name in _RESERVED_VAR)],
            index=Rule("index", "str", unique=True),
            extra="allow",
        ),
        "raw/var": Slot(
            [Rule(name, forbidden=True) for name in ("feature_is_filtered", *_RESERVED_VAR)],
            index=Rule("index", "str", unique=True, required=False),
            extra="allow",
        ),
        "uns": Slot(
            [
                Rule("title", "str", regex=r"\S(.*\S)?"),
                Rule("organism_ontology_term_id", "str"),
                Rule("X_approximate_distribution", "str", required=False, isin=("count", "normal")),
                *(Rule(name, forbidden=True) for name in (*_DEPRECATED_UNS, *_RESERVED_UNS)),
            ],
            extra="allow",
        ),
    },
    "cellxgene",
)
"""What can be said column by column."""


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
class _Admitted:
    """Which terms a field admits."""

    ontologies: tuple[str, ...]
    below: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    never_below: tuple[str, ...] = ()
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
        if term in self.never:
            return f"{term} is not admitted"
        if not terms.is_in(term, self.ontologies):
            return f"is no term of {', '.join(self.ontologies)}"
        if terms.is_deprecated(term):
            return f"{term} is deprecated"
        if self.never_below and terms.below(term, self.never_below):
            return f"{term} is below a term that is not admitted"
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
_ASSAY = _Admitted(("EFO",), ("EFO:0002772", "EFO:0010183"))
_DISEASE = _Admitted(
    ("MONDO", "PATO"),
    ("MONDO:0000001", "MONDO:0021178"),
    ("PATO:0000461", "MONDO:0021178"),
    several=True,
    several_in=("MONDO",),
)
_ETHNICITY = _Admitted(("HANCESTRO", "AFPO"), ("HANCESTRO:0601", "HANCESTRO:0602"), words=("unknown",), several=True)
_NA = _Admitted((), words=("na",))
_STAGES = {
    _HUMAN: _Admitted(("HsapDv",), ("HsapDv:0000001",), words=("unknown",)),
    _MOUSE: _Admitted(("MmusDv",), ("MmusDv:0000001",), words=("unknown",)),
    _FISH: _Admitted(("ZFA", "ZFS"), ("ZFS:0100000",), words=("unknown",), never=("ZFS:0000000",)),
    _FLY: _Admitted(("FBdv",), ("FBdv:00007014", "FBdv:00005259"), words=("unknown",), never=("FBdv:00007012",)),
    _WORM: _Admitted(("WBls",), ("WBls:0000803", "WBls:0000804"), ("WBls:0000669",), words=("unknown",)),
}
_OTHER_STAGE = _Admitted(("UBERON",), ("UBERON:0000105",), words=("unknown",), never=("UBERON:0000071",))


def _cell_type(organism: str, tissue_type: str) -> _Admitted:
    own = {_WORM: ("WBbt",), _FISH: ("ZFA",), _FLY: ("FBbt",)}.get(organism, ())
    words = ("unknown", "na") if tissue_type == "cell line" else ("unknown",)
    return _Admitted(("CL", *own), _CELLS, ("CL:0000000",), words, _CELL_NEVER, ("WBbt:0006803",))


def _tissue(organism: str, tissue_type: str) -> _Admitted:
    if tissue_type == "cell line":
        return _Admitted(("CVCL",))
    own = {_WORM: ("WBbt",), _FISH: ("ZFA",), _FLY: ("FBbt",)}.get(organism, ())
    if tissue_type == "primary cell culture":
        return _Admitted(("CL", *own), _CELLS, (), ("unknown",), _CELL_NEVER, ("WBbt:0006803",))
    never = (*_NO_TISSUE, "UBERON:0000922") if tissue_type == "organoid" else _NO_TISSUE
    return _Admitted(("UBERON", *own), _ANATOMY, (), (), never, _OF_CELLS)


def _admitted(name: str, organism: str, tissue_type: str, terms: Terms) -> _Admitted:
    """Return which terms a field admits in rows of one kind of tissue."""
    line = tissue_type == "cell line"
    if name == "cell_type":
        return _cell_type(organism, tissue_type)
    if name == "tissue":
        return _tissue(organism, tissue_type)
    if name == "sex":
        sexes = _SEXES[1:] if organism == _WORM else _SEXES
        return _NA if line else _Admitted(("PATO",), also=sexes, words=("unknown",))
    if name == "self_reported_ethnicity":
        return _NA if line or organism != _HUMAN else _ETHNICITY
    if name == "development_stage":
        own = _MOUSE if terms.below(organism, [_MOUSE], inclusive=True) else organism
        return _NA if line else _STAGES.get(own, _OTHER_STAGE)
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


def cellxgene_faults(data: Any, terms: Terms, genes: Callable[[Any, str], list[str]] | None = None) -> list[Fault]:
    """Return what is wrong with an AnnData beyond its columns: terms, genes, embeddings, raw counts.

    Parameters
    ----------
    data
        An AnnData, in memory or backed; counts are read in chunks.
    terms
        What is known of ontology terms.
    genes
        Takes feature ids and the organism, returns those that are unknown; where none is given, their form is looked at.
    """
    found: list[Fault] = []
    organism = data.uns.get("organism_ontology_term_id")
    if not _is_organism(organism, terms):
        found.append(
            Fault("not_admitted", "uns", "organism_ontology_term_id", f"{organism!r} is no organism of the schema")
        )
        organism = ""
    found += [fault for name in _ANNOTATED for fault in _term_faults(data.obs, name, organism, terms)]
    found += _more_obs(data, terms)
    found += _gene_faults(data, organism, genes)
    found += _embedding_faults(data) + _matrix_faults(data) + _repeated_cells(data)
    if not found and _wants_raw(data, terms):
        found += _raw_faults(data)
    return found


def _is_organism(organism: object, terms: Terms) -> bool:
    if not isinstance(organism, str) or not terms.is_in(organism, ["NCBITaxon"]) or terms.is_deprecated(organism):
        return False
    return organism in _ORGANISMS or terms.below(organism, _BELOW)


def _term_faults(obs: Any, name: str, organism: str, terms: Terms) -> list[Fault]:
    column = f"{name}_ontology_term_id"
    if column not in obs or "tissue_type" not in obs or not organism:
        return []
    found = []
    pairs = obs[[column, "tissue_type"]].astype(object).drop_duplicates()
    for value, tissue_type in pairs.itertuples(index=False):
        if not isinstance(value, str):
            continue  # told as missing or of another type already
        why = _admitted(name, organism, str(tissue_type), terms).refuses(value, terms)
        if why is not None:
            rows = ((obs[column] == value) & (obs["tissue_type"] == tissue_type)).to_numpy().nonzero()[0]
            told = f"{value!r} {why}"
            found.append(Fault("not_admitted", "obs", column, told, len(rows), tuple(rows[:1000].tolist()), (value,)))
    return found


def _more_obs(data: Any, terms: Terms) -> list[Fault]:
    obs = data.obs
    plain = [n for n in ("donor_id", "suspension_type", "tissue_type") if n in obs and obs[n].dtype != "category"]
    found = [Fault("wrong_dtype", "obs", name, f"is not categorical, but {obs[name].dtype}") for name in plain]
    named = map(str, (*obs.columns, *data.var.columns, *data.uns, *data.obsm))
    told = "begins with __, which is reserved"
    found += [Fault("bad_column_name", "obs", name, told) for name in named if name.startswith("__")]
    twice = [axis for axis in ("obs", "var") if getattr(data, axis).columns.has_duplicates]
    found += [Fault("duplicate_column", axis, None, "has a column twice") for axis in twice]
    if {"assay_ontology_term_id", "suspension_type"} <= set(obs.columns):
        pairs = obs[["assay_ontology_term_id", "suspension_type"]].astype(object).drop_duplicates()
        for assay, suspension in pairs.itertuples(index=False):
            wanted = _suspensions(str(assay), terms)
            if wanted and suspension not in wanted:
                told = f"is {suspension!r} where {assay} takes {' or '.join(wanted)}"
                found.append(Fault("not_admitted", "obs", "suspension_type", told, examples=(suspension,)))
    return found + _donor_faults(obs) + _uns_faults(data)


def _suspensions(assay: str, terms: Terms) -> tuple[str, ...]:
    for below, exactly, wanted in _SUSPENSIONS:
        if assay in exactly or terms.below(assay, below, inclusive=True):
            return wanted
    return ()


def _donor_faults(obs: Any) -> list[Fault]:
    if not {"donor_id", "tissue_type"} <= set(obs.columns):
        return []
    lines, unnamed = obs["tissue_type"] == "cell line", obs["donor_id"] == "na"
    if bool((lines != unnamed).any()):
        told = "is 'na' for cell lines, and for nothing else"
        return [Fault("not_admitted", "obs", "donor_id", told)]
    return []


def _uns_faults(data: Any) -> list[Fault]:
    found = []
    for key, value in data.uns.items():
        if hasattr(value, "__len__") and len(value) == 0:
            found.append(Fault("empty", "uns", str(key), "is empty"))
        if str(key).endswith("_colors"):
            found += _color_faults(data.obs, str(key), value)
    embedding = data.uns.get("default_embedding")
    if embedding is not None and embedding not in data.obsm:
        found.append(Fault("not_allowed", "uns", "default_embedding", f"{embedding!r} is not in obsm"))
    batch = data.uns.get("batch_condition")
    if batch is not None:
        if isinstance(batch, str):
            found.append(Fault("wrong_dtype", "uns", "batch_condition", "is no list"))
        else:
            missing = [name for name in batch if name not in data.obs]
            found += [
                Fault("not_allowed", "uns", "batch_condition", f"{name!r} is no column of obs") for name in missing
            ]
    return found


def _color_faults(obs: Any, key: str, value: Any) -> list[Fault]:
    column = key.removesuffix("_colors")
    if column not in obs or obs[column].dtype != "category":
        return [Fault("not_allowed", "uns", key, f"is about {column!r}, which is no categorical column of obs")]
    if not hasattr(value, "dtype") or not all(isinstance(one, str) for one in value):
        return [Fault("wrong_dtype", "uns", key, "is no array of text")]
    if len(value) < obs[column].nunique():
        return [Fault("wrong_length", "uns", key, "has fewer colours than the column has values")]
    hexes = [bool(re.fullmatch(r"#[0-9a-fA-F]{6}", one)) for one in value]
    if any(hexes) != all(hexes) or not (all(hexes) or all(one.isalpha() and one.islower() for one in value)):
        return [Fault("no_match", "uns", key, "has colours that are neither all #RRGGBB nor all names")]
    return []


_FORMS = {_HUMAN: r"ENSG\d{11}", _MOUSE: r"ENSMUSG\d{11}"}


def _gene_faults(data: Any, organism: str, genes: Callable[[Any, str], list[str]] | None) -> list[Fault]:
    found = []
    for slot, names in (("var", data.var_names), ("raw/var", None if data.raw is None else data.raw.var_names)):
        if names is None or not organism:
            continue
        form = re.compile(_FORMS.get(organism, r"\S+") + r"|ERCC-\d{5}")
        unknown = genes(names, organism) if genes is not None else [n for n in names if not form.fullmatch(n)]
        if unknown:
            told = f"{unknown[0]!r} is no feature id of {organism}"
            found.append(Fault("not_in_registry", slot, "index", told, len(unknown), examples=tuple(unknown[:5])))
    return found


def _embedding_faults(data: Any) -> list[Fault]:
    import numpy as np

    if not len(data.obsm):
        return [Fault("missing_slot", "obsm", None, "has no embedding")]
    found = []
    if not any(key.startswith("X_") for key in data.obsm):
        found.append(Fault("missing_key", "obsm", "X_", "no embedding has a name that begins with X_"))
    for key, value in data.obsm.items():
        shown = key.startswith("X_")
        if not _EMBEDDING.fullmatch(key.removeprefix("X_")) or key.lower() == "x_spatial":
            found.append(Fault("bad_column_name", "obsm", key, "is no name of an embedding"))
        if not isinstance(value, np.ndarray) or value.ndim < 2:
            found.append(Fault("wrong_dtype", "obsm", key, "is no NumPy array of two dimensions"))
        elif shown and (value.shape[1] < 2 or value.dtype.kind not in "iuf"):
            found.append(Fault("wrong_shape", "obsm", key, f"has shape {value.shape} and dtype {value.dtype}"))
        elif shown and value.dtype.kind == "f" and (np.isinf(value).any() or np.isnan(value).all()):
            found.append(Fault("out_of_range", "obsm", key, "has infinite values, or none but NaN"))
        if key == "spatial" and "spatial" not in data.uns:
            found.append(Fault("forbidden_key", "obsm", key, "is there without uns['spatial']"))
    return found


def _matrix_faults(data: Any) -> list[Fault]:
    found = _sparsity_faults("X", data.X) + ([] if data.raw is None else _sparsity_faults("raw/X", data.raw.X))
    if data.raw is not None:
        if not data.var_names.equals(data.raw.var_names):
            found.append(Fault("not_equal", "raw/var", "index", "is not the index of var"))
    elif "feature_is_filtered" in data.var and bool((data.var["feature_is_filtered"] == True).any()):  # noqa: E712
        found.append(Fault("not_allowed", "var", "feature_is_filtered", "is True though there is no raw"))
    return found


def _sparsity_faults(slot: str, matrix: Any) -> list[Fault]:
    """Return that a dense matrix is mostly zeros, or a sparse one not by rows."""
    kind = getattr(matrix, "format", None)
    if kind is not None:
        told = f"is sparse by {kind}, where csr is asked for"
        return [] if kind == "csr" else [Fault("wrong_dtype", slot, None, told)]
    filled = sum(int((matrix[at : at + _CHUNK] != 0).sum()) for at in range(0, matrix.shape[0], _CHUNK))
    size = matrix.shape[0] * matrix.shape[1]
    if size and 1 - filled / size > _SPARSE:
        return [Fault("wrong_dtype", slot, None, "is dense, though more than half of it is zero")]
    return []


def _repeated_cells(data: Any) -> list[Fault]:
    """Return whether cells have equal counts, of which 16 bytes each are kept."""
    import hashlib

    matrix = data.X if data.raw is None else data.raw.X
    seen: dict[bytes, int] = {}
    rows: list[int] = []
    for start in range(0, matrix.shape[0], _CHUNK):
        chunk = matrix[start : start + _CHUNK]
        for at in range(chunk.shape[0]):
            row = chunk[at].toarray() if hasattr(chunk, "toarray") else chunk[at]
            digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            if seen.setdefault(digest, start + at) != start + at:
                rows.append(start + at)
    if not rows:
        return []
    slot = "X" if data.raw is None else "raw/X"
    return [Fault("duplicate_rows", slot, None, "has cells of equal counts", len(rows), tuple(rows[:1000]))]


def _wants_raw(data: Any, terms: Terms) -> bool:
    """Return whether counts are asked for: of RNA, and of whatever is not told to be without."""
    if "assay_ontology_term_id" not in data.obs:
        return False
    assays = set(map(str, data.obs["assay_ontology_term_id"].unique()))
    without = ("EFO:0007045", "EFO:0008804", "EFO:0000751", "EFO:0008939")
    both = ("EFO:0010891", "EFO:0008913")
    if any(all(terms.below(one, [top], inclusive=True) for top in both) for one in assays):
        return True
    return not all(terms.below(one, without) for one in assays)


def _raw_faults(data: Any) -> list[Fault]:
    import numpy as np

    slot, matrix = ("X", data.X) if data.raw is None else ("raw/X", data.raw.X)
    if matrix.dtype != np.float32:
        return [Fault("wrong_dtype", slot, None, f"raw counts are float32, not {matrix.dtype}")]
    found: dict[str, Fault] = {}
    for start in range(0, matrix.shape[0], _CHUNK):
        chunk = matrix[start : start + _CHUNK]
        values = chunk.data if hasattr(chunk, "tocsr") else chunk
        if bool(((values % 1 > 0) | (values < 0)).any()):
            found["counts"] = Fault("not_counts", slot, None, "has values that are no counts, and there are no others")
        filled = chunk.getnnz(axis=1) if hasattr(chunk, "tocsr") else (chunk != 0).sum(axis=1)
        if not bool(np.all(filled)):
            found["empty"] = Fault("empty_rows", slot, None, "has cells without any count")
    return list(found.values())
