"""Storages beside the instance's own: registering them, saving into them, reading from them."""

from __future__ import annotations

import os
import shutil

import polars as pl
import pytest

from lakehouse.errors import DataLoss, InputError, InvalidKey, RecordNotFound, Unsupported
from registries.instance import Instance


@pytest.fixture
def scratch(lake, request):
    return lake.Storage(root=f"memory://{request.node.name}", description="gone with the process").save()


def test_an_artifact_is_kept_in_memory_and_read_back(lake, scratch):
    saved = lake.Artifact(b"a,b\n1,2\n", key="a.csv", storage=scratch).save()
    assert saved.storage == scratch.uid
    assert saved.load().to_dict("list") == {"a": [1], "b": [2]}
    assert not list((lake.root / "storage").rglob("*.csv"))
    assert lake.sql('select b from content."a.csv"').fetchall() == [(2,)]
    assert scratch.root in repr(saved.describe())


@pytest.mark.parametrize("name", ["record", "root", "uid"])
def test_a_storage_is_named_by_record_root_or_uid(lake, scratch, name):
    given = {"record": scratch, "root": scratch.root + "/", "uid": scratch.uid}[name]
    assert lake.Artifact.from_df(pl.DataFrame({"x": [1]}), key="x.parquet", storage=given).save().storage == scratch.uid


def test_one_storage_is_registered_once_however_it_is_spelt(lake, tmp_path):
    (tmp_path / "bucket").mkdir()
    first = lake.Storage(root=str(tmp_path / "bucket")).save()
    assert lake.Storage(root=f"{tmp_path}/x/../bucket/").save() == first
    assert lake.Storage(root=(tmp_path / "bucket").as_uri()).save() == first
    assert (first.kind, first.root) == ("file", str(tmp_path / "bucket"))


def test_a_file_in_a_registered_folder_is_registered_where_it_lies(lake, tmp_path):
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "a.csv").write_text("a\n1\n")
    outside = lake.Artifact(folder / "a.csv", key="outside.csv").save()
    storage = lake.Storage(root=str(folder)).save()
    inside = lake.Artifact(folder / "a.csv").save()
    assert outside.path.is_relative_to(lake.root)
    assert (inside.key, inside.storage, inside.path) == ("a.csv", storage.uid, folder / "a.csv")


def test_equal_content_is_stored_again_only_where_another_storage_is_asked_for(lake, scratch):
    own = lake.Artifact(b"same", key="own.txt").save()
    shared = lake.Artifact(b"same", key="shared.txt").save()
    asked = lake.Artifact(b"same", key="asked.txt", storage=scratch).save()
    assert (shared.storage, shared.path) == (own.storage, own.path)
    assert asked.storage == scratch.uid
    assert [a.load() for a in (own, shared, asked)] == [b"same"] * 3


def test_a_storage_inside_the_instance_moves_with_it(tmp_path):
    with Instance.create(tmp_path / "lake") as lake:
        storage = lake.Storage(root=str(tmp_path / "lake" / "more")).save()
        lake.Artifact(b"1", key="a.txt", storage=storage).save()
        assert storage.root == "more"
    shutil.move(tmp_path / "lake", tmp_path / "moved")
    with Instance.open(tmp_path / "moved") as lake:
        artifact = lake.Artifact.get(key="a.txt")
        assert artifact.load() == b"1"
        assert artifact.path.is_relative_to(tmp_path / "moved" / "more")


def test_what_memory_lost_is_said_and_saved_anew(tmp_path, request):
    root = f"memory://{request.node.name}"
    with Instance.create(tmp_path / "lake") as lake:
        artifact = lake.Artifact(b"1", key="a.txt", storage=lake.Storage(root=root).save()).save()
        lake.stores.of(artifact.storage).remove(artifact.value("path"))  # as the end of the process does
        with pytest.raises(DataLoss, match=r"gone from memory://.*: save the same content again"):
            artifact.load()
        assert lake.Artifact(b"1", key="a.txt").save() == artifact
        assert artifact.load() == b"1"


def test_storages_and_artifacts_of_one_transaction_are_taken_back_together(lake, request):
    root = f"memory://{request.node.name}"
    with pytest.raises(ZeroDivisionError), lake.transaction("both"):
        lake.Artifact(b"1", key="a.txt", storage=lake.Storage(root=root).save()).save()
        assert lake.Artifact.get(key="a.txt").load() == b"1"
        raise ZeroDivisionError
    assert (lake.Artifact.filter().count(), lake.Storage.filter(kind="memory").count()) == (0, 0)


