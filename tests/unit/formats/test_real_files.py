"""Files that other programs and versions wrote: each opens, describes and loads."""

from __future__ import annotations

import tarfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from formats.keys import suffix_of
from formats.registry import format_of
from formats.zarrmeta import read_nodes

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "datasets"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real files (../shared/data) are not here")

FILES = [
    ("anndata/v0.11.4_adata.h5ad", "AnnData", (10, 20)),
    ("anndata/v0.11.4_adata.zarr.zip", "AnnData", (10, 20)),
    ("anndata/v0.5.0_adata.h5ad", "AnnData", (700, 765)),
    ("anndata/v0.7.0_adata.h5ad", "AnnData", (30, 20)),
    ("anndata/v0.7.0_adata.zarr.zip", "AnnData", (30, 20)),
    ("cellxgene/example_invalid_CL.h5ad", "AnnData", (320, 136)),
    ("cellxgene/example_valid.h5ad", "AnnData", (2, 7)),
    ("lamindb/mini_immuno_dataset1.h5ad", "AnnData", (3, 3)),
    ("lamindb/mini_immuno_dataset2.h5ad", "AnnData", (3, 3)),
    ("lamindb/mini_immuno_dataset1.parquet", "dataframe", (3, 13)),
    ("lamindb/mini_immuno_dataset2.parquet", "dataframe", (3, 9)),
    ("markers/omap-1-human-lymph-node-ibex.csv", "dataframe", (51, 22)),
    ("mudata/v0.1.2_mdata_axis0.h5mu", "MuData", (100, 50)),
    ("mudata/v0.1.2_mdata_axis0.zarr.zip", "MuData", (100, 50)),
    ("mudata/v0.2.4_mdata_axis0.h5mu", "MuData", (100, 50)),
    ("mudata/v0.2.4_mdata_axis0.zarr.zip", "MuData", (100, 50)),
    ("mudata/v0.2.4_mdata_axis1.h5mu", "MuData", (200, 30)),
    ("mudata/v0.3.10_mdata_axis0.h5mu", "MuData", (100, 50)),
    ("mudata/v0.3.10_mdata_axis0.zarr.zip", "MuData", (100, 50)),
    ("mudata/v0.3.10_mdata_axis1.h5mu", "MuData", (200, 30)),
    ("scanpy/10x_1.2.0_filtered_gene_bc_matrices_h5.h5", "AnnData", (12, 343)),
    ("scanpy/10x_3.0.0_filtered_feature_bc_matrix.h5", "AnnData", (1107, 507)),
    ("scanpy/10x_pbmc68k_reduced.h5ad", "AnnData", (700, 765)),
    ("scanpy/10x_pbmc68k_reduced.zarr.zip", "AnnData", (700, 765)),
    ("squidpy/test_data.h5ad", "AnnData", (49, 1999)),
    ("tabular/diamonds.csv", "dataframe", (53940, 10)),
    ("tabular/iris.csv", "dataframe", (150, 5)),
    ("tabular/penguins.csv", "dataframe", (344, 7)),
    ("tabular/taxis.csv", "dataframe", (6433, 14)),
    ("tiledb/pbmc3k-annotations.csv", "dataframe", (2638, 2)),
    ("tiledb/pbmc3k.cxg", "array", None),
    ("tiledbsoma/10x-pbmc-multiome_subset_100_100.h5ad", "AnnData", (100, 100)),
    ("tiledbsoma/soma-exp-pbmc-small.tar.gz", "SOMA", (80, 230)),
    ("tiledbsoma/soma-exp-pbmc-small-pre-1.15.tar.gz", "SOMA", (80, 230)),
    ("tiledbsoma/soma-dataframe-pbmc3k-processed-obs.tar.gz", "SOMA", (2638, 8)),
]


def test_no_file_of_the_manifest_is_left_out() -> None:
    lines = (DATA / "MANIFEST.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0].rstrip("/") for line in lines} == {name for name, _, _ in FILES}


def _at(name: str, tmp_path: Path) -> Path:
    if not name.endswith(".tar.gz"):
        return DATA / name
    with tarfile.open(DATA / name) as packed:
        packed.extractall(tmp_path / "x", filter="data")
    return tmp_path / "x"


@pytest.mark.parametrize(("name", "kind", "shape"), FILES, ids=[name for name, _, _ in FILES])
def test_a_real_file_is_described_opened_and_loaded(
    name: str, kind: str, shape: tuple[int, ...] | None, tmp_path: Path
) -> None:
    path = _at(name, tmp_path)
    fmt = format_of(path, suffix_of(path))
    described = fmt.describe(path)
    assert (described.kind, described.shape) == (kind, shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what their own libraries say of old files
        with fmt.open(path) as opened:
            assert opened is not None
        loaded: Any = fmt.load(path)
    if shape is not None and kind != "SOMA":
        assert (loaded.reset_index() if "immuno" in name and kind == "dataframe" else loaded).shape == shape
    if kind in {"AnnData", "MuData"}:
        assert described.obs_names == loaded.obs_names.tolist()
        obs = fmt.obs_table(path)  # type: ignore[attr-defined]
        assert obs.num_rows == shape[0]  # type: ignore[index]
        assert [c.name for c in described.slots.get("obs", ())] == obs.column_names[1:]


def test_compound_arrays_that_zarr_does_not_know_are_read_as_well() -> None:
    path = DATA / "scanpy/10x_pbmc68k_reduced.zarr.zip"
    scores = read_nodes(path, "zarr").get("uns/rank_genes_groups/scores")
    assert scores is not None
    assert scores.dtype == "compound"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = format_of(path, ".zarr.zip").load(path)
        same = format_of(DATA / "scanpy/10x_pbmc68k_reduced.h5ad", ".h5ad").load(
            DATA / "scanpy/10x_pbmc68k_reduced.h5ad"
        )
    ranked, other = (found.uns["rank_genes_groups"] for found in (adata, same))
    assert ranked["scores"]["Dendritic"].tolist() == other["scores"]["Dendritic"].tolist()
    assert [str(name) for name in ranked["names"]["Dendritic"]] == [str(name) for name in other["names"]["Dendritic"]]
