from __future__ import annotations

import deltalake
import numpy as np
import pytest

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
