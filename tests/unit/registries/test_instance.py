from __future__ import annotations

import threading

import pytest

from lakehouse.errors import InputError, LakehouseError, ReadOnly
from registries import ULabel, binding
from registries.instance import Instance


def test_two_instances_in_one_process_do_not_mix(lake, other):
    mine = lake.ULabel(name="treated").save()
    assert other.ULabel.filter().count() == 0
    theirs = other.ULabel(name="treated").save()
    assert mine.uid != theirs.uid
    assert lake.User.get(mine.created_by).handle == "ada"
    assert other.User.get(theirs.created_by).handle == "grace"
    assert isinstance(mine, ULabel) and type(mine) is not type(theirs)


def test_records_of_another_instance_are_refused(lake, other):
    label = other.ULabel(name="theirs").save()
    artifact = lake.Artifact(b"x", key="a.txt").save()
    with pytest.raises(InputError, match="belongs to the instance"):
        artifact.labels.add(label)
    with pytest.raises(InputError, match="belongs to the instance"):
        lake.save([label])
    with pytest.raises(InputError, match="belongs to the instance"):
        lake.Artifact.filter(ulabels=label)
    assert artifact.labels.get() == []


def test_the_unbound_registries_speak_to_the_current_instance(lake, other):
    before = binding.set_current(lake)
    try:
        record = ULabel(name="x").save()
        assert lake.ULabel.get(name="x") == record
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(ULabel.filter().count()))
        thread.start()
        thread.join()
        assert found == [1]
        query = ULabel.filter()
        binding.set_current(other)
        assert (query.count(), ULabel.filter().count()) == (1, 0)
        record.description = "stays at home"
        record.save()
        assert lake.ULabel.get(name="x").description == "stays at home"
    finally:
        binding.set_current(before)


def test_a_transaction_is_one_commit_with_its_message(lake):
    lake.ULabel(name="before").save()
    commits = len(lake.snapshots())
    with lake.transaction("import batch 7"):
        label = lake.ULabel(name="a").save()
        lake.Artifact(b"x", key="a.txt").save().labels.add(label)
        assert lake.ULabel.get(name="a") == label
        assert lake.Artifact.filter(ulabels__name="a").count() == 1
    assert len(lake.snapshots()) == commits + 1
    assert lake.snapshots()[0].message == "import batch 7"


def test_an_exception_takes_back_rows_and_the_state_of_records(lake):
    kept = lake.ULabel(name="kept").save()
    label = lake.ULabel(name="a")
    with pytest.raises(RuntimeError), lake.transaction():
        label.save()
        kept.description = "changed"
        kept.save()
        raise RuntimeError("stop")
    assert not label.is_saved
    assert lake.ULabel.filter().count() == 1
    assert label.save().is_saved
    assert kept.save().description == "changed"
    assert lake.ULabel.get(name="kept").description == "changed"


def test_the_first_transaction_rolled_back_does_not_lose_the_user_row(lake):
    with pytest.raises(RuntimeError), lake.transaction():
        lake.ULabel(name="a").save()
        raise RuntimeError("stop")
    label = lake.ULabel(name="a").save()
    assert lake.User.get(label.created_by).handle == "ada"


def test_nested_blocks_are_savepoints(lake):
    with lake.transaction():
        lake.ULabel(name="outer").save()
        with pytest.raises(RuntimeError), lake.transaction():
            inner = lake.ULabel(name="inner").save()
            raise RuntimeError("stop")
        assert not inner.is_saved
    assert [label.name for label in lake.ULabel.filter()] == ["outer"]


def test_saving_a_list_is_all_or_nothing(lake):
    good, bad = lake.ULabel(name="good"), lake.ULabel(name=" bad")
    with pytest.raises(LakehouseError):
        lake.save([good, bad])
    assert not good.is_saved
    assert lake.ULabel.filter().count() == 0
    saved = lake.save([good, lake.ULabel(name="good"), lake.Artifact(b"x", key="x.txt")])
    assert saved[0] == saved[1]
    assert lake.ULabel.filter().count() == 1
    with pytest.raises(InputError, match="records are accepted"):
        lake.save(["good"])


def test_read_only_instances_refuse_every_change(lake):
    lake.ULabel(name="x").save()
    with Instance.open(lake.root, read_only=True, user="eve") as reader:
        label = reader.ULabel.get(name="x")
        label.description = "changed"
        for act in (
            label.save,
            reader.ULabel(name="y").save,
            reader.Artifact(b"x", key="x.txt").save,
            lambda: reader.transaction().__enter__(),
        ):
            with pytest.raises(ReadOnly):
                act()
    assert lake.ULabel.filter().count() == 1
    assert not list((lake.root / "storage").rglob("*.txt"))


def test_a_reopened_instance_shows_what_was_saved(tmp_path):
    with Instance.create(tmp_path / "lake", user="ada") as lake:
        lake.ULabel(name="x").save()
        lake.Artifact(b"bytes", key="x.txt").save()
    (tmp_path / "lake").rename(tmp_path / "moved")
    with Instance.open(tmp_path / "moved", user="ada") as moved:
        assert moved.Artifact.get(key="x.txt").load() == b"bytes"
        moved.ULabel(name="y").save()
        assert moved.User.filter().count() == 1


def test_a_closed_instance_says_so_and_one_that_is_opened_again_goes_on(tmp_path):
    lake = Instance.create(tmp_path / "lake")
    label, query, snapshot = lake.ULabel(name="a").save(), lake.ULabel.filter(), lake.snapshot()
    lake.close()
    lake.close()
    for use in (
        query.count,
        lambda: lake.ULabel(name="b").save(),
        lambda: lake.sql("select 1"),
        lake.snapshots,
        lake.flush,
        lambda: snapshot.lookup("feature", "name", ["x"]),
    ):
        with pytest.raises(InputError, match="was closed: open it again"):
            use()
    assert label.name == "a"
    with Instance.open(tmp_path / "lake") as again:
        assert again.ULabel.get(name="a") == label
