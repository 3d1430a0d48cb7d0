from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lakehouse.engine import Lake, Options, is_lake, place
from lakehouse.engine.place import file_system_of, refuse_network_file_system
from lakehouse.errors import (
    Busy,
    ConfigurationError,
    InputError,
    InstanceNotFound,
    IntegrityError,
    NewerFormat,
    ReadOnly,
    Unsupported,
)
from tests.unit.engine.support import QUIET, SPECS, add, create, label, plain, uids

SPAWN = multiprocessing.get_context("spawn")


def closed(root: Path) -> Path:
    """Make a lake with a published and a tail row, and close it."""
    with create(root) as lake:
        add(lake, "a")
        lake.flush()
        add(lake, "b")
    return root


def test_folder_without_a_lake_is_not_found_and_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(InstanceNotFound, match=r"lakehouse\.init"):
        Lake.open(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
    assert not is_lake(tmp_path)


def test_creating_what_is_there_opens_it(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    with Lake.create(root, SPECS, options=QUIET) as again:
        assert uids(again) == ["a", "b"]


def test_file_in_the_place_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        Lake.create(tmp_path / "file")


def test_moved_folder_opens_and_goes_on(tmp_path: Path) -> None:
    closed(tmp_path / "old").rename(tmp_path / "new")
    with Lake.open(tmp_path / "new", SPECS, options=QUIET) as lake:
        assert uids(lake) == ["a", "b"]
        add(lake, "c")
        lake.flush()
        assert len(plain(lake)) == 3


def test_copied_folder_is_refused_for_writing_and_opens_read_only(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    shutil.copytree(root, tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="is a copy of the lake in"):
        Lake.open(tmp_path / "copy")
    with pytest.raises(ConfigurationError, match="read_only=True"):
        Lake.create(tmp_path / "copy", SPECS)
    with Lake.open(tmp_path / "copy", read_only=True) as lake:
        assert uids(lake) == ["a", "b"]
    with Lake.open(root, options=QUIET) as lake:  # the original is none the wiser
        add(lake, "c")
    shutil.rmtree(root)
    with Lake.open(tmp_path / "copy", options=QUIET) as lake:
        add(lake, "d")
        assert uids(lake) == ["a", "b", "d"]


def test_root_named_through_a_link_is_the_same_lake(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    with Lake.open(tmp_path / "link", options=QUIET) as linked, Lake.open(root, options=QUIET) as direct:
        add(linked, "c")
        assert uids(direct) == ["a", "b", "c"]


def test_catalog_at_a_place_of_its_own(tmp_path: Path) -> None:
    with Lake.create(tmp_path / "lake", SPECS, catalog=tmp_path / "local" / "c.db", options=QUIET) as lake:
        add(lake, "a")
    assert not (tmp_path / "lake" / "catalog.db").exists()
    with Lake.open(tmp_path / "lake", options=QUIET) as lake:
        assert uids(lake) == ["a"]


def test_catalog_of_another_lake_is_refused(tmp_path: Path) -> None:
    mine, theirs = closed(tmp_path / "mine"), closed(tmp_path / "theirs")
    shutil.copy(theirs / "catalog.db", mine / "catalog.db")
    with pytest.raises(ConfigurationError, match="is the catalog of lake"):
        Lake.open(mine)


# -- reading only ------------------------------------------------------------------------------------------------------
def test_read_only_lake_refuses_every_change(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    with Lake.open(root, read_only=True) as lake:
        assert lake.read_only
        assert uids(lake) == ["a", "b"]
        assert lake.sql("SELECT count(*) FROM label").fetchall() == [(2,)]
        before = lake.head()
        for change in (
            lambda: add(lake, "c"),
            lambda: lake.begin(),
            lake.flush,
            lake.vacuum,
            lambda: lake.ensure([*SPECS, type(SPECS[0])("more", SPECS[0].schema)]),
            lambda: lake.pinned().__enter__(),
        ):
            with pytest.raises(ReadOnly):
                change()
        with pytest.raises(ReadOnly), lake.transaction():
            pass
        assert lake.head() == before


def test_read_only_lake_follows_a_writer(tmp_path: Path) -> None:
    with create(tmp_path / "lake") as writer, Lake.open(tmp_path / "lake", read_only=True) as reader:
        add(writer, "a")
        assert uids(reader) == ["a"]
        writer.flush()
        add(writer, "b")
        assert uids(reader) == ["a", "b"]


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Act as a user who may read everything below a folder and write nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for parent in folder.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("wal", [False, True])
def test_folder_that_may_not_be_written_opens_read_only(tmp_path: Path, wal: bool) -> None:
    root = closed(tmp_path / "lake")
    keeper = Lake.open(root, options=QUIET) if wal else None  # an open writer leaves the write-ahead log beside it
    try:
        if keeper:
            add(keeper, "c")
        with as_nobody(root), Lake.open(root, read_only=True) as lake:
            assert uids(lake) == ["a", "b", "c"][: 3 if wal else 2]
    finally:
        if keeper:
            keeper.close()


def test_reader_of_a_folder_that_may_not_be_written_follows_those_who_may(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    with as_nobody(root):
        reader = Lake.open(root, read_only=True)
        assert uids(reader) == ["a", "b"]
    with Lake.open(root, options=QUIET) as lake:
        add(lake, "c")
        for path in root.glob("catalog*"):
            path.chmod(0o644)
        with as_nobody(root):
            assert uids(reader) == ["a", "b", "c"]
    with as_nobody(root):
        assert uids(reader) == ["a", "b", "c"]
        reader.close()


def test_folder_that_may_not_be_written_refuses_writers_with_a_typed_error(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    with as_nobody(root), pytest.raises(ReadOnly, match=r"catalog"), Lake.open(root, options=QUIET) as lake:
        add(lake, "c")
    with Lake.open(root, options=QUIET) as lake:
        assert uids(lake) == ["a", "b"]


# -- permissions -------------------------------------------------------------------------------------------------------
@pytest.fixture
def umask() -> Iterator[None]:
    """Set the usual mask, whatever the tests were started under."""
    old = os.umask(0o022)
    yield
    os.umask(old)


def modes(root: Path) -> set[str]:
    return {oct(p.stat().st_mode & 0o777) for p in root.glob("catalog*")}


@pytest.mark.usefixtures("umask")
def test_catalog_is_for_its_owner_alone(tmp_path: Path) -> None:
    with create(tmp_path / "lake") as lake:
        add(lake, "a")
        assert len(list(lake.root.glob("catalog*"))) == 4
        assert modes(lake.root) == {"0o600"}


@pytest.mark.usefixtures("umask")
def test_catalog_in_a_setgid_folder_is_for_the_group(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.mkdir()
    root.chmod(0o2775)
    with create(root) as lake:
        add(lake, "a")
        assert modes(root) == {"0o660"}


# -- damage ------------------------------------------------------------------------------------------------------------
def test_newer_catalog_format_is_refused_and_says_what_to_upgrade(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    con = sqlite3.connect(root / "catalog.db")
    con.execute("PRAGMA user_version = 99")
    con.close()
    for read_only in (False, True):
        with pytest.raises(NewerFormat, match="lakehouse-toolkit"):
            Lake.open(root, read_only=read_only)
    with pytest.raises(NewerFormat):
        Lake.create(root, SPECS)


def test_newer_marker_is_refused(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    marker = json.loads((root / "lake.json").read_text())
    (root / "lake.json").write_text(json.dumps({**marker, "format": 2}))
    with pytest.raises(NewerFormat):
        Lake.open(root)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "null", "{}", '{"format": 1}', '{"format": "x", "lake": 1}', "\x00\xff"]
)
def test_damaged_marker_is_refused_naming_it(tmp_path: Path, text: str) -> None:
    root = closed(tmp_path / "lake")
    (root / "lake.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"lake\.json is damaged"):
        Lake.open(root)


def test_missing_catalog_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    (root / "catalog.db").unlink()
    with pytest.raises(InstanceNotFound, match="puts a backup in its place"):
        Lake.open(root)
    with pytest.raises(InstanceNotFound, match="puts a backup in its place"):
        Lake.create(root, SPECS)
    assert not (root / "catalog.db").exists()


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 100, b"\x00" * 4096])
def test_catalog_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    root = closed(tmp_path / "lake")
    (root / "catalog.db").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"catalog\.db"):
        Lake.open(root)


def test_empty_catalog_file_is_refused(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    (root / "catalog.db").write_bytes(b"")
    with pytest.raises(IntegrityError, match="restore it from a backup"):
        Lake.open(root)


# -- network file systems ----------------------------------------------------------------------------------------------
MOUNTS = r"""1 0 0:1 / / rw,relatime shared:1 - ext4 /dev/sda rw
2 1 0:2 / /home rw - nfs4 host:/export rw
3 1 0:3 / /scratch rw - lustre 10.0.0.1@tcp:/fs rw
4 1 0:4 / /mnt/a\040b rw - cifs //host/share rw
5 2 0:5 / /home/ann/local rw - xfs /dev/sdb rw
6 1 0:6 / /run/doc rw - fuse.portal portal rw
7 1 0:7 / /mnt/ssh rw - fuse.sshfs host: rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind", "refused"),
    [
        ("/data/x.db", "ext4", False),
        ("/home/ann/lake/catalog.db", "nfs4", True),
        ("/home/ann/local/catalog.db", "xfs", False),
        ("/homes/catalog.db", "ext4", False),
        ("/scratch/x", "lustre", True),
        ("/mnt/a b/x", "cifs", True),
        ("/mnt/ssh/x", "fuse.sshfs", True),
        ("/run/doc/x", "fuse.portal", False),
    ],
)
def test_network_file_system_is_found_by_its_mount(path: str, kind: str, refused: bool) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind
    if not refused:
        refuse_network_file_system(Path(path), MOUNTS)
        return
    with pytest.raises(Unsupported, match=r"(?s)catalog='/local/path.*postgresql://"):
        refuse_network_file_system(Path(path), MOUNTS)


def test_instance_on_a_network_file_system_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {tmp_path}/nfs rw - nfs host:/x rw\n")
    local = closed(tmp_path / "lake")
    monkeypatch.setattr(place, "_MOUNTS", mounts)
    with pytest.raises(Unsupported, match="network file system"):
        Lake.create(tmp_path / "nfs" / "lake", SPECS)
    assert not (tmp_path / "nfs").exists()
    with Lake.create(tmp_path / "nfs" / "lake", SPECS, catalog=tmp_path / "c.db", options=QUIET) as lake:
        add(lake, "a")
    local.rename(tmp_path / "nfs" / "moved")
    with pytest.raises(Unsupported):
        Lake.open(tmp_path / "nfs" / "moved")


# -- two at once -------------------------------------------------------------------------------------------------------
def _create_and_add(root: str, uid: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    with Lake.create(root, SPECS, options=QUIET) as lake:
        add(lake, uid)


def test_two_processes_that_create_the_same_instance_share_it(tmp_path: Path) -> None:
    start = SPAWN.Barrier(2)
    workers = [SPAWN.Process(target=_create_and_add, args=(str(tmp_path / "lake"), u, start)) for u in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0, 0]
    with Lake.open(tmp_path / "lake", options=QUIET) as lake:
        assert uids(lake) == ["a", "b"]


def _hold(root: str, held: object, done: object) -> None:
    with Lake.open(root, options=QUIET) as lake, lake.catalog.locked():
        held.set()  # type: ignore[attr-defined]
        done.wait(60)  # type: ignore[attr-defined]


def test_lock_held_by_another_process_is_busy_and_reading_goes_on(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    held, done = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(str(root), held, done))
    holder.start()
    assert held.wait(60)
    try:
        with Lake.open(root, options=Options(lock_timeout=0.2, auto_publish=False)) as lake:
            with pytest.raises(Busy, match="another process holds it"):
                add(lake, "c")
            assert uids(lake) == ["a", "b"]
            done.set()
            holder.join(60)
            add(lake, "c")
            assert uids(lake) == ["a", "b", "c"]
    finally:
        done.set()
        holder.join(60)


def _end_while_holding(root: str, held: object) -> None:
    with Lake.open(root, options=QUIET) as lake, lake.catalog.locked() as session:
        session.append("never", 1, "x", None, "half", [])
        held.set()  # type: ignore[attr-defined]
        os.kill(os.getpid(), 9)


def test_lock_of_a_killed_process_is_free_and_its_half_commit_gone(tmp_path: Path) -> None:
    root = closed(tmp_path / "lake")
    held = SPAWN.Event()
    holder = SPAWN.Process(target=_end_while_holding, args=(str(root), held))
    holder.start()
    holder.join(60)
    assert holder.exitcode == -9
    with Lake.open(root, options=QUIET) as lake:
        add(lake, "c")
        assert uids(lake) == ["a", "b", "c"]
        assert "half" not in [c.message for c in lake.commits()]
        lake.run(lambda txn: txn.upsert("label", [label("c", n=3)]))
