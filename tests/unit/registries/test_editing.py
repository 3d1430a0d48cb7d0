"""Opening for writing: what was changed is the next version, and what is stored never changes."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tiledb

from lakehouse.errors import ChangedSinceRead, InputError, Unsupported


def _adata():
    return ad.AnnData(np.ones((4, 3), dtype="f4"), pd.DataFrame({"kind": list("abcd")}, index=list("wxyz")))


def _fill(handle):
    handle[:] = 7


def _set_member(handle):
    handle["a"][...] = 7


CASES = [
    ("a.zarr", np.arange(6.0).reshape(2, 3), _fill, lambda found: found.tolist() == [[7.0] * 3] * 2),
    ("a.npy", np.arange(6.0), _fill, lambda found: found.tolist() == [7.0] * 6),
    ("a.h5", {"a": np.arange(3.0)}, _set_member, lambda found: found["a"].tolist() == [7.0] * 3),
    (
        "a.tiledb",
        np.arange(4.0),
        lambda h: h.__setitem__(slice(None), np.full(4, 7.0)),
        lambda f: f.tolist() == [7.0] * 4,
    ),
    ("a.bin", b"abc", lambda file: file.write(b"x"), lambda found: found == b"xbc"),
]


@pytest.mark.parametrize(("key", "obj", "change", "changed"), CASES, ids=[case[0] for case in CASES])
def test_what_is_changed_becomes_the_next_version(lake, key, obj, change, changed):
    first = lake.Artifact(obj, key=key, description="as measured").save()
    before = first.hash
    edit = first.open(mode="r+")
    with edit as handle:
        change(handle)
    assert (edit.saved.version, edit.saved.description, edit.saved.is_latest) == (1, "as measured", True)
    assert changed(edit.saved.load())
    assert first.hash == before and not changed(first.load())
    assert lake.check(deep=True).ok


def test_a_backed_anndata_is_changed_in_its_matrix_and_its_annotation(lake):
    first = lake.Artifact.from_anndata(_adata(), key="x.h5ad").save()
    with first.open(mode="r+") as adata:
        adata.X[0, :] = 5
        adata.obs["new"] = [1, 2, 3, 4]
    newest = lake.Artifact.get(key="x.h5ad").load()
    assert newest.X[0].tolist() == [5, 5, 5]
    assert newest.obs["new"].tolist() == [1, 2, 3, 4]
    assert "new" not in first.load().obs


def test_arrays_that_are_added_to_a_consolidated_store_are_seen(lake, tmp_path):
    import zarr

    group = zarr.open_group(tmp_path / "g.zarr", mode="w", zarr_format=2)
    group.create_array("a", data=np.arange(3))
    zarr.consolidate_metadata(tmp_path / "g.zarr")
    saved = lake.Artifact(tmp_path / "g.zarr", key="g.zarr").save()
    with saved.open(mode="r+") as opened:
        opened.create_array("b", data=np.arange(2))
    assert set(lake.Artifact.get(key="g.zarr").load()) == {"a", "b"}


def test_nothing_changed_is_no_version_and_an_exception_discards_all(lake):
    first = lake.Artifact(np.arange(3.0), key="a.npy").save()
    edit = first.open(mode="r+")
    with edit:
        pass
    assert edit.saved == first
    with pytest.raises(ZeroDivisionError), first.open(mode="r+") as array:
        array[:] = 9
        raise ZeroDivisionError
    assert (len(first.versions), first.load().tolist()) == (1, [0.0, 1.0, 2.0])


def test_a_version_that_came_meanwhile_is_not_hidden(lake):
    first = lake.Artifact(np.arange(3.0), key="a.npy").save()
    with pytest.raises(ChangedSinceRead, match="newer version"), first.open(mode="r+") as array:
        array[:] = 9
        lake.Artifact(np.arange(4.0), key="a.npy").save()
    assert lake.Artifact.get(key="a.npy").load().shape == (4,)
    with pytest.raises(ChangedSinceRead), first.open(mode="r+"):
        pass


def test_what_cannot_be_changed_in_place_says_what_to_do(lake):
    table = lake.Artifact.from_df(pd.DataFrame({"a": [1]}), key="a.parquet").save()
    with pytest.raises(Unsupported, match="save the result under the same key"), table.open(mode="r+"):
        pass
    with pytest.raises(InputError, match="'r' or 'r\\+' is accepted"):
        table.open(mode="w")
    with pytest.raises(InputError, match="leave as_ out"):
        table.open(mode="r+", as_="arrow")
    with pytest.raises(InputError, match="has no key"):
        lake.Artifact(b"1").save().open(mode="r+")


def test_a_soma_experiment_is_written_to(lake):
    pytest.importorskip("tiledbsoma")
    first = lake.Artifact.from_anndata(_adata(), key="x.soma").save()
    with first.open(mode="r+") as experiment:
        experiment.metadata["reviewed"] = "yes"
    newest = lake.Artifact.get(key="x.soma")
    with newest.open() as experiment:
        assert experiment.metadata["reviewed"] == "yes"
    assert newest.version == 1
    assert tiledb.object_type(str(newest.path)) == "group"
