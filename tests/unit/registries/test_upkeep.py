"""Stored objects: checked, swept when nothing needs them, and never taken from under a save."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from formats import storage_local
from formats.sweep import sweep_objects
from lakehouse.engine import Options
from lakehouse.engine.findings import Severity
from lakehouse.errors import Busy, InputError, ReadOnly
from registries.instance import Instance
from tests.unit.engine.support import once_at

DAY = 86_400


def _objects(lake: Instance) -> list[str]:
    return sorted(p.name for p in (lake.root / "storage" / "objects").glob("*/*"))


def _aged(lake: Instance, seconds: float = DAY) -> None:
    """Make stored objects as old as that."""
    then = time.time() - seconds
    for path in (lake.root / "storage" / "objects").glob("*/*"):
        os.utime(path, (then, then))


def _orphan(lake: Instance, content: bytes = b"orphan") -> str:
    """Store bytes that no row refers to, as a save does that dies before its commit."""
    with pytest.raises(ZeroDivisionError), lake.transaction():
        lake.Artifact(content, key="dies.txt").save()
        raise ZeroDivisionError
    return max(_objects(lake), key=lambda n: (lake.root / "storage" / "objects" / n[:2] / n).stat().st_mtime_ns)


def _harm(lake: Instance, **options: bool) -> dict[str, str]:
    return {finding.where: finding.kind for finding in lake.check(**options).of(Severity.HARM)}


# -- check -------------------------------------------------------------------------------------------------------------
def test_lost_shortened_and_changed_objects_are_found_and_named(lake: Instance) -> None:
    made = {name: lake.Artifact(f"content {name}".encode(), key=f"{name}.txt").save() for name in "abcd"}
    folder = lake.root / "zarr.zarr"
    folder.mkdir()
    (folder / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    lake.Artifact.from_dir(folder, key="z.zarr").save()
    assert lake.check(deep=True).ok
    made["a"].path.unlink()
    made["b"].path.write_bytes(b"x")
    made["c"].path.write_bytes(b"CONTENT c")
    (lake.Artifact.get(key="z.zarr").path / "zarr.json").write_text("{}")
    assert _harm(lake) == {
        "artifact a.txt, version 0": "missing",
        "artifact b.txt, version 0": "changed",
        "artifact z.zarr, version 0": "changed",
    }
    assert _harm(lake, deep=True).items() > {"artifact c.txt, version 0": "changed"}.items()
    lake.Artifact(b"content a", key="a.txt").save()  # what the message recommends
    assert "artifact a.txt, version 0" not in _harm(lake)


def test_a_storage_that_is_gone_is_a_loss_and_old_versions_count(lake: Instance) -> None:
    lake.Artifact(b"1", key="a.txt").save()
    lake.Artifact(b"2", key="a.txt").save()
    shutil.rmtree(lake.root / "storage")
    assert set(_harm(lake)) == {"artifact a.txt, version 0", "artifact a.txt, version 1"}


def test_an_orphan_is_noted_once_it_is_old(lake: Instance) -> None:
    lake.Artifact(b"kept", key="kept.txt").save()
    _orphan(lake)
    assert not lake.check().findings
    _aged(lake)
    (found,) = lake.check().findings
    assert (found.severity, found.where) == (Severity.NOTE, "storage/objects")
    assert "1 objects of 6 bytes" in found.message


# -- vacuum ------------------------------------------------------------------------------------------------------------
def test_an_orphan_is_swept_after_its_grace_and_nothing_else(lake: Instance) -> None:
    kept = lake.Artifact(b"kept", key="kept.txt").save()
    orphan = _orphan(lake)
    assert lake.vacuum().objects == 0, "an upload that may be in progress was swept"
    _aged(lake)
    assert lake.vacuum(dry_run=True).objects == 1
    assert orphan in _objects(lake)
    done = lake.vacuum()
    assert (done.objects, done.bytes) == (1, 6)
    assert _objects(lake) == [kept.path.name]
    assert lake.check(deep=True).ok


def test_bytes_of_every_readable_commit_stay(lake: Instance) -> None:
    old = lake.Artifact(b"old", key="a.txt").save()
    before = lake.lake.head()
    lake.run(lambda txn: txn.delete("artifact", [old.uid]))
    lake.flush()
    _aged(lake)
    assert lake.vacuum().objects == 0
    assert lake.Artifact.filter().at(before).one().load() == b"old"
    lake.lake.tags.add("paper", before)
    assert lake.vacuum(retention=0.0).objects == 0
    lake.lake.tags.drop("paper")
    lake.ULabel(name="later").save()
    lake.flush()
    assert lake.vacuum(retention=0.0).objects == 1


def test_unfinished_uploads_go_when_they_are_old(lake: Instance) -> None:
    kept = lake.Artifact(b"kept", key="kept.txt").save()
    (kept.path.parent / ".tmp-young").write_bytes(b"x")
    (kept.path.parent / ".tmp-old").write_bytes(b"x")
    then = time.time() - DAY
    os.utime(kept.path.parent / ".tmp-old", (then, then))
    lake.vacuum()
    assert [p.name for p in kept.path.parent.glob(".tmp-*")] == [".tmp-young"]


def test_a_vacuum_needs_the_right_to_write_and_a_span(lake: Instance) -> None:
    for wrong in (-1.0, "7d", float("nan")):
        with pytest.raises(InputError, match="seconds"):
            lake.vacuum(retention=wrong)  # type: ignore[arg-type]
    with Instance.open(lake.root, read_only=True) as reader, pytest.raises(ReadOnly):
        reader.vacuum()


def test_a_vacuum_beside_a_publisher_is_busy(lake: Instance) -> None:
    lake.ULabel(name="x").save()

    def vacuum_meanwhile() -> None:
        with Instance.open(lake.root) as other, pytest.raises(Busy, match="publishing or vacuuming"):
            other.vacuum()

    with once_at("publish.leased", vacuum_meanwhile) as seen:
        lake.flush()
    assert "publish.leased" in seen


# -- saving beside a vacuum --------------------------------------------------------------------------------------------
def test_an_old_object_that_is_saved_again_at_this_moment_stays(
    lake: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save finds the object there and touches it; the sweep, which saw it old, comes before the commit."""
    _orphan(lake, b"again")
    _aged(lake)
    real, swept = storage_local._touched, []

    def touched(path: Path) -> bool:
        done = real(path)
        if not swept:
            swept.append(0)
            with Instance.open(lake.root) as other:
                swept[0] = other.vacuum().objects
        return done

    monkeypatch.setattr(storage_local, "_touched", touched)
    saved = lake.Artifact(b"again", key="again.txt").save()
    assert swept == [0]
    assert saved.load() == b"again"


