"""What this program writes opens in each format's own library, and holds what was written."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import duckdb
import h5py
import mudata as md
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import tiledb
import tiledbsoma
import zarr
from deltalake import DeltaTable
from PIL import Image

from formats.pixels import ImageFile
from formats.registry import format_for, names
from lakehouse.errors import InvalidFile

ROWS = [{"a": 1, "b": "x,\n"}, {"a": 2, "b": None}]
TABLE = pa.Table.from_pylist(ROWS)
ARRAY = np.arange(12.0).reshape(4, 3)
SPARSE = sp.csr_matrix(np.eye(4, 3))
Read = Callable[[Path], Any]


def adata() -> ad.AnnData:
    obs = pd.DataFrame({"kind": pd.Categorical(["T", "B", "T", "T"])}, index=[f"c{n}" for n in range(4)])
    return ad.AnnData(SPARSE.astype("f4"), obs, pd.DataFrame(index=["g0", "g1", "g2"]))


def mdata() -> md.MuData:
    with md.set_options(pull_on_update=False):
        return md.MuData({"rna": adata()})


def same_cells(found: ad.AnnData) -> bool:
    one = found.mod["rna"] if isinstance(found, md.MuData) else found
    dense = one.X.toarray() if sp.issparse(one.X) else np.asarray(one.X)
    return (dense == SPARSE.toarray()).all() and one.obs["kind"].tolist() == ["T", "B", "T", "T"]


def cells_in_soma(path: Path) -> bool:
    with tiledbsoma.Experiment.open(str(path)) as experiment:
        return same_cells(tiledbsoma.io.to_anndata(experiment, "RNA"))


def in_tiledb(path: Path) -> Any:
    with tiledb.open(str(path)) as array:
        return array[:]


def in_hdf5(path: Path) -> Any:
    with h5py.File(path) as file:
        return file["deep/a"][()]


def by_duckdb(path: Path) -> Any:
    with duckdb.connect() as connection:
        return connection.sql(f"from '{path}'").to_arrow_table().to_pylist()


def lines(path: Path) -> Any:
    return [json.loads(line) for line in path.read_text().splitlines()]


def packed_lines(path: Path) -> Any:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def ipc_rows(path: Path) -> Any:
    return ipc.open_file(path).read_all().to_pylist()


def polars_rows(**options: Any) -> Read:
    return lambda path: pl.read_csv(path, **options).to_dicts()


CASES: list[tuple[str, Any, Read, Any]] = [
    (".parquet", TABLE, lambda path: pq.read_table(path).to_pylist(), ROWS),
    (".parquet", TABLE, lambda path: pl.read_parquet(path).to_dicts(), ROWS),
    (".parquet", TABLE, by_duckdb, ROWS),
    (".csv", TABLE, polars_rows(), ROWS),
    (".csv", TABLE, by_duckdb, ROWS),
    (".tsv", TABLE, polars_rows(separator="\t"), ROWS),
    (".csv.gz", TABLE, polars_rows(), ROWS),
    (".tsv.gz", TABLE, polars_rows(separator="\t"), ROWS),
    (".csv.zst", TABLE, polars_rows(), ROWS),
    (".arrow", TABLE, ipc_rows, ROWS),
    (".feather", TABLE, lambda path: feather.read_table(path).to_pylist(), ROWS),
    (".feather", TABLE, lambda path: pl.read_ipc(path).to_dicts(), ROWS),
    (".jsonl", TABLE, lines, ROWS),
    (".jsonl", TABLE, lambda path: pl.read_ndjson(path).to_dicts(), ROWS),
    (".jsonl.gz", TABLE, packed_lines, ROWS),
    (".json", {"a": [1, None]}, lambda path: json.loads(path.read_text()), {"a": [1, None]}),
    (".h5ad", adata(), lambda path: same_cells(ad.read_h5ad(path)), True),
    (".zarr", adata(), lambda path: same_cells(ad.io.read_zarr(path)), True),
    (".h5mu", mdata(), lambda path: same_cells(md.read_h5mu(path)), True),
    (".zarr", mdata(), lambda path: same_cells(md.read_zarr(path)), True),
    (".zarr", ARRAY, lambda path: zarr.open_array(path, mode="r")[:], ARRAY),
    (".tiledb", ARRAY, in_tiledb, ARRAY),
    (".tiledb", SPARSE, lambda path: in_tiledb(path)["value"], np.ones(3)),
    (".soma", adata(), cells_in_soma, True),
    (".h5", {"deep": {"a": ARRAY}}, in_hdf5, ARRAY),
    (".npy", ARRAY, lambda path: np.load(path, allow_pickle=False), ARRAY),
    (".npz", {"a": ARRAY}, lambda path: np.load(path, allow_pickle=False)["a"], ARRAY),
    (".delta", TABLE, lambda path: DeltaTable(str(path)).to_pyarrow_table().to_pylist(), ROWS),
    (".bin", b"bytes", lambda path: path.read_bytes(), b"bytes"),
]


CASES_OF_SUFFIXES = {f"{suffix} of {type(obj).__name__}": (suffix, obj) for suffix, obj, _, _ in CASES}


@pytest.mark.filterwarnings("ignore")  # what libraries say of formats that they read
@pytest.mark.parametrize(("suffix", "obj", "read", "expected"), CASES, ids=[f"{n}{c[0]}" for n, c in enumerate(CASES)])
def test_what_is_written_opens_in_the_formats_own_libraries(
    suffix: str, obj: Any, read: Read, expected: Any, tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    format_for(obj, suffix=suffix).write(obj, path)
    found = read(path)
    assert (found == expected).all() if isinstance(expected, np.ndarray) else found == expected


def test_every_format_that_writes_is_among_them() -> None:
    written = {format_for(obj, suffix=suffix).name for suffix, obj, _, _ in CASES}
    assert set(names()) - written == {"10x-h5", "mtx", "folder"}, "which are read and not written"


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_shards_and_version_of_a_zarr_array_stay_as_they_were(version: int, tmp_path: Path) -> None:
    shards = {"shards": (4, 4)} if version == 3 else {}
    array = zarr.create_array({}, shape=(8, 4), chunks=(2, 4), dtype="i4", zarr_format=version, **shards)
    array[:] = np.arange(32).reshape(8, 4)
    format_for(array).write(array, tmp_path / "x.zarr")
    found = zarr.open_array(tmp_path / "x.zarr", mode="r")
    assert (found[:] == array[:]).all()
    assert (found.chunks, found.shards, found.metadata.zarr_format) == (array.chunks, array.shards, version)


def test_pixels_of_an_image_open_in_zarr(tmp_path: Path) -> None:
    Image.fromarray(np.arange(12, dtype="u1").reshape(3, 4)).save(tmp_path / "x.png")
    image = ImageFile(tmp_path / "x.png")
    format_for(image).write(image, tmp_path / "x.zarr")
    assert np.asarray(zarr.open(tmp_path / "x.zarr", mode="r")[:]).tolist() == np.arange(12).reshape(3, 4).tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("suffix", "obj"), CASES_OF_SUFFIXES.values(), ids=CASES_OF_SUFFIXES)
def test_a_name_that_is_not_utf8_is_read_or_refused_with_the_way_out(suffix: str, obj: Any, tmp_path: Path) -> None:
    fmt = format_for(obj, suffix=suffix)
    fmt.write(obj, tmp_path / f"x{suffix}")
    try:
        path = (tmp_path / f"x{suffix}").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + suffix.encode()))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    if fmt.name in ("tiledb", "soma", "delta"):
        for call in (fmt.describe, fmt.load, fmt.open):
            with pytest.raises(InvalidFile, match=r"not UTF-8, which .* cannot open: rename it"):
                call(path)
        return
    assert fmt.describe(path).kind == fmt.kind
    assert fmt.load(path) is not None
