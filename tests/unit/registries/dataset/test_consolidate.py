from __future__ import annotations

import anndata
import deltalake
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lakehouse.errors import InputError, Unsupported
from registries.dataset import consolidate


@pytest.mark.parametrize("name", ["to_zarr", "to_tiledbsoma"])
def test_an_atlas_becomes_one_store_piece_by_piece(home, atlas, tmp_path, monkeypatch, name):
    monkeypatch.setattr(consolidate, "_ROWS", 30)
    told = []
    path = getattr(atlas, name)(
        tmp_path / f"all{'.zarr' if name == 'to_zarr' else '.soma'}", progress=lambda *a: told.append(a)
    )
    assert told[-1] == (150, 150)
    assert len(told) == 6
    stored = home.Artifact(path, key=f"{name}/all{path.suffix}").save()
    found, whole = stored.load(), atlas.load()
    assert found.shape == whole.shape
    found = found[whole.obs_names, whole.var_names]
    np.testing.assert_allclose(found.X.toarray(), whole.X.toarray())
    np.testing.assert_allclose(found.obsm["X_pca"], whole.obsm["X_pca"])
    assert found.obs["cell_type"].tolist() == whole.obs["cell_type"].tolist()
    assert found.obs["artifact_uid"].tolist() == whole.obs["artifact_uid"].tolist()
    if name == "to_zarr":
        np.testing.assert_allclose(found.layers["raw"].toarray(), whole.layers["raw"].toarray())


def cells(name: str, x, genes=("G1", "G2"), **more):
    obs = pd.DataFrame(index=[f"{name}{number}" for number in range(x.shape[0])])
    return anndata.AnnData(
        x, obs=obs, var=pd.DataFrame({"symbol": [g.lower() for g in genes]}, index=list(genes)), **more
    )


WHOLE, PARTS = np.array([[1, 2], [3, 4]], "int32"), np.array([[1.5, 0.25], [0, 4.5]], "float32")


@pytest.mark.parametrize("write", ["to_zarr", "to_tiledbsoma"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("swapped", [False, True])
def test_numbers_of_every_member_stay_what_they_are_whatever_the_first_ones_type(home, tmp_path, write, form, swapped):
    members = [cells("a", form(WHOLE)), cells("b", form(PARTS))][:: -1 if swapped else 1]
    dataset = home.Dataset(members, name="mixed").save()
    path = getattr(dataset, write)(tmp_path / ("all.zarr" if write == "to_zarr" else "all.soma"))
    found = home.Artifact(path, key=path.name).save().load()
    whole = dataset.load()
    found = found[whole.obs_names, whole.var_names]
    np.testing.assert_array_equal(dense(found.X), dense(whole.X))
    assert found.var["symbol"].tolist() == ["g1", "g2"]
    kinds = {batch["X"].dtype for batch in dataset.mapped().batches(1)}
    assert kinds == {np.dtype("float64")}


def dense(x):
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


def test_what_only_some_members_have_is_kept_with_gaps_or_left_out(home, tmp_path):
    first = cells("a", PARTS, layers={"counts": WHOLE}, obsm={"X_pca": PARTS})
    second = cells("b", PARTS + 1, ("G2", "G3"), layers={"norm": sparse.csr_matrix(PARTS)})
    dataset = home.Dataset([first, second], name="parts").save()
    found = anndata.read_zarr(dataset.to_zarr(tmp_path / "outer.zarr"))
    whole = dataset.load()
    np.testing.assert_array_equal(found.X, whole[:, found.var_names].X)
    assert found.var["symbol"].tolist() == ["g1", "g2", "g3"]
    np.testing.assert_array_equal(found.layers["counts"][:2, :2], WHOLE)
    assert np.isnan(found.layers["counts"][2:]).all() and np.isnan(found.obsm["X_pca"][2:]).all()
    assert found.layers["norm"].toarray().tolist() == [[0, 0, 0], [0, 0, 0], [0, 1.5, 0.25], [0, 0, 4.5]]
    inner = anndata.read_zarr(dataset.to_zarr(tmp_path / "inner.zarr", join="inner"))
    assert (inner.var_names.tolist(), list(inner.layers), list(inner.obsm)) == (["G2"], [], [])
    np.testing.assert_array_equal(inner.X, np.array([[0.25], [4.5], [2.5], [1.0]], "float32"))


def test_arrays_of_unlike_width_are_refused_by_name(home, tmp_path):
    members = [cells("a", PARTS, obsm={"X_pca": PARTS}), cells("b", PARTS, obsm={"X_pca": np.ones((2, 3))})]
    with pytest.raises(InputError, match="'obsm/X_pca' has 2 columns in one member and 3"):
        home.Dataset(members, name="unlike").save().to_zarr(tmp_path / "all.zarr")
    assert not (tmp_path / "all.zarr").exists()


def test_tables_become_one_delta_table(donors, tmp_path):
    path = donors.to_delta(tmp_path / "all")
    table = deltalake.DeltaTable(str(path)).to_pyarrow_table()
    assert sorted(table["donor"].to_pylist()) == ["D1", "D2", "D3"]
    assert len(set(table["artifact_uid"].to_pylist())) == 2


def test_what_is_there_already_is_not_written_over(atlas, donors, tmp_path):
    (tmp_path / "there").mkdir()
    for write in (atlas.to_zarr, atlas.to_tiledbsoma, donors.to_delta):
        with pytest.raises(InputError, match="is there already"):
            write(tmp_path / "there")
    with pytest.raises(Unsupported, match="to_zarr"):
        atlas.to_delta(tmp_path / "new")


def test_a_store_that_was_begun_is_removed_when_writing_it_fails(atlas, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(consolidate, "_grow", full)
    with pytest.raises(OSError, match="No space left"):
        atlas.to_zarr(tmp_path / "half.zarr")
    assert not (tmp_path / "half.zarr").exists()
