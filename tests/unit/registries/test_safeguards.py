"""Nothing is doubled or lost by its name: close names, renames, merges, and labels that are in use."""

from __future__ import annotations

import threading

import pytest

from lakehouse.errors import ConfigurationError, Duplicate, InputError, StillReferenced, Unsupported
from registries.instance import Instance


@pytest.fixture
def artifact(lake):
    return lake.Artifact(b"1", key="raw/a.txt").save()


@pytest.mark.parametrize(
    ("known", "new"),
    [("treated", "Treated"), ("treated", "treatde"), ("heat-shocked", "heat shocked"), ("Sjögren's", "Sjogrens")],
)
def test_a_close_name_is_told_of(lake, caplog, known, new):
    lake.ULabel(name=known).save()
    lake.ULabel(name=new).save()
    assert repr(known) in caplog.text.replace('"', "'") or known in caplog.text
    assert "is close to" in caplog.text


@pytest.mark.parametrize(
    ("known", "new"), [("donor 1", "donor 2"), ("CD4", "CD8"), ("treated", "control"), ("batch 10", "batch 11")]
)
def test_series_and_short_names_are_not_close(lake, caplog, known, new):
    lake.ULabel(name=known).save()
    lake.ULabel(name=new).save()
    assert "close to" not in caplog.text


def test_a_synonym_is_close_and_public_terms_are_not_looked_at(lake, caplog):
    lake.CellType(name="T cell", synonyms=["T lymphocyte"]).save()
    lake.CellType(name="T lymphocytes", ontology_id="CL:1").save()
    assert "close to" not in caplog.text
    lake.CellType(name="T lymphocite").save()
    assert "T lymphocyte" in caplog.text


def test_the_same_name_is_the_same_record_and_nothing_is_said(lake, caplog):
    first = lake.ULabel(name="treated").save()
    lake.ULabel(name="treatde").save(near=False)
    assert lake.ULabel(name="treated").save() == first
    assert "close to" not in caplog.text


def test_another_form_of_the_same_letters_is_no_close_name_but_the_name_itself(lake, caplog):
    first = lake.ULabel(name="caf\u00e9").save()
    assert lake.ULabel(name="cafe\u0301").save() == first
    assert "close to" not in caplog.text


