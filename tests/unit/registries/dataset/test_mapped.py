from __future__ import annotations

import importlib.util
import multiprocessing
import pickle

import numpy as np
import pytest

from lakehouse.errors import InputError, UnknownField


@pytest.fixture(scope="module")
def reader(atlas):
    return atlas.mapped(obs=["cell_type", "depth"], layers=["X", "raw"], obsm=["X_pca"])


@pytest.fixture(scope="module")
def whole(atlas):
    return atlas.load(join="inner")


def total(reader, places):
    """What a worker does: read its share, and sum it up."""
    return float(sum(reader[int(place)]["X"].sum() for place in places))


def test_single_observations_and_batches_are_those_of_the_files(reader, whole):
    assert (len(reader), reader.shape) == (150, whole.shape)
    places = [149, 3, 77, 60, 3]
    batch = reader[places]
    np.testing.assert_allclose(batch["X"], whole[places, reader.var_names].X.toarray())
    np.testing.assert_allclose(batch["raw"], batch["X"] * 2)
    np.testing.assert_allclose(batch["obsm_X_pca"], whole[places].obsm["X_pca"])
    names = np.array(reader.categories["cell_type"])
    assert names[batch["cell_type"]].tolist() == whole.obs["cell_type"].iloc[places].tolist()
    one = reader[-1]
    np.testing.assert_allclose(one["X"], batch["X"][0])
    assert one["depth"] == batch["depth"][0] == 39
    assert [row["depth"] for row in reader.__getitems__([2, 1])] == [2, 1]
    assert reader[10:12]["depth"].tolist() == [10, 11]


@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_gives_each_observation_once(reader, shuffle):
    batches = reader.batches(32, shuffle=shuffle, seed=5, block=7)
    first, second = list(batches), list(batches)
    assert [len(batch["X"]) for batch in first] == [32, 32, 32, 32, 22]
    assert len(batches) == 5
    depth = np.concatenate([batch["depth"] for batch in first])
    assert sorted(depth) == sorted(reader.codes("depth"))
    again = np.concatenate([batch["depth"] for batch in second])
    assert (depth.tolist() == again.tolist()) is not shuffle
    repeated = reader.batches(32, shuffle=shuffle, seed=5, block=7)
    assert np.concatenate([batch["depth"] for batch in repeated]).tolist() == depth.tolist()


def test_batches_come_sparse_where_that_is_asked_for_and_agree_with_their_labels(reader, whole):
    for batch in reader.batches(40, shuffle=True, dense=False, drop_last=True):
        assert batch["X"].format == "csr"
        assert batch["X"].shape == (40, 16)
        for row, code, pca in zip(batch["X"], batch["cell_type"], batch["obsm_X_pca"], strict=True):
            place = int(np.flatnonzero((whole.obsm["X_pca"] == pca).all(axis=1))[0])
            assert whole.obs["cell_type"].iloc[place] == reader.categories["cell_type"][code]
            np.testing.assert_allclose(row.toarray(), whole[place, reader.var_names].X.toarray())


def test_shards_share_the_observations_out(reader):
    parts = [list(reader.batches(16, shuffle=True, block=8, shard=(n, 4))) for n in range(4)]
    counts = [sum(len(batch["X"]) for batch in part) for part in parts]
    assert sum(counts) == 150
    assert [len(reader.batches(16, shuffle=True, block=8, shard=(n, 4))) for n in range(4)] == list(map(len, parts))


def test_conditions_and_variables_narrow_what_is_read(atlas, whole):
    reader = atlas.mapped(obs=["condition"], where="cell_type = 'B cell'", var=["g19", "g0"], join="outer")
    rows = (whole.obs["cell_type"] == "B cell").to_numpy()
    assert len(reader) == int(rows.sum())
    assert reader.var_names == ["g19", "g0"]
    outer = atlas.load()
    np.testing.assert_allclose(reader[:]["X"], outer[rows, ["g19", "g0"]].X.toarray())
    assert reader.categories["condition"] == ["treated"]
    assert (reader.codes("condition") == -1).sum() == len(reader) - int(rows[:50].sum())


def test_class_weights_make_rare_categories_count_as_much(reader):
    weights = reader.class_weights("cell_type")
    assert reader.weights("cell_type").mean() == pytest.approx(1)
    counts = np.bincount(reader.codes("cell_type"))
    assert np.ptp(weights * counts) == pytest.approx(0)


def test_tables_are_read_by_row_with_their_texts_as_codes(home, donors):
    reader = donors.mapped(columns=["age", "donor"])
    assert reader.categories == {"donor": ["D1", "D2", "D3"]}
    assert reader[2] == {"age": 27.5, "donor": 2}
    assert sorted(np.concatenate([b["age"] for b in reader.batches(2, shuffle=True)])) == [27.5, 31, 45]
    with pytest.raises(UnknownField, match=r"donors/000001.parquet has no column 'sex'"):
        donors.mapped(columns=["sex"])


def test_a_reader_that_was_used_is_pickled_with_places_alone(reader):
    reader[0]
    copy = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(copy[5]["X"], reader[5]["X"])


@pytest.mark.concurrency
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_four_workers_read_what_one_does(home, atlas, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    # TileDB, which SOMA is read with, starts threads that no forked child has
    members = [one for one in atlas.ordered() if one.format != "soma"] if method == "fork" else atlas.ordered()
    reader = home.Dataset(members, name=f"workers {method}").save().mapped()
    whole = total(reader, range(len(reader)))  # files are open when the workers begin
    shares = [(reader, range(n, len(reader), 4)) for n in range(4)]
    with multiprocessing.get_context(method).Pool(4) as pool:
        assert sum(pool.starmap(total, shares)) == pytest.approx(whole, rel=1e-6)
    assert total(reader, range(10)) > 0


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed: make torch tries it")
def test_the_loader_of_torch_reads_it_with_workers(home, atlas):
    from torch.utils.data import DataLoader

    members = [one for one in atlas.ordered() if one.format != "soma"]
    reader = home.Dataset(members, name="torch").save().mapped(obs=["cell_type"])
    whole = reader[:]["X"].sum()
    plain = DataLoader(reader, batch_size=16, shuffle=True, num_workers=2)
    assert float(sum(batch["X"].sum() for batch in plain)) == pytest.approx(whole, rel=1e-5)
    blocks = DataLoader(reader, sampler=reader.sampler(16, shuffle=True), batch_size=None, num_workers=2)
    seen = list(blocks)
    assert float(sum(batch["X"].sum() for batch in seen)) == pytest.approx(whole, rel=1e-5)
    assert seen[0]["cell_type"].dtype.is_floating_point is False


def test_odd_arguments_are_refused_with_what_is_accepted(atlas, reader):
    with pytest.raises(UnknownField, match="did you mean 'cell_type'"):
        atlas.mapped(obs=["cell_typ"])
    with pytest.raises(InputError, match=r"has no array 'layers/row'; did you mean 'layers/raw'"):
        atlas.mapped(layers=["row"])
    with pytest.raises(UnknownField, match="no member measures 'CD8A'"):
        atlas.mapped(var=["CD8A"])
    with pytest.raises(InputError, match="encode"):
        atlas.mapped(obs=["depth"], encode=["cell_type"])
    with pytest.raises(InputError, match="does not come as codes"):
        reader.class_weights("depth")
    with pytest.raises(IndexError):
        reader[150]
    with pytest.raises(InputError, match="size = 0"):
        reader.batches(0)
    with pytest.raises(InputError, match="shard"):
        reader.batches(8, shard=(4, 4))
