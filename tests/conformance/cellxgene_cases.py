"""A small AnnData that the official CELLxGENE validator accepts, and what is done to it to see what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.conformance.cellxgene_more import more_mutations
from tests.conformance.cellxgene_stored import stored_mutations

__all__ = ["MUTATIONS", "base", "mutated"]

GENES = ["ENSG00000127603", "ENSG00000141510", "ENSG00000012048", "ENSG00000139618", "ENSG00000002330"]
FIELDS = {
    "cell_type_ontology_term_id": "CL:0000066",
    "assay_ontology_term_id": "EFO:0009899",
    "disease_ontology_term_id": "MONDO:0100096",
    "sex_ontology_term_id": "PATO:0000383",
    "tissue_ontology_term_id": "UBERON:0002048",
    "tissue_type": "tissue",
    "self_reported_ethnicity_ontology_term_id": "HANCESTRO:0019",
    "development_stage_ontology_term_id": "HsapDv:0000003",
    "donor_id": "donor_1",
    "suspension_type": "nucleus",
}


def base() -> Any:
    """Return the AnnData that is accepted."""
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    obs = pd.DataFrame({name: pd.Categorical([value] * 3) for name, value in FIELDS.items()}, index=["a", "b", "c"])
    obs["is_primary_data"] = True
    var = pd.DataFrame({"feature_is_filtered": [False] * 5}, index=GENES)
    counts = np.array([[1, 2, 0, 0, 5], [0, 1, 3, 0, 1], [2, 0, 0, 4, 1]], dtype="float32")
    raw = anndata.AnnData(sparse.csr_matrix(counts), obs=obs[[]], var=pd.DataFrame(index=GENES))
    uns = {"title": "A title", "organism_ontology_term_id": "NCBITaxon:9606", "default_embedding": "X_umap"}
    made = anndata.AnnData(sparse.csr_matrix(counts + (counts > 0) * np.float32(0.5)), obs=obs, var=var, uns=uns)
    made.obsm["X_umap"] = np.arange(6, dtype="float64").reshape(3, 2)
    made.raw = raw
    return made


Mutation = Callable[[Any], Any]


def _obs(**fields: Any) -> Mutation:
    def change(data: Any) -> Any:
        import pandas as pd

        for name, value in fields.items():
            values = value if isinstance(value, list) else [value] * data.n_obs
            data.obs[name] = pd.Categorical(values)
        return data

    return change


def _term(name: str, value: Any) -> Mutation:
    return _obs(**{f"{name}_ontology_term_id": value})


def _uns(**fields: Any) -> Mutation:
    def change(data: Any) -> Any:
        data.uns.update(fields)
        return data

    return change


def _do(act: Callable[[Any], object]) -> Mutation:
    def change(data: Any) -> Any:
        act(data)
        return data

    return change


def _without_obs(name: str) -> Mutation:
    return _do(lambda data: data.obs.drop(columns=name, inplace=True))


def _raw(act: Callable[[Any], Any]) -> Mutation:
    """Change the counts in raw."""

    def change(data: Any) -> Any:
        import anndata

        matrix = act(data.raw.X.copy())
        data.raw = anndata.AnnData(matrix, obs=data.obs[[]], var=data.raw.var)
        return data

    return change


def _set(matrix: Any, at: tuple[int, int], value: float) -> Any:
    dense = matrix.toarray()
    dense[at] = value
    return type(matrix)(dense)


def _renamed(names: list[str], *, raw: bool) -> Mutation:
    def change(data: Any) -> Any:
        import anndata

        data.var_names = names
        if raw:
            raw_var = data.raw.var.copy()
            raw_var.index = names
            data.raw = anndata.AnnData(data.raw.X, obs=data.obs[[]], var=raw_var)
        return data

    return change


def _unraw(data: Any) -> Any:
    del data.raw
    return data


def _raw_only(data: Any) -> Any:
    data.X = data.raw.X.copy()
    del data.raw
    return data


def _typed(axis: str, name: str, kind: str) -> Mutation:
    return _do(lambda data: getattr(data, axis).__setitem__(name, getattr(data, axis)[name].astype(kind)))


def _embedding(key: str, value: Any) -> Mutation:
    return _do(lambda data: data.obsm.__setitem__(key, value))


def _dense(data: Any) -> Any:
    import numpy as np

    data.X = np.asarray(data.X.toarray())
    data.X[:, :3] = 0
    return data


def _nan(name: str) -> Mutation:
    return _obs(**{name: [FIELDS[name], FIELDS[name], None]})


_LINE = {
    "tissue_type": "cell line",
    "tissue_ontology_term_id": "CVCL_0004",
    "sex_ontology_term_id": "na",
    "self_reported_ethnicity_ontology_term_id": "na",
    "development_stage_ontology_term_id": "na",
    "donor_id": "na",
    "cell_type_ontology_term_id": "na",
}


def _line(**fields: Any) -> Mutation:
    return _obs(**(_LINE | fields))


def _mutations() -> dict[str, Mutation]:
    import numpy as np

    found: dict[str, Mutation] = {"nothing": lambda data: data}
    found |= {f"without {name}": _without_obs(name) for name in (*FIELDS, "is_primary_data")}
    found |= {f"NaN in {name}": _nan(name) for name in FIELDS}
    terms: dict[str, dict[str, Any]] = {
        "cell_type": {
            "root": "CL:0000000",
            "unknown": "unknown",
            "na": "na",
            "forbidden": "CL:0000255",
            "free text": "T cell",
            "lower case": "cl:0000066",
            "of another ontology": "UBERON:0002048",
            "deprecated": "CL:0000003",
            "missing digit": "CL:000066",
            "blank": " CL:0000066",
            "empty": "",
            "neuron": "CL:0000540",
        },
        "assay": {
            "root": "EFO:0002772",
            "not an assay": "EFO:0000001",
            "free text": "10x",
            "unknown": "unknown",
            "10x 3' v3": "EFO:0009922",
        },
        "disease": {
            "normal": "PATO:0000461",
            "root": "MONDO:0000001",
            "another quality": "PATO:0000383",
            "free text": "normal",
            "two in order": "MONDO:0004979 || MONDO:0100096",
            "two out of order": "MONDO:0100096 || MONDO:0004979",
            "the same twice": "MONDO:0100096 || MONDO:0100096",
            "normal and another": "MONDO:0100096 || PATO:0000461",
            "injury": "MONDO:0021178",
            "unknown": "unknown",
        },
        "sex": {
            "male": "PATO:0000384",
            "unknown": "unknown",
            "na": "na",
            "another quality": "PATO:0000461",
            "free text": "female",
        },
        "tissue": {
            "root": "UBERON:0001062",
            "a cell": "CL:0000066",
            "unknown": "unknown",
            "embryo": "UBERON:0000922",
            "with a suffix": "UBERON:0002048 (organoid)",
        },
        "self_reported_ethnicity": {
            "unknown": "unknown",
            "na": "na",
            "two in order": "HANCESTRO:0019 || HANCESTRO:0027",
            "two out of order": "HANCESTRO:0027 || HANCESTRO:0019",
            "with a comma": "HANCESTRO:0019,HANCESTRO:0027",
            "root": "HANCESTRO:0601",
        },
        "development_stage": {
            "unknown": "unknown",
            "na": "na",
            "root": "HsapDv:0000001",
            "of mice": "MmusDv:0000003",
            "free text": "adult",
        },
    }
    for name, values in terms.items():
        found |= {f"{name}: {title}": _term(name, value) for title, value in values.items()}
    found |= {
        "organoid": _obs(tissue_type="organoid"),
        "organoid of an embryo": _obs(tissue_type="organoid", tissue_ontology_term_id="UBERON:0000922"),
        "cell culture": _obs(tissue_type="cell culture"),
        "primary cell culture": _obs(tissue_type="primary cell culture", tissue_ontology_term_id="CL:0000066"),
        "primary cell culture of a tissue": _obs(tissue_type="primary cell culture"),
        "cell line": _line(),
        "cell line with a sex": _line(sex_ontology_term_id="PATO:0000383"),
        "cell line with a donor": _line(donor_id="donor_1"),
        "cell line with a stage": _line(development_stage_ontology_term_id="unknown"),
        "cell line of a tissue": _line(tissue_ontology_term_id="UBERON:0002048"),
        "donor na": _obs(donor_id="na"),
        "donor empty": _obs(donor_id=""),
        "donors are numbers": _obs(donor_id=1),
        "suspension na": _obs(suspension_type="na"),
        "suspension of another kind": _obs(suspension_type="organoid"),
        "suspension against the assay": _obs(assay_ontology_term_id="EFO:0010550", suspension_type="cell"),
        "primary is text": _do(lambda data: data.obs.__setitem__("is_primary_data", "True")),
        "primary is a number": _typed("obs", "is_primary_data", "int64"),
        "a name twice in obs": _do(lambda data: setattr(data, "obs_names", ["a", "a", "b"])),
        "a label column": _obs(cell_type="epithelial cell"),
        "organism in obs": _obs(organism_ontology_term_id="NCBITaxon:9606"),
        "ethnicity in obs": _obs(ethnicity="x"),
        "a joinid": _obs(observation_joinid="x"),
        "a column with underscores": _obs(__x="y"),
        "a further column": _obs(batch="1"),
        "without title": _do(lambda data: data.uns.pop("title")),
        "title empty": _uns(title=""),
        "title with blanks": _uns(title=" A title"),
        "without organism": _do(lambda data: data.uns.pop("organism_ontology_term_id")),
        "organism is a name": _uns(organism_ontology_term_id="Homo sapiens"),
        "organism is a virus": _uns(organism_ontology_term_id="NCBITaxon:2697049"),
        "organism of other genes": _uns(organism_ontology_term_id="NCBITaxon:10090"),
        "schema version in uns": _uns(schema_version="7.1.0"),
        "deprecated in uns": _uns(publication_doi="x"),
        "embedding that is not there": _uns(default_embedding="X_tsne"),
        "distribution": _uns(X_approximate_distribution="count"),
        "another distribution": _uns(X_approximate_distribution="gamma"),
        "batches": _uns(batch_condition=np.array(["donor_id"], dtype=object)),
        "batches that are not there": _uns(batch_condition=np.array(["plate"], dtype=object)),
        "colours": _uns(tissue_type_colors=np.array(["#ff0000"], dtype=object)),
        "colours of nothing": _uns(plate_colors=np.array(["#ff0000"], dtype=object)),
        "colours that are none": _uns(tissue_type_colors=np.array(["#ff00"], dtype=object)),
        "an unknown gene": _renamed(["ENSG00000000001", *GENES[1:]], raw=True),
        "a gene with a version": _renamed([GENES[0] + ".5", *GENES[1:]], raw=True),
        "a symbol": _renamed(["TP53", *GENES[1:]], raw=True),
        "a gene twice": _renamed([GENES[1], *GENES[1:]], raw=True),
        "genes unlike those of raw": _renamed([*GENES[1:], GENES[0]], raw=False),
        "without feature_is_filtered": _do(lambda data: data.var.drop(columns="feature_is_filtered", inplace=True)),
        "filtered is text": _typed("var", "feature_is_filtered", "str"),
        "a feature name": _do(lambda data: data.var.__setitem__("feature_name", "x")),
        "without embedding": _do(lambda data: data.obsm.clear()),
        "only another embedding": _do(
            lambda data: (data.obsm.__setitem__("tsne", data.obsm.pop("X_umap")), data.uns.pop("default_embedding"))
        ),
        "an embedding of one column": _embedding("X_umap", np.zeros((3, 1))),
        "an infinite embedding": _embedding("X_umap", np.full((3, 2), np.inf)),
        "an embedding of NaN": _embedding("X_umap", np.full((3, 2), np.nan)),
        "an embedding with a blank": _embedding("X_u map", np.zeros((3, 2))),
        "a spatial embedding": _embedding("spatial", np.zeros((3, 2))),
        "counts that are none": _raw(lambda x: _set(x, (0, 0), 1.5)),
        "counts below zero": _raw(lambda x: _set(x, (0, 0), -1)),
        "counts in float64": _raw(lambda x: x.astype("float64")),
        "a cell without counts": _raw(lambda x: type(x)(np.vstack([np.zeros((1, 5), "float32"), x.toarray()[1:]]))),
        "cells that are equal": _raw(lambda x: type(x)(np.vstack([x.toarray()[1:2], x.toarray()[1:]]))),
        "without raw": _unraw,
        "only raw": _raw_only,
        "dense and sparse": _dense,
    }
    return found


def mutated(name: str) -> Any:
    """Return the AnnData with one change."""
    return MUTATIONS[name](base())


MUTATIONS = _mutations() | more_mutations() | stored_mutations()
