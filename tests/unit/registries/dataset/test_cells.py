from __future__ import annotations

import h5py
import numpy as np
import pytest

from formats import cells
from lakehouse.errors import InputError, InvalidQuery, UnknownField, Unsupported
from registries.dataset.selection import Selection

READ = cells._GroupCells.read


def expected(atlas, keep):
    """The same by loading every file whole."""
    names = []
    for one in atlas.ordered():
        data = one.load()
        names += [(one.uid, name) for name in data.obs_names[keep(data.obs)]]
    return names


def test_observations_are_found_across_formats_by_a_condition(atlas):
    found = atlas.query(obs="cell_type == 'T cell' and depth >= 10", var=["g7", "g5"]).to_anndata()
    wanted = expected(atlas, lambda obs: (obs["cell_type"] == "T cell") & (obs["depth"] >= 10))
    assert found.n_obs == len(wanted)
    assert list(found.var_names) == ["g7", "g5"]
    assert found.obs["artifact_uid"].tolist() == [uid for uid, _ in wanted]
    first = atlas.ordered()[0].load()
    rows = (first.obs["cell_type"] == "T cell") & (first.obs["depth"] >= 10)
    np.testing.assert_array_equal(
        found[: int(rows.sum())].X.toarray(), first[rows.to_numpy(), ["g7", "g5"]].X.toarray()
    )


def test_labels_and_values_of_artifacts_are_columns_that_conditions_may_name(atlas):
    assert atlas.query(obs="condition == 'treated'").n_obs == 50
    assert atlas.query(obs="temperature > 21").n_obs == 60
    assert set(atlas.query().obs["condition"].dropna()) == {"treated"}


def test_nothing_of_x_is_read_for_files_without_a_hit(atlas, monkeypatch):
    read = []
    monkeypatch.setattr(
        "formats.cells._GroupCells.read",
        lambda self, array, start, stop, own=READ: (
            read.append((self.path.suffix, start, stop)),
            own(self, array, start, stop),
        )[1],
    )
    selection = atlas.query(obs="condition == 'treated' and depth between 20 and 24")
    assert selection.n_obs == 5
    assert read == []
    assert selection.to_anndata().n_obs == 5
    assert {(suffix, start, stop) for suffix, start, stop in read} == {(".h5ad", 20, 25)}


def test_all_members_are_concatenated_with_layers_and_variables_of_any(atlas):
    whole = atlas.load()
    assert whole.shape == (150, 24)
    assert whole.obs_names.is_unique
    assert set(whole.layers) == {"raw"}
    assert atlas.load(join="inner").shape == (150, 16)
    assert atlas.open(join="inner").shape == (150, 16)
    np.testing.assert_allclose(whole.layers["raw"].toarray(), whole.X.toarray() * 2)


def test_batches_bound_what_is_in_memory(atlas):
    sizes = [piece.n_obs for piece in atlas.query().batches(25)]
    assert sizes == [25, 25, 25, 25, 10, 25, 15]


def test_a_condition_that_nothing_meets_gives_no_observations(atlas):
    found = atlas.query(obs="cell_type == 'mast cell'").to_anndata()
    assert found.n_obs == 0


@pytest.mark.parametrize(
    "condition",
    [
        "cell_typ == 'T cell'",
        "1=1); drop table x; --",
        "(select count(*) from read_csv('/etc/passwd')) > 0",
        "cell_type ==",
        "depth > 'much'",
    ],
)
def test_what_is_no_condition_is_refused_before_anything_is_read(atlas, condition):
    with pytest.raises(InvalidQuery):
        atlas.query(obs=condition)


def test_a_misspelt_column_is_told_with_the_near_one(atlas):
    with pytest.raises(InvalidQuery, match="did you mean 'cell_type'"):
        atlas.query(obs="cell_typ == 'T cell'")


def test_odd_arguments_are_refused_with_what_is_accepted(atlas, donors):
    with pytest.raises(UnknownField, match="no member measures 'CD8A'"):
        atlas.query(var=["CD8A"]).to_anndata()
    with pytest.raises(InputError, match="a list of names"):
        atlas.query(var="g1")
    with pytest.raises(InputError, match="no condition"):
        atlas.query(obs=" ")
    with pytest.raises(InputError, match="'inner' or 'outer'"):
        atlas.query(join="left")
    with pytest.raises(InputError, match="from 1 on"):
        list(Selection(atlas).batches(0))
    with pytest.raises(Unsupported, match="tables are read with load"):
        donors.query()


def test_members_in_the_layout_of_anndata_0_5_are_read_as_all_others(home, tmp_path):
    """It kept obs, var and obsm as compound arrays."""
    path = tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = np.arange(6, dtype="f4").reshape(3, 2)
        file["obs"] = np.array([(b"c0", 1), (b"c1", 2), (b"c2", 3)], dtype=[("index", "S2"), ("depth", "i4")])
        file["var"] = np.array([(b"g0",), (b"g1",)], dtype=[("index", "S2")])
        file["obsm"] = np.array([([n, -n], n) for n in range(3)], dtype=[("X_pca", "f8", (2,)), ("time", "f8")])
    old = home.Artifact(path, key="layout/old.h5ad").save()
    data = old.load()[:2].copy()
    data.obs_names = ["n0", "n1"]
    new = home.Artifact(data, key="layout/new.h5ad").save()
    dataset = home.Dataset([new, old], name="layouts").save()
    found = dataset.query(obs="depth > 1").to_anndata()
    assert found.obs_names.tolist() == ["n1", "c1", "c2"]
    assert found.X.tolist() == [[2, 3], [2, 3], [4, 5]]
    assert found.obsm["X_pca"].tolist() == [[1, -1], [1, -1], [2, -2]]
    with dataset.mapped(obsm=["X_pca"]) as reader:
        assert reader[4]["obsm_X_pca"].tolist() == [2, -2]
    with dataset.mapped(obsm=["time"]) as reader:
        (batch,) = reader.batches(8)
        assert batch["obsm_time"].tolist() == [[0], [1], [0], [1], [2]]
