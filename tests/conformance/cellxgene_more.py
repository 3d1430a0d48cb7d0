"""Mutations of a slide of Visium, of an assay of beads, of perturbed cells, and of conditions of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["more_mutations"]

Mutation = Callable[[Any], Any]
GUIDE = {
    "role": "targeting",
    "protospacer_sequence": "ACGTACGTACGTACGTACGT",
    "protospacer_adjacent_motif": "3' NGG",
    "intended_features": {"ENSG00000141510": "TP53"},
}
STRATEGIES = ["CRISPR knockout screen", "control", "no perturbations"]


def _cat(data: Any, **columns: Any) -> Any:
    import pandas as pd

    for name, value in columns.items():
        data.obs[name] = pd.Categorical(value if isinstance(value, list) else [value] * data.n_obs)
    return data


def _beads(data: Any) -> Any:
    data.obsm["spatial"] = data.obsm["X_umap"]
    data.uns["spatial"] = {"is_single": True}
    return _cat(data, assay_ontology_term_id="EFO:0030062", suspension_type="na")


def _visium(data: Any, spots: int = 4992, assay: str = "EFO:0022857", side: int = 2000) -> Any:
    """Return a whole slide, of whose spots the first two are outside the tissue."""
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    obs = pd.DataFrame(
        {name: [data.obs[name].iloc[0]] * spots for name in data.obs}, index=[f"s{i}" for i in range(spots)]
    )
    obs = obs.astype({name: "category" for name in obs if name != "is_primary_data"})
    places = np.arange(spots)
    obs["array_col"], obs["array_row"], obs["in_tissue"] = places % 128, places % 78, (places > 1).astype("int64")
    counts = np.zeros((spots, 5), dtype="float32")
    counts[:, 0], counts[:, 1] = places + 1, 1
    raw = anndata.AnnData(sparse.csr_matrix(counts), obs=obs[[]], var=pd.DataFrame(index=data.var_names))
    made = anndata.AnnData(
        sparse.csr_matrix(counts + (counts > 0) * np.float32(0.5)), obs=obs, var=data.var, uns=data.uns
    )
    made.raw = raw
    made.obsm["X_umap"] = made.obsm["spatial"] = np.stack([places, places], axis=1).astype("float64")
    images = {"hires": np.zeros((2, side, 3), dtype="uint8")}
    scales = {"spot_diameter_fullres": 89.5, "tissue_hires_scalef": 0.1}
    made.uns["spatial"] = {"is_single": True, "lib": {"images": images, "scalefactors": scales}}
    _cat(made, assay_ontology_term_id=assay, suspension_type="na")
    return _cat(made, cell_type_ontology_term_id=["unknown"] * 2 + ["CL:0000066"] * (spots - 2))


def _perturbed(data: Any) -> Any:
    data.uns["genetic_perturbations"] = {"g1": dict(GUIDE), "g2": dict(GUIDE, role="control", intended_features={})}
    return _cat(data, genetic_perturbation_id=["g1", "g2", "na"], genetic_perturbation_strategy=STRATEGIES)


def _of(start: Mutation, act: Callable[[Any], object]) -> Mutation:
    def change(data: Any) -> Any:
        made = start(data)
        act(made)
        return made

    return change


def _library(**parts: Any) -> Callable[[Any], object]:
    return lambda data: data.uns["spatial"]["lib"].update(parts)


def _image(name: str, image: Any) -> Callable[[Any], object]:
    return lambda data: data.uns["spatial"]["lib"]["images"].__setitem__(name, image)


def _guide(**parts: Any) -> Callable[[Any], object]:
    def act(data: Any) -> None:
        guide = data.uns["genetic_perturbations"]["g1"]
        guide.update(parts)
        for name in [name for name, value in parts.items() if value is None]:
            del guide[name]

    return act


def _column(name: str, value: Any) -> Callable[[Any], object]:
    return lambda data: data.obs.__setitem__(name, value)


def more_mutations() -> dict[str, Mutation]:
    """Return further mutations by name."""
    return _spatial() | _slides() | _perturbations() | _conditions()


def _spatial() -> dict[str, Mutation]:
    import numpy as np

    uns = lambda value: lambda data: data.uns.__setitem__("spatial", value)  # noqa: E731
    found: dict[str, Callable[[Any], object]] = {
        "as they are": lambda data: None,
        "not single": lambda data: (
            data.uns["spatial"].update(is_single=False),
            data.obs.__setitem__("is_primary_data", False),
        ),
        "not single and primary": uns({"is_single": False}),
        "is_single is text": uns({"is_single": "True"}),
        "without is_single": uns({"x": 1}),
        "without spatial": lambda data: data.uns.pop("spatial"),
        "spatial is text": uns("yes"),
        "with a library": uns({"is_single": True, "lib": {"images": {}}}),
        "without places": lambda data: data.obsm.pop("spatial"),
        "places only": lambda data: (data.obsm.pop("X_umap"), data.uns.pop("default_embedding")),
        "a place that is NaN": lambda data: data.obsm.__setitem__("spatial", np.array([[0, np.nan]] * 3)),
        "places of one column": lambda data: data.obsm.__setitem__("spatial", np.zeros((3, 1))),
        "with array_row": _column("array_row", [0, 1, 2]),
        "of two assays": lambda data: _cat(
            data, assay_ontology_term_id=["EFO:0030062"] * 2 + ["EFO:0009920"], suspension_type="na"
        ),
    }
    plain: dict[str, Mutation] = {
        "spatial of another assay": lambda data: (data.uns.update(spatial={"is_single": True}), data)[1],
        "array_col of another assay": lambda data: (_column("array_col", [0, 1, 2])(data), data)[1],
        "Visium as such": lambda data: _cat(_beads(data), assay_ontology_term_id="EFO:0010961"),
        "an empty array in varm": lambda data: (data.varm.__setitem__("x", np.zeros((5, 0))), data)[1],
        "an empty array in obsm": lambda data: (data.obsm.__setitem__("x", np.zeros((3, 0))), data)[1],
    }
    return {f"beads: {name}": _of(_beads, act) for name, act in found.items()} | plain


def _slides() -> dict[str, Mutation]:
    import numpy as np

    image = np.zeros((2, 2000, 3), dtype="uint8")
    spots = np.arange(4992)
    found: dict[str, Callable[[Any], object]] = {
        "as it is": lambda data: None,
        "with the full image": _image("fullres", np.zeros((9, 9, 4), dtype="uint8")),
        "the image is float": _image("hires", image.astype("float32")),
        "the image has one colour": _image("hires", image[:, :, :1]),
        "the image has no colours": _image("hires", image[:, :, 0]),
        "the image is small": _image("hires", image[:, :1000]),
        "another image": _image("lowres", image),
        "without hires": lambda data: data.uns["spatial"]["lib"].update(images={"fullres": image}),
        "without images": lambda data: data.uns["spatial"]["lib"].pop("images"),
        "without scalefactors": lambda data: data.uns["spatial"]["lib"].pop("scalefactors"),
        "a scale is a whole number": _library(scalefactors={"spot_diameter_fullres": 89, "tissue_hires_scalef": 0.1}),
        "a scale is missing": _library(scalefactors={"spot_diameter_fullres": 89.5}),
        "more in the library": _library(metadata="x"),
        "two libraries": lambda data: data.uns["spatial"].update(other={"images": {}}),
        "without a library": lambda data: data.uns["spatial"].pop("lib"),
        "the library is text": lambda data: data.uns["spatial"].update(lib="x"),
        "without in_tissue": lambda data: data.obs.pop("in_tissue"),
        "without array_col": lambda data: data.obs.pop("array_col"),
        "array_row is float": _column("array_row", (spots % 78).astype("float64")),
        "array_row is too high": _column("array_row", spots % 79),
        "array_col is below zero": _column("array_col", spots % 128 - 1),
        "in_tissue is two": _column("in_tissue", np.where(spots > 1, 2, 0)),
        "in_tissue is a truth value": _column("in_tissue", spots > 1),
        "a cell type outside the tissue": lambda data: _cat(data, cell_type_ontology_term_id="CL:0000066"),
        "all in the tissue": _column("in_tissue", np.ones(4992, dtype="int64")),
    }
    made = {f"slide: {name}": _of(_visium, act) for name, act in found.items()}
    made |= {
        "slide: too few spots": lambda data: _visium(data, spots=100),
        "slide: of 11 mm with few spots": lambda data: _visium(data, assay="EFO:0022860", side=4000),
        "slide: of 11 mm": lambda data: _visium(data, spots=14336, assay="EFO:0022860", side=4000),
        "slide: spots outside are empty": _of(_visium, lambda data: _emptied(data, [0, 1])),
        "slide: one spot outside is empty": _of(_visium, lambda data: _emptied(data, [0])),
        "slide: a spot inside is empty": _of(_visium, lambda data: _emptied(data, [7])),
    }
    return made


def _emptied(data: Any, rows: list[int]) -> None:
    import anndata

    counts = data.raw.X.tolil()
    counts[rows] = 0
    data.raw = anndata.AnnData(counts.tocsr(), obs=data.obs[[]], var=data.raw.var)


def _perturbations() -> dict[str, Mutation]:
    ids = lambda *names: lambda data: _cat(data, genetic_perturbation_id=list(names))  # noqa: E731
    ways = lambda *names: lambda data: _cat(data, genetic_perturbation_strategy=list(names))  # noqa: E731
    mouse = lambda data: data.uns.update(organism_ontology_term_id="NCBITaxon:6239")  # noqa: E731
    found: dict[str, Callable[[Any], object]] = {
        "as they are": lambda data: None,
        "of two guides": ids("g1 || g2", "g2", "na"),
        "out of order": ids("g2 || g1", "g2", "na"),
        "the same twice": ids("g1 || g1", "g2", "na"),
        "of an unknown guide": ids("g3", "g2", "na"),
        "NaN": ids("g1", "g2", None),
        "none at all": lambda data: (ids("na", "na", "na")(data), ways(*["no perturbations"] * 3)(data)),
        "without uns": lambda data: data.uns.pop("genetic_perturbations"),
        "without ids": lambda data: data.obs.pop("genetic_perturbation_id"),
        "without strategies": lambda data: data.obs.pop("genetic_perturbation_strategy"),
        "without columns": lambda data: (
            data.obs.pop("genetic_perturbation_strategy"),
            data.obs.pop("genetic_perturbation_id"),
        ),
        "ids are text": _column("genetic_perturbation_id", ["g1", "g2", "na"]),
        "strategies are text": _column("genetic_perturbation_strategy", STRATEGIES),
        "an unknown strategy": ways("RNAi", *STRATEGIES[1:]),
        "control of a targeting guide": ways("control", *STRATEGIES[1:]),
        "no perturbation of a perturbed cell": ways("no perturbations", *STRATEGIES[1:]),
        "a strategy without perturbation": ways(STRATEGIES[0], "control", "control"),
        "the guide na": lambda data: data.uns["genetic_perturbations"].update(na=dict(GUIDE)),
        "a guide with a blank": lambda data: data.uns["genetic_perturbations"].update({"g 3": {"role": "x"}}),
        "a guide with a blank and a comma later": lambda data: data.uns["genetic_perturbations"].update(
            {"g3,": {"x": "y"}}
        ),
        "guides are text": lambda data: data.uns.update(genetic_perturbations="g1"),
        "without a role": _guide(role=None),
        "another role": _guide(role="other"),
        "without a sequence": _guide(protospacer_sequence=None),
        "a sequence in lower case": _guide(protospacer_sequence="acgtacgtacgtacgtacgt"),
        "a short sequence": _guide(protospacer_sequence="ACGT"),
        "without a motif": _guide(protospacer_adjacent_motif=None),
        "another motif": _guide(protospacer_adjacent_motif="NGG"),
        "without features": _guide(intended_features=None),
        "an unknown feature": _guide(intended_features={"ENSG00000000001": "x"}),
        "a feature with a version": _guide(intended_features={"ENSG00000141510.5": "TP53"}),
        "features are text": _guide(intended_features="TP53"),
        "a reserved key": _guide(derived_features="x"),
        "another key": _guide(note="x"),
        "of worms": mouse,
    }
    return {f"perturbations: {name}": _of(_perturbed, act) for name, act in found.items()}


def _conditions() -> dict[str, Mutation]:
    column = "experimental_condition_ontology_term_id"
    values: dict[str, Any] = {
        "a chemical": ["CHEBI:16412", "na", "na"],
        "na everywhere": "na",
        "a temperature": "EFO:0001702",
        "a diet": "EFO:0002757",
        "diet": "EFO:0002755",
        "fasting": "EFO:0002756",
        "an assay": "EFO:0009899",
        "chemical entity": "CHEBI:24431",
        "a role": "CHEBI:35620",
        "a protein": "uniprot:Q6GZX4",
        "against a protein": "anti-uniprot:Q6GZX4",
        "against a chemical": "anti-CHEBI:16412",
        "two in order": "CHEBI:16412 || EFO:0001702",
        "two out of order": "EFO:0001702 || CHEBI:16412",
        "the same twice": "CHEBI:16412 || CHEBI:16412",
        "na beside another": "CHEBI:16412 || na",
        "free text": "LPS",
        "NaN": ["CHEBI:16412", None, "na"],
    }
    found = {f"condition: {name}": (lambda data, v=v: _cat(data, **{column: v})) for name, v in values.items()}
    found["condition: a label"] = lambda data: _cat(data, experimental_condition="x")
    return found
