from __future__ import annotations

import os
import shutil
import time

import pytest

from lakehouse.errors import Unavailable


def aged(folder):
    """Let files look as if they had been written a while ago."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 60, path.stat().st_mtime - 60))


def test_new_changed_and_vanished_files_are_followed(lake, ingest, folder):
    for n in range(4):
        (folder / f"n{n}.txt").write_text(f"{n}")
    aged(folder)
    assert ingest(folder, sync=True).counts == {"new": 7}
    (folder / "a.txt").write_text("changed")
    (folder / "c.txt").write_text("c")
    (folder / "below" / "b.txt").unlink()
    aged(folder)
    assert ingest(folder, sync=True).counts == {"unchanged": 5, "new version": 1, "new": 1, "vanished": 1}
    assert lake.Artifact.filter(key="run1/below/b.txt").count() == 0
    assert lake.Artifact.filter(key="run1/below/b.txt", deleted_at__isnull=False).count() == 1
    before = len(lake.snapshots())
    assert ingest(folder, sync=True).counts == {"unchanged": 7}
    assert len(lake.snapshots()) == before


def test_a_file_that_comes_back_is_the_next_version(lake, ingest, folder):
    aged(folder)
    ingest(folder, sync=True)
    (folder / "a.txt").unlink()
    ingest(folder, sync=True)
    (folder / "a.txt").write_text("a")
    aged(folder)
    assert ingest(folder, sync=True).counts == {"unchanged": 2, "new version": 1}
    assert lake.Artifact.get(key="run1/a.txt").version == 1


def test_files_that_are_being_written_are_left_to_the_next_run(lake, ingest, folder):
    aged(folder)
    (folder / "fresh.txt").write_text("half")
    report = ingest(folder, sync=True, settle=30)
    assert report.counts == {"waiting": 1, "new": 3}
    assert report.ok
    aged(folder)
    assert ingest(folder, sync=True, settle=30).counts == {"unchanged": 3, "new": 1}


def test_a_folder_that_seems_to_be_empty_is_not_believed(lake, ingest, folder):
    aged(folder)
    ingest(folder, sync=True)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(Unavailable, match="3 of 3 files vanished"):
        ingest(folder, sync=True)
    assert lake.Artifact.filter().count() == 3
    assert ingest(folder, sync=True, most_vanished=1.0).counts == {"vanished": 3}
    assert lake.Artifact.filter().count() == 0


def test_what_somebody_else_saved_under_the_key_is_left_alone(lake, ingest, folder):
    aged(folder)
    ingest(folder, sync=True)
    newer = lake.Artifact(b"mended by hand", key="run1/a.txt").save()
    (folder / "a.txt").unlink()
    assert ingest(folder, sync=True).counts == {"unchanged": 2}
    assert lake.Artifact.get(key="run1/a.txt") == newer
