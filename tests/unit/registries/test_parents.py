"""Labels with parents: what is above and below them, in Python and in SQL."""

from __future__ import annotations

import pytest

from lakehouse.errors import InputError, RecordNotFound, UnknownField


@pytest.fixture
def projects(lake):
    """``atlas`` above ``lung`` and ``heart``, and ``lung`` above ``lung fibrosis``."""
    atlas = lake.ULabel(name="atlas").save()
    lung = lake.ULabel(name="lung", parent_uids=[atlas]).save()
    lake.ULabel(name="heart", parent_uids=[atlas.uid]).save()
    lake.ULabel(name="lung fibrosis", parent_uids=[lung], parent_relations=["part_of"]).save()
    return lake


def names(query):
    return sorted(label.name for label in query)


def test_labels_know_what_is_above_and_below_them(projects):
    atlas, deepest = projects.ULabel.get(name="atlas"), projects.ULabel.get(name="lung fibrosis")
    assert names(atlas.children) == ["heart", "lung"]
    assert names(atlas.descendants()) == ["heart", "lung", "lung fibrosis"]
    assert names(deepest.parents) == ["lung"] and names(deepest.ancestors()) == ["atlas", "lung"]
    assert "atlas" in str(deepest.view_parents())


def test_labels_are_looked_up_by_what_is_above_or_below(projects):
    find = projects.ULabel.filter
    assert names(find(descendant_of="lung")) == ["lung", "lung fibrosis"]
    assert names(find(parents__name="atlas")) == ["heart", "lung"]
    assert names(find(children__name="lung fibrosis")) == ["lung"]
    with pytest.raises(RecordNotFound, match="no ULabel has the name 'lnug'; did you mean 'lung'"):
        find(descendant_of="lnug").all()


def test_names_of_parents_and_children_come_along_in_frames(projects):
    frame = projects.ULabel.filter().order_by("name").df(include=["parents__name", "children__name"])
    listed = {kind: [[] if found is None else list(found) for found in frame[kind]] for kind in frame.columns[-2:]}
    assert frame.name.tolist() == ["atlas", "heart", "lung", "lung fibrosis"]
    assert listed["parents__name"] == [[], ["atlas"], ["atlas"], ["lung"]]
    assert listed["children__name"] == [["heart", "lung"], [], ["lung fibrosis"], []]
    with pytest.raises(UnknownField, match="did you mean 'parents'"):
        projects.ULabel.filter().df(include="parent__name")


def test_artifacts_are_found_by_labels_below_another(projects):
    artifact = projects.Artifact(b"1", key="a.txt").save()
    artifact.labels.add("lung fibrosis")
    assert projects.Artifact.filter(ulabels__descendant_of="atlas").one() == artifact
    assert projects.Artifact.filter(ulabels__parents__name="lung").one() == artifact


def test_sql_sees_parents_and_ancestors_of_labels(projects):
    above = "select l.name from ulabel_ancestor a join ulabel l on l.uid = a.ancestor where a.uid = ? order by 1"
    deepest = projects.ULabel.get(name="lung fibrosis")
    assert projects.sql(above, [deepest.uid]).fetchall() == [("atlas",), ("lung",)]
    kinds = "select relation, count(*) from ulabel_parent group by 1 order by 1"
    assert projects.sql(kinds).fetchall() == [("is_a", 2), ("part_of", 1)]


def test_no_label_is_put_above_itself(projects):
    atlas, lung = projects.ULabel.get(name="atlas"), projects.ULabel.get(name="lung")
    atlas.parents = [projects.ULabel.get(name="lung fibrosis")]
    with pytest.raises(InputError, match="'atlas' would be above itself"):
        atlas.save()
    rows = [{"name": "atlas", "parent_uids": [lung.uid]}, {"name": "heart", "parent_uids": []}]
    with pytest.raises(InputError, match="'atlas' would be above itself"):
        projects.ULabel.upsert_df(rows)
    assert projects.ULabel.get(name="heart").parent_uids == [atlas.uid]
    lung.parents = [lung]
    with pytest.raises(InputError, match="above itself"):
        lung.save()


def test_parents_change_and_keep_the_relations_of_those_that_stay(projects):
    deepest, heart = projects.ULabel.get(name="lung fibrosis"), projects.ULabel.get(name="heart")
    deepest.parents = [heart, projects.ULabel.get(name="lung")]
    deepest.save()
    again = projects.ULabel.get(name="lung fibrosis")
    assert again.parent_relations == ["is_a", "part_of"]
    again.parents = []
    assert names(again.save().parents) == []


def test_parents_are_records_of_the_same_registry_or_their_uids(lake):
    with pytest.raises(InputError, match="takes records or their uids, not 'atlas'"):
        lake.ULabel(name="lung", parent_uids=["atlas"]).save()
    with pytest.raises(InputError, match="is not saved"):
        lake.ULabel(name="lung", parent_uids=[lake.ULabel(name="atlas")])
    with pytest.raises(InputError, match="takes a ULabel"):
        lake.ULabel(name="lung", parent_uids=[lake.CellType(name="T cell").save()])
    with pytest.raises(InputError, match=r"ULabel.parent_uids = \[3\]"):
        lake.ULabel(name="lung", parents=[3])
    with pytest.raises(InputError, match="give one"):
        lake.ULabel(name="lung", parents=[], parent_uids=["a"])


def test_parents_are_given_with_the_record_and_added_and_removed_later(projects):
    atlas, heart = projects.ULabel.get(name="atlas"), projects.ULabel.get(name="heart")
    valve = projects.ULabel(name="valve", parents=[heart]).save()
    valve.parents.add(atlas.uid, heart)
    assert names(projects.ULabel.get(name="valve").parents) == ["atlas", "heart"]
    valve.parents.remove(heart)
    assert names(projects.ULabel.get(name="valve").parents) == names(valve.parents) == ["atlas"]
    with pytest.raises(RecordNotFound, match=r"'heart'.* is no direct parent"):
        valve.parents.remove(heart)
    with pytest.raises(InputError, match="'atlas' would be above itself"):
        atlas.parents.add(valve)
    assert names(atlas.parents) == []


def test_many_labels_come_with_parents_in_bulk(lake):
    atlas = lake.ULabel(name="atlas").save()
    lake.save([lake.ULabel(name=f"part {i}", parent_uids=[atlas]) for i in range(200)])
    assert atlas.children.count() == 200
    assert lake.ULabel.get(name="part 3").parent_relations == ["is_a"]
    lake.ULabel.upsert_df([{"name": f"more {i}", "parent_uids": [atlas.uid]} for i in range(3)])
    assert lake.ULabel.get(name="more 2").parent_relations == ["is_a"]
    with pytest.raises(InputError, match="parent relation 'kin' is not known"):
        lake.ULabel.upsert_df([{"name": "x", "parent_uids": [atlas.uid], "parent_relations": ["kin"]}])
