"""Members that keep the same numbers otherwise: dense, sparse, of other types, or wrongly."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lakehouse.errors import InputError, InvalidFile

NUMBERS = np.array([[0, 1.5, 0, 2], [3, 0, 0, 0], [0, 0, 4, 5.25]])


def cells(x, genes=("G1", "G2", "G3", "G4")):
    obs = pd.DataFrame(index=[f"c{number}" for number in range(x.shape[0])])
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=list(genes)))


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_sparse_where_any_member_is(home, shuffle):
    members = [cells(NUMBERS), cells(sparse.csr_matrix(NUMBERS)), cells(sparse.csc_matrix(NUMBERS))]
    reader = home.Dataset(members, name="sparse and dense").save().mapped()
    batches = list(reader.batches(2, shuffle=shuffle, block=1, dense=False))
    assert {batch["X"].format for batch in batches} == {"csr"}
    found = np.concatenate([batch["X"].toarray() for batch in batches])
    assert sorted(map(tuple, found)) == sorted(map(tuple, np.tile(NUMBERS, (3, 1))))
    np.testing.assert_array_equal(np.concatenate([b["X"] for b in reader.batches(4)]), np.tile(NUMBERS, (3, 1)))


@pytest.mark.parametrize("kept", [slice(None), slice(0, 9, 2)])
def test_batches_have_the_variables_that_members_share_and_rows_that_lie_apart(home, kept):
    rows = np.arange(9)[kept]
    tall = np.concatenate([NUMBERS, NUMBERS + 1, NUMBERS * 3])
    members = [cells(sparse.csr_matrix(tall)), cells(sparse.csr_matrix(tall), ("G9", "G4", "G2", "G8"))]
    dataset = home.Dataset(members, name=f"shared {len(rows)}").save()
    for join, genes in (("inner", ["G2", "G4"]), ("outer", ["G1", "G2", "G3", "G4", "G9", "G8"])):
        reader = dataset.mapped(join=join)
        assert reader.var_names == genes
        whole = (
            pd.concat([pd.DataFrame(tall, columns=m.var_names) for m in members], ignore_index=True)
            .reindex(columns=genes)
            .fillna(0)
        )
        places = np.concatenate([rows, rows + 9])
        np.testing.assert_array_equal(reader[places]["X"], whole.to_numpy()[places])


@pytest.mark.parametrize(
    ("dtype", "form"), [("float64", sparse.csr_matrix), ("float64", np.asarray), ("int32", sparse.csr_matrix)]
)
def test_soma_members_keep_the_type_of_their_numbers(home, tmp_path, dtype, form):
    numbers = NUMBERS.astype(dtype)
    numbers[0, 0] = 0.1 if dtype == "float64" else 2**31 - 1  # which float32 cannot say
    path = (
        home.Dataset([cells(form(numbers))], name=f"of {dtype} {form.__name__}")
        .save()
        .to_tiledbsoma(tmp_path / "x.soma")
    )
    dataset = home.Dataset([home.Artifact(path, key=f"{dtype} {form.__name__}.soma").save()], name="typed").save()
    assert dataset.load().X.dtype == dtype
    batch = dataset.mapped()[:]["X"]
    assert batch.dtype == dtype
    np.testing.assert_array_equal(batch, numbers)
    stored = anndata.read_zarr(dataset.to_zarr(tmp_path / "x.zarr")).X
    np.testing.assert_array_equal(stored.toarray() if sparse.issparse(stored) else stored, numbers)


@pytest.mark.parametrize("column", [4, -1, 2**31 - 1])
def test_a_file_whose_values_are_in_columns_that_there_are_not_is_refused(home, tmp_path, column):
    path = tmp_path / "odd.h5ad"
    cells(sparse.csr_matrix(NUMBERS)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        file["X/indices"][2] = column
    dataset = home.Dataset([home.Artifact(path, key=f"odd{column}.h5ad").save()], name=f"odd {column}").save()
    for join in ("inner", "outer"):
        with pytest.raises(InvalidFile, match="columns beyond its 4"):
            list(dataset.mapped(join=join).batches(3))
    with pytest.raises(InvalidFile, match="columns beyond its 4"):
        dataset.query(obs="artifact_uid is not null").to_anndata()


def of(numbers, pre, **columns):
    obs = pd.DataFrame(columns, index=[f"{pre}{number}" for number in range(len(numbers))])
    return anndata.AnnData(numbers, obs=obs, var=pd.DataFrame(index=["G1", "G2", "G3", "G4"]))


def test_observations_have_the_columns_and_types_that_anndata_joins_them_to(home, tmp_path):
    large = 2**53 + 1  # which float64 has not
    ranks = pd.Categorical(["low", "high", "low"], ["low", "high"], ordered=True)
    first = of(NUMBERS, "a", whole=pd.array([large, None, 1], "Int64"), good=[True, False, True], rank=ranks)
    first.obs["kind"], first.obs["grade"] = pd.Categorical(["x", "y", "x"]), pd.Categorical([1, 2, 1])
    second = of(NUMBERS, "b", whole=pd.array([None, 2, 3], "Int64"), rank=ranks[::-1])
    second.obs["kind"], second.obs["grade"] = pd.Categorical(["z", "z", "y"]), pd.Categorical([2, 3, 2])
    dataset = home.Dataset([first, second], name="columns").save()
    for join in ("inner", "outer"):
        wanted = anndata.concat([first, second], join=join).obs
        for found in (dataset.load(join=join), anndata.read_zarr(dataset.to_zarr(tmp_path / join, join=join))):
            pd.testing.assert_frame_equal(found.obs[wanted.columns], wanted, check_names=False)
            assert set(found.obs.columns) == {*wanted.columns, "artifact_uid"}
    assert home.Artifact(dataset.to_tiledbsoma(tmp_path / "x.soma"), key="columns.soma").save().load().n_obs == 6


def test_what_cannot_be_joined_says_which_member_and_why(home, tmp_path):
    cells(sparse.csr_matrix(NUMBERS)).write_h5ad(tmp_path / "twice.h5ad")
    with h5py.File(tmp_path / "twice.h5ad", "r+") as file:
        file["var/_index"][1] = "G1"
    twice = home.Artifact(tmp_path / "twice.h5ad", key="twice.h5ad").save()
    dataset = home.Dataset([twice, home.Artifact(cells(NUMBERS), key="once.h5ad").save()], name="twice").save()
    for read in (dataset.load, dataset.mapped):
        with pytest.raises(InputError, match=r"twice.h5ad has the variable 'G1' twice"):
            read()
    bare = anndata.AnnData(obs=pd.DataFrame(index=["a", "b"]), var=pd.DataFrame(index=["G1", "G2"]))
    with pytest.raises(InputError, match=r"'bare/000000.h5ad' has no X, and 'bare/000001.h5ad' has one"):
        home.Dataset([bare, cells(NUMBERS)], name="bare").save().load()


def test_frames_in_obsm_are_left_out(home):
    member = cells(NUMBERS)
    member.obsm["frame"] = pd.DataFrame({"a": [1.0, 2, 3]}, index=member.obs_names)
    member.obsm["array"] = NUMBERS
    dataset = home.Dataset([member], name="frame in obsm").save()
    assert list(dataset.load().obsm) == ["array"]
    np.testing.assert_array_equal(dataset.mapped(obsm=["array"])[1]["obsm_array"], NUMBERS[1])
