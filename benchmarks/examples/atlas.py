"""Building an atlas from fifty files: ingest, one dataset of all of them, a question across them, one store."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

import lakehouse as lh

__all__ = ["build", "main"]


def main(folder: Path, *, files: int = 50) -> tuple[int, int, int]:
    """Return the members of the atlas, its observations, and how many of them are T cells."""
    dataset = build(folder, files=files)
    found = dataset.query(obs="cell_type == 'T cell' and donor != 'D0'", var=["CD3E", "CD8A"])
    print(found, found.shape)
    print(found.to_anndata().to_df().groupby(found.obs["donor"], observed=True).mean())
    stored = dataset.to_zarr(folder / "atlas.zarr", progress=lambda done, total: print(f"{done:,} of {total:,}"))
    lh.Artifact(stored, key="atlas.zarr", description="All samples, in one store").save()
    counts = len(dataset), dataset.n_rows or 0, found.n_obs
    lh.disconnect()
    return counts


def build(folder: Path, *, files: int) -> lh.Dataset:
    """Write samples, ingest them with the donor as a label, and return the dataset of all of them."""
    lake = lh.init(folder / "lake", pointer=False)
    lh.Feature(name="donor", dtype="cat[ULabel]").save()
    (folder / "samples").mkdir()
    rows = []
    for n in range(files):
        sample(n).write_h5ad(folder / "samples" / f"{n:02}.h5ad")
        rows.append({"path": str(folder / "samples" / f"{n:02}.h5ad"), "key": f"samples/{n:02}.h5ad"})
        rows[-1]["features"] = f'{{"donor": "D{n % 5}"}}'
    print(lh.ingest(pd.DataFrame(rows), create_labels=True).summary())
    return lake.Dataset(lh.Artifact.filter(key__startswith="samples/"), name="atlas").save()


def sample(seed: int) -> anndata.AnnData:
    """Return some cells; every third sample measures one gene less."""
    genes = [f"GENE{n}" for n in range(97)] + ["CD3E", "CD8A", "CD4"][: 2 if seed % 3 == 0 else 3]
    dice = np.random.default_rng(seed)
    matrix = sparse.random(60, len(genes), 0.2, format="csr", dtype="float32", random_state=seed)
    obs = pd.DataFrame({"cell_type": pd.Categorical(dice.choice(["T cell", "B cell"], 60))})
    obs.index = pd.Index([f"s{seed}-{n}" for n in range(60)])
    return anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=genes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
