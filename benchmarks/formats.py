"""Formats: describing a large h5ad, loading beside the formats' own libraries, hashing beside blake3 alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import scipy.sparse as sp
import zarr
from blake3 import blake3

from benchmarks.harness import Limit, Row, Side, alternate, at_most, ms, scratch
from formats.hashing import hash_file
from formats.registry import by_name

__all__ = ["run"]

_ROUNDS = 7
_HASH_ROUNDS = 15
_HASHED = 512 << 20


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    with scratch() as folder:
        yield from _describing(folder, 2 << 30 if large else 200 << 20)
        yield from _loading(folder)
        yield from _hashing(folder)


def _describing(folder: Path, size: int) -> Iterator[Row]:
    path = folder / "large.h5ad"
    _large_h5ad(path, size)
    fmt = by_name("h5ad")
    fmt.describe(path)
    before = _read_so_far()
    fmt.describe(path)
    read = _read_so_far() - before
    if size < 1 << 30:
        loads = {"ours": _side(lambda: fmt.load(path)), "own": _side(lambda: ad.read_h5ad(path))}
        found = alternate(loads, rounds=_ROUNDS)
        what = f"load an h5ad of {size >> 20} MB"
        yield ms("formats", what, found["ours"], found["own"], "its own library", at_most(1.1))
    sides = {"ours": _side(lambda: fmt.describe(path)), "h5py": _side(lambda: _opened(path))}
    samples = alternate(sides, rounds=_ROUNDS)
    name = f"describe an h5ad of {path.stat().st_size / 1e9:.1f} GB"
    yield ms("formats", name, samples["ours"], samples["h5py"], "h5py opens it", at_most(value=50))
    yield Row("formats", f"{name}: bytes read", read / 1e6, "MB", limits=(Limit("value", 2),))


def _opened(path: Path) -> None:
    with h5py.File(path, "r") as file:
        list(file)


def _large_h5ad(path: Path, size: int) -> None:
    """Write a sparse matrix of about so many bytes, with annotations as single-cell data has them."""
    n_obs, n_vars = size // 8 // 2000, 30_000
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * (n_obs // 2) + ["a"] * (n_obs % 2))})
    obs.index = pd.Index([f"cell{n}" for n in range(n_obs)])
    ad.AnnData(sp.csr_matrix((n_obs, n_vars), dtype="f4"), obs, pd.DataFrame(index=_names(n_vars))).write_h5ad(path)
    values = 2000 * n_obs
    with h5py.File(path, "r+") as file:
        for name, dtype in (("data", "f4"), ("indices", "i4")):
            del file[f"X/{name}"]
            file.create_dataset(f"X/{name}", shape=(values,), dtype=dtype, chunks=(1 << 20,))
            block = np.ones(1 << 20, dtype=dtype)
            for start in range(0, values, 1 << 20):
                file[f"X/{name}"][start : start + (1 << 20)] = block[: min(1 << 20, values - start)]


def _names(count: int) -> pd.Index[str]:
    return pd.Index([f"gene{n}" for n in range(count)])


def _loading(folder: Path) -> Iterator[Row]:
    random = np.random.default_rng(0)
    frame = pa.table({f"x{n}": random.random(1_000_000) for n in range(8)} | {"t": ["text"] * 1_000_000})
    matrix = sp.random(20_000, 2_000, 0.05, format="csr", dtype="f4", random_state=0)
    adata = ad.AnnData(matrix, var=pd.DataFrame(index=_names(2_000)))
    adata.obs_names = [f"cell{n}" for n in range(20_000)]
    cases: dict[str, tuple[Any, str, Callable[[Path], object]]] = {
        "parquet": (frame, ".parquet", lambda path: pq.read_table(path).to_pandas()),
        "arrow": (frame, ".feather", lambda path: feather.read_table(path).to_pandas()),
        "h5ad": (adata, ".h5ad", ad.read_h5ad),
        "h5ad with many columns": (_with_columns(adata), ".columns.h5ad", ad.read_h5ad),
        "zarr-anndata": (adata, ".anndata.zarr", ad.io.read_zarr),
        "zarr": (random.random((4000, 2000)), ".zarr", lambda path: zarr.open_array(path, mode="r")[:]),
        "npy": (random.random((4000, 2000)), ".npy", np.load),
    }
    for name, (obj, suffix, own) in cases.items():
        path, fmt = folder / f"x{suffix}", by_name(name.partition(" ")[0])
        fmt.write(obj, path)
        os.sync()
        sides = {"ours": _side(lambda f=fmt, p=path: f.load(p)), "own": _side(lambda o=own, p=path: o(p))}
        samples = alternate(sides, rounds=_ROUNDS, warm=2)
        yield ms("formats", f"load {name}", samples["ours"], samples["own"], "its own library", at_most(1.1))


def _with_columns(adata: ad.AnnData) -> ad.AnnData:
    """Return the same with what analyses add: many small arrays to look at before loading."""
    found = adata.copy()
    for number in range(10):
        found.obs[f"kind{number}"] = pd.Categorical(np.resize(["a", "b", "c"], adata.n_obs))
    found.obsm["X_pca"] = np.ones((adata.n_obs, 50), dtype="f4")
    found.uns["settings"] = {"method": "umap", "neighbors": 15}
    return found


def _hashing(folder: Path) -> Iterator[Row]:
    path = folder / "bytes"
    path.write_bytes(np.random.default_rng(0).bytes(_HASHED))
    os.sync()  # else the system writes it out while it is read, and whoever is at it then pays for that
    sides = {"ours": _side(lambda: hash_file(path)), "reads": _side(lambda: _read_and_hashed(path))}
    samples = alternate(sides, rounds=_HASH_ROUNDS, warm=2)
    note = "a map into memory is faster, and ends the process when somebody cuts the file short"
    yield ms("formats", "hash 512 MB", samples["ours"], samples["reads"], "reads and blake3", at_most(1.25), note=note)


def _read_and_hashed(path: Path) -> bytes:
    hasher = blake3(max_threads=blake3.AUTO)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(2 << 20):
            hasher.update(piece)
    return hasher.digest()


def _side(act: Callable[[], object]) -> Side:
    return lambda _turn: act


def _read_so_far() -> int:
    """Return the bytes that this process has read through system calls (Linux)."""
    with Path("/proc/self/io").open() as file:
        return int(file.readline().split()[1])
