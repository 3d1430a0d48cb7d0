"""What users recorded under a name of their own becomes the public entry of that name, with all that it had."""

from __future__ import annotations

import pytest


@pytest.fixture
def mine(lake):
    """A user's own terms, one below the other, and an artifact that carries both."""
    above = lake.CellType(name="lymphocyte").save()
    term = lake.CellType(name="T cell", definition="mine", synonyms=["thymic"], parent_uids=[above]).save()
    below = lake.CellType(name="my T cell", parent_uids=[term]).save()
    lake.Feature(name="type", dtype="cat[CellType]").save()
    artifact = lake.Artifact(b"1", key="a.txt").save()
    artifact.cell_types.add([term, above], feature="type")
    return artifact, below


def _names(lake, name):
    return [(one.name, one.ontology_id, one.source is not None) for one in lake.CellType.filter(name=name).all()]


def test_an_import_takes_users_own_terms_over(lake, small, mine):
    artifact, below = mine
    before = lake.snapshot().commit
    lake.CellType.import_source(path=small)
    assert lake.snapshot().commit == before + 1
    assert _names(lake, "T cell") == [("T cell", "CL:0000084", True)]
    term = lake.CellType.get(name="T cell")
    assert term.uid == lake.CellType(ontology_id="CL:0000084", name="T cell").own_uid()
    assert "thymic" in term.synonyms and "T-cell" in term.synonyms
    assert [one.ontology_id for one in artifact.cell_types.get(feature="type")] == ["CL:0000084", "CL:0000542"]
    assert [one.name for one in term.parents.all()] == ["lymphocyte"]
    assert {one.name for one in lake.CellType.get(below.uid).ancestors().all()} == {"T cell", "lymphocyte", "cell"}
    assert lake.Artifact.filter(cell_types__descendant_of="lymphocyte").one() == artifact
    assert lake.CellType.standardize(["thymic"], return_field="ontology_id") == ["CL:0000084"]
    assert lake.CellType.import_source(path=small).added == 0


def test_terms_of_values_and_terms_saved_with_an_identifier_are_taken_over_too(lake, small, mine):
    artifact, _ = mine
    lake.CellType.from_values(["CL:0000084"], path=small).save()
    assert _names(lake, "T cell") == [("T cell", "CL:0000084", True)]
    assert lake.CellType.filter(name="lymphocyte").count() == 1
    other = lake.CellType(name="glia").save()
    artifact.cell_types.add(other)
    saved = lake.CellType(name="glia", ontology_id="CL:0000125").save()
    assert lake.CellType.filter(name="glia").one() == saved
    assert saved in list(artifact.cell_types.get())


def test_an_identifier_that_was_given_later_is_known_again(lake, small):
    term = lake.CellType(name="helper T", synonyms=["Th"]).save()
    term.ontology_id = "CL:0000084"
    term.save()
    assert lake.CellType(name="T cell", ontology_id="CL:0000084").save() == term
    lake.CellType.import_source(path=small)
    found = lake.CellType.filter(ontology_id="CL:0000084").one()
    assert found.name == "T cell" and "Th" in found.synonyms


def test_a_users_organism_keeps_its_genes(lake, tmp_path):
    human = lake.Organism(name="Homo sapiens").save()
    gene = lake.Gene(symbol="CD8A", organism=human).save()
    features = lake.FeatureSet.of([gene], modality="rna").save()
    genes = tmp_path / "genes.csv"
    genes.write_text("ENSG00000153563,CD8A,16,2000,protein_coding\nENSG1,TWICE,1,1,x\nENSG2,TWICE,1,1,x\n")
    lake.Gene(symbol="TWICE", organism=human).save()
    lake.Gene.import_source("1", source="ensembl", organism="human", path=genes)
    assert lake.Organism.filter(name="Homo sapiens").one().ontology_id == "NCBITaxon:9606"
    found = lake.Gene.filter(symbol="CD8A", organism__name="Homo sapiens").one()
    assert found.ensembl_gene_id == "ENSG00000153563"
    assert [one.symbol for one in features.members.all()] == ["CD8A"]
    assert lake.Gene.filter(symbol="TWICE").count() == 3, "which of the two it is was guessed"
    assert lake.Gene(symbol="TWICE", organism=lake.Organism.get(name="Homo sapiens")).save().stable_id is None
    assert lake.Gene.filter(symbol="TWICE").count() == 3


def test_names_of_other_organisms_and_withdrawn_terms_stay(lake, small):
    old = lake.CellType(name="T cell", obsolete=True).save()
    lake.CellType.import_source(path=small)
    assert lake.CellType.get(old.uid).obsolete
    assert lake.CellType.filter(name="T cell", obsolete=False).one().ontology_id == "CL:0000084"


def test_a_gene_given_by_its_symbol_is_the_public_one_where_that_is_clear(lake, tmp_path):
    genes = tmp_path / "genes.csv"
    genes.write_text("ENSG00000153563,CD8A,16,2000,protein_coding\nENSG1,TWICE,1,1,x\nENSG2,TWICE,1,1,x\n")
    lake.Gene.import_source("1", source="ensembl", organism="human", path=genes)
    human = lake.Organism.get(name="Homo sapiens")
    assert lake.Gene(symbol="CD8A", organism=human).save().ensembl_gene_id == "ENSG00000153563"
    assert lake.Gene(symbol="CD8A").save().ensembl_gene_id is None, "of no organism"
    assert lake.Gene(symbol="TWICE", organism=human).save().ensembl_gene_id is None
