from __future__ import annotations

import datetime as dt

import pytest

from lakehouse.engine.faults import install
from lakehouse.errors import ChangedSinceRead, InputError, InvalidName, ReadOnly
from registries.instance import Instance
from tests.unit.engine.support import once_at


@pytest.fixture
def beside(lake):
    second = Instance.open(lake.root, user="grace")
    yield second
    install(None)
    second.close()


def test_saves_in_a_batch_are_records_at_once_and_few_commits(lake):
    commits = len(lake.snapshots())
    with lake.batch(every=10, seconds=60, message="loop"):
        for n in range(25):
            label = lake.ULabel(name=f"label {n}").save()
            assert lake.ULabel.get(name=f"label {n}") == label and label.is_saved
        assert lake.ULabel.filter().count() == 25
    assert len(lake.snapshots()) == commits + 3
    assert lake.snapshots(1)[0].message == "loop"
    assert lake.User.filter().count() == 1


def test_artifacts_and_their_labels_are_gathered_all_or_nothing(lake):
    with lake.batch(seconds=60):
        for n in range(5):
            try:
                with lake.transaction():
                    artifact = lake.Artifact(f"{n}".encode(), key=f"{n}.txt").save()
                    artifact.labels.add(["x", f"label {n}"], create=True)
                    if n == 2:
                        raise RuntimeError
            except RuntimeError:
                assert not artifact.is_saved
    assert sorted(a.key for a in lake.Artifact.filter()) == ["0.txt", "1.txt", "3.txt", "4.txt"]
    assert lake.Artifact.get(key="4.txt").load() == b"4"
    assert sorted(label.name for label in lake.ULabel.filter()) == ["label 0", "label 1", "label 3", "label 4", "x"]


def test_a_name_taken_meanwhile_is_taken_over_and_the_others_stay(lake, beside):
    theirs = []
    with lake.batch(seconds=60):
        mine = [lake.ULabel(name=name).save() for name in "abc"]
        theirs.append(beside.ULabel(name="b").save())
        artifact = lake.Artifact(b"x", key="x.txt").save()
        artifact.labels.add([mine[1]])
    assert sorted(label.name for label in lake.ULabel.filter()) == ["a", "b", "c"]
    assert mine[1].uid == theirs[0].uid
    assert [label.uid for label in lake.Artifact.get(key="x.txt").labels.get()] == [theirs[0].uid]


def test_a_record_whose_save_is_given_up_is_as_it_was_before(lake, beside):
    record = lake.ULabel(name="a").save()
    with pytest.raises(ChangedSinceRead, match="description"), lake.batch(seconds=60):
        record.description = "mine"
        record.save()
        other = lake.ULabel(name="b").save()
        found = beside.ULabel.get(name="a")
        found.description = "theirs"
        found.save()
    assert other.is_saved and lake.ULabel.get(name="b") == other
    assert lake.ULabel.get(name="a").description == "theirs"
    with pytest.raises(ChangedSinceRead):
        record.save()


def test_a_save_planned_again_belongs_to_the_run_in_which_it_was_made(lake, beside):
    transform = lake.Transform(name="t").save()
    run = lake.Run(transform=transform, started_at=dt.datetime.now(dt.UTC)).save()
    with lake.batch(seconds=60):
        with lake.use_run(run):
            label = lake.ULabel(name="a").save()
        lake.ULabel(name="b").save()
        beside.ULabel(name="b").save()
    assert lake.ULabel.get(name="a").run == label.run == run.uid
    assert lake.ULabel.get(name="b").run is None


def test_the_first_saves_of_an_instance_work_when_their_group_is_planned_again(lake, beside):
    with lake.batch(seconds=60):
        for name in "abc":
            lake.ULabel(name=name).save()
        beside.ULabel(name="c").save()
    lake.ULabel(name="d").save()
    assert lake.ULabel.filter().count() == 4
    assert sorted(user.handle for user in lake.User.filter()) == ["ada", "grace"]


def test_a_tag_and_a_flush_inside_a_batch_include_what_was_saved(lake):
    with lake.batch(seconds=60):
        lake.ULabel(name="a").save()
        lake.tag("with a")
        lake.ULabel(name="b").save()
        assert lake.flush() == lake.snapshots(1)[0].id
        assert lake.ULabel.filter().at("with a").count() == 1
    assert lake.ULabel.filter().count() == 2


def test_odd_uses_are_refused(lake):
    with pytest.raises(InputError), lake.transaction(), lake.batch():
        pass
    with pytest.raises((InputError, InvalidName)), lake.batch(message="a\0b"):
        pass
    with Instance.open(lake.root, read_only=True) as reader, pytest.raises(ReadOnly), reader.batch():
        pass
    assert lake.ULabel(name="a").save().is_saved


def test_a_lost_commit_of_a_group_is_tried_again_and_releases_the_records(lake):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), once_at("lock.taken", stop), lake.batch(every=2, seconds=60):
        first = lake.Artifact(b"1", key="1.txt").save()
        lake.Artifact(b"2", key="2.txt").save()
    assert first.is_saved and lake.Artifact.get(key="2.txt").load() == b"2"
    assert lake.Artifact(b"3", key="3.txt").save().is_saved
