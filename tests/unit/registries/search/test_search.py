"""Searching registries: what is found, in which order, and what changes do to it."""

from __future__ import annotations

import pytest

from lakehouse.errors import ChangedSinceRead, InputError, InvalidName, UnknownField
from registries import binding
from registries.search.index import Index


@pytest.fixture
def cells(lake):
    lake.save(
        [
            lake.CellType(name="fibroblast", ontology_id="CL:0000057", synonyms=["fibroblastic cell"]),
            lake.CellType(name="T cell", synonyms=["T lymphocyte", "T-cell"], definition="A lymphocyte of the thymus."),
            lake.CellType(name="B cell", synonyms=["B lymphocyte"]),
            lake.CellType(name="CD4-positive, alpha-beta T cell", synonyms=["CD4+ T cell"]),
            lake.CellType(name="Purkinje cell", definition="An inhibitory neuron of the cerebellum."),
        ]
    )
    return lake


def names(hits) -> list[str]:
    return [hit.name for hit in hits]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fibrblast", "fibroblast"),
        ("FIBROBLAST", "fibroblast"),
        ("fibro", "fibroblast"),
        ("t lymphocite", "T cell"),
        ("cell T", "T cell"),
        ("tcell", "T cell"),
        ("purkinej", "Purkinje cell"),
        ("CL:0000057", "fibroblast"),
        ("cd4 positive αβ T cell", "CD4-positive, alpha-beta T cell"),
        ("cerebelum inhibitory", "Purkinje cell"),
    ],
)
def test_the_meant_one_comes_first(cells, text, wanted):
    assert cells.CellType.search(text)[0].name == wanted


def test_hits_tell_why_and_how_near(cells):
    found = cells.CellType.search("T lymphocyte")
    assert found.hits[0].record.name == "T cell"
    assert (found.hits[0].field, found.hits[0].match, found.hits[0].score) == ("synonyms", "T lymphocyte", 0.99)
    assert found.scores == sorted(found.scores, reverse=True)
    assert found.df()["name"].tolist() == found.pl()["name"].to_list() == names(found)
    assert "T lymphocyte" in repr(found) and "T lymphocyte" in found._repr_html_()
    assert found[:1].first() == found[0] == next(iter(found))


def test_a_name_itself_scores_one_and_what_has_nothing_in_common_is_not_found(cells):
    assert cells.CellType.search("T cell").scores[0] == 1.0
    assert len(cells.CellType.search("xylophone")) == 0
    assert cells.CellType.search("xylophone").first() is None


def test_limit_field_and_score_are_in_the_hands_of_the_caller(cells):
    assert len(cells.CellType.search("cell", limit=2)) == 2
    assert len(cells.CellType.search("cell", limit=0)) == 0
    assert names(cells.CellType.search("lymphocyte", field="definition")) == ["T cell"]
    assert names(cells.CellType.search("T cell", min_score=1)) == ["T cell"]
    with pytest.raises(UnknownField, match=r"synonyms"):
        cells.CellType.search("T cell", field="synonym")


def test_queries_are_searched_within(cells):
    assert names(cells.CellType.filter(name__contains="alpha").search("T cell")) == ["CD4-positive, alpha-beta T cell"]


def test_obsolete_terms_come_after_current_ones(cells):
    cells.CellType(name="stellate cell", ontology_id="CL:1", obsolete=True).save()
    cells.CellType(name="stellate cell", ontology_id="CL:2").save()
    assert [hit.obsolete for hit in cells.CellType.search("stellate cell", limit=2)] == [False, True]


def test_all_registries_are_searched_at_once(cells, monkeypatch):
    cells.ULabel(name="fibroblasts of batch 7").save()
    cells.Artifact(b"1", key="raw/fibroblast.txt", description="Cultured for a week").save()
    found = cells.search("fibroblst")
    assert {hit.meta.table for hit in found} == {"cell_type", "ulabel", "artifact"}
    assert found[0].meta.table == "cell_type"
    assert cells.search("cultured week")[0].key == "raw/fibroblast.txt"


def test_what_is_saved_changed_or_deleted_is_seen_at_the_next_search(cells):
    assert len(cells.ULabel.search("treated")) == 0
    label = cells.ULabel(name="treated").save()
    assert names(cells.ULabel.search("treatde")) == ["treated"]
    label.name = "exposed"
    label.save()
    assert names(cells.ULabel.search("exposd")) == ["exposed"]
    label.delete()
    assert len(cells.ULabel.search("exposed")) == 0


def test_other_processes_saves_are_found(cells, tmp_path):
    cells.ULabel.search("anything")
    with type(cells).open(cells.root, user="grace") as other:
        other.ULabel(name="from elsewhere").save()
    assert names(cells.ULabel.search("elsewhere")) == ["from elsewhere"]


