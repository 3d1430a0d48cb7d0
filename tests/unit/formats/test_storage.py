"""Roots under which files lie."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from formats import storage_local as storage_module
from formats.durable import TEMPORARY
from formats.hashing import hash_bytes
from formats.storage import Storage
from lakehouse.errors import InvalidFile, InvalidKey, NotFound, Unsupported

DATA = b"some bytes"
HASH = hash_bytes(DATA)
PATH = f"objects/{HASH[:2]}/{HASH}.bin"


@pytest.fixture(params=["local", "file", "memory"])
def storage(request, tmp_path: Path) -> Storage:
    roots = {
        "local": str(tmp_path / "a root"),
        "file": (tmp_path / "a root").as_uri(),
        "memory": f"memory://{tmp_path.name}",
    }
    return Storage(roots[request.param])


def test_bytes_come_back_under_their_hash(storage: Storage) -> None:
    assert storage.put_object(HASH, ".bin", DATA) == PATH
    assert storage.exists(PATH)
    assert storage.size(PATH) == len(DATA)
    with storage.open(PATH) as file:
        assert file.read() == DATA
    assert storage.local_path(PATH).read_bytes() == DATA
    assert storage.local_path(PATH).suffix == ".bin"
    assert list(storage.list()) == list(storage.list("objects")) == [PATH]


def test_a_file_is_copied_with_progress(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(DATA)
    seen = []
    assert storage.put_object(HASH, ".bin", source, progress=lambda done, total: seen.append((done, total))) == PATH
    assert seen == [(len(DATA), len(DATA))]
    assert storage.local_path(PATH).read_bytes() == DATA
    assert source.exists()


def test_an_empty_object_is_stored(storage: Storage) -> None:
    path = storage.put_object(hash_bytes(b""), "", b"")
    assert storage.size(path) == 0


def test_what_is_there_is_not_written_again(storage: Storage, monkeypatch) -> None:
    storage.put_object(HASH, ".bin", DATA)
    monkeypatch.setattr(storage_module, "write_durably", lambda *_: pytest.fail("written again"))
    seen = []
    assert storage.put_object(HASH, ".bin", DATA, progress=lambda done, total: seen.append((done, total))) == PATH
    assert seen == [(len(DATA), len(DATA))]


def test_a_file_that_changed_since_it_was_hashed_is_refused_and_leaves_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"other bytes now")
    with pytest.raises(InvalidFile, match="changed since it was hashed"):
        storage.put_object(HASH, ".bin", source)
    assert list(storage.list()) == []


def test_a_missing_file_is_not_found_by_every_call(storage: Storage, tmp_path: Path) -> None:
    assert not storage.exists("objects/ab/nothing")
    for call in (storage.open, storage.size, storage.local_path, storage.remove):
        with pytest.raises(NotFound, match="nothing"):
            call("objects/ab/nothing")
    with pytest.raises(NotFound):
        storage.put_object(HASH, "", tmp_path / "nothing")


def test_a_removed_object_is_gone_and_can_be_stored_again(storage: Storage) -> None:
    storage.put_object(HASH, ".bin", DATA)
    storage.remove(PATH)
    assert not storage.exists(PATH)
    assert storage.put_object(HASH, ".bin", DATA) == PATH
    assert storage.exists(PATH)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a\0b", ".."])
def test_a_path_that_leaves_the_root_is_refused_by_every_call(storage: Storage, path: str) -> None:
    calls = (storage.open, storage.exists, storage.size, storage.local_path, storage.uri, storage.remove)
    for call in calls:
        with pytest.raises(InvalidKey):
            call(path)


@pytest.mark.parametrize("hash_", ["../../x", "", "A" * 32, "a" * 31])
def test_what_is_no_hash_names_no_object(storage: Storage, hash_: str) -> None:
    with pytest.raises(InvalidKey, match="no content hash"):
        storage.put_object(hash_, "", DATA)


def test_a_suffix_cannot_climb(storage: Storage) -> None:
    with pytest.raises(InvalidKey, match="suffix"):
        storage.put_object(HASH, "/../../x", DATA)


def test_a_uri_leads_back_to_the_path(storage: Storage) -> None:
    storage.put_object(HASH, ".bin", DATA)
    assert storage.relative(storage.uri(PATH)) == PATH
    assert storage.relative("https://example.org/x") is None


def test_stored_files_cannot_be_opened_for_writing(storage: Storage) -> None:
    with pytest.raises(Unsupported, match="read only"):
        storage.open(PATH, "wb")


@pytest.mark.parametrize("root", ["hdfs://key:SECRET@host/x", "s3a://b", "sftp://b", "ftp://user:SECRET@host/"])
def test_another_protocol_is_refused_with_the_choices_and_no_secret(root: str) -> None:
    with pytest.raises(Unsupported, match="a local folder") as caught:
        Storage(root)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "root", ["", "a\0b", "file://host/x", "memory://../x", "s3://key:SECRET@bucket/x", "http://169.254.169.254/"]
)
def test_a_root_that_names_nothing_here_is_refused(root: str) -> None:
    with pytest.raises(InvalidKey):
        Storage(root)


def test_one_folder_has_one_canonical_root(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    roots = {Storage(r).root for r in ("real", "./link/", str(tmp_path / "real"), (tmp_path / "real").as_uri())}
    assert roots == {str((tmp_path / "real").resolve())}


def test_two_memory_roots_share_nothing(tmp_path: Path) -> None:
    one, two = Storage(f"memory://{tmp_path.name}-1"), Storage(f"memory://{tmp_path.name}-2")
    one.put_object(HASH, ".bin", DATA)
    assert not two.exists(PATH)
    assert list(two.list()) == []


def test_odd_file_names_are_listed_opened_and_found_again(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    for name in ("glob [1]*?.csv", "per%20cent", "hash#tag", "a b ", "ünï", "C:x", "q?uery"):
        (tmp_path / name).write_bytes(name.encode())
        with storage.open(name) as file:
            assert file.read() == name.encode()
        assert storage.relative(storage.uri(name)) == name
        assert storage.relative(tmp_path / name) == name
        assert name in storage.list()


def test_unfinished_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}1234").touch()
    assert list(Storage(tmp_path).list()) == []


class TestLinks:
    """A link must not lead out of the root."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        folder.mkdir()
        (folder / "secret").write_bytes(b"secret")
        return folder

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        folder = tmp_path / "root"
        folder.mkdir()
        return folder

    def test_a_link_to_outside_is_refused(self, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "secret")
        self._refused(Storage(root), "link")

    def test_a_linked_folder_on_the_way_is_refused(self, root: Path, outside: Path) -> None:
        (root / "folder").symlink_to(outside)
        self._refused(Storage(root), "folder/secret")

    def test_a_linked_objects_folder_is_refused_for_writing(self, root: Path, outside: Path) -> None:
        (root / "objects").symlink_to(outside)
        with pytest.raises(InvalidKey, match="link"):
            Storage(root).put_object(HASH, ".bin", DATA)
        assert [p.name for p in outside.iterdir()] == ["secret"]

    def test_a_path_that_only_seems_to_be_inside_is_refused(self, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "secret")
        with pytest.raises(InvalidKey, match="link that leads out"):
            Storage(root).relative(root / "link")

    def test_a_neighbour_with_the_same_beginning_is_outside(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "root2").mkdir()
        assert Storage(root).relative(tmp_path / "root2" / "x") is None
        assert Storage(root).relative(root) is None

    def test_links_are_not_listed(self, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "secret")
        (root / "folder").symlink_to(outside)
        assert list(Storage(root).list()) == []

    def test_a_link_inside_the_root_works(self, root: Path) -> None:
        (root / "real").write_bytes(DATA)
        (root / "link").symlink_to("real")
        with Storage(root).open("link") as file:
            assert file.read() == DATA
        assert Storage(root).relative(root / "link") == "real"

    def test_a_link_swapped_in_after_the_check_is_not_followed(self, root: Path, outside: Path, monkeypatch) -> None:
        (root / "folder").mkdir()
        (root / "folder" / "secret").write_bytes(DATA)
        storage = Storage(root)
        place = storage._place
        check = place._inside

        def check_then_swap(path: str) -> Path:
            found = check(path)
            (root / "folder").rename(root / "moved")
            (root / "folder").symlink_to(outside)
            return found

        monkeypatch.setattr(place, "_inside", check_then_swap)
        with pytest.raises((InvalidKey, NotFound)):
            storage.open("folder/secret")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
    def test_a_pipe_in_the_root_is_refused_without_waiting(self, root: Path) -> None:
        os.mkfifo(root / "pipe")
        with pytest.raises(InvalidKey, match="not a regular file"):
            Storage(root).open("pipe")

    def _refused(self, storage: Storage, path: str) -> None:
        for call in (storage.open, storage.size, storage.exists, storage.local_path, storage.remove):
            with pytest.raises(InvalidKey, match="link that leads out"):
                call(path)


