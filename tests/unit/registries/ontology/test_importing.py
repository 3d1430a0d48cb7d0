from __future__ import annotations

import pytest

from lakehouse.errors import InvalidFile, ReadOnly, RecordNotFound, UnknownFormat
from registries.instance import Instance
from registries.ontology.published import choose, public_sources

WANTED = (
    "ensembl ncbitaxon uniprot cellmarker cellosaurus clo depmap cl uberon mondo doid icd efo pato hp mp go pw chebi dron "
    "hsapdv mmusdv hancestro edam fbbt zfa wbbt"
)


def test_the_table_of_sources_covers_what_biologists_use():
    pairs = {(one.entity, one.source, one.organism) for one in public_sources()}
    assert len(pairs) >= 26
    assert set(WANTED.split()) <= {source for _, source, _ in pairs}
    assert all(one.url and one.format and one.licence and one.title for one in public_sources())


def test_every_source_is_of_a_registry_that_exists(lake):
    for one in public_sources():
        assert "source" in getattr(lake, one.entity).meta.columns


def test_an_unknown_source_or_version_lists_those_that_there_are():
    with pytest.raises(
        RecordNotFound, match=r"no source of CellType has the version '1999'; choose one of .*2026-03-26"
    ):
        choose("CellType", version="1999")
    with pytest.raises(RecordNotFound, match="the source 'mnodo'; did you mean 'mondo'"):
        choose("Disease", name="mnodo")
    assert choose("CellType", version="v2026-03-26").version == "2026-03-26"


def test_a_source_is_imported_in_one_commit_with_its_parents(lake, small):
    commits = len(lake.snapshots())
    done = lake.CellType.import_source(path=small, version="2026-01-01")
    assert (done.source, done.added, done.kept, done.missing) == ("cl 2026-01-01", 5, 0, ())
    assert len(lake.snapshots()) == commits + 1
    found = lake.CellType.get(ontology_id="CL:0000084")
    assert found.name == "T cell"
    assert found.definition == 'A lymphocyte that says "help".'
    assert dict(zip(found.synonyms, found.synonym_scopes, strict=True)) == {
        "T-cell": "EXACT",
        "T lymphocyte": "EXACT",
        "mature T cell": "RELATED",
    }
    assert found.alternative_ids == ["CL:0000804"]
    assert found.parent_relations == ["is_a"]
    assert [parent.name for parent in found.parents] == ["lymphocyte"]
    assert [child.ontology_id for child in found.children] == ["CL:0000624"]
    old = lake.CellType.get(ontology_id="CL:9999999")
    assert (old.obsolete, old.replaced_by) == (True, "CL:0000624")
    assert lake.CellType.filter(ontology_id="GO:0000001").count() == 0


def test_importing_again_adds_nothing_and_keeps_what_users_changed(lake, small):
    lake.CellType.import_source(path=small)
    mine = lake.CellType.get(ontology_id="CL:0000084")
    mine.synonyms = [*mine.synonyms, "my name for it"]
    mine.synonym_scopes = [*mine.synonym_scopes, "EXACT"]
    mine.save()
    done = lake.CellType.import_source(path=small)
    assert (done.added, done.kept) == (0, 5)
    assert "my name for it" in lake.CellType.get(ontology_id="CL:0000084").synonyms
    assert lake.Source.filter().count() == 1


def test_terms_know_the_source_and_version_that_they_are_from(lake, small):
    lake.CellType.import_source(path=small, version="2026-01-01")
    source = lake.Source.get(name="cl")
    assert (source.entity, source.version, source.pinned, source.prefix) == ("CellType", "2026-01-01", True, "CL")
    assert lake.CellType.filter(source__version="2026-01-01").count() == 5


def test_ancestors_and_descendants_are_found_at_any_distance(lake, small):
    lake.CellType.import_source(path=small)
    cell, helper = lake.CellType.get(name="cell"), lake.CellType.get(ontology_id="CL:0000624")
    assert {one.name for one in helper.ancestors()} == {"T cell", "lymphocyte", "cell"}
    assert {one.ontology_id for one in cell.descendants()} == {"CL:0000542", "CL:0000084", "CL:0000624"}
    assert helper.descendants().count() == 0
    assert [lake.CellType.get(uid).name for uid in helper.ancestor_uids()] == ["T cell", "lymphocyte", "cell"]
    assert len(cell.descendant_uids()) == 3


