"""The CELLxGENE schema 7.1: what an AnnData has to be to be accepted there.

Columns, dtypes and closed lists are a plain specification; which ontology terms are admitted depends on the organism and
the kind of tissue, and is told by :class:`Terms`. What is asked of spatial assays and of genetic perturbations has modules
of its own.

https://github.com/chanzuckerberg/single-cell-curation/blob/main/schema/7.1.0/schema.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from validation.cellxgene_counts import matrix_faults, raw_faults, repeated_cells, wants_raw
from validation.cellxgene_perturbations import perturbation_faults
from validation.cellxgene_spatial import Spatial, spatial_faults, spatial_of
from validation.cellxgene_terms import HUMAN, MOUSE, ORGANISMS, Terms, admitted, suspensions
from validation.report import Fault
from validation.rules import Rule, Slot
from validation.spec import Spec

__all__ = ["CELLXGENE", "Terms", "cellxgene_faults"]

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
_CONDITION = "experimental_condition"
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
                Rule("title", "str", regex=r"\S+( \S+)*"),
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
    spatial, unknown = spatial_of(data, terms), partial(_unknown_genes, organism=organism, genes=genes)
    fields = (*_ANNOTATED, _CONDITION)
    found += [fault for name in fields for fault in _term_faults(data.obs, name, organism, terms)]
    found += _more_obs(data, terms) + _condition_faults(data.obs)
    found += _gene_faults(data, organism, unknown)
    found += perturbation_faults(data, organism, unknown)
    found += spatial_faults(data, spatial) + _embedding_faults(data, spatial)
    found += matrix_faults(data) + repeated_cells(data)
    if not found and wants_raw(data, terms):
        found += raw_faults(data, rows=spatial.rows)
    return found + _version_notes(data)


def _version_notes(data: Any) -> list[Fault]:
    """Return that a file is of another version of AnnData's format; the official validator looks, and lets it pass."""
    filename = getattr(data, "filename", None)
    if filename is None:
        return []
    import h5py

    with h5py.File(filename, "r") as file:
        version = file.attrs.get("encoding-version")
    told = f"has the encoding-version {version!r}, where '0.1.0' of anndata 0.8 and later is asked for"
    return [] if version == "0.1.0" else [Fault("wrong_version", "file", None, told, is_note=True)]


def _condition_faults(obs: Any) -> list[Fault]:
    column = f"{_CONDITION}_ontology_term_id"
    if column not in obs:
        return []
    if obs[column].isnull().any():
        rows = obs[column].isnull().to_numpy().nonzero()[0]
        return [Fault("null", "obs", column, "is missing", len(rows), tuple(rows[:1000].tolist()))]
    if bool((obs[column] == "na").all()):
        return [Fault("not_allowed", "obs", column, "is 'na' everywhere: leave the column out")]
    bad = [one for one in obs[column].unique() if not isinstance(one, str)]
    return [Fault("wrong_dtype", "obs", column, f"{bad[0]!r} is no text")] if bad else []


def _is_organism(organism: object, terms: Terms) -> bool:
    if isinstance(organism, str) and organism in ORGANISMS:
        return True
    if not isinstance(organism, str) or not terms.is_in(organism, ["NCBITaxon"]) or terms.is_deprecated(organism):
        return False
    return terms.below(organism, _BELOW)


def _term_faults(obs: Any, name: str, organism: str, terms: Terms) -> list[Fault]:
    column = f"{name}_ontology_term_id"
    if column not in obs or "tissue_type" not in obs or not organism:
        return []
    found = []
    pairs = obs[[column, "tissue_type"]].astype(object).drop_duplicates()
    for value, tissue_type in pairs.itertuples(index=False):
        if not isinstance(value, str):
            continue  # told as missing or of another type already
        why = admitted(name, organism, str(tissue_type), terms).refuses(value, terms)
        if why is not None:
            rows = ((obs[column] == value) & (obs["tissue_type"] == tissue_type)).to_numpy().nonzero()[0]
            told = f"{value!r} {why}"
            found.append(Fault("not_admitted", "obs", column, told, len(rows), tuple(rows[:1000].tolist()), (value,)))
    return found


def _more_obs(data: Any, terms: Terms) -> list[Fault]:
    obs = data.obs
    plain = [n for n in ("donor_id", "suspension_type", "tissue_type") if n in obs and obs[n].dtype != "category"]
    found = [Fault("wrong_dtype", "obs", name, f"is not categorical, but {obs[name].dtype}") for name in plain]
    for axis, frame, name in (("obs", obs, "is_primary_data"), ("var", data.var, "feature_is_filtered")):
        if name in frame and frame[name].dtype == "category":
            found.append(Fault("wrong_dtype", axis, name, "is categorical, where truth values are asked for"))
    named = map(str, (*obs.columns, *data.var.columns, *data.uns, *data.obsm))
    told = "begins with __, which is reserved"
    found += [Fault("bad_column_name", "obs", name, told) for name in named if name.startswith("__")]
    twice = [axis for axis in ("obs", "var") if getattr(data, axis).columns.has_duplicates]
    found += [Fault("duplicate_column", axis, None, "has a column twice") for axis in twice]
    if {"assay_ontology_term_id", "suspension_type"} <= set(obs.columns):
        pairs = obs[["assay_ontology_term_id", "suspension_type"]].astype(object).drop_duplicates()
        for assay, suspension in pairs.itertuples(index=False):
            wanted = suspensions(str(assay), terms)
            if wanted and suspension not in wanted:
                told = f"is {suspension!r} where {assay} takes {' or '.join(wanted)}"
                found.append(Fault("not_admitted", "obs", "suspension_type", told, examples=(suspension,)))
    return found + _donor_faults(obs) + _uns_faults(data)


