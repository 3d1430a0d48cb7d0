"""Opening and describing what lies in a bucket: as much is read as is asked for, and no copy is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

from formats.cache import Cache
from formats.registry import by_name
from formats.remote import RemoteOptions, filesystem
from formats.remotepath import RangedFile, RemotePath
from formats.zarrstore import quiet
from lakehouse.errors import DataLoss, NotFound
from registries import whereabouts
from registries.instance import Instance
from registries.storage import Storage
from tests.remote.store import Proxy

ROWS = 40_000


@pytest.fixture
def lake(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    monkeypatch.setattr(whereabouts, "_SMALL", 10_000)
    with Instance.create(tmp_path / "lab") as made:
        yield made


@pytest.fixture
def cold(lake: Instance, bucket: str) -> Storage:
    return lake.Storage(root=f"{bucket}/cold").save()


class Meter:
    """Counts the bytes that files read in ranges fetch."""

    def __init__(self) -> None:
        self.bytes = 0


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    found, plain = Meter(), RangedFile._fetched

    def counted(self: RangedFile, start: int, end: int) -> bytes:
        found.bytes += end - start
        return plain(self, start, end)

    monkeypatch.setattr(RangedFile, "_fetched", counted)
    return found


def frame() -> pl.DataFrame:
    random = np.random.default_rng(0)
    return pl.DataFrame({"donor": [f"D{n}" for n in range(ROWS)]} | {f"x{n}": random.random(ROWS) for n in range(8)})


def annotated() -> ad.AnnData:
    matrix = sp.random(20_000, 400, 0.1, format="csr", dtype="f4", random_state=0)
    obs = pd.DataFrame({"kind": pd.Categorical(["T", "B"] * 10_000)}, index=[f"c{n}" for n in range(20_000)])
    adata = ad.AnnData(matrix, obs, pd.DataFrame(index=[f"g{n}" for n in range(400)]))
    adata.layers["dense"] = np.ones((20_000, 400), dtype="f4") * np.arange(400, dtype="f4")
    return adata


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".arrow"])
def test_a_table_is_scanned_where_it_lies(lake: Instance, cold: Storage, suffix: str) -> None:
    table = lake.Artifact.from_df(frame(), key=f"x{suffix}", storage=cold).save()
    with table.open() as lazy:
        assert lazy.filter(pl.col("donor") == "D7").select("x1").collect().height == 1
    if suffix != ".arrow":
        with table.open(as_="arrow") as dataset:
            assert dataset.to_table(columns=["x2"]).num_rows == ROWS
        relation = table.open(as_="duckdb")
        assert relation.aggregate("count(*)").fetchall() == [(ROWS,)]
        relation.close()
    assert table.describe().content.shape == (ROWS, 9)
    assert Cache().used() == 0


def test_a_column_of_a_remote_parquet_costs_that_column(lake: Instance, cold: Storage, meter: Meter) -> None:
    table = lake.Artifact.from_df(frame(), key="x.parquet", storage=cold).save()
    with table.open() as lazy:
        assert lazy.select("x3").collect().height == ROWS
    assert 0 < meter.bytes < table.size / 4
    meter.bytes = 0
    table.describe()
    assert 0 < meter.bytes < 200_000


def test_a_subset_of_a_remote_h5ad_costs_that_subset(lake: Instance, cold: Storage, meter: Meter) -> None:
    adata = annotated()
    saved = lake.Artifact.from_anndata(adata, key="x.h5ad", storage=cold).save()
    meter.bytes = 0
    described = saved.describe()
    assert described.content.shape == adata.shape
    assert [name for name, _ in described.storage] == ["storage", "path", "hash"]
    assert dict(described.storage)["path"].startswith(f"{cold.root}/objects/")
    assert meter.bytes < 2_000_000
    meter.bytes = 0
    with saved.open() as lazy:
        part = lazy[100:110, ["g3", "g7"]].to_memory()
    assert part.obs_names.tolist() == [f"c{n}" for n in range(100, 110)]
    assert (part.X != adata[100:110, ["g3", "g7"]].X).nnz == 0
    assert part.layers["dense"].tolist() == [[3.0, 7.0]] * 10
    assert meter.bytes < saved.size / 4
    assert Cache().used() == 0


@pytest.mark.parametrize("version", [2, 3])
def test_a_subset_of_a_remote_zarr_costs_its_chunks(
    lake: Instance, cold: Storage, proxy: Proxy, tmp_path: Path, version: int
) -> None:
    adata = annotated()
    with ad.settings.override(zarr_write_format=version), quiet():
        adata.write_zarr(tmp_path / "x.zarr", chunks=(1000, 400))
    saved = lake.Artifact(tmp_path / "x.zarr", key="x.zarr", storage=cold).save()
    assert (saved.format, saved.describe().content.shape) == ("zarr-anndata", adata.shape)
    proxy.forget()
    with saved.open() as lazy:
        part = lazy[100:110, ["g3"]].to_memory()
    assert (part.X != adata[100:110, ["g3"]].X).nnz == 0
    assert proxy.count("GET", r"/layers/dense/(c/)?\d") == 1, "one of its 20 chunks"
    assert Cache().used() == 0


def test_arrays_in_zarr_hdf5_and_tiledb_are_read_in_parts(lake: Instance, cold: Storage) -> None:
    array = np.arange(1_000_000, dtype="f8").reshape(1000, 1000)
    for key in ("a.zarr", "a.tiledb"):
        saved = lake.Artifact(array, key=key, storage=cold).save()
        assert saved.describe().content.shape == (1000, 1000)
        with saved.open() as found:
            assert found[5, 5:8].tolist() == [5005.0, 5006.0, 5007.0]
    grouped = lake.Artifact({"deep": {"a": array}}, key="a.h5", storage=cold).save()
    assert grouped.describe().content.slots["deep"][0].dtype == "float64 (1000, 1000)"
    with grouped.open() as file:
        assert file["deep/a"][7, :2].tolist() == [7000.0, 7001.0]
    blob = lake.Artifact(bytes(100_000) + b"end", key="a.bin", storage=cold).save()
    with blob.open() as file:
        file.seek(-3, 2)
        assert file.read() == b"end"
    assert Cache().used() == 0


def test_a_soma_experiment_is_opened_where_it_lies(lake: Instance, cold: Storage) -> None:
    saved = lake.Artifact.from_anndata(annotated()[:500].copy(), key="x.soma", storage=cold).save()
    assert saved.describe().content.shape == (500, 400)
    with saved.open() as experiment:
        assert experiment.obs.count == 500
    assert Cache().used() == 0


def test_a_copy_that_is_there_is_opened_instead(lake: Instance, cold: Storage, proxy: Proxy) -> None:
    table = lake.Artifact.from_df(frame(), key="x.parquet", storage=cold).save()
    assert table.stage().is_relative_to(Cache().folder)
    proxy.forget()
    with table.open() as lazy:
        assert lazy.collect().height == ROWS
    table.describe()
    assert proxy.log == []


def test_what_has_gone_from_the_bucket_is_said_by_open_and_describe(lake: Instance, cold: Storage) -> None:
    for key, obj in (("x.parquet", frame()), ("x.zarr", np.ones((400, 400)) * np.arange(400))):
        saved = lake.Artifact(obj, key=key, storage=cold).save()
        store, path = saved.place()
        store.remove(path)
        for look in (saved.open, saved.describe):
            with pytest.raises(DataLoss, match="save the same content again"):
                look()


def test_files_of_all_formats_that_read_ranges_are_as_their_local_twins(bucket: str, tmp_path: Path) -> None:
    fs = filesystem(bucket, RemoteOptions())
    made: dict[str, Any] = {
        "parquet": pa.table({"a": [1, 2]}),
        "csv": pa.table({"a": [1, 2]}),
        "arrow": pa.table({"a": [1, 2]}),
        "h5ad": annotated()[:5].copy(),
        "hdf5": {"a": np.arange(3)},
        "blob": b"abc",
        "zarr": np.arange(3),
        "zarr-anndata": annotated()[:5].copy(),
        "tiledb": np.arange(3),
        "soma": annotated()[:5].copy(),
    }
    for name, obj in made.items():
        fmt = by_name(name)
        local = tmp_path / f"{name}{next(iter(fmt.suffixes), '')}"
        fmt.write(obj, local)
        fs.put(str(local), f"{bucket}/{local.name}", recursive=True)
        there = RemotePath(fs, f"{bucket}/{local.name}", f"{bucket}/{local.name}").as_path()
        assert fmt.reads_remote(there)
        assert fmt.describe(there) == fmt.describe(local), name
        with fmt.open(there) as opened:
            assert opened is not None
        absent = RemotePath(fs, f"{bucket}/absent", f"{bucket}/absent").as_path()
        with pytest.raises(NotFound):
            fmt.describe(absent)
