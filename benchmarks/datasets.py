"""Datasets of thousands of members, training batches, scans of many small files, and batch ingest."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.harness import Limit, Row, Side, alternate, at_most, ms, scratch
from lakehouse import config
from registries.ingest import Ingest, Options
from registries.instance import Instance

__all__ = ["run"]

_GROUP = "datasets"
_MEMBERS, _TABLES, _CELLS, _FILES = 5_000, 3_000, 20, 10_000


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures; with ``large`` 100,000 files are ingested."""
    with scratch() as folder, config.using(cache_dir=str(folder / "cache")):
        lake = Instance.create(folder / "lake", user="bench")
        yield from _append(lake, folder)
        yield from _scan(lake, folder)
        yield from _batches(lake, folder)
        lake.close()
    yield from _ingest(100_000 if large else _FILES)


def _ingested(lake: Instance, folder: Path) -> list[Any]:
    """Register the files of a folder where they lie, and return their artifacts."""
    lake.Storage(root=str(folder)).save()
    found = {one.key: one.uid for one in Ingest(lake, folder, Options()).run().outcomes}
    rows = lake.snapshot().lookup("artifact", "uid", list(found.values())).to_pylist()
    return [lake.Artifact.from_row(row, lake) for row in sorted(rows, key=lambda row: str(row["key"]))]


def _append(lake: Instance, folder: Path) -> Iterator[Row]:
    rounds = 31
    (folder / "members").mkdir()
    for n in range(_MEMBERS + rounds + 2):
        (folder / "members" / f"{n:05}.txt").write_text(f"{n}")
    artifacts = _ingested(lake, folder / "members")
    dataset = lake.Dataset(artifacts[:_MEMBERS], name="many").save()
    small = lake.Dataset(artifacts[:1], name="few").save()

    def many(turn: int) -> Any:
        return lambda: dataset.append(artifacts[_MEMBERS + turn])

    def few(turn: int) -> Any:
        return lambda: small.append(artifacts[1 + turn])

    found = alternate({"few": few, "many": many}, rounds=rounds, warm=1)
    yield ms(_GROUP, f"append to {_MEMBERS:,} members", found["many"], found["few"], "to a few", at_most(value=10))


def _scan(lake: Instance, folder: Path) -> Iterator[Row]:
    import numpy as np
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "tables").mkdir()
    for n in range(_TABLES):
        table = pa.table({"n": np.arange(n * 10, n * 10 + 10), "x": np.random.default_rng(n).random(10)})
        pq.write_table(table, folder / "tables" / f"{n:04}.parquet")
    artifacts = _ingested(lake, folder / "tables")
    dataset = lake.Dataset(artifacts, name="tables").save()
    paths = [one.path for one in artifacts]

    def one_by_one(_: int) -> Any:
        return lambda: sum(
            one.open().filter(pl.col("n") > 100).select(pl.col("x").sum()).collect().item() for one in artifacts
        )

    def listed(_: int) -> Any:
        return lambda: pl.scan_parquet(paths).filter(pl.col("n") > 100).select(pl.col("x").sum()).collect()

    def ours(_: int) -> Any:
        return lambda: dataset.open().filter(pl.col("n") > 100).select(pl.col("x").sum()).collect()

    began = time.perf_counter()
    ours(0)()
    first = f"the first scan, which merges the files, took {(time.perf_counter() - began) * 1e3:,.0f} ms"
    sides: dict[str, Side] = {"one by one": one_by_one, "listed": listed, "ours": ours}
    found = alternate(sides, rounds=3, warm=1)
    name = f"scan of {_TABLES:,} parquet members"
    yield ms(_GROUP, name, found["ours"], found["one by one"], "opened one by one", at_most(0.05), note=first)
    yield ms(_GROUP, f"{name}, beside Polars", found["ours"], found["listed"], "scan_parquet of all paths")


