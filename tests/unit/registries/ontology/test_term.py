from __future__ import annotations

import pytest

from lakehouse.errors import InputError, InvalidName, UnknownField
from registries import CellType, Gene, Organism, Source
from registries.binding import REGISTRIES
from registries.ontology import Term

TERMS = [registry for registry in REGISTRIES.values() if issubclass(registry, Term) and not registry.meta.origin]


def test_a_public_term_has_the_same_uid_in_every_instance(lake, other):
    mine = lake.CellType(name="T cell", ontology_id="CL:0000084").save()
    theirs = other.CellType(name="T-cell", ontology_id="CL:0000084").save()
    assert mine.uid == theirs.uid == "QsTGvz1GZuSOzWQh0000"


def test_a_term_of_ones_own_is_known_by_its_name(lake):
    first = lake.CellType(name="my cell").save()
    assert lake.CellType(name="my cell", definition="mine").save() == first
    assert lake.CellType.filter().count() == 1


def test_a_name_without_an_identifier_finds_the_public_term(lake):
    public = lake.CellType(name="T cell", ontology_id="CL:0000084").save()
    lake.CellType(name="neuron", ontology_id="CL:1", obsolete=True).save()
    current = lake.CellType(name="neuron", ontology_id="CL:0000540").save()
    assert lake.CellType(name="T cell").save() == public
    assert lake.CellType(name="neuron").save() == current


def test_a_name_that_a_renamed_term_once_had_is_free_again(lake):
    first = lake.CellType(name="my cell").save()
    first.name = "our cell"
    first.save()
    assert lake.CellType(name="my cell").save() != first


def test_synonyms_keep_their_order_and_scopes(lake):
    lake.CellType(name="T cell", synonyms=["T-cell", "lymphocyte"], synonym_scopes=["EXACT", "BROAD"]).save()
    found = lake.CellType.get(name="T cell")
    assert found.synonyms == ["T-cell", "lymphocyte"]
    assert found.synonyms_of("BROAD") == ["lymphocyte"]
    assert lake.CellType(name="B cell", synonyms=("B-cell",)).save().synonym_scopes == ["EXACT"]
    assert lake.CellType.filter(synonyms__contains="B-cell").one().name == "B cell"
    assert lake.sql("select name from cell_type where list_contains(synonyms, 'T-cell')").fetchall() == [("T cell",)]


def test_lists_are_refused_with_the_field_the_value_and_what_is_accepted():
    with pytest.raises(InputError, match=r"CellType\.synonyms = 'T-cell' is a str: list of str is accepted"):
        CellType(name="T cell", synonyms="T-cell")
    with pytest.raises(InputError, match=r"CellType\.synonyms = \[1\]"):
        CellType(name="T cell", synonyms=[1])


def test_records_do_not_share_the_lists_of_their_defaults():
    first, second = CellType(name="a"), CellType(name="b")
    first.synonyms.append("c")
    assert second.synonyms == []


@pytest.mark.parametrize("bad", ["", " x", "a\0b", "a\u202eb", "x" * 2_000])
def test_names_and_synonyms_that_cannot_be_told_apart_are_refused(lake, bad):
    with pytest.raises(InvalidName):
        lake.CellType(name=bad).save()
    with pytest.raises(InvalidName):
        lake.CellType(name="x", synonyms=[bad]).save()


def test_unknown_scopes_and_surplus_scopes_are_refused(lake):
    with pytest.raises(InputError, match="'EXCAT' is not known; did you mean 'EXACT'"):
        lake.CellType(name="x", synonyms=["y"], synonym_scopes=["EXCAT"]).save()
    with pytest.raises(InputError, match="2 synonym_scopes for 1 synonyms"):
        lake.CellType(name="x", synonyms=["y"], synonym_scopes=["EXACT", "BROAD"]).save()


def test_look_ups_in_lists_say_which_there_are(lake):
    with pytest.raises(InputError, match="synonyms holds lists"):
        lake.CellType.filter(synonyms="x")
    with pytest.raises(UnknownField):
        lake.CellType.filter(synonyms__cotnains="x")


def test_every_registry_of_terms_saves_and_finds(lake):
    records = [getattr(lake, registry.__name__)(name="something") for registry in TERMS]
    lake.save(records)
    for record in records:
        assert type(record).get(name="something") == record
    assert len(TERMS) == 13


def test_genes_are_known_by_stable_id_or_by_symbol_and_organism(lake):
    human = lake.Organism(name="Homo sapiens", ontology_id="NCBITaxon:9606").save()
    mouse = lake.Organism(name="Mus musculus", ontology_id="NCBITaxon:10090").save()
    cd8a = lake.Gene(symbol="CD8A", ensembl_gene_id="ENSG00000153563", organism=human).save()
    assert cd8a.stable_id == "ENSG00000153563"
    assert lake.Gene(ensembl_gene_id="ENSG00000153563").save() == cd8a
    first = lake.Gene(symbol="Xyz", organism=human).save()
    assert lake.Gene(symbol="Xyz", organism=human).save() == first
    assert lake.Gene(symbol="Xyz", organism=mouse).save() != first
    assert lake.Gene.filter(organism__name="Homo sapiens").count() == 2


def test_a_gene_without_any_name_is_refused(lake):
    with pytest.raises(InputError, match=r"Gene\.symbol is needed where there is no stable_id"):
        lake.Gene(name="nameless").save()


def test_a_source_is_one_row_in_every_instance(lake, other):
    fields = {"entity": "CellType", "name": "cl", "version": "2026-03-26"}
    assert lake.Source(**fields).save().uid == other.Source(**fields).save().uid
    with pytest.raises(InputError, match="'Celltype' takes no terms; did you mean 'CellType'"):
        lake.Source(entity="Celltype", name="cl", version="1").save()
    with pytest.raises(InputError, match="holds a user or password") as caught:
        lake.Source(entity="CellType", name="x", version="1", url="https://ada:secret@host/x.obo").save()
    assert "secret" not in str(caught.value)


def test_constructors_of_unbound_registries_check_types():
    assert Organism(name="x").parent_uids == []
    assert Gene(symbol="x").synonyms == []
    assert Source(entity="CellType", name="cl", version="1").organism == "all"
