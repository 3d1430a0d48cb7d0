"""Folders that are one thing: hashed by their files, copied whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from formats import folders
from formats.folders import read_folder
from formats.hashing import hash_bytes, hash_file
from formats.storage import Storage
from lakehouse.errors import InvalidFile, InvalidKey

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "x.zarr"
    (top / "a" / "b").mkdir(parents=True)
    (top / "zarr.json").write_text("{}")
    (top / "a" / "b" / "0.0").write_bytes(b"chunk")
    (top / "a-b").write_bytes(b"")
    return top


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(tmp_path / "store" if request.param == "local" else f"memory://{tmp_path.name}")


def test_the_hash_is_of_names_and_contents_and_of_nothing_else(tree: Path) -> None:
    first = read_folder(tree)
    assert (first.n_files, first.size) == (3, 7)
    assert [file.name for file in first.files] == ["a-b", "a/b/0.0", "zarr.json"]
    (tree / "empty").mkdir()
    os.utime(tree / "zarr.json", (1, 1))
    tree.rename(tree.with_name("y"))
    assert read_folder(tree.with_name("y")).hash == first.hash
    (tree.with_name("y") / "zarr.json").rename(tree.with_name("y") / "zarr2.json")
    assert read_folder(tree.with_name("y")).hash != first.hash


def test_a_folder_never_has_the_hash_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"1")
    line = b"a\0" + hash_bytes(b"1").encode() + b"\n"
    assert read_folder(tmp_path / "d").hash != hash_bytes(line)


def test_what_is_put_lies_there_whole_and_is_put_once(tree: Path, storage: Storage) -> None:
    folder = read_folder(tree)
    path = storage.put_folder(folder, ".zarr")
    assert storage.holds_folder(path, folder.size, folder.n_files)
    assert read_folder(storage.local_path(path)).hash == folder.hash
    assert storage.put_folder(folder, ".zarr") == path
    assert not [name for name in storage.list() if ".tmp-" in name]
    storage.remove(path)
    assert not storage.exists(path)


def test_a_file_that_an_object_lost_is_put_back(tree: Path, storage: Storage) -> None:
    folder = read_folder(tree)
    path = storage.put_folder(folder, "")
    storage.remove(f"{path}/a/b/0.0")
    assert not storage.holds_folder(path, folder.size, folder.n_files)
    storage.put_folder(folder, "")
    assert read_folder(storage.local_path(path)).hash == folder.hash


@pytest.mark.parametrize("suffix", ["", ".zarr"])
def test_a_folder_that_changed_since_it_was_hashed_leaves_nothing(tree: Path, tmp_path: Path, suffix: str) -> None:
    folder = read_folder(tree)
    (tree / "zarr.json").write_text("[]")
    store = Storage(tmp_path / "store")
    with pytest.raises(InvalidFile, match="changed since"):
        store.put_folder(folder, suffix)
    assert not [found for found in (tmp_path / "store").rglob("*") if found.is_file()]


def test_nothing_is_visible_before_all_of_it_is_durable(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_sync, real_rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), real_sync(fd))[1])
    monkeypatch.setattr(Path, "rename", lambda self, to: (events.append("rename"), real_rename(self, to))[1])
    store = Storage(tmp_path / "store")
    store.put_folder(read_folder(tree), "")
    before = events[: events.index("rename")]
    assert before.count("fsync") >= 3 + 3  # three files; the top and two folders inside
    assert events[-1] == "fsync"  # the directory that got the new name


def test_links_inside_are_followed_and_links_out_are_refused(tree: Path, tmp_path: Path) -> None:
    (tree / "inner").symlink_to(tree / "zarr.json")
    folder = read_folder(tree)
    store = Storage(tmp_path / "store")
    kept = store.local_path(store.put_folder(folder, ""))
    assert (kept / "inner").read_text() == "{}"
    assert not (kept / "inner").is_symlink()
    (tmp_path / "secret").write_text("s")
    for target in (tmp_path / "secret", tree / "a", tmp_path / "nowhere", Path("/")):
        (tree / "link").symlink_to(target)
        with pytest.raises(InvalidKey, match="link"):
            read_folder(tree)
        (tree / "link").unlink()


def test_a_file_that_became_a_link_is_not_followed(tree: Path, tmp_path: Path) -> None:
    folder = read_folder(tree)
    (tmp_path / "secret").write_text("{}")
    (tree / "zarr.json").unlink()
    (tree / "zarr.json").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidKey, match="link"):
        Storage(tmp_path / "store").put_folder(folder, "")


def test_pipes_and_empty_folders_are_refused(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(InvalidKey, match="no regular file"):
        read_folder(tree)
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(InvalidFile, match="no file"):
        read_folder(tmp_path / "empty")


def test_a_large_file_in_a_folder_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "big").write_bytes(os.urandom(20 << 20))
    folder = read_folder(tmp_path / "d")
    assert folder.files[0].hash == hash_file(tmp_path / "d" / "big")
    seen: list[tuple[int, int | None]] = []
    store = Storage(tmp_path / "store")
    store.put_folder(folder, "", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (20 << 20, 20 << 20)
    assert folders.holds_folder(store.local_path(next(iter(store.list())).rpartition("/")[0]), size=20 << 20, n_files=1)
