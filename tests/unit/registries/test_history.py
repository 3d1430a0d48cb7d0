from __future__ import annotations

from dataclasses import replace

import pytest

from lakehouse.errors import (
    ChangedSinceRead,
    InputError,
    InvalidName,
    NotFound,
    ReadOnly,
    StillReferenced,
    UnknownField,
)
from registries import ULabel
from registries.instance import Instance


def test_a_tag_is_a_point_in_time_for_queries_and_sql(lake):
    lake.ULabel(name="a").save()
    tag = lake.tag("café-v1", message="as submitted")
    lake.ULabel(name="b").save()
    assert (tag.user, tag.message) == ("ada", "as submitted")
    query = lake.ULabel.filter().at("café-v1")
    assert query.count() == lake.ULabel.filter().at("cafe\u0301-v1").count() == 1
    assert lake.sql("select count(*) from ulabel", at="café-v1").fetchall() == [(1,)]
    assert lake.snapshot("café-v1").commit == tag.commit
    lake.tag("café-v1", move=True)
    assert query.count() == 1, "a query goes on showing the commit that the tag named when it was made"
    assert lake.ULabel.filter().at("café-v1").count() == 2
    lake.untag("café-v1")
    assert lake.tags() == []
    with pytest.raises(InputError, match="no tags"):
        lake.ULabel.filter().at("café-v1")


@pytest.mark.parametrize("name", ["", " x", "a\0b", "a\u200bb", "7", "2026-01-01", 7, None, b"x"])
def test_names_of_tags_that_are_none_are_refused(lake, name):
    with pytest.raises(InvalidName):
        lake.tag(name)
    with pytest.raises((NotFound, InvalidName)):
        lake.untag(name)
    assert lake.tags() == []


def test_changes_of_a_registry_are_told_with_their_values(lake):
    label = lake.ULabel(name="a").save()
    with lake.transaction("describe it"):
        label.description = "first"
        label.save()
    for table in ("ulabel", ULabel, lake.ULabel):
        rows = lake.changes(table=table).arrow().to_pylist()
        assert [(row["op"], row["message"], row["after"]["description"]) for row in rows] == [
            ("insert", "", None), ("update", "describe it", "first"),
        ]  # fmt: skip
        assert rows[1]["before"]["description"] is None
        assert rows[1]["uid"] == label.uid
    assert {row["table"] for row in lake.changes().arrow().to_pylist()} == {"user", "ulabel"}
    with pytest.raises(UnknownField, match="did you mean"):
        lake.changes(table="ulabels")
    with pytest.raises(InputError):
        lake.changes(since="yesterday")


def test_an_artifact_of_a_reverted_commit_is_gone_and_can_be_saved_again(lake):
    lake.ULabel(name="before").save()
    first = lake.Artifact(b"1", key="a.txt").save()
    second = lake.Artifact(b"2", key="a.txt").save()
    commit = lake.snapshots(1)[0]
    lake.revert(commit)
    assert lake.Artifact.get(key="a.txt") == first and first.is_latest
    assert lake.Artifact.filter().count() == 1
    assert lake.Artifact.filter().at(commit).count() == 2
    assert second.path.read_bytes() == b"2", "bytes stay until they are swept"
    again = lake.Artifact(b"2", key="a.txt").save()
    assert (again.version, again.load()) == (1, b"2")
    third = lake.revert(lake.snapshots(1)[0], message="no")
    lake.revert(third, message="yes")
    assert lake.Artifact.get(key="a.txt").load() == b"2"
    assert [c.message for c in lake.snapshots(2)] == ["yes", "no"]


def test_a_label_in_use_keeps_its_commit_from_being_reverted(lake):
    label = lake.ULabel(name="a").save()
    made = lake.snapshots(1)[0]
    artifact = lake.Artifact(b"1", key="a.txt").save()
    artifact.labels.add(label)
    linked = lake.snapshots(1)[0]
    with pytest.raises(StillReferenced, match=f"commit {made.id} cannot be reverted"):
        lake.revert(made)
    lake.revert(linked)
    assert artifact.labels.get() == []
    lake.revert(made)
    assert lake.ULabel.filter().count() == 0


