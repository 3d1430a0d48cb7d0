"""One instance for all tests of datasets: artifacts never change, and each test names datasets of its own."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from registries.instance import Instance

GENES = [f"g{n}" for n in range(24)]


def cells(count: int, genes: list[str], seed: int) -> anndata.AnnData:
    dice = np.random.default_rng(seed)
    matrix = sparse.random(count, len(genes), 0.4, format="csr", dtype="float32", random_state=seed)
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(dice.choice(["T cell", "B cell", "NK cell"], count)), "depth": range(count)},
        index=[f"cell{n}" for n in range(count)],
    )
    made = anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=genes), obsm={"X_pca": dice.random((count, 2))})
    made.layers["raw"] = (matrix * 2).tocsr()
    return made


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    instance = Instance.create(tmp_path_factory.mktemp("datasets") / "lake", user="ada")
    yield instance
    instance.close()


@pytest.fixture(scope="package")
def atlas(home):
    """Three members in three formats, of which one measures other genes, and one carries labels."""
    made = [
        home.Artifact(cells(50, GENES[:20], 1), key="atlas/a.h5ad").save(),
        home.Artifact(cells(60, GENES[4:], 2), key="atlas/b.zarr").save(),
        home.Artifact(cells(40, GENES[:20], 3), key="atlas/c.soma").save(),
    ]
    home.ULabel(name="treated").save()
    home.Feature(name="condition", dtype="cat[ULabel]").save()
    home.Feature(name="temperature", dtype="float").save()
    made[0].labels.add("treated", feature="condition")
    made[1].features.add_values({"temperature": 21.5})
    return home.Dataset(made, name="atlas").save()


@pytest.fixture(scope="package")
def donors(home):
    """Two tables with columns that differ."""
    frames = [
        pd.DataFrame({"donor": ["D1", "D2"], "age": [31, 45], "sex": ["f", "m"]}),
        pd.DataFrame({"donor": ["D3"], "age": [27.5], "site": ["north"]}),
    ]
    return home.Dataset(frames, name="donors").save()
