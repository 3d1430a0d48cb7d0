"""Ingest on executors of Dask and Ray, for real, on one machine: ``make executors`` installs them and runs this."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from registries.ingest import Ingest, Options, RayExecutor

ROOT = str(Path(__file__).parents[4])


def missing(name: str) -> bool:
    return importlib.util.find_spec(name) is None


@pytest.fixture
def many(tmp_path):
    top = tmp_path / "many"
    top.mkdir()
    for n in range(600):
        (top / f"{n:03}.csv").write_text(f"a\n{n}\n")
    (top / "broken.parquet").write_bytes(b"PAR1 nothing else")
    return top


def check(lake, many, executor):
    options = Options(executor=executor, on_error="skip")
    assert Ingest(lake, many, options).run().counts == {"new": 600, "failed": 1}
    assert lake.Artifact.get(key="many/007.csv").n_rows == 1
    assert Ingest(lake, many, options).run().counts == {"unchanged": 600, "failed": 1}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(missing("distributed"), reason="dask's distributed is not installed: make executors tries it")
def test_dask_reads_and_registers_what_processes_do(lake, many, monkeypatch):
    from distributed import Client

    monkeypatch.setenv("PYTHONPATH", ROOT)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        check(lake, many, client.get_executor())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
@pytest.mark.skipif(missing("ray"), reason="ray is not installed: make executors tries it")
def test_ray_reads_and_registers_what_processes_do(lake, many, monkeypatch):
    import ray

    monkeypatch.setenv("PYTHONPATH", ROOT)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        check(lake, many, RayExecutor())
    finally:
        ray.shutdown()
    assert os.path.isdir(many)
