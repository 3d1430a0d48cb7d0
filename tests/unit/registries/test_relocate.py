"""Artifacts taken and copied to other storages, with what is known of them."""

from __future__ import annotations

import pytest

from lakehouse.errors import ChangedSinceRead, DataLoss, InputError, InvalidFile, ReadOnly
from registries.instance import Instance


@pytest.fixture
def more(lake, tmp_path):
    return lake.Storage(root=str(tmp_path / "more")).save()


@pytest.fixture
def table(lake):
    made = lake.Artifact(b"a\n1\n", key="a.csv", description="measured").save()
    lake.Feature(name="state", dtype="cat[ULabel]").save()
    made.labels.add("raw", create=True)
    made.labels.add("frozen", feature="state", create=True)
    return made


def test_a_moved_artifact_is_the_same_and_lies_elsewhere(lake, more, table, tmp_path):
    before, labels = table.to_row(), table.labels.all()
    told = []
    assert table.move_to(more, progress=lambda done, total: told.append((done, total))) is table
    assert table.path.is_relative_to(tmp_path / "more") and told[-1] == (4, 4)
    again = lake.Artifact.get(key="a.csv")
    assert again.to_row() == {**before, "storage": more.uid}  # objects are named alike everywhere
    assert again.labels.all() == labels and again.load()["a"].tolist() == [1]
    head = lake.snapshots()[0].id
    table.move_to(more)
    assert lake.snapshots()[0].id == head, "moving to where it is makes no commit"


def test_snapshots_of_before_read_a_moved_artifact_where_it_was(lake, more, table):
    before = lake.snapshots()[0].id
    old = table.path
    table.move_to(more.root)
    assert lake.Artifact.filter(key="a.csv").at(before).one().path == old
    assert old.read_bytes() == table.path.read_bytes() == b"a\n1\n"


def test_a_vacuum_frees_what_was_moved_away_and_keeps_what_others_share(lake, more, table, monkeypatch):
    shared = lake.Artifact(b"shared", key="one.txt").save()
    other = lake.Artifact(b"shared", key="two.txt").save()
    old, kept = table.path, other.path
    table.move_to(more)
    shared.move_to(more)
    lake.flush()
    monkeypatch.setattr("time.time", _later(monkeypatch))
    lake.lake.ensure([])
    lake.ULabel(name="later").save()
    lake.flush()
    lake.vacuum(retention=0)
    assert kept.exists() and other.load() == b"shared"
    assert not old.exists()
    assert table.load()["a"].tolist() == [1] and shared.load() == b"shared"


def _later(monkeypatch):
    import time

    real = time.time
    real_ns = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: real_ns() + 30 * 86_400 * 10**9)
    return lambda: real() + 30 * 86_400


def test_a_move_that_is_rolled_back_leaves_the_artifact_where_it_was(lake, more, table):
    before = table.to_row()
    with pytest.raises(ZeroDivisionError), lake.transaction("move"):
        table.move_to(more)
        assert table.storage == more.uid
        raise ZeroDivisionError
    assert table.to_row() == before == lake.Artifact.get(key="a.csv").to_row()


def test_bytes_that_are_lost_or_damaged_are_not_moved(lake, more, table):
    path = table.path
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(b"b\n2\n")
    with pytest.raises(InvalidFile, match="changed since it was hashed"):
        table.move_to(more)
    path.unlink()
    with pytest.raises(DataLoss, match="gone from"):
        table.move_to(more)
    path.write_bytes(whole)
    assert lake.Artifact.get(key="a.csv").storage != more.uid
    assert table.move_to(more).load()["a"].tolist() == [1]


def test_a_move_does_not_swallow_what_another_changed_meanwhile(lake, more, table):
    mine = lake.Artifact.get(key="a.csv")
    table.description = "measured twice"
    table.save()
    with pytest.raises(ChangedSinceRead):
        mine.move_to(more)
    assert lake.Artifact.get(key="a.csv").to_row() == table.to_row()


def test_damaged_bytes_are_not_copied(lake, more, table):
    table.path.chmod(0o600)
    table.path.write_bytes(b"b\n2\n")
    with pytest.raises(InvalidFile, match="changed since it was hashed"):
        table.copy_to(more, key="copies/a.csv")
    assert lake.Artifact.filter(key="copies/a.csv").count() == 0


def test_a_copy_has_description_and_labels_and_is_a_record_of_its_own(lake, more, table):
    copy = table.copy_to(more, key="copies/a.csv")
    assert (copy.storage, copy.description, copy.hash) == (more.uid, "measured", table.hash)
    assert copy.labels.all() == table.labels.all() and copy.uid != table.uid
    assert table.storage != more.uid and table.load().equals(copy.load())
    with pytest.raises(InputError):
        table.copy_to(more, key="../a.csv")


def test_folders_move_whole(lake, more, tmp_path):
    folder = tmp_path / "store.bundle"
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "inner" / "b").write_text("22")
    made = lake.Artifact.from_dir(folder, key="store.bundle").save().move_to(more)
    assert made.path.is_relative_to(tmp_path / "more")
    assert sorted(p.relative_to(made.path).as_posix() for p in made.path.rglob("*") if p.is_file()) == ["a", "inner/b"]


def test_a_folder_of_other_bytes_is_neither_moved_nor_copied(lake, more, tmp_path):
    folder = tmp_path / "store.bundle"
    folder.mkdir()
    (folder / "a").write_text("1")
    made = lake.Artifact.from_dir(folder, key="store.bundle").save()
    (made.path / "a").chmod(0o600)
    (made.path / "a").write_text("2")
    for call in (lambda: made.move_to(more), lambda: made.copy_to(more, key="copy.bundle")):
        with pytest.raises(InvalidFile, match="changed since it was hashed"):
            call()
    assert lake.Artifact.get(key="store.bundle").storage != more.uid


def test_a_read_only_user_moves_nothing(lake, more, table):
    with Instance.open(lake.root, read_only=True) as reader, pytest.raises(ReadOnly):
        reader.Artifact.get(key="a.csv").move_to(more.uid)
    assert lake.Artifact.get(key="a.csv").storage == table.storage