def test_the_first_commit_can_be_reverted_without_harm_to_whoever_saves_next(lake):
    with Instance.open(lake.root, user="ada") as beside:
        lake.Artifact(b"1", key="a.txt").save()
        beside.Artifact(b"2", key="b.txt").save()
        for commit in lake.snapshots(2):
            lake.revert(commit)
        assert lake.Artifact.filter().count() == 0
        for handle in (lake, beside):
            record = handle.Artifact(b"3", key="c.txt").save()
            assert handle.User.get(record.created_by).handle == "ada"


def test_readers_change_nothing(lake):
    lake.ULabel(name="a").save()
    lake.tag("x")
    with Instance.open(lake.root, read_only=True) as reader:
        assert [tag.name for tag in reader.tags()] == ["x"]
        assert reader.changes(table="ulabel").pl().height == 1
        for act in (lambda: reader.tag("y"), lambda: reader.untag("x"), lambda: reader.revert(reader.snapshots(1)[0])):
            with pytest.raises(ReadOnly):
                act()
    assert lake.ULabel.filter().count() == 1


# -- the serialisable mode ---------------------------------------------------------------------------------------------
READS = {
    "get": lambda lake: lake.ULabel.get(name="a"),
    "filter": lambda lake: lake.ULabel.filter(name__startswith="a").all(),
    "count": lambda lake: lake.ULabel.filter().count(),
    "first": lambda lake: lake.ULabel.filter().order_by("-created_at").first(),
    "sql": lambda lake: lake.sql("select count(*) from ulabel").fetchall(),
    "labels": lambda lake: lake.Artifact.get(key="x.txt").labels.get(),
    "artifact_label": lambda lake: lake.sql("select * from artifact_label").fetchall(),
}


@pytest.mark.parametrize("read", READS)
def test_what_registries_read_in_the_block_must_stay_as_it_was(lake, read):
    artifact = lake.Artifact(b"x", key="x.txt").save()
    label = lake.ULabel(name="a").save()
    artifact.labels.add(label)
    with Instance.open(lake.root, user="grace") as beside:
        with pytest.raises(ChangedSinceRead), lake.transaction(serializable=True):
            READS[read](lake)
            found = beside.ULabel.get(name="a")
            found.description = "changed"
            found.save()
            lake.Feature(name="f", dtype="float").save()
        assert lake.Feature.filter().count() == 0


def test_saves_alone_are_planned_again_in_the_serialisable_mode(lake):
    with Instance.open(lake.root, user="grace") as beside:
        with lake.transaction("mine", serializable=True):
            label = lake.ULabel(name="a").save()
            theirs = beside.ULabel(name="a").save()
        assert label.uid == theirs.uid
        with lake.transaction(serializable=True):
            lake.ULabel(name="b").save()
            beside.ULabel(name="unrelated").save()
    assert sorted(label.name for label in lake.ULabel.filter()) == ["a", "b", "unrelated"]


def test_bytes_of_a_tagged_artifact_outlive_a_vacuum_and_go_with_the_tag(tmp_path, monkeypatch):
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        patient = replace(lake.lake.options, grace=-1.0, retention=0.0, auto_publish=False)
        monkeypatch.setattr(lake.lake, "options", patient)
        monkeypatch.setattr(lake.lake.retention, "_options", patient)
        artifact = lake.Artifact(b"tagged", key="a.txt").save()
        place = artifact.path
        lake.tag("kept")
        lake.revert(lake.snapshots(1)[0])
        for name in "xyz":
            lake.ULabel(name=name).save()
            lake.flush()
        lake.vacuum()
        assert lake.Artifact.filter().count() == 0
        (old,) = lake.Artifact.filter().at("kept").all()
        assert old.load() == b"tagged"
        lake.untag("kept")
        lake.vacuum()
        assert not place.exists()
