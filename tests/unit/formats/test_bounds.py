"""How much ``describe`` reads: the bound that each format states, counted by the operating system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata as md
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
import zarr

from formats.registry import by_name
from formats.zarrstore import quiet

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the bytes of a process")

_COUNT = """
import json, sys
from pathlib import Path
from formats.registry import by_name
def read():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])
found = {}
for case, (name, small, large) in json.loads(sys.argv[1]).items():
    fmt = by_name(name)
    fmt.describe(Path(small))  # loads the libraries
    before = read()
    fmt.describe(Path(large))
    found[case] = read() - before
print(json.dumps(found))
"""


def _frame(rows: int) -> pa.Table:
    return pa.table({"a": np.random.default_rng(0).random(rows), "b": [f"text {n}" for n in range(rows)]})


def _adata(rows: int) -> ad.AnnData:
    matrix = sp.random(rows, 50, 0.5, format="csr", dtype="f4", random_state=0)
    return ad.AnnData(matrix, pd.DataFrame(index=[f"c{n}" for n in range(rows)]))


def _mdata(rows: int) -> md.MuData:
    with md.set_options(pull_on_update=False):
        return md.MuData({"rna": _adata(rows)})


def _array(rows: int) -> Any:
    return np.random.default_rng(0).random((rows, 50))


def _written(name: str, make: Callable[[int], Any]) -> Callable[[Path, int], Path]:
    def write(folder: Path, rows: int) -> Path:
        fmt = by_name(name)
        path = folder / f"x{next(iter(fmt.suffixes), '')}"
        fmt.write(make(rows), path)
        return path

    return write


def _text(line: str, suffix: str, head: str = "", end: str = "") -> Callable[[Path, int], Path]:
    """Write a megabyte of lines over and over."""

    def write(folder: Path, megabytes: int) -> Path:
        path, block = folder / f"x{suffix}", line.encode() * ((1 << 20) // len(line))
        with path.open("wb") as file:
            file.write(head.encode())
            for _ in range(megabytes):
                file.write(block)
            file.write(end.encode())
        return path

    return write


def _version_2(folder: Path, rows: int) -> Path:
    with quiet():
        zarr.create_array(folder / "x.zarr", data=_array(rows), chunks=(rows, 50), zarr_format=2)
    return folder / "x.zarr"


def _sharded(folder: Path, rows: int) -> Path:
    zarr.create_array(folder / "x.zarr", data=_array(rows), chunks=(10, 50), shards=(rows, 50))
    return folder / "x.zarr"


def _zipped(folder: Path, rows: int) -> Path:
    with zarr.storage.ZipStore(folder / "x.zarr.zip", mode="w") as store:
        zarr.create_array(store, data=_array(rows), chunks=(1000, 50))
    return folder / "x.zarr.zip"


def _cell_ranger(folder: Path, cells: int) -> Path:
    with h5py.File(folder / "x.h5", "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"] = np.ones(cells * 20, "i4"), np.zeros(cells * 20, "i8")
        group["indptr"], group["shape"] = np.arange(cells + 1, dtype="i8") * 20, np.array([10, cells], "i4")
        group["barcodes"] = np.array([f"AAAC{n}" for n in range(cells)], "S20")
        for name in ("id", "name", "feature_type", "genome"):
            group[f"features/{name}"] = np.array([f"{name}{n}" for n in range(10)], "S20")
    return folder / "x.h5"


def _mtx(folder: Path, megabytes: int) -> Path:
    rows = megabytes * ((1 << 20) // 8)
    _text("1 1 123\n", ".mtx", f"%%MatrixMarket matrix coordinate integer general\n%\n10 5 {rows}\n")(folder, megabytes)
    (folder / "x.mtx").rename(folder / "matrix.mtx")
    _text("AAAC-1\n", ".tsv")(folder, megabytes)
    (folder / "x.tsv").rename(folder / "barcodes.tsv")
    _text("ENSG1\tCD8A\tGene Expression\n", ".tsv")(folder, megabytes)
    (folder / "x.tsv").rename(folder / "features.tsv")
    return folder


def _blob(folder: Path, megabytes: int) -> Path:
    (folder / "x.bin").write_bytes(bytes(megabytes << 20))
    return folder / "x.bin"


def _image(folder: Path, megabytes: int) -> Path:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\x02\0\0\0"
    (folder / "x.png").write_bytes(header + bytes(megabytes << 20))
    return folder / "x.png"


MB = 1 << 20
CASES: dict[str, tuple[str, Callable[[Path, int], Path], int, int]] = {
    "parquet": ("parquet", _written("parquet", _frame), 150_000, 100_000),
    "arrow": ("arrow", _written("arrow", _frame), 150_000, 100_000),
    "delta": ("delta", _written("delta", _frame), 150_000, 100_000),
    # 16 MB for types, 256 MB more for the count of rows
    "csv": ("csv", _text("1,2.5,text of some length\n", ".csv", "a,b,c\n"), 330, (16 + 256 + 1) * MB),
    "jsonl": ("jsonl", _text('{"a": 1, "b": "text"}\n', ".jsonl"), 60, 17 * MB),
    "json": ("json", _text("text ", ".json", '["', '"]'), 60, 17 * MB),
    "h5ad": ("h5ad", _written("h5ad", _adata), 20_000, 200_000),
    "h5mu": ("h5mu", _written("h5mu", _mdata), 30_000, 300_000),
    "zarr-anndata": ("zarr-anndata", _written("zarr-anndata", _adata), 20_000, 200_000),
    "zarr-mudata": ("zarr-mudata", _written("zarr-mudata", _mdata), 30_000, 300_000),
    "zarr": ("zarr", _written("zarr", _array), 10_000, 100_000),
    "zarr version 2": ("zarr", _version_2, 10_000, 100_000),
    "zarr sharded": ("zarr", _sharded, 10_000, 100_000),
    "zarr zipped": ("zarr", _zipped, 10_000, 200_000),
    "tiledb dense": ("tiledb", _written("tiledb", _array), 10_000, 200_000),
    "tiledb sparse": ("tiledb", _written("tiledb", lambda rows: _adata(rows).X), 50_000, 300_000),
    "soma": ("soma", _written("soma", _adata), 30_000, 300_000),
    "10x-h5": ("10x-h5", _cell_ranger, 50_000, 200_000),
    # of each file a buffer beyond the first lines
    "mtx": ("mtx", _mtx, 8, 300_000),
    "hdf5": ("hdf5", _written("hdf5", lambda rows: {"a": _array(rows)}), 10_000, 100_000),
    "npy": ("npy", _written("npy", _array), 30_000, 10_000),
    "npz": ("npz", _written("npz", lambda rows: {"a": _array(rows)}), 10_000, 200_000),
    "image": ("blob", _image, 8, 66_000),
    "blob": ("blob", _blob, 8, 66_000),
    "folder": ("folder", lambda folder, megabytes: _blob(folder, megabytes).parent, 8, 10_000),
}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def test_describe_reads_a_small_part_of_large_files_of_every_format(tmp_path: Path) -> None:
    made: dict[str, tuple[str, str, str]] = {}
    for case, (name, write, much, most) in CASES.items():
        small, large = (tmp_path / case / size for size in ("small", "large"))
        small.mkdir(parents=True)
        large.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries say of formats that they write
            made[case] = (name, str(write(small, min(much // 8, 10))), str(path := write(large, much)))
        assert _size(path) > most * (1.1 if most > MB else 10), case
    script = [sys.executable, "-W", "ignore", "-c", _COUNT, json.dumps(made)]
    child = subprocess.run(script, capture_output=True, text=True, check=False)
    shutil.rmtree(tmp_path)
    assert child.returncode == 0, child.stderr
    read: dict[str, int] = json.loads(child.stdout)
    assert {case: (read[case], most) for case, (*_, most) in CASES.items() if read[case] > most} == {}
