"""The trash of datasets, and members that are in the trash of artifacts."""

from __future__ import annotations

import threading

import pandas as pd
import pytest

from lakehouse.errors import ChangedSinceRead, InputError, RecordNotFound, StillReferenced


@pytest.fixture(scope="module")
def files(home):
    return home.save([home.Artifact(f"t{n}".encode(), key=f"trash/{n}.txt") for n in range(12)])


def keys(dataset):
    return [one.key[6:-4] for one in dataset.ordered()]


def count(home, view, name):
    return home.sql(f"select count(*) from {view} where name = ?", [name]).fetchall()[0][0]


def test_what_is_in_the_trash_is_seen_no_more_and_comes_back_as_it_was(home, files):
    first = home.Dataset(files[:2], name="binned").save()
    second = first.append(files[2])
    second.labels.add("treated", create=True)
    second.delete()
    assert second.deleted_at is not None
    assert home.Dataset.get(name="binned") == first
    assert home.Dataset.get(first.uid[:16]) == first
    assert home.Dataset.filter(name="binned").all() == [first]
    assert home.Dataset.filter(name="binned", is_latest=True).one() == first
    assert (first.is_latest, second.is_latest, first.versions) == (True, False, [first])
    assert home.Artifact.filter(datasets__version=1, datasets__name="binned").count() == 0
    assert home.ULabel.filter(datasets__name="binned").count() == 0
    counts = [count(home, view, "binned") for view in ("dataset", "dataset_latest", "dataset_all", "dataset_artifact")]
    assert counts == [1, 1, 2, 2]
    assert home.Dataset.filter(deleted_at__isnull=False, name="binned").one() == second
    assert keys(second) == ["0", "1", "2"]

    again = home.Dataset.get(second.uid).restore()
    assert again.is_latest and again.versions == [first, second]
    assert [label.name for label in again.labels.get()] == ["treated"]
    assert count(home, "dataset_latest", "binned") == 1
    with pytest.raises(ChangedSinceRead):
        second.restore()


def test_what_is_appended_past_a_version_in_the_trash_does_not_have_its_members(home, files):
    first = home.Dataset(files[:2], name="past").save()
    second = first.append(files[2:4])
    second.delete()
    third = first.append([files[3], files[4]])
    assert (third.version, keys(third)) == (2, ["0", "1", "3", "4"])
    assert len(third) == third.artifacts.count() == 4
    assert first.append(files[0]) == third
    fourth = third.append(files[5])
    assert (keys(fourth), keys(second), keys(first)) == (["0", "1", "3", "4", "5"], ["0", "1", "2", "3"], ["0", "1"])
    second.restore()
    assert [one.version for one in fourth.versions] == [0, 1, 2, 3]
    assert home.Dataset.get(name="past") == fourth


def test_the_same_members_saved_again_find_the_version_outside_the_trash_or_make_one(home, files):
    first = home.Dataset(files[:2], name="again").save()
    second = home.Dataset(files[:3], name="again").save()
    second.delete()
    assert home.Dataset(files[:2], name="again").save() == first
    third = home.Dataset(files[:3], name="again").save()
    assert (third.version, keys(third)) == (2, ["0", "1", "2"])
    for one in (first, third):
        one.delete()
    with pytest.raises(RecordNotFound):
        home.Dataset.get(name="again")
    fourth = home.Dataset(files[:1], name="again").save()
    assert (fourth.version, fourth.uid[:16]) == (3, first.uid[:16])


def test_frames_appended_past_the_trash_take_no_key_of_a_member_there(home):
    first = home.Dataset([pd.DataFrame({"a": [1]})], name="frames past").save()
    second = first.append(pd.DataFrame({"a": [2]}))
    second.delete()
    third = first.append(pd.DataFrame({"a": [3]}))
    assert third.load()["a"].tolist() == [1, 3]
    assert second.load()["a"].tolist() == [1, 2]
    assert {one.version for one in third.ordered()} == {0}


def test_deleting_for_good_takes_members_labels_and_values_along_and_no_version_that_is_built_on(home, files):
    first = home.Dataset(files[:2], name="for good").save()
    second = first.append(files[2])
    second.labels.add("treated", create=True)
    second.delete()
    with pytest.raises(
        StillReferenced, match="has version 1, in the trash, which builds on 0: delete the newest first"
    ):
        first.delete(permanent=True)
    third = home.Dataset(files[5:7], name="for good").save()
    uid = second.uid
    second.delete(permanent=True)
    first.delete(permanent=True)  # the third began anew
    assert home.Dataset.filter(name="for good").with_trash.all() == [third]
    assert keys(third) == ["5", "6"]
    for table in ("dataset_member", "dataset_ulabel", "dataset_feature_set"):
        assert home.sql(f"select count(*) from {table} where dataset = ?", [uid]).fetchall() == [(0,)]
    with pytest.raises(InputError, match="not saved"):
        first.delete()


def test_members_in_the_trash_are_read_as_before_and_join_no_further_dataset(home):
    made = [home.Artifact(pd.DataFrame({"a": [n]}), key=f"worn/{n}.parquet").save() for n in range(3)]
    dataset = home.Dataset(made[:2], name="worn").save()
    made[1].delete()
    assert dataset.load()["a"].tolist() == [0, 1]
    assert dataset.artifacts.count() == len(dataset) == 2
    assert dataset.open().collect().height == 2
    assert len(dataset.append(made[2])) == 3
    with pytest.raises(InputError, match=r"in the trash: restore\(\) it"):
        home.Dataset(made, name="worn elsewhere").save()
    with pytest.raises(StillReferenced, match=r"dataset.*'worn'"):
        made[1].delete(permanent=True)


def test_versions_are_made_appended_to_and_deleted_within_one_transaction(home, files):
    with home.transaction():
        first = home.Dataset(files[:1], name="at once").save()
        second = first.append(files[1])
        second.delete()
        third = first.append(files[2])
        third.delete(permanent=True)
    assert [one.version for one in home.Dataset.filter(name="at once").with_trash.order_by("uid").all()] == [0, 1]
    with pytest.raises(ZeroDivisionError), home.transaction():
        first.delete()
        raise ZeroDivisionError
    assert first.deleted_at is None


def test_a_version_that_is_appended_to_at_that_moment_is_not_deleted_under_it(home, files):
    for turn in range(4):
        first = home.Dataset(files[:1], name=f"torn {turn}").save()
        second, told = first.append(files[1]), []

        def removed(one=second, told=told):
            try:
                one.delete(permanent=True)
            except StillReferenced as error:
                told.append(error)

        threads = [threading.Thread(target=first.append, args=(files[2],)), threading.Thread(target=removed)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        newest = home.Dataset.get(name=f"torn {turn}")
        assert newest.n_artifacts == len(newest.ordered()) == (3 if told else 2)