def _donor_faults(obs: Any) -> list[Fault]:
    if not {"donor_id", "tissue_type"} <= set(obs.columns):
        return []
    if obs["donor_id"].dtype == "category" and not all(str(one).strip() for one in obs["donor_id"].cat.categories):
        return [Fault("wrong_length", "obs", "donor_id", "has a category that is blank")]
    lines, unnamed = obs["tissue_type"] == "cell line", obs["donor_id"] == "na"
    if bool((lines != unnamed).any()):
        told = "is 'na' for cell lines, and for nothing else"
        return [Fault("not_admitted", "obs", "donor_id", told)]
    return []


def _uns_faults(data: Any) -> list[Fault]:
    found = []
    for key, value in data.uns.items():
        if hasattr(value, "__len__") and not hasattr(value, "nnz") and len(value) == 0:  # sparse ones have no length
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


_FORMS = {HUMAN: r"ENSG\d{11}", MOUSE: r"ENSMUSG\d{11}"}


def _unknown_genes(names: Iterable[str], *, organism: str, genes: Callable[[Any, str], list[str]] | None) -> list[str]:
    """Return which feature ids are none of an organism."""
    listed = list(names)
    if genes is not None:
        return genes(listed, organism)
    form = re.compile(_FORMS.get(organism, r"\S+") + r"|ERCC-\d{5}")
    return [name for name in listed if not form.fullmatch(name)]


def _gene_faults(data: Any, organism: str, unknown_of: Callable[[Iterable[str]], list[str]]) -> list[Fault]:
    found = []
    for slot, names in (("var", data.var_names), ("raw/var", None if data.raw is None else data.raw.var_names)):
        if names is None or not organism:
            continue
        unknown = unknown_of(names)
        if unknown:
            told = f"{unknown[0]!r} is no feature id of {organism}"
            found.append(Fault("not_in_registry", slot, "index", told, len(unknown), examples=tuple(unknown[:5])))
    return found


def _embedding_faults(data: Any, spatial: Spatial) -> list[Fault]:
    if not len(data.obsm):
        return [Fault("missing_slot", "obsm", None, "has no embedding")]
    found = []
    if not spatial.is_spatial and not any(key.startswith("X_") for key in data.obsm):
        found.append(Fault("missing_key", "obsm", "X_", "no embedding has a name that begins with X_"))
    found += [fault for key, value in data.obsm.items() for fault in _one_embedding(key, value)]
    if "spatial" in data.obsm and spatial.single is None:
        found.append(Fault("forbidden_key", "obsm", "spatial", "is there without uns['spatial']['is_single']"))
    if "spatial" not in data.obsm and spatial.single:
        found.append(Fault("missing_key", "obsm", "spatial", "is required where uns['spatial']['is_single'] is True"))
    for name in ("varm", "obsp", "varp"):
        empty = [key for key, value in getattr(data, name).items() if getattr(value, "size", 1) == 0]
        found += [Fault("empty", name, key, "has no value") for key in empty]
    return found


def _one_embedding(key: str, value: Any) -> list[Fault]:
    import numpy as np

    found = []
    places = key.lower() == "spatial"
    shown = key.startswith("X_") or places
    if not places and (not _EMBEDDING.fullmatch(key.removeprefix("X_")) or key.lower() == "x_spatial"):
        found.append(Fault("bad_column_name", "obsm", key, "is no name of an embedding"))
    if not isinstance(value, np.ndarray) or value.ndim < 2 or value.shape[1] < 1:
        found.append(Fault("wrong_dtype", "obsm", key, "is no NumPy array of two dimensions with a column"))
    elif shown and (value.shape[1] < 2 or value.dtype.kind not in "iuf"):
        found.append(Fault("wrong_shape", "obsm", key, f"has shape {value.shape} and dtype {value.dtype}"))
    elif shown and value.dtype.kind == "f" and (np.isinf(value).any() or np.isnan(value).all()):
        found.append(Fault("out_of_range", "obsm", key, "has infinite values, or none but NaN"))
    elif places and value.dtype.kind == "f" and np.isnan(value).any():
        found.append(Fault("out_of_range", "obsm", key, "has NaN"))
    return found
