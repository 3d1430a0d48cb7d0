from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lakehouse import config
from lakehouse.errors import InputError, Unsupported
from registries.dataset import scanning


def test_tables_are_loaded_as_one_with_their_artifact_and_labels(home, donors):
    donors.ordered()[0].labels.add("pilot", create=True)
    frame = donors.load()
    assert frame["donor"].tolist() == ["D1", "D2", "D3"]
    assert frame["age"].tolist() == [31, 45, 27.5]
    assert frame["site"].tolist()[2] == "north"
    assert frame["labels"].tolist()[:2] == ["pilot", "pilot"]
    uids = [one.uid for one in donors.ordered()]
    assert frame["artifact_uid"].tolist() == [uids[0], uids[0], uids[1]]
    assert donors.load(join="inner", as_="polars", labels=False).columns == ["donor", "age", "artifact_uid"]


def test_a_column_of_the_data_is_not_hidden_by_a_label_of_its_name(home):
    home.Feature(name="batch", dtype="cat[ULabel]").save()
    dataset = home.Dataset([pd.DataFrame({"batch": ["own"]})], name="own column").save()
    dataset.ordered()[0].labels.add("labelled", feature="batch", create=True)
    assert dataset.load()["batch"].tolist() == ["own"]


@pytest.mark.parametrize("form", ["polars", "arrow", "duckdb"])
def test_tables_are_scanned_lazily_as_one(donors, form):
    opened = donors.open(as_=form)
    if form == "polars":
        assert isinstance(opened, pl.LazyFrame)
        found = opened.filter(pl.col("age") > 28).select("donor").collect().to_series().to_list()
    elif form == "arrow":
        found = opened.to_table(columns=["donor"], filter=pa.compute.field("age") > 28)["donor"].to_pylist()
    else:
        found = [row[0] for row in opened.filter("age > 28").project("donor").fetchall()]
        opened.close()
    assert found == ["D1", "D2"]


def test_large_files_are_scanned_where_they_lie_and_small_ones_from_blocks(home, donors, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "_SMALL", 1)
    found = list(scanning.pieces(donors))
    assert [piece.path for piece in found] == [one.path for one in donors.ordered()]
    frame = donors.open().collect().sort("donor")
    assert frame["donor"].to_list() == ["D1", "D2", "D3"]
    assert frame["artifact_uid"].n_unique() == 2
    assert donors.open(as_="arrow").to_table().num_rows == 3


def test_blocks_are_made_once_and_used_by_later_versions(home, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "_BLOCK", 2)
    read = []
    monkeypatch.setattr(scanning, "_read", lambda one, own=scanning._read: (read.append(one.key), own(one))[1])
    with config.using(cache_dir=str(tmp_path / "cache")):
        dataset = home.Dataset([pd.DataFrame({"n": [n]}) for n in range(4)], name="blocks").save()
        assert dataset.open().collect()["n"].to_list() == [0, 1, 2, 3]
        longer = dataset.append(pd.DataFrame({"n": [4]}))
        assert longer.open().collect()["n"].to_list() == [0, 1, 2, 3, 4]
        assert longer.open().select(pl.len()).collect().item() == 5
    assert sorted(read) == [f"blocks/{n:06}.parquet" for n in range(5)]


def test_csv_and_parquet_members_are_scanned_together(home):
    table = home.Artifact(b"donor,age\nD9,50\n", key="more/d.csv").save()
    parquet = home.Artifact(pd.DataFrame({"donor": ["D8"], "age": [51]}), key="more/d.parquet").save()
    dataset = home.Dataset([table, parquet], name="two formats").save()
    assert dataset.open().collect().sort("donor")["age"].to_list() == [51, 50]


def test_columns_that_do_not_go_together_are_told(home):
    dataset = home.Dataset([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["x"]})], name="clash").save()
    with pytest.raises(InputError, match="do not go together"):
        dataset.load()


def test_staging_tells_where_the_files_lie(donors):
    told = []
    paths = donors.stage(progress=lambda done, total: told.append((done, total)))
    assert all(path.is_file() for path in paths)
    assert told == [(1, 2), (2, 2)]


def test_files_that_are_no_tables_are_not_opened_as_such(home):
    dataset = home.Dataset([home.Artifact(b"x", key="note.txt").save()], name="notes").save()
    with pytest.raises(Unsupported, match=r"note\.txt"):
        dataset.load()
    with pytest.raises(Unsupported, match=r"note\.txt"):
        dataset.mapped()


def test_reading_a_dataset_is_told_of_each_of_its_artifacts(home, donors):
    told = []
    home.readers.append(told.append)
    donors.open()
    home.readers.remove(told.append)
    assert told == donors.ordered()
