"""A disk that is full, or may not be written any more, from some point on: typed errors, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from formats.durable import write_durably
from lakehouse.engine import faults
from lakehouse.engine.backup import back_up
from lakehouse.engine.rebuild import rebuild
from lakehouse.engine.restore import restore
from lakehouse.errors import Busy, LakehouseError, ReadOnly, Unavailable
from tests.faults.scene import OPTIONS, TABLES, Scene, as_model, catalog_rows, open_lake
from tests.faults.test_zombies import go_on, prepare

pytestmark = pytest.mark.faults
GROUPS = {
    "commit": ["commit.planned", "file.before_fsync", "commit.staged", "commit.checked"],
    "lock": ["lock.taken", "lock.mid_append", "lock.before_commit", "commit.done"],
    "publish": sorted(p for p in faults.POINTS if p.startswith("publish.") and p != "publish.created"),
    "recover": sorted(p for p in faults.POINTS if p.startswith("recover.")),
    "vacuum": sorted(p for p in faults.POINTS if p.startswith("vacuum.")),
}
is_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can do that")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("this system lets no disk be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read; the temporary folders of tests are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="lakehouse-stages-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def _act(scene: Scene, point: str) -> Callable[[], object]:
    """Return what passes a point."""
    if point.startswith(("commit.", "lock.", "file.")):
        scene.count += 2 - scene.count % 3  # the next commit inserts in bulk
        return lambda: scene.work(scene.a)
    return scene.a.vacuum if point.startswith("vacuum.") else scene.a.publisher.publish


def _strike(scene: Scene, point: str, blow: Callable[[], None], heal: Callable[[], None]) -> None:
    """Let a blow fall at a point; what fails fails with a typed error, and reading goes on."""
    prepare(scene, point)
    act, fallen = _act(scene, point), []

    def hook(name: str) -> None:
        if name == point and not fallen:
            fallen.append(name)
            blow()

    faults.install(hook)
    try:
        act()
    except (LakehouseError, OSError) as error:
        assert str(error)
    finally:
        faults.install(None)
        try:
            if fallen:
                for table in TABLES:
                    assert as_model(catalog_rows(scene.a, table)) == scene.rows, f"reading {table} while it lasts"
        finally:
            heal()
    assert fallen, f"{point} was not reached"
    go_on(scene)


@is_root
@pytest.mark.parametrize("group", GROUPS)
def test_a_disk_that_is_full_from_some_point_on_loses_nothing(group: str, small_disk: Path) -> None:
    for point in GROUPS[group]:
        scene = Scene(small_disk / point)
        try:
            _strike(scene, point, lambda: _fill(small_disk), (small_disk / "filler").unlink)
        except BaseException as error:
            error.add_note(f"at {point}")
            raise
        finally:
            scene.close()
            shutil.rmtree(small_disk / point)


@is_root
@pytest.mark.parametrize("group", GROUPS)
def test_folders_that_may_not_be_written_from_some_point_on_lose_nothing(group: str, open_folder: Path) -> None:
    for point in GROUPS[group]:
        scene = Scene(open_folder / point)
        try:
            _strike(scene, point, lambda: os.seteuid(65534), lambda: os.seteuid(0))
        except BaseException as error:
            error.add_note(f"at {point}")
            raise
        finally:
            os.seteuid(0)
            scene.close()


@is_root
@pytest.mark.parametrize("point", ["publish.leased", "publish.before_delta", "publish.before_head"])
@pytest.mark.parametrize("published", [False, True])
def test_a_flush_that_may_not_write_says_so_at_once_and_not_that_another_is_at_work(
    point: str, published: bool, open_folder: Path
) -> None:
    scene = Scene(open_folder / "lake")
    try:
        scene.work(times=2)
        if published:
            scene.a.flush()
            scene.work()
        faults.install(lambda name: os.seteuid(65534) if name == point else None)
        with pytest.raises((LakehouseError, OSError), match=r"[Pp]ermission denied") as raised:
            scene.a.flush(timeout=60)
        assert not isinstance(raised.value, Busy)
        assert "\x1b" not in str(raised.value)
    finally:
        os.seteuid(0)
        faults.install(None)
    scene.settle(scene.b)
    scene.close()


@is_root
def test_a_backup_and_a_rebuilt_catalog_need_space_and_leave_nothing_half(small_disk: Path, tmp_path: Path) -> None:
    scene = Scene(small_disk / "lake")
    scene.work(times=4)
    scene.settle(scene.a)
    good = back_up(scene.a.catalog, tmp_path / "good.db").path
    _fill(small_disk)
    with pytest.raises((LakehouseError, OSError)):
        back_up(scene.a.catalog, small_disk / "half.db")
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "lake"]
    scene.close()
    before = (scene.root / "catalog.db").read_bytes()
    with pytest.raises((LakehouseError, OSError)):
        restore(scene.root, good, options=OPTIONS)
    assert (scene.root / "catalog.db").read_bytes() == before
    (scene.root / "catalog.db").unlink()
    with pytest.raises((LakehouseError, OSError)):
        rebuild(scene.root, options=OPTIONS)
    assert not (scene.root / "catalog.db").exists()
    (small_disk / "filler").unlink()
    rebuild(scene.root, options=OPTIONS)
    with open_lake(scene.root) as lake:
        for table in TABLES:
            assert as_model(catalog_rows(lake, table)) == scene.rows


@is_root
def test_bytes_that_do_not_fit_leave_no_half_object(small_disk: Path) -> None:
    _fill(small_disk)
    with pytest.raises(OSError, match="No space left"):
        write_durably(small_disk / "object", b"x" * 100_000)
    assert [p.name for p in small_disk.iterdir()] == ["filler"]


@contextmanager
def _read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@is_root
def test_a_read_only_disk_is_read_and_refuses_everything_else(small_disk: Path) -> None:
    scene = Scene(small_disk / "lake")
    scene.work(times=4)
    scene.settle(scene.a)
    scene.work()
    scene.close()
    files = {p: p.stat().st_mtime_ns for p in small_disk.rglob("*") if p.is_file()}
    with _read_only(small_disk):
        with pytest.raises((ReadOnly, Unavailable)):
            open_lake(scene.root)
        with type(scene.a).open(scene.root, options=OPTIONS, read_only=True) as lake:
            for table in TABLES:
                assert as_model(catalog_rows(lake, table)) == scene.rows
            for refused in (lake.begin, lake.publisher.publish, lake.vacuum, lambda: lake.ensure([])):
                try:
                    refused()
                except LakehouseError as error:
                    assert isinstance(error, ReadOnly), error
        with pytest.raises((LakehouseError, OSError)):
            back_up(lake.catalog, small_disk / "b.db")
    assert {p: p.stat().st_mtime_ns for p in small_disk.rglob("*") if p.is_file()} == files
