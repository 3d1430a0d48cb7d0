"""How much ``describe`` reads: the bound that each format states, counted by the operating system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

from formats.registry import by_name

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the bytes of a process")

_COUNT = """
import sys
from pathlib import Path
from formats.registry import by_name
fmt, small, large = by_name(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
def read():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])
fmt.describe(small)  # loads the libraries
before = read()
assert fmt.describe(large).kind == fmt.kind
print(read() - before)
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


CASES = [
    ("parquet", _frame, 500_000, 100_000),
    ("arrow", _frame, 500_000, 100_000),
    ("delta", _frame, 500_000, 100_000),
    ("h5ad", _adata, 50_000, 200_000),
    ("h5mu", _mdata, 50_000, 300_000),
    ("zarr-anndata", _adata, 50_000, 200_000),
    ("zarr", _array, 30_000, 100_000),
    ("tiledb", _array, 30_000, 200_000),
    ("hdf5", lambda rows: {"a": _array(rows)}, 30_000, 100_000),
    ("npy", _array, 30_000, 10_000),
    ("npz", lambda rows: {"a": _array(rows)}, 30_000, 200_000),
]


@pytest.mark.parametrize(("name", "make", "rows", "most"), CASES, ids=[case[0] for case in CASES])
def test_describe_reads_a_small_part_of_a_large_file(
    name: str, make: Any, rows: int, most: int, tmp_path: Path
) -> None:
    fmt = by_name(name)
    small, large = tmp_path / f"small{fmt.suffixes[0]}", tmp_path / f"large{fmt.suffixes[0]}"
    fmt.write(make(10), small)
    fmt.write(make(rows), large)
    size = large.stat().st_size if large.is_file() else sum(f.stat().st_size for f in large.rglob("*") if f.is_file())
    assert size > 20 * most
    script = [sys.executable, "-W", "ignore", "-c", _COUNT, name, str(small), str(large)]
    child = subprocess.run(script, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) <= most