def test_an_object_swept_just_before_it_is_touched_is_stored_anew(
    lake: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    _orphan(lake, b"again")
    _aged(lake)
    real, swept = storage_local._touched, []

    def touched(path: Path) -> bool:
        if not swept:
            with Instance.open(lake.root) as other:
                swept.append(other.vacuum().objects)
        return real(path)

    monkeypatch.setattr(storage_local, "_touched", touched)
    saved = lake.Artifact(b"again", key="again.txt").save()
    assert swept == [1]
    assert saved.load() == b"again"


def test_a_save_that_takes_longer_than_the_grace_stores_its_bytes_again(lake: Instance) -> None:
    """The vacuum deletes what the save stored an hour ago; its commit is refused, and the second try puts it back."""
    lake.ULabel(name="user and storage are there").save()
    lake.lake.options = lake.lake.options
    hours: list[int] = []

    def an_hour_later() -> None:
        _aged(lake)
        with Instance.open(lake.root) as other:
            other.lake.retention._options = Options(grace=-1.0, auto_publish=False)
            other.lake.options = other.lake.retention._options
            time.sleep(0.01)
            hours.append(other.vacuum().objects)
            other.lake.retention._options = Options(auto_publish=False)

    with once_at("commit.checked", an_hour_later) as seen:
        saved = lake.Artifact(b"slow", key="slow.txt").save()
    assert hours == [1]
    assert seen.count("commit.checked") >= 2
    assert saved.load() == b"slow"
    assert lake.check(deep=True).ok


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_sweep_that_died_had_renamed_is_judged_again(lake: Instance, kept: bool) -> None:
    saved = lake.Artifact(b"bytes", key="a.txt").save()
    path = saved.path if kept else saved.path.with_name("x" * 32 + ".txt")
    if not kept:
        path.write_bytes(b"y")
    path.rename(path.with_name(f".tmp-doomed-{path.name}"))
    for file in path.parent.iterdir():
        os.utime(file, (1, 1))
    lake.vacuum()
    assert path.exists() == kept
    assert not list(path.parent.glob(".tmp-*"))
    assert lake.check().ok


def test_a_renamed_object_that_was_stored_anew_meanwhile_gives_way(tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "ab"
    folder.mkdir(parents=True)
    (folder / ".tmp-doomed-abc").write_text("old")
    (folder / "abc").write_text("new")
    assert not list(sweep_objects(tmp_path, lambda path: True, before=float("inf")))
    assert [p.name for p in folder.iterdir()] == ["abc"]
    assert (folder / "abc").read_text() == "new"


def test_a_folder_is_swept_whole(tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "ab" / "abc.zarr"
    (folder / "c").mkdir(parents=True)
    (folder / "zarr.json").write_text("12")
    (folder / "c" / "0").write_text("345")
    (swept,) = sweep_objects(tmp_path, lambda path: False, before=float("inf"))
    assert (swept.path, swept.bytes) == ("objects/ab/abc.zarr", 5)
    assert not folder.exists()