@pytest.mark.parametrize("root", ["memory://nowhere", "/nowhere", "s3://nowhere"])
def test_an_unknown_storage_is_refused_before_anything_is_written(lake, root):
    with pytest.raises(RecordNotFound, match=r"is not registered.*registers it"):
        lake.Artifact(b"1", key="a.txt", storage=root).save()
    assert lake.Artifact.filter().count() == 0


def test_a_storage_whose_root_holds_a_secret_is_refused_without_showing_it(lake):
    with pytest.raises(InvalidKey, match="holds a key") as caught:
        lake.Artifact(b"1", key="a.txt", storage="s3://key:SECRET@bucket").save()
    assert "SECRET" not in str(caught.value)


def test_a_storage_of_another_instance_is_refused(lake, tmp_path):
    with Instance.create(tmp_path / "other") as other:
        storage = other.Storage(root="memory://theirs").save()
        with pytest.raises(InputError, match="is not saved in the instance at"):
            lake.Artifact(b"1", storage=storage).save()
    with pytest.raises(InputError, match="a Storage, its root or its uid"):
        lake.Artifact(b"1", storage=7).save()


@pytest.mark.parametrize("inside", ["", "storage", "storage/objects", "tables/artifact"])
def test_the_instances_own_folders_are_no_storages(lake, inside):
    with pytest.raises(InputError, match="of the instance's own"):
        lake.Storage(root=str(lake.root / inside)).save()


@pytest.mark.parametrize("root", ["ftp://host/x", "S3://bucket", "hdfs://x"])
def test_a_kind_of_storage_that_nothing_reads_is_not_recorded(lake, root):
    with pytest.raises(Unsupported, match=r"cannot be used here: name a local folder, .*s3://"):
        lake.Storage(root=root).save()
    assert lake.Storage.filter().count() == 0


def test_a_file_is_no_storage(lake, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file: name a folder"):
        lake.Storage(root=str(tmp_path / "file")).save()


def test_a_file_that_left_its_storage_by_a_link_is_refused(lake, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("x")
    os.symlink(tmp_path / "secret.txt", folder / "a.txt")
    lake.Storage(root=str(folder)).save()
    with pytest.raises(InputError, match="leads out of"):
        lake.Artifact(folder / "a.txt").save()


def test_artifacts_that_name_no_storage_go_to_the_default_one(lake, scratch):
    before = lake.Artifact(b"1", key="before.txt").save()
    assert scratch.make_default().role == "default"
    after = lake.Artifact(b"2", key="after.txt").save()
    named = lake.Artifact(b"3", key="named.txt", storage="storage").save()
    own = lake.Storage.get(root="storage")
    assert [a.storage for a in (before, after, named)] == [own.uid, scratch.uid, own.uid]
    assert [a.load() for a in (before, after, named)] == [b"1", b"2", b"3"]
    own.make_default()
    assert lake.Artifact(b"4", key="again.txt").save().storage == own.uid
    assert lake.Storage.filter(role="default").all() == [own]


def test_another_session_finds_the_default_storage(tmp_path):
    with Instance.create(tmp_path / "lake") as lake:
        lake.Storage(root=str(tmp_path / "shelf")).save().make_default()
    with Instance.open(tmp_path / "lake") as lake:
        assert lake.Artifact(b"1", key="a.txt").save().path.is_relative_to(tmp_path / "shelf")
        lake.stores.make_default("storage")
        assert lake.Artifact(b"2", key="b.txt").save().path.is_relative_to(tmp_path / "lake")


def test_of_two_choices_of_a_default_one_remains(tmp_path):
    with Instance.create(tmp_path / "lake") as lake, Instance.open(tmp_path / "lake") as other:
        one, two = (lake.Storage(root=f"memory://{name}").save() for name in ("choice-one", "choice-two"))
        other.Storage.get(two.uid).make_default()
        one.make_default()
        assert [s.root for s in other.Storage.filter(role="default").all()] == [one.root]
        with pytest.raises(InputError, match="is not saved"):
            lake.Storage(root="memory://three").make_default()
