"""The schema ``cellxgene`` accepts and refuses what the official validator does (cellxgene-schema 7.1.2).

Its verdicts are recorded beside this file by ``make conformance``; ``cellxgene_terms.json`` has the ancestors of the terms
that occur, as the package cellxgene-ontology-guide gives them.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from lakehouse.errors import MissingExtra
from registries import standards
from registries.curate import Curator
from registries.instance import Instance
from tests.conformance.cellxgene_cases import GENES, MUTATIONS, mutated
from validation.cellxgene import Terms

HERE = Path(__file__).parent
VERDICTS: dict[str, bool] = json.loads((HERE / "cellxgene_verdicts.json").read_text())
VALID = HERE.parents[2] / "shared/data/datasets/cellxgene/example_valid.h5ad"
INVALID = VALID.with_name("example_invalid_CL.h5ad")


@pytest.fixture(scope="module")
def terms() -> Terms:
    known = json.loads((HERE / "cellxgene_terms.json").read_text())
    return Terms(lambda _: known)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory):
    with Instance.create(tmp_path_factory.mktemp("lake"), user="ada") as instance:
        human = instance.Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606").save()
        instance.Organism(name="Mus musculus", ontology_id="NCBITaxon:10090").save()
        instance.save([instance.Gene(symbol=one, ensembl_gene_id=one, organism=human) for one in GENES])
        yield instance


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, terms: Terms):
    monkeypatch.setattr(standards, "guide_terms", lambda: terms)


def test_every_mutation_has_a_verdict_and_both_verdicts_occur():
    assert list(VERDICTS) == list(MUTATIONS)
    assert len(VERDICTS) >= 60 and 20 < sum(VERDICTS.values()) < len(VERDICTS)


@pytest.mark.parametrize("name", list(VERDICTS))
def test_the_verdict_is_that_of_the_official_validator(lake: Instance, known: None, name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata, about names that are there twice
        report = Curator(mutated(name), "cellxgene", lake).validate()
    assert report.ok == VERDICTS[name], repr(report)


def test_files_are_validated_without_being_loaded(lake: Instance, known: None, tmp_path: Path):
    for name in ("nothing", "counts that are none"):
        mutated(name).write_h5ad(tmp_path / "x.h5ad")
        assert Curator(tmp_path / "x.h5ad", "cellxgene", lake).validate().ok == VERDICTS[name]


def test_an_older_form_of_h5ad_is_noted_and_not_refused_as_by_the_official_validator(
    lake: Instance, known: None, tmp_path: Path
):
    import h5py

    mutated("nothing").write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file.attrs["encoding-version"] = "0.0.9"
    report = Curator(tmp_path / "x.h5ad", "cellxgene", lake).validate()
    assert report.ok
    assert [(one.reason, one.slot) for one in report.notes if one.slot == "file"] == [("wrong_version", "file")]


def test_a_slide_is_validated_where_it_lies(lake: Instance, known: None, tmp_path: Path):
    for name in ("slide: as it is", "slide: the image is small", "slide: a spot inside is empty"):
        mutated(name).write_h5ad(tmp_path / "x.h5ad")
        assert Curator(tmp_path / "x.h5ad", "cellxgene", lake).validate().ok == VERDICTS[name]


def test_the_verdict_is_recorded_with_the_artifact(lake: Instance, known: None):
    artifact = Curator(mutated("nothing"), "cellxgene", lake).save_artifact(key="valid.h5ad")
    assert lake.Artifact.filter(schemas__name="cellxgene").one() == artifact
    assert not Curator(mutated("disease: root"), "cellxgene", lake).validate().ok


def test_without_the_ontologies_the_package_is_named(lake: Instance, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(standards, "guide_files", lambda name: {})
    standards.guide_terms.cache_clear()
    with pytest.raises(MissingExtra, match=r"lakehouse-toolkit\[ontologies\]"):
        Curator(mutated("nothing"), "cellxgene", lake).validate()


@pytest.mark.skipif(not VALID.exists(), reason="the files of ../shared/data are absent")
def test_the_official_examples_are_told_apart(known: None, tmp_path: Path):
    with Instance.create(tmp_path / "lake", user="ada") as empty:  # without genes their form is looked at
        assert Curator(VALID, "cellxgene", empty).validate().ok
        assert not Curator(INVALID, "cellxgene", empty).validate().ok