def test_queries_by_hierarchy_take_names_identifiers_and_records(lake, small):
    lake.CellType.import_source(path=small)
    t_cell = lake.CellType.get(name="T cell")
    for given in ("T cell", "CL:0000084", t_cell, t_cell.uid):
        assert lake.CellType.filter(descendant_of=given).count() == 2
        assert lake.CellType.filter(ancestor_of=given).count() == 3
    assert lake.CellType.filter(parents__name="lymphocyte").one() == t_cell
    assert lake.CellType.filter(children__ontology_id="CL:0000084").one().name == "lymphocyte"
    with pytest.raises(RecordNotFound, match="'T cel'; did you mean 'T cell'"):
        lake.CellType.filter(descendant_of="T cel").count()


def test_artifacts_are_found_by_what_is_above_their_labels(lake, small):
    lake.CellType.import_source(path=small)
    first, second = (lake.Artifact(name.encode(), key=name).save() for name in ("a.txt", "b.txt"))
    first.cell_types.add("CD4-positive, alpha-beta T cell")
    second.cell_types.add("cell")
    assert lake.Artifact.filter(cell_types__descendant_of="T cell").one() == first
    assert lake.Artifact.filter(cell_types__descendant_of="cell").count() == 2
    assert lake.Artifact.filter().exclude(cell_types__descendant_of="T cell").one() == second


def test_the_statement_of_a_hierarchical_query_stands_alone(lake, small):
    lake.CellType.import_source(path=small)
    query = lake.CellType.filter(descendant_of="T cell")
    found = lake.sql(query.sql, query.parameters).pl()
    assert sorted(found["ontology_id"]) == ["CL:0000084", "CL:0000624"]


def test_a_term_cannot_come_to_be_above_itself(lake, small):
    lake.CellType.import_source(path=small)
    cell, helper = lake.CellType.get(name="cell"), lake.CellType.get(ontology_id="CL:0000624")
    cell.parent_uids = [helper]
    with pytest.raises(ValueError, match="CellType 'cell' would be above itself"):
        cell.save()


def test_a_circle_in_a_file_neither_hangs_nor_loses_terms(lake, tmp_path):
    file = tmp_path / "circle.obo"
    file.write_text("[Term]\nid: CL:1\nname: a\nis_a: CL:2\n\n[Term]\nid: CL:2\nname: b\nis_a: CL:1\n")
    assert lake.CellType.import_source(path=file).added == 2
    assert lake.CellType.get(name="a").ancestors().one().name == "b"
    assert lake.CellType.filter(descendant_of="a").count() == 2
    query = lake.CellType.filter(descendant_of="a")
    assert len(lake.sql(query.sql, query.parameters).fetchall()) == 2


def test_missing_parents_are_told_and_join_up_once_they_come(lake, tmp_path, caplog):
    file = tmp_path / "part.obo"
    file.write_text("[Term]\nid: CL:1\nname: a\nis_a: CL:2\nis_a: GO:1\n")
    assert lake.CellType.import_source(path=file).missing == ("CL:2",)
    assert "1 parents are not in it, such as CL:2" in caplog.text
    assert lake.CellType.get(name="a").ancestors().count() == 0
    lake.CellType(name="b", ontology_id="CL:2").save()
    assert lake.CellType.get(name="a").ancestors().one().name == "b"


def test_two_entries_under_one_id_are_merged(lake, tmp_path, caplog):
    file = tmp_path / "twice.obo"
    file.write_text(
        '[Term]\nid: CL:1\nname: a\nsynonym: "x" EXACT []\n\n[Term]\nid: CL:2\nname: c\n\n'
        '[Term]\nid: CL:1\nname: b\nsynonym: "y" BROAD []\nis_a: CL:2\n'
    )
    assert lake.CellType.import_source(path=file).added == 2
    found = lake.CellType.get(ontology_id="CL:1")
    assert (found.name, found.synonyms, [one.name for one in found.parents]) == ("a", ["x", "y"], ["c"])
    assert "1 entries came under an id of another" in caplog.text


def test_two_sources_that_claim_one_id_leave_the_first(lake, small, tmp_path):
    lake.CellType.import_source(path=small)
    file = tmp_path / "mine.obo"
    file.write_text("[Term]\nid: CL:0000084\nname: something else\n")
    done = lake.CellType.import_source(path=file, source="mine", version="1")
    assert (done.added, done.kept) == (0, 1)
    assert lake.CellType.get(ontology_id="CL:0000084").name == "T cell"


