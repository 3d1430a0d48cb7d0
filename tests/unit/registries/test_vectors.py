"""validate, inspect, standardize, map_synonyms and add_synonym on registries."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from lakehouse.errors import Duplicate, InputError, RecordNotFound, UnknownField, Unsupported


@pytest.fixture
def cells(lake):
    lake.save(
        [
            lake.CellType(name="T cell", ontology_id="CL:0000084", synonyms=["T lymphocyte", "lymphocyte"]),
            lake.CellType(name="B cell", ontology_id="CL:0000236", alternative_ids=["CL:9"], synonyms=["lymphocyte"]),
            lake.CellType(name="old cell", ontology_id="CL:1", obsolete=True),
        ]
    )
    return lake.CellType


@pytest.fixture
def genes(lake):
    human = lake.Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606", synonyms=["human"]).save()
    mouse = lake.Organism(name="Mus musculus", ontology_id="NCBITaxon:10090", synonyms=["mouse"]).save()
    lake.save(
        [
            lake.Gene(symbol="CD8A", ensembl_gene_id="ENSG00000153563", organism=human, synonyms=["CD8"]),
            lake.Gene(symbol="Cd8a", ensembl_gene_id="ENSMUSG00000053977", organism=mouse, synonyms=["Ly-2"]),
        ]
    )
    return lake.Gene


def test_values_are_compared_with_names(cells):
    assert cells.validate(["T cell", "t cell", "T lymphocyte", None]) == [True, False, False, False]
    assert cells.standardize(["t cell", "T lymphocyte", "x"]) == ["T cell", "T cell", "x"]
    assert cells.map_synonyms(["t cell", "t lymphocyte"]) == ["t cell", "T cell"]
    assert cells.inspect(["T cell", "lymphocyte"]).ambiguous == {"lymphocyte": ["T cell", "B cell"]} or (
        cells.inspect(["lymphocyte"]).ambiguous == {"lymphocyte": ["B cell", "T cell"]}
    )


def test_other_fields_are_compared_and_returned(cells):
    assert cells.validate(["CL:0000084", "cl:0000084"], "ontology_id") == [True, False]
    assert cells.standardize(["t cell"], return_field="ontology_id") == ["CL:0000084"]
    assert cells.standardize(["cl:0000084", "CL:9"], "ontology_id") == ["CL:0000084", "CL:0000236"]
    assert cells.standardize(["CL:9"], "ontology_id", return_field="name") == ["B cell"]
    assert cells.standardize(["t cell", "T cell"], return_mapper=True) == {"t cell": "T cell"}


def test_withdrawn_terms_are_not_valid(cells):
    assert cells.validate(["old cell"]) == [False]
    assert cells.validate(["CL:1"], "ontology_id") == [False]


def test_what_is_saved_is_known_at_once(cells, lake):
    assert cells.validate(["my neuron"]) == [False]
    lake.CellType(name="my neuron").save()
    assert cells.validate(["my neuron"]) == [True]
    with pytest.raises(RuntimeError), lake.transaction():
        lake.CellType(name="my glia").save()
        assert cells.validate(["my glia"]) == [True]
        raise RuntimeError
    assert cells.validate(["my glia"]) == [False]


def test_registries_of_two_instances_do_not_mix(cells, lake, other):
    lake.CellType(name="my cell").save()
    assert other.CellType.validate(["my cell"]) == [False]
    assert cells.validate(["my cell"]) == [True]


def test_containers_come_back(cells):
    series = pd.Series(["t cell", None], index=[5, 6], dtype="category")
    assert cells.standardize(series).cat.categories.tolist() == ["T cell"]
    assert cells.validate(pl.Series("c", ["T cell"])).to_list() == [True]


def test_labels_artifacts_and_users_have_names_too(lake):
    lake.ULabel(name="treated", synonyms=["dosed"]).save()
    lake.Artifact(b"1", key="a.txt").save()
    assert lake.ULabel.standardize(["DOSED", "Treated"]) == ["treated", "treated"]
    assert lake.Artifact.validate(["a.txt", "b.txt"]) == [True, False]
    assert lake.User.validate(["ada"]) == [True]


def test_a_gene_needs_an_organism_where_there_are_several(genes):
    with pytest.raises(InputError, match="organism='human'"):
        genes.validate(["CD8A"])
    assert genes.validate(["CD8A", "Cd8a"], organism="human") == [True, False]
    assert genes.validate(["CD8A", "Cd8a"], organism="Mus musculus") == [False, True]
    assert genes.standardize(["cd8", "cd8a"], organism="NCBITaxon:9606") == ["CD8A", "CD8A"]
    assert genes.standardize(["ly-2"], organism="mouse", return_field="ensembl_gene_id") == ["ENSMUSG00000053977"]


def test_identifiers_need_no_organism(genes):
    found = genes.validate(["ENSG00000153563", "ENSMUSG00000053977", "ENSG0"], "ensembl_gene_id")
    assert found == [True, True, False]


def test_versions_of_ensembl_ids_are_taken_off(genes):
    ids = ["ENSG00000153563.16", "ensmusg00000053977.3", "ENSG00000153563", "ENSG00000000001.2", "CD8A.1"]
    assert genes.validate(ids, "ensembl_gene_id") == [False, False, True, False, False]
    mended = ["ENSG00000153563", "ENSMUSG00000053977", "ENSG00000153563", "ENSG00000000001.2", "CD8A.1"]
    assert genes.standardize(ids, "ensembl_gene_id") == mended
    assert genes.standardize(pl.Series(ids), "stable_id").to_list() == mended
    assert genes.standardize(ids[:1], "ensembl_gene_id", return_field="symbol") == ["CD8A"]
    assert genes.inspect(ids, "ensembl_gene_id").synonyms == dict(zip(ids[:2], mended[:2], strict=True))


def test_one_organism_is_inferred(genes, lake):
    gene = lake.Gene.get(symbol="Cd8a")
    assert gene.organism
    lake.run(lambda txn: txn.delete("gene", [gene.uid]))
    assert genes.validate(["CD8A"]) == [True]


def test_organisms_that_are_unknown_or_not_asked_for_are_refused(genes, cells):
    with pytest.raises(RecordNotFound, match="humna"):
        genes.validate(["CD8A"], organism="humna")
    with pytest.raises(InputError, match="does not tell organisms apart"):
        cells.validate(["T cell"], organism="human")


def test_a_synonym_is_added_to_a_record(cells, lake):
    record = cells.get(name="T cell")
    assert record.add_synonym("thymocyte") is record
    assert cells.standardize(["THYMOCYTE"]) == ["T cell"]
    assert lake.CellType.get(name="T cell").synonyms[-1] == "thymocyte"
    record.add_synonym("thymocyte")
    assert record.synonyms.count("thymocyte") == 1


def test_a_synonym_that_another_record_has_is_refused_unless_forced(cells):
    record = cells.get(name="T cell")
    with pytest.raises(Duplicate, match="'B cell'"):
        record.add_synonym("b CELL")
    record.add_synonym("b CELL", force=True)
    assert "b CELL" in cells.get(name="T cell").synonyms


def test_what_cannot_have_synonyms_says_so(lake):
    with pytest.raises(Unsupported, match="keeps no synonyms"):
        lake.User(handle="bob").add_synonym("rob")


def test_fields_that_there_are_not_are_named(cells):
    with pytest.raises(UnknownField, match="did you mean 'name'"):
        cells.validate(["x"], "nmae")
    with pytest.raises(UnknownField):
        cells.validate(["x"], "created_at")
    with pytest.raises(UnknownField):
        cells.standardize(["x"], return_field="nme")


def test_an_empty_registry_answers(lake):
    assert lake.CellType.validate(["x"]) == [False]
    assert lake.Gene.validate(["x"]) == [False]
    assert lake.CellType.standardize(["x", None]) == ["x", None]
    assert "correct 1 unknown value" in repr(lake.CellType.inspect(["x"]))


@pytest.fixture
def source(lake, tmp_path):
    """A public source in a file, pinned and not imported."""
    file = tmp_path / "cl.obo"
    file.write_text(
        "format-version: 1.2\n\n[Term]\nid: CL:0000084\nname: T cell\n\n[Term]\nid: CL:0000540\nname: neuron\n"
        'synonym: "nerve cell" EXACT []\n'
    )
    lake.Source(entity="CellType", name="cl", version="1", url=str(file), format="obo", prefix="CL", pinned=True).save()
    return file


def test_terms_of_a_source_at_hand_are_known_and_that_is_said(lake, source, caplog):
    lake.CellType(name="my cell").save()
    caplog.set_level("INFO", "lakehouse")
    assert lake.CellType.validate(["my cell", "neuron", "quux"]) == [True, True, False]
    assert "1 value is a term of cl 1 not in the registry yet" in caplog.text
    assert lake.CellType.standardize(["Nerve cell", "MY CELL"]) == ["neuron", "my cell"]
    assert lake.CellType.standardize(["nerve cell"], return_field="ontology_id") == ["CL:0000540"]
    assert lake.CellType.validate(["CL:0000540"], "ontology_id") == [True]
    assert lake.CellType.filter().count() == 1, "something was written"
    caplog.clear()
    assert lake.CellType.validate(["my cell"]) == [True]
    assert not caplog.text, "the source is not needed"


def test_what_the_registry_answers_to_goes_before_public_terms(lake, source):
    lake.CellType(name="Neuron", ontology_id="X:1", synonyms=["t cell"]).save()
    assert lake.CellType.validate(["neuron", "T cell"]) == [False, False]
    assert lake.CellType.standardize(["neuron", "T cell", "T CELL"]) == ["Neuron"] * 3
    lake.CellType(name="T cell").save()
    assert lake.CellType.standardize(["T cell", "T CELL"]) == ["T cell", "T cell"]
    assert lake.CellType.standardize(["T cell"], return_field="ontology_id") == ["T cell"], "its own has no identifier"


def test_a_source_that_takes_long_to_read_is_not_read_by_itself(lake, source, caplog, monkeypatch):
    monkeypatch.setattr("registries.ontology.nearby._LARGEST", 10)
    caplog.set_level("INFO", "lakehouse")
    assert lake.CellType.validate(["neuron"]) == [False]
    assert "cl 1 (0 MB) is not read by itself, since that takes long: CellType.public() reads it" in caplog.text
    assert [one.name for one in lake.CellType.from_values(["neuron"])] == ["neuron"]
