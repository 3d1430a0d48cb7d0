"""The example scripts do what they say."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.examples import atlas, cellxgene_delivery, nightly_ingest, training
from lakehouse import config
from registries import binding


@pytest.fixture(autouse=True)
def own_cache(tmp_path):
    with config.using(cache_dir=str(tmp_path / "cache")):
        yield
    if (instance := binding.set_current(None)) is not None:
        instance.close()


def test_a_folder_of_an_instrument_is_followed_night_by_night(tmp_path):
    first, second = nightly_ingest.main(tmp_path)
    assert first == {"new": 3}
    assert second == {"unchanged": 2, "new": 2, "quarantined": 1, "vanished": 1}


@pytest.mark.skipif(
    importlib.util.find_spec("cellxgene_ontology_guide") is None, reason="the extra ontologies is not installed"
)
def test_a_delivery_is_curated_against_the_schema_of_cellxgene(tmp_path):
    assert cellxgene_delivery.main(tmp_path) == {"new": 2, "failed": 1}


def test_an_atlas_is_built_from_many_files_and_trained_on(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    members, cells, found = atlas.main(tmp_path / "a", files=6)
    assert (members, cells) == (6, 360)
    assert 0 < found < cells
    losses = training.main(tmp_path / "b", files=6)
    assert losses[-1] < losses[0]