def test_trash_and_older_versions_are_not_found(lake):
    first = lake.Artifact(b"1", key="raw/counts.txt").save()
    second = lake.Artifact(b"2", key="raw/counts.txt").save()
    assert list(lake.Artifact.search("counts raw")) == [second]
    second.delete()
    assert list(lake.Artifact.search("counts")) == [first]


def test_a_transaction_finds_what_it_wrote_and_others_do_not(cells):
    cells.ULabel.search("anything")
    with pytest.raises(ZeroDivisionError), cells.transaction():
        cells.ULabel(name="provisional").save()
        assert names(cells.ULabel.search("provisionl")) == ["provisional"]
        raise ZeroDivisionError
    assert len(cells.ULabel.search("provisional")) == 0


def test_a_serialisable_transaction_that_searched_is_refused_when_a_name_was_added_meanwhile(cells):
    with pytest.raises(ChangedSinceRead), cells.transaction(serializable=True):
        assert len(cells.ULabel.search("on call")) == 0
        with type(cells).open(cells.root, user="grace") as other:
            other.ULabel(name="on call").save()
        cells.Feature(name="nobody is on call", dtype="bool").save()


def test_an_older_commit_is_searched_as_it_was(cells):
    before = cells.snapshots(1)[0]
    cells.ULabel(name="later").save()
    assert len(cells.ULabel.filter().at(before).search("later")) == 0
    assert len(cells.ULabel.filter().search("later")) == 1


@pytest.mark.parametrize("step", ["one by one", "at once", "staged"])
def test_an_index_that_was_advanced_finds_what_a_new_one_finds(lake, step):
    lake.ULabel.search("anything")
    if step == "one by one":
        with lake.batch(every=50):
            for n in range(600):
                lake.ULabel(name=f"sample {n} of donor {n % 7}").save(near=False)
                if n % 100 == 99:
                    lake.ULabel.search("donor")
    else:
        lake.ULabel.upsert_df(
            [{"name": f"sample {n} of donor {n % 7}"} for n in range(600 if step == "at once" else 20_000)]
        )
    lake.flush()
    lake.ULabel.upsert_df([{"name": "sample 5 of donor 5", "description": "renal"}])
    asked = ["sample 5 of donor 5", "smaple 599", "donor 3", "renal"]
    advanced = [lake.ULabel.search(text).to_dicts() for text in asked]
    snapshot = lake.snapshot()
    from registries.search.asking import searched
    from registries.search.fields import fields_of

    new = Index(snapshot, fields_of(lake.ULabel.meta))
    for text, found in zip(asked, advanced, strict=True):
        assert [(row["uid"], row["score"]) for row in found] == [
            (one.uid, round(one.score, 4)) for one in searched(lake.ULabel.meta, new, text, 20)
        ]


def test_a_vacuum_in_between_does_no_harm(lake):
    lake.ULabel(name="before").save()
    lake.ULabel.search("before")
    for n in range(3):
        lake.ULabel(name=f"after {n} vacuum").save()
    lake.flush()
    lake.vacuum(retention=0)
    lake.ULabel(name="latest").save()
    assert len(lake.ULabel.search("vacuum after")) == 3
    assert len(lake.ULabel.search("latest")) == 1


@pytest.mark.parametrize("text", ["", "  ", "\t\n"])
def test_nothing_to_look_for_is_refused(lake, text):
    with pytest.raises(InputError, match="nothing to look for"):
        lake.ULabel.search(text)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_is_no_text_is_refused(lake, text):
    with pytest.raises(InvalidName):
        lake.ULabel.search(text)


@pytest.mark.parametrize(
    "name",
    ["'; DROP TABLE x;--", 'a" OR 1=1', "%", "_", "back\\", "$1", "?", "%s", "(a+)+$", "細胞", "select", "é", "١"],
)
def test_odd_names_are_found_as_they_are(lake, name):
    lake.save([lake.ULabel(name=name), lake.ULabel(name="control")])
    lake.ULabel.upsert_df([{"name": f"filler {n}"} for n in range(600)])
    found = lake.ULabel.search(name)
    assert found[0].name == name and found.scores[0] == 1.0


def test_endless_texts_and_wrong_numbers_are_refused(lake):
    assert len(lake.ULabel.search("x" * 100_000)) == 0
    for wrong in (
        {"text": "x" * 1_000_000},
        {"text": 5},
        {"limit": -1},
        {"limit": True},
        {"min_score": 2},
        {"min_score": "a"},
    ):
        with pytest.raises(InputError):
            lake.ULabel.search(**{"text": "x", **wrong})


def test_registries_without_names_say_so(lake):
    with pytest.raises(InputError, match="has no name to search by"):
        lake.Run.search("x")


def test_an_instance_that_is_open_for_reading_is_searched(cells):
    with type(cells).open(cells.root, read_only=True) as reader:
        assert reader.CellType.search("fibrblast")[0].name == "fibroblast"
    assert binding.current_or_none() is None
