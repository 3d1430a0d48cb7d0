from __future__ import annotations

import logging

import pytest

import lakehouse as lh
from lakehouse import api
from lakehouse.errors import InputError, InstanceNotFound, InvalidKey, LakehouseError, Unsupported


def test_init_connects_and_leaves_a_pointer_for_the_next_session(alone):
    lake = api.init("./mylake")
    assert api.current() is lake
    lh.ULabel(name="x").save()
    api.disconnect()
    deeper = alone / "a" / "b"
    deeper.mkdir(parents=True)
    assert (alone / ".lakehouse").is_file()
    import os

    os.chdir(deeper)
    assert api.connect().root == lake.root
    assert lh.ULabel.get(name="x").name == "x"


def test_init_on_an_existing_instance_connects_and_says_so(alone, caplog):
    first = api.init("mylake")
    lh.ULabel(name="x").save()
    with caplog.at_level(logging.INFO, "lakehouse"):
        again = api.init("mylake")
    assert again is not first
    assert "is an instance already" in caplog.text
    assert lh.ULabel.filter().count() == 1


def test_without_an_instance_the_next_step_is_named(alone):
    with pytest.raises(InstanceNotFound, match=r"lh\.init"):
        api.connect()
    for act in (api.current, api.flush, api.snapshots, lh.ULabel.filter, lh.ULabel(name="x").save, api.transaction):
        with pytest.raises(InstanceNotFound, match=r"lh\.init.*lh\.connect"):
            act()
    with pytest.raises(InstanceNotFound):
        api.connect("nowhere")
    with pytest.raises(InstanceNotFound):
        api.open("nowhere")
    assert not (alone / "nowhere").exists()
    api.disconnect()


def test_the_argument_comes_before_the_environment_before_the_pointer(alone, monkeypatch):
    for name in ("pointed", "named", "given"):
        api.init(name, pointer=name == "pointed")
    assert api.connect().root.name == "pointed"
    monkeypatch.setenv("LAKEHOUSE_INSTANCE", str(alone / "named"))
    assert api.connect().root.name == "named"
    assert api.connect("given").root.name == "given"


def test_connect_finds_the_instance_that_the_working_folder_lies_in(alone, monkeypatch):
    api.init("mylake", pointer=False)
    api.disconnect()
    monkeypatch.chdir(alone / "mylake" / ".")
    assert api.connect().root == alone / "mylake"


def test_open_does_not_become_current(alone):
    lake = api.init("mine")
    api.init("theirs", pointer=False)
    api.connect("mine")
    with api.open("theirs", read_only=True) as other:
        assert api.current() is not other
        assert api.current().root == lake.root


def test_targets_that_cannot_hold_an_instance_are_refused_and_left_alone(alone):
    (alone / "file").write_text("mine")
    (alone / "occupied" / "tables").mkdir(parents=True)
    with pytest.raises(InputError, match="is a file"):
        api.init("file")
    with pytest.raises(InputError, match="holds tables"):
        api.init("occupied")
    for url in ("s3://key:secret@bucket/x", "memory://x"):
        with pytest.raises((Unsupported, InvalidKey)) as caught:
            api.init(url)
        assert "secret" not in str(caught.value)
    with pytest.raises(LakehouseError):
        api.init("")
    assert (alone / "file").read_text() == "mine"
    assert sorted(path.name for path in alone.rglob("*")) == ["file", "occupied", "tables"]


def test_a_folder_with_other_files_may_become_an_instance(alone):
    (alone / "mylake").mkdir()
    (alone / "mylake" / "notes.txt").write_text("mine")
    api.init("mylake")
    assert (alone / "mylake" / "notes.txt").read_text() == "mine"


def test_the_acts_of_the_current_instance(alone):
    api.init("mylake", user="ada")
    with api.transaction("batch"):
        saved = api.save([lh.ULabel(name="a"), lh.ULabel(name="b")])
    assert api.save(lh.ULabel(name="a"))[0] == saved[0]
    assert api.snapshots(limit=1)[0].message == "batch"
    assert api.sql("select count(*) from ulabel where name = $name", {"name": "a"}).fetchall() == [(1,)]
    assert api.flush() >= 1
    assert lh.User.filter().one().handle == "ada"
    for wrong in ("a", 3, None, ["a"]):
        with pytest.raises(InputError):
            api.save(wrong)
