"""Worker pools save artifacts: forked workers through the parent's instance, spawned ones through their own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from registries.instance import Instance
from tests.catalogs import CatalogFor

pytestmark = [
    pytest.mark.concurrency,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Python and Polars warn of forks as such: that is what is tested here
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using fork.* can cause Polars:RuntimeWarning"),
]
WORKERS, EACH = 3, 6
_shared: Instance | None = None


def test_a_fork_pool_saves_through_the_instance_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: CatalogFor
):
    with Instance.create(tmp_path / "lake", catalog=catalog(tmp_path / "lake"), user="ada") as lake:
        lake.ULabel(name="pooled").save()
        lake.Artifact.filter().pl()  # the parent has used Polars, DuckDB and deltalake before it forks
        lake.sql("select 1").fetchall()
        lake.flush()
        monkeypatch.setitem(globals(), "_shared", lake)
        check_results(lake, pooled("fork", save_in_fork, list(range(WORKERS))))


def test_a_spawn_pool_saves_through_instances_of_its_own(tmp_path: Path, catalog: CatalogFor):
    with Instance.create(tmp_path / "lake", catalog=catalog(tmp_path / "lake"), user="ada") as lake:
        lake.ULabel(name="pooled").save()
        check_results(lake, pooled("spawn", save_in_spawn, [(str(tmp_path / "lake"), n) for n in range(WORKERS)]))


def pooled(method: str, work: Callable[[Any], list[str]], inputs: list[Any]) -> list[list[str]]:
    with multiprocessing.get_context(method).Pool(WORKERS) as pool:
        return pool.map_async(work, inputs, chunksize=1).get(timeout=100)


def save_in_fork(number: int) -> list[str]:
    import deltalake
    import polars as pl

    pl.DataFrame.__init__ = pl.LazyFrame.collect = deltalake.DeltaTable.__init__ = forbidden  # type: ignore[method-assign,assignment]
    assert _shared is not None
    return save(_shared, number)


def save_in_spawn(job: tuple[str, int]) -> list[str]:
    with Instance.open(job[0], user="ada") as lake:
        return save(lake, job[1])


def forbidden(*args: object, **kwargs: object) -> NoReturn:
    raise AssertionError("neither Polars nor deltalake may be touched in a forked worker")


def save(lake: Instance, number: int) -> list[str]:
    """Save, look up, filter and label, as an ingest worker does."""
    uids = []
    for round in range(EACH):
        frame = pd.DataFrame({"worker": [number], "round": [round]})
        artifact = lake.Artifact.from_df(frame, key=f"{number}/{round}.parquet").save()
        artifact.labels.add("pooled")
        lake.Artifact.from_df(pd.DataFrame({"round": [round]}), key="same.parquet").save()
        assert lake.Artifact.get(key=f"{number}/{round}.parquet") == artifact
        assert lake.Artifact.filter(key__startswith=f"{number}/").count() == round + 1
        uids.append(artifact.uid)
    return uids


def check_results(lake: Instance, saved: list[list[str]]) -> None:
    assert len({uid for uids in saved for uid in uids}) == WORKERS * EACH
    assert lake.Artifact.filter(ulabels__name="pooled").count() == WORKERS * EACH
    for number, uids in enumerate(saved):
        for round, uid in enumerate(uids):
            assert lake.Artifact.get(uid).load().to_dict("list") == {"worker": [number], "round": [round]}
    family = lake.Artifact.get(key="same.parquet").versions
    assert [artifact.version for artifact in family] == list(range(len(family)))
    assert len({artifact.uid[:16] for artifact in family}) == 1
    lake.flush()
    assert len(lake.sql("select uid from artifact").fetchall()) == WORKERS * EACH + len(family)