def _batches(lake: Instance, folder: Path) -> Iterator[Row]:
    import anndata
    import h5py
    import numpy as np
    import pandas as pd
    from scipy import sparse

    (folder / "cells").mkdir()
    count, genes, each = 2_048, 2_000, 200
    for n in range(_CELLS):
        dice = np.random.default_rng(n)
        columns = np.sort(dice.integers(0, genes // each, (count, each)) + np.arange(0, genes, genes // each), axis=1)
        places = np.arange(0, count * each + 1, each)
        values = (dice.poisson(1.5, count * each) + 1).astype("float32")
        matrix = sparse.csr_matrix((values, columns.ravel().astype("int32"), places), shape=(count, genes))
        obs = pd.DataFrame(
            {"cell_type": pd.Categorical(dice.choice(["a", "b"], count))}, index=list(map(str, range(count)))
        )
        var = pd.DataFrame(index=[f"g{i}" for i in range(genes)])
        anndata.AnnData(matrix, obs=obs, var=var).write_h5ad(folder / "cells" / f"{n:02}.h5ad", compression="gzip")
    artifacts = _ingested(lake, folder / "cells")
    reader = lake.Dataset(artifacts, name="cells").save().mapped(obs=["cell_type"])
    paths = [one.path for one in artifacts]

    def bare(_: int) -> Any:
        def read() -> None:
            for path in paths:
                with h5py.File(path) as file:
                    starts = file["X/indptr"][:]
                    for begin in range(0, count, 512):
                        low, high = starts[begin], starts[min(begin + 512, count)]
                        file["X/data"][low:high], file["X/indices"][low:high]

        return read

    def epoch(*, is_dense: bool) -> Any:
        return lambda: sum(batch["X"].shape[0] for batch in reader.batches(512, shuffle=True, dense=is_dense))

    def closed(side: Side) -> Side:
        def anew(turn: int) -> Any:
            reader.close()
            return side(turn)

        return anew

    sides: dict[str, Side] = {
        "bare": bare,
        "dense": lambda _: epoch(is_dense=True),
        "CSR": lambda _: epoch(is_dense=False),
    }
    # of a file that is open anywhere in the process HDF5 keeps chunks unpacked, for whoever reads them
    states = {"packed chunks": {name: closed(side) for name, side in sides.items()}, "chunks in HDF5's cache": sides}
    for state, each in states.items():
        found = alternate(each, rounds=5, warm=1)
        for form in ("dense", "CSR"):
            what = f"{_CELLS} h5ad of {count:,} cells, shuffled batches of 512, {form}, {state}"
            yield ms(_GROUP, what, found[form], found["bare"], "the same chunks, read in order", at_most(2))


# Ingest

_RUN = """
import json, multiprocessing, resource, sys, time
from concurrent.futures import ProcessPoolExecutor
from benchmarks import datasets
if __name__ == "__main__":
    print(json.dumps(datasets.measured(sys.argv[1], sys.argv[2])))
"""


def measured(folder: str, lake_root: str) -> dict[str, float]:
    """Return seconds of the floor, of an ingest and of a repeated one, all on one pool, and the peak of memory in MB.

    The floor is hash and stat of the same files on the same pool, and one insert of the rows that came of it into the
    artifacts of an instance like ours: durable, its keys unique, its references kept.
    """
    import pyarrow as pa

    paths = sorted(str(path) for path in Path(folder).rglob("*.fastq"))
    lake = Instance.create(lake_root, user="bench")
    lake.Storage(root=folder).save()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in [pool.submit(bare, paths[:10]) for _ in range(8)]:  # both have started, and imported
            future.result()
        began = time.perf_counter()
        tasks = [pool.submit(bare, paths[at : at + 256]) for at in range(0, len(paths), 256)]
        rows = [row for task in tasks for row in task.result()]
        hashed = time.perf_counter() - began
        found = Ingest(lake, folder, Options(executor=pool))
        began = time.perf_counter()
        assert found.run().counts == {"new": len(paths)}
        took = time.perf_counter() - began
        began = time.perf_counter()
        assert Ingest(lake, folder, Options(executor=pool)).run().counts == {"unchanged": len(paths)}
        again = time.perf_counter() - began
    other = Instance.create(f"{lake_root}-floor", user="bench")
    table = lake.snapshot().rows("artifact")
    other.Storage(root=folder).save()
    other.Artifact(b"1", key="first").save()
    own = {"created_by": other.user_uid, "storage": other.Storage.get(root=folder).uid}
    for name, value in own.items():
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), pa.array([value] * len(table))
        )
    began = time.perf_counter()
    other.run(lambda txn: txn.insert("artifact", table, fresh=True))
    inserted = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert len(rows) == len(paths)
    other.close()
    lake.close()
    return {"hashed": hashed, "inserted": inserted, "ingest": took, "again": again, "peak": peak}


def bare(paths: list[str]) -> list[tuple[str, int]]:
    """Return hash and size of files: the floor."""
    from blake3 import blake3

    found = []
    for path in paths:
        size = os.stat(path).st_size
        with open(path, "rb", buffering=0) as file:
            found.append((blake3(file.read()).hexdigest(), size))
    return found


def _ingest(count: int) -> Iterator[Row]:
    with scratch() as folder:
        for n in range(count):
            if n % 1_000 == 0:
                (folder / "files" / f"{n // 1_000:03}").mkdir(parents=True)
            (folder / "files" / f"{n // 1_000:03}" / f"{n:06}.fastq").write_bytes(b"@read\nACGT\n" * 40 + b"%d" % n)
        runs = []
        for turn in range(3):
            command = [sys.executable, "-c", _RUN, str(folder / "files"), str(folder / f"lake{turn}")]
            env = os.environ | {"LAKEHOUSE_CACHE_DIR": str(folder / f"cache{turn}")}
            done = subprocess.run(command, capture_output=True, check=True, env=env)
            runs.append(json.loads(done.stdout))
    best = sorted(runs, key=lambda one: one["ingest"] / (one["hashed"] + one["inserted"]))[len(runs) // 2]
    floor = best["hashed"] + best["inserted"]
    note = f"hash and stat {best['hashed']:.2f} s, one bulk insert of the rows into another instance {best['inserted']:.2f} s"
    yield Row(
        _GROUP,
        f"ingest of {count:,} files",
        best["ingest"],
        "s",
        floor,
        "hash and stat, one insert",
        (at_most(1.5),) if count > _FILES else (),  # of fewer, what it costs to begin counts
        note=note,
    )
    rate = Limit("value", 1_000, least=True)
    yield Row(_GROUP, f"ingest of {count:,} files: rate", count / best["ingest"], "files/s", limits=(rate,))
    least = Limit("value", 10_000, least=True)
    yield Row(_GROUP, f"the same again: rate of {count:,}", count / best["again"], "files/s", limits=(least,))
    yield Row(_GROUP, f"ingest of {count:,} files: peak", best["peak"], "MB", limits=(at_most(value=1_000),))
