from __future__ import annotations

import pytest

from lakehouse.errors import InputError, InvalidName, RecordNotFound


@pytest.fixture
def artifact(lake):
    return lake.Artifact(b"x", key="a.txt").save()


def test_names_and_records_are_added_in_one_commit(lake, artifact):
    treated = lake.ULabel(name="treated").save()
    lake.ULabel(name="donor 1").save()
    commits = len(lake.snapshots())
    artifact.labels.add([treated, "donor 1"])
    assert [label.name for label in artifact.labels.get()] == ["donor 1", "treated"]
    assert len(lake.snapshots()) == commits + 1


def test_adding_the_same_label_again_changes_nothing(lake, artifact):
    artifact.ulabels.add("treated", create=True)
    commits = len(lake.snapshots())
    artifact.ulabels.add("treated")
    artifact.ulabels.add(["treated", "treated"], create=True)
    assert len(lake.snapshots()) == commits
    assert len(artifact.labels.get()) == 1


def test_unknown_names_raise_with_near_misses_and_the_next_step(lake, artifact):
    lake.ULabel(name="treated").save()
    with pytest.raises(RecordNotFound, match=r"'treatde'; did you mean 'treated'\? To make it, pass create=True"):
        artifact.labels.add(["treatde"])
    with pytest.raises(RecordNotFound, match="no Feature is called 'condition'"):
        artifact.labels.add("treated", feature="condition")
    assert artifact.labels.get() == []


def test_who_names_a_synonym_is_told_whose_it_is(lake, artifact):
    lake.ULabel(name="treated", synonyms=["trt"]).save()
    lake.Feature(name="temperature", dtype=float, synonyms=["temp"]).save()
    with pytest.raises(RecordNotFound, match=r"'trt'; 'trt' is a synonym of 'treated'. To make it"):
        artifact.labels.add("trt")
    with pytest.raises(RecordNotFound, match="'temp'; 'temp' is a synonym of 'temperature'"):
        artifact.features.add_values({"temp": 21.5})


def test_create_makes_nothing_when_another_part_fails(lake, artifact):
    with pytest.raises(InvalidName):
        artifact.labels.add(["new", " bad"], create=True)
    with pytest.raises(RecordNotFound):
        artifact.labels.add("new", feature="nothing", create=True)
    assert lake.ULabel.filter().count() == 0


def test_labels_go_under_categorical_features_only(lake, artifact):
    condition = lake.Feature(name="condition", dtype="cat[ULabel]").save()
    lake.Feature(name="age", dtype="int").save()
    artifact.labels.add("treated", feature=condition, create=True)
    artifact.labels.add("treated")
    with pytest.raises(InputError, match="dtype 'int'"):
        artifact.labels.add("treated", feature="age")
    assert artifact.labels.all() == {None: ["treated"], "condition": ["treated"]}
    assert [label.name for label in artifact.labels.get(feature="condition")] == ["treated"]


def test_labels_are_removed_under_a_feature_or_everywhere(lake, artifact):
    lake.Feature(name="condition", dtype="cat[ULabel]").save()
    artifact.labels.add("treated", feature="condition", create=True)
    artifact.labels.add(["treated", "other"], create=True)
    artifact.labels.remove("treated", feature="condition")
    assert artifact.labels.all() == {None: ["other", "treated"]}
    artifact.labels.remove(["treated", "other"])
    assert artifact.labels.get() == []
    with pytest.raises(RecordNotFound, match="no ULabel is called 'never was'") as caught:
        artifact.labels.remove("never was")
    assert "create=True" not in str(caught.value)


@pytest.mark.parametrize("wrong", [3, None, [3], b"treated", [None]])
def test_what_is_no_label_is_refused(artifact, wrong):
    with pytest.raises(InputError, match="a label is a name or a ULabel"):
        artifact.labels.add(wrong)


def test_unsaved_labels_are_refused(lake, artifact):
    with pytest.raises(InputError, match="not saved"):
        artifact.labels.add(lake.ULabel(name="x"))


def test_each_version_carries_its_own_labels(lake, artifact):
    artifact.labels.add("treated", create=True)
    assert lake.Artifact(b"y", key="a.txt").save().labels.get() == []


def test_the_labels_are_a_collection(lake, artifact):
    assert (list(artifact.labels), len(artifact.labels), bool(artifact.labels)) == ([], 0, False)
    artifact.labels.add(["treated", "donor 1"], create=True)
    artifact.cell_types.add("T cell", create=True)
    assert [label.name for label in artifact.labels] == ["T cell", "donor 1", "treated"]
    assert (len(artifact.labels), len(artifact.ulabels), bool(artifact.labels)) == (3, 2, True)
    assert "treated" in artifact.labels and lake.CellType.get(name="T cell") in artifact.labels
    assert "T cell" not in artifact.ulabels
    other = lake.Artifact(b"other", key="b.txt").save()
    other.labels.add(artifact.ulabels)
    assert [label.name for label in other.labels] == ["donor 1", "treated"]
