"""One pool of two processes for all tests: starting one takes a second."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from lakehouse import config
from registries.ingest import Ingest, Options
from registries.instance import Instance


@pytest.fixture(scope="package")
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as found:
        yield found


@pytest.fixture
def lake(tmp_path):
    with config.using(cache_dir=str(tmp_path / "cache")):
        instance = Instance.create(tmp_path / "lake", user="ada")
        yield instance
        instance.close()


@pytest.fixture
def ingest(lake, pool):
    """What lh.ingest does, on this instance and pool."""

    def run(source, **options):
        return Ingest(lake, source, Options(**{"executor": pool, **options})).run()

    return run


@pytest.fixture
def folder(tmp_path):
    """A folder of a run: texts, a table, a hidden file, and one folder below."""
    top = tmp_path / "run1"
    (top / "below").mkdir(parents=True)
    (top / "a.txt").write_text("a")
    (top / "t.csv").write_text("donor,age\nD1,31\nD2,45\n")
    (top / "below" / "b.txt").write_text("b")
    (top / ".hidden").write_text("no")
    return top