def test_the_check_can_be_switched_off(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_CLOSE_NAMES", "off")
    with Instance.create(tmp_path / "x", user="ada") as lake:
        lake.ULabel(name="treated").save()
        lake.ULabel(name="treatde").save()
        assert "close to" not in caplog.text
        lake.ULabel(name="treatedd").save(near=True)
        assert "close to" in caplog.text
    monkeypatch.setenv("LAKEHOUSE_CLOSE_NAMES", "of")
    with pytest.raises(ConfigurationError, match="off"):
        Instance.create(tmp_path / "y", user="ada")


def test_names_of_a_large_registry_that_was_not_searched_yet_are_compared_too(lake, caplog, monkeypatch):
    monkeypatch.setattr("registries.search.closeness._LARGE", 100)
    lake.ULabel.upsert_df([{"name": f"sample of patient {n:05}"} for n in range(300)] + [{"name": "treated"}])
    lake.ULabel(name="Treatde").save()
    assert "'treated'" in caplog.text


def test_a_name_is_taken_once_by_however_many_threads(lake):
    saved = []
    threads = [threading.Thread(target=lambda: saved.append(lake.ULabel(name="one").save().uid)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(saved)) == 1 and lake.ULabel.filter(name="one").count() == 1


def test_the_old_name_stays_as_a_synonym_and_is_found(lake):
    label = lake.ULabel(name="treated", synonyms=["exposed"]).save()
    label.name = "drug A"
    assert label.save().synonyms == ["exposed", "treated"]
    assert lake.ULabel.search("treated")[0] == label
    assert lake.ULabel.standardize(["treated"]) == ["drug A"]
    label.name = "exposed"
    assert label.save().synonyms == ["treated", "drug A"]


def test_the_old_name_of_a_term_is_a_previous_synonym(lake):
    term = lake.CellType(name="T-cell", synonyms=["lymphocyte T"]).save()
    term.name = "T cell"
    term.save()
    assert term.synonyms_of("PREVIOUS") == ["T-cell"] and term.synonyms_of("EXACT") == ["lymphocyte T"]


def test_merging_moves_labels_with_their_features_and_runs(lake, artifact):
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    wrong, right = lake.ULabel(name="treatde", description="with drug A").save(), lake.ULabel(name="treated").save()
    run = lake.Run(transform=lake.Transform(name="x").save()).save()
    artifact.labels.add([wrong, right])
    artifact.labels.add(wrong, feature="condition")
    run.labels.add(wrong)
    commits = len(lake.snapshots())
    assert wrong.merge_into(right) is right
    assert len(lake.snapshots()) == commits + 1
    assert artifact.labels.all() == {None: ["treated"], "condition": ["treated"]}
    assert run.labels.get() == [right]
    assert (right.synonyms, right.description) == (["treatde"], "with drug A")
    assert not lake.ULabel.filter(name="treatde").exists() and not wrong.is_saved
    artifact.labels.add("treated", feature="condition")  # the same link, not another one
    assert lake.sql("select count(*) from artifact_ulabel").fetchall() == [(2,)]


def test_merging_terms_moves_children_identifiers_and_synonyms(lake):
    top = lake.CellType(name="cell", ontology_id="CL:0").save()
    wrong = lake.CellType(name="T-cell", ontology_id="CL:9", synonyms=["T lymphocyte"], parent_uids=[top]).save()
    right = lake.CellType(name="T cell", ontology_id="CL:1", parent_uids=[top]).save()
    child = lake.CellType(name="helper T cell", parent_uids=[wrong, top]).save()
    wrong.merge_into(right)
    assert right.synonyms == ["T-cell", "T lymphocyte"] and right.alternative_ids == ["CL:9"]
    assert set(lake.CellType.get(child.uid).parent_uids) == {right.uid, top.uid}
    assert [term.name for term in right.children] == ["helper T cell"]
    with pytest.raises(InputError, match="above one another"):
        right.merge_into(lake.CellType.get(child.uid))


def test_merging_features_moves_values_and_refuses_to_choose_between_two(lake, artifact):
    wrong, right = (
        lake.Feature(name="temprature", dtype="float").save(),
        lake.Feature(name="temperature", dtype="float").save(),
    )
    artifact.features.add_values({"temprature": 21.5})
    other = lake.Artifact(b"2", key="raw/b.txt").save()
    other.features.add_values({"temprature": 1.0, "temperature": 2.0})
    with pytest.raises(Duplicate, match="both"):
        wrong.merge_into(right)
    assert artifact.features.get_values() == {"temprature": 21.5}
    other.features.remove_values("temprature")
    wrong.merge_into(right)
    assert artifact.features.get_values() == {"temperature": 21.5}
    artifact.features.add_values({"temperature": 22.0})
    assert artifact.features.get_values() == {"temperature": 22.0}
    with pytest.raises(InputError, match="dtype"):
        lake.Feature(name="kept", dtype="bool").save().merge_into(right)


def test_merging_members_of_sets_keeps_the_sets(lake, artifact):
    wrong, right, third = lake.save([lake.Gene(symbol=name) for name in ("CD8a", "CD8A", "CD4")])
    one = lake.FeatureSet.of([wrong, third]).save()
    both = lake.FeatureSet.of([wrong, right, third]).save()
    artifact.features.add_set(one, slot="var")
    wrong.merge_into(right)
    assert {gene.symbol for gene in one.members} == {"CD8A", "CD4"}
    assert {gene.symbol for gene in both.members} == {"CD8A", "CD4"}
    assert lake.FeatureSet.get(both.uid).n == 2
    assert lake.Artifact.filter(genes__symbol="CD8A").one() == artifact


def test_what_cannot_be_merged_is_refused(lake, other, artifact):
    label = lake.ULabel(name="treated").save()
    feature = lake.Feature(name="x", dtype="int").save()
    for into in (label, lake.ULabel(name="unsaved"), other.ULabel(name="treated").save(), feature, "control"):
        with pytest.raises(InputError):
            label.merge_into(into)
    with pytest.raises(Unsupported):
        artifact.merge_into(lake.Artifact(b"2", key="raw/b.txt").save())
    assert lake.ULabel.filter(name="treated").count() == 1


def test_a_merge_that_is_rolled_back_leaves_both(lake, artifact):
    wrong, right = lake.ULabel(name="treatde").save(), lake.ULabel(name="treated").save()
    artifact.labels.add(wrong)
    with pytest.raises(ZeroDivisionError), lake.transaction():
        wrong.merge_into(right)
        raise ZeroDivisionError
    assert artifact.labels.get() == [wrong] and wrong.is_saved and right.synonyms == []


def test_a_label_in_use_says_where_and_stays(lake, artifact):
    label = lake.ULabel(name="treated").save()
    artifact.labels.add(label)
    with pytest.raises(StillReferenced, match=r"1 artifact \('raw/a.txt'\).*labels.remove.*merge_into"):
        label.delete()
    assert artifact.labels.get() == [label]
    artifact.labels.remove("treated")
    label.delete()


def test_a_term_with_children_stays(lake):
    parent = lake.CellType(name="T cell").save()
    lake.CellType(name="helper T cell", parent_uids=[parent]).save()
    with pytest.raises(StillReferenced, match="helper T cell"):
        parent.delete()
