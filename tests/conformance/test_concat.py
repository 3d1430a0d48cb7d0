"""Datasets of files that other programs wrote, beside ``anndata.concat`` of the same files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from registries.dataset import Dataset
from registries.instance import Instance

FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "datasets"
NAMES = [
    "anndata/v0.7.0_adata.h5ad",
    "cellxgene/example_valid.h5ad",
    "lamindb/mini_immuno_dataset1.h5ad",
    "lamindb/mini_immuno_dataset2.h5ad",
    "scanpy/10x_pbmc68k_reduced.h5ad",
    "squidpy/test_data.h5ad",
    "tiledbsoma/10x-pbmc-multiome_subset_100_100.h5ad",
]
PAIRS = [*pairwise(NAMES), ("scanpy/10x_pbmc68k_reduced.h5ad", "lamindb/mini_immuno_dataset1.h5ad")]
CASES = [*((pair, join) for pair in PAIRS for join in ("inner", "outer")), (tuple(NAMES), "inner")]

pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="the shared datasets are not here")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with Instance.create(tmp_path_factory.mktemp("concat") / "lake", user="ada") as made:
        yield made


@pytest.mark.parametrize(("names", "join"), CASES)
def test_members_are_joined_as_anndata_joins_them(
    home: Instance, names: tuple[str, ...], join: Any, tmp_path: Path
) -> None:
    known = [home.Artifact(str(FILES / name), key=name).save() for name in names]
    dataset = home.Dataset(known, name=" + ".join(names)).save()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = ad.concat([ad.read_h5ad(FILES / name) for name in names], join=join)
        for read in ways(dataset, join, tmp_path):
            same(read(), wanted)


def ways(dataset: Dataset, join: str, folder: Path) -> list[Callable[[], ad.AnnData]]:
    """Return what gives all members as one."""
    return [
        lambda: dataset.load(join=join, labels=False),
        lambda: dataset.query(join=join).to_anndata(),
        lambda: ad.io.read_zarr(dataset.to_zarr(folder / "x.zarr", join=join)),
    ]


def same(found: ad.AnnData, wanted: ad.AnnData) -> None:
    """The same values; text became categories, variables may come in another order, and frames in obsm are left out."""
    assert set(found.var_names) == set(wanted.var_names)
    found = found[:, wanted.var_names]
    assert found.obs_names.tolist() == wanted.obs_names.tolist()
    np.testing.assert_array_equal(dense(found.X), dense(wanted.X))
    for slot in ("layers", "obsm"):
        arrays = {name: value for name, value in getattr(wanted, slot).items() if not hasattr(value, "columns")}
        assert set(getattr(found, slot)) == set(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(dense(getattr(found, slot)[name]), dense(value))
    assert set(found.obs) == {*wanted.obs, "artifact_uid"}
    for name, column in wanted.obs.items():
        assert plain(found.obs[name]) == plain(column), name
        if column.dtype != object:
            assert found.obs[name].dtype.kind == column.dtype.kind, name


def dense(matrix: Any) -> Any:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype="f8")


def plain(column: Any) -> list[Any]:
    return column.astype(object).where(column.notna(), None).tolist()