def test_an_import_that_fails_leaves_nothing(lake, tmp_path):
    for name, content in {
        "a.obo": "",
        "b.obo": "nothing",
        "c.json": '{"CL:1": {"label": ',
        "d.json": "[" * 200_000,
    }.items():
        file = tmp_path / name
        file.write_text(content)
        with pytest.raises((InvalidFile, UnknownFormat)):
            lake.CellType.import_source(path=file)
    with pytest.raises(RecordNotFound, match="there is no file"):
        lake.CellType.import_source(path=tmp_path / "none.obo")
    assert lake.CellType.filter().count() == lake.Source.filter().count() == 0


def test_deep_json_is_refused(lake, tmp_path):
    file = tmp_path / "deep.json"
    file.write_text('{"CL:1": ' + "[" * 100_000)
    with pytest.raises(InvalidFile):
        lake.CellType.import_source(path=file)


def test_an_instance_that_is_only_read_imports_nothing(lake, small):
    lake.CellType.import_source(path=small)
    with Instance.open(lake.root, read_only=True) as reader, pytest.raises(ReadOnly):
        reader.CellType.import_source(path=small)


@pytest.mark.parametrize(
    ("entity", "file", "terms"),
    [
        ("CellType", "CL-ontology-v2026-03-26", 3596),
        ("Tissue", "UBERON-ontology-v2026-04-01", 16358),
        ("DevelopmentalStage", "HsapDv-ontology-v2025-01-23", 260),
        ("Ethnicity", "HANCESTRO-ontology-v2025-10-14", 1023),
    ],
)
def test_real_releases_are_imported_whole(lake, real, entity, file, terms):
    registry = getattr(lake, entity)
    done = registry.import_source(path=real / "cxg" / f"{file}.json.zst")
    assert done.added >= terms - 300  # a few are of other ontologies
    assert registry.filter().count() == done.added


def test_a_real_hierarchy_agrees_with_the_ancestors_that_its_file_lists(lake, real):
    lake.CellType.import_source(path=real / "cxg" / "CL-ontology-v2026-03-26.json.zst")
    sensory = lake.CellType.get(name="sensory neuron")
    assert {"neuron", "cell"} <= {one.name for one in sensory.ancestors()}
    assert len(sensory.ancestors().all()) == 8


def test_hierarchies_are_views_in_sql(lake, small):
    lake.CellType.import_source(path=small)
    artifact = lake.Artifact(b"x", key="a.txt").save()
    artifact.cell_types.add("CD4-positive, alpha-beta T cell")
    statement = (
        "select a.key from artifact a join artifact_cell_type l on l.artifact = a.uid "
        "join cell_type_ancestor x on x.uid = l.cell_type join cell_type t on t.uid = x.ancestor where t.name = ?"
    )
    assert lake.sql(statement, ["lymphocyte"]).fetchall() == [("a.txt",)]
    assert lake.sql(statement, ["obsolete helper"]).fetchall() == []
    assert lake.sql("select count(*), min(relation) from cell_type_parent").fetchall() == [(3, "is_a")]


def test_a_picture_shows_all_that_is_above(lake, small, tmp_path):
    lake.CellType.import_source(path=small)
    helper = lake.CellType.get(ontology_id="CL:0000624")
    picture = helper.view_parents()
    assert str(picture).splitlines() == [
        "CD4-positive, alpha-beta T cell",
        "└─ T cell",
        "   └─ lymphocyte",
        "      └─ cell",
    ]
    text = picture.save(tmp_path / "parents.svg").read_text()
    assert text.count("<rect") == 4
    assert text.count("<line") == 3
    assert picture._repr_svg_() == text


def test_names_in_pictures_are_no_markup(lake):
    top = lake.CellType(name="<script>alert(1)</script>").save()
    text = lake.CellType(name='a & "b"', parent_uids=[top]).save().view_parents().svg
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_pictures_of_circles_end(lake, tmp_path):
    file = tmp_path / "circle.obo"
    file.write_text("[Term]\nid: CL:1\nname: a\nis_a: CL:2\n\n[Term]\nid: CL:2\nname: b\nis_a: CL:1\n")
    lake.CellType.import_source(path=file)
    picture = lake.CellType.get(name="a").view_parents()
    assert picture.svg.count("<rect") == 2
    assert str(picture).count("b") == 1