def test_each_new_folder_is_synced_into_its_parent_once(tmp_path: Path, monkeypatch) -> None:
    synced: list[Path] = []
    for module in ("formats.durable.fsync_dir", "formats.storage_local.fsync_dir"):
        monkeypatch.setattr(module, synced.append)
    storage = Storage(tmp_path / "root")
    root = Path(storage.root)
    storage.put_object(HASH, ".bin", DATA)
    assert {root.parent, root, root / "objects", (root / PATH).parent} == set(synced)
    synced.clear()
    storage.put_object(HASH, ".txt", DATA)
    assert synced == [(root / PATH).parent]


def test_a_folder_that_another_process_just_made_is_synced_too(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / PATH).parent.mkdir(parents=True)
    synced: list[Path] = []
    monkeypatch.setattr("formats.storage_local.fsync_dir", synced.append)
    Storage(tmp_path).put_object(HASH, ".bin", DATA)
    assert tmp_path.resolve() / "objects" in synced


def test_a_process_that_stores_many_objects_syncs_their_folders_at_once(tmp_path: Path, monkeypatch) -> None:
    synced: list[Path] = []
    for module in ("formats.durable.fsync_dir", "formats.storage_local.fsync_dir"):
        monkeypatch.setattr(module, synced.append)
    storage, parent = Storage(tmp_path), tmp_path.resolve() / "objects"
    contents = [str(number).encode() for number in range(200)]
    paths = [storage.put_object(hash_bytes(data), ".bin", data) for data in contents]
    assert 60 < synced.count(parent) < 80
    last = max(place for place, folder in enumerate(synced) if folder == parent)
    assert len({path.split("/")[1] for path in paths[70:]} - {folder.name for folder in synced[:last]}) > 20
    assert [(tmp_path / path).read_bytes() for path in paths] == contents


def test_many_threads_storing_one_object_leave_one(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    threads = [threading.Thread(target=storage.put_object, args=(HASH, ".bin", DATA)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in (tmp_path / "objects").rglob("*") if p.is_file()] == [Path(PATH).name]
