"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from formats import durable


def test_an_older_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "head.json"
    path.write_bytes(b"old and longer")
    assert durable.write_durably(path, b"new") == 3
    assert path.read_bytes() == b"new"


def test_a_failing_source_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def pieces():
        yield b"half"
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        durable.write_durably(path, pieces())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_synced_before_its_name_and_the_name_before_returning(tmp_path: Path, monkeypatch) -> None:
    steps = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        steps.append("sync folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "sync file")
        real_fsync(fd)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc to tell a folder's descriptor from a file's")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    durable.write_durably(tmp_path / "x", b"data")
    assert steps == ["sync file", "rename", "sync folder"]


def test_only_the_parents_of_new_folders_are_synced(tmp_path: Path, monkeypatch) -> None:
    synced = []
    monkeypatch.setattr(durable, "fsync_dir", synced.append)
    assert durable.make_dirs_durably(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    assert not durable.make_dirs_durably(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_a_folder_sync_does_nothing_where_the_platform_has_none(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(durable, "_HAS_DIRECTORY_FSYNC", False)
    monkeypatch.setattr(os, "fsync", lambda _fd: pytest.fail("synced"))
    durable.fsync_dir(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be opened on Windows")
def test_a_folder_sync_reaches_the_platform(tmp_path: Path, monkeypatch) -> None:
    called = []
    monkeypatch.setattr(os, "fsync", called.append)
    durable.fsync_dir(tmp_path)
    assert len(called) == 1
