"""Restored catalogs, torn entries, foreign commits, lost files, wrong clocks: say so, or heal, and never guess."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.errors import Abandoned, Busy, DataLoss, Diverged, Expired
from tests.faults.scene import Scene, as_model, catalog_rows, delta_rows

pytestmark = pytest.mark.faults


def _log(scene: Scene, table: str = "item") -> Path:
    return scene.root / "tables" / table / "_delta_log"


def _entries(scene: Scene) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(scene.root.glob("tables/*/_delta_log/*"))}


def _published(scene: Scene, rounds: int = 4) -> Scene:
    for _ in range(rounds):
        scene.work()
        scene.a.flush()
    return scene


def _refuses(scene: Scene) -> None:
    """It diverged: neither log nor catalog changes, the lease is free, and reading goes on."""
    before, rows = _entries(scene), catalog_rows(scene.b, "mirror")
    for _ in range(2):
        with pytest.raises(Diverged):
            scene.b.flush(timeout=1)
    with pytest.raises(Diverged):
        scene.b.vacuum()
    assert _entries(scene) == before
    assert catalog_rows(scene.b, "mirror") == rows


# -- catalogs from a backup ----------------------------------------------------------------------------------------
@pytest.mark.catalogs("sqlite")  # the file is exchanged
@pytest.mark.parametrize("published_before", [0, 2])
def test_a_catalog_restored_from_an_old_backup_diverges_and_changes_nothing(
    published_before: int, scene: Scene, tmp_path: Path
) -> None:
    _published(scene, published_before)
    scene.work(times=2)
    backup = tmp_path / "backup.db"
    with sqlite3.connect(scene.root / "catalog.db") as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    states, count = dict(scene.states), scene.count
    scene.work(times=3)
    scene.a.flush()
    scene.close()
    for suffix in ("-wal", "-shm"):
        (scene.root / f"catalog.db{suffix}").unlink(missing_ok=True)
    shutil.move(backup, scene.root / "catalog.db")
    scene.b, scene.states, scene.count = scene.actor(), states, count + 10  # other commits than those that were lost
    scene.work(times=4)
    _refuses(scene)
    assert as_model(catalog_rows(scene.b, "item")) == scene.rows


# -- logs ----------------------------------------------------------------------------------------------------------
def _empty_entry(entry: Path, file: Path) -> None:
    entry.write_bytes(b"")


def _half_entry(entry: Path, file: Path) -> None:
    entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])


def _empty_file(entry: Path, file: Path) -> None:
    file.write_bytes(b"")


def _short_file(entry: Path, file: Path) -> None:
    os.truncate(file, file.stat().st_size - 9)


def _no_file(entry: Path, file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("tear", [_empty_entry, _half_entry, _empty_file, _short_file, _no_file])
def test_a_torn_last_entry_is_removed_and_published_again(tear: Callable[[Path, Path], None], scene: Scene) -> None:
    scene.work(times=5)
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    files = sorted((scene.root / "tables" / "item").glob("p-*.parquet"))
    tear(max(_log(scene).glob("*.json")), files[-1])
    scene.settle(scene.b)


def test_a_torn_entry_below_the_last_diverges(scene: Scene) -> None:
    scene.work(times=2)
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    entry = max(_log(scene).glob("*.json"))
    shutil.copy(entry, entry.with_name(f"{int(entry.stem) + 1:020d}.json"))
    entry.write_bytes(b"")
    _refuses(scene)


def test_a_foreign_commit_diverges(scene: Scene) -> None:
    _published(scene, 2)
    DeltaTable(str(_log(scene).parent)).alter.set_table_properties({"delta.appendOnly": "false"})
    scene.work()
    _refuses(scene)


def test_a_foreign_commit_over_an_orphan_diverges(scene: Scene) -> None:
    _published(scene, 2)
    scene.work()
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    DeltaTable(str(_log(scene).parent)).alter.set_table_properties({"delta.appendOnly": "false"})
    _refuses(scene)


def test_a_gap_above_the_publication_diverges(scene: Scene) -> None:
    _published(scene)
    scene.work()
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    entry = max(_log(scene).glob("*.json"))
    entry.rename(entry.with_name(f"{int(entry.stem) + 1:020d}.json"))
    _refuses(scene)


def test_a_lost_published_entry_diverges(scene: Scene) -> None:
    _published(scene)
    max(_log(scene).glob("*.json")).unlink()
    scene.work()
    _refuses(scene)


def test_a_gap_that_no_checkpoint_covers_diverges(scene: Scene) -> None:
    _published(scene, 1)
    min(_log(scene).glob("*.json")).unlink()
    scene.work()
    with pytest.raises(Diverged, match="cannot be opened"):
        scene.b.flush(timeout=1)
    assert as_model(catalog_rows(scene.b, "item")) == scene.rows


def test_a_deleted_log_diverges(scene: Scene) -> None:
    _published(scene)
    shutil.rmtree(_log(scene))
    scene.work()
    _refuses(scene)


@pytest.mark.parametrize("left", [b"", None], ids=["empty", "gone"])
def test_a_checkpoint_that_a_power_failure_tore_is_removed(left: bytes | None, scene: Scene) -> None:
    _published(scene, 5)
    checkpoints = list(_log(scene).glob("*.checkpoint.parquet"))
    assert checkpoints
    for path in checkpoints:
        path.unlink() if left is None else path.write_bytes(left)
    scene.work()
    scene.settle(scene.actor())


def test_a_lost_data_file_is_named(scene: Scene) -> None:
    _published(scene)
    for path in (scene.root / "tables" / "item").glob("*.parquet"):
        path.unlink()
    with pytest.raises(DataLoss, match="parquet is gone"):
        scene.actor().snapshot().get("item", "i001")


def test_a_damaged_data_file_is_named(scene: Scene) -> None:
    _published(scene)
    for path in (scene.root / "tables" / "item").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataLoss, match="parquet is damaged"):
        scene.actor().snapshot().get("item", "i001")


# -- clocks, pins, leases ------------------------------------------------------------------------------------------
def test_a_clock_set_back_a_day_still_publishes_and_commit_times_grow(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, real_ns = time.time, time.time_ns
    patient = scene.actor(lease=30.0)
    _published(scene, 3)
    scene.interrupted("publish.leased", patient.publisher.publish)  # a lease that was taken
    with scene.a.catalog.locked() as session:
        session.set_lease("the dead", real() + 30.0, new_epoch=True)
    with pytest.raises(Busy):
        scene.b.flush(timeout=0.1)
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 86_400 * 10**9)
    scene.work(times=4)
    scene.settle(scene.b)
    scene.b.vacuum()
    scene.work(times=2)
    scene.settle(scene.a)
    times = [commit.at for commit in scene.a.commits()]
    assert all(later > earlier for later, earlier in itertools.pairwise(times))


def test_a_pin_whose_time_is_over_keeps_nothing(scene: Scene) -> None:
    _published(scene, 2)
    with scene.a.pinned(seconds=0.0) as commit:
        time.sleep(0.001)
        _published(scene, 3)
        scene.a.vacuum()
        with pytest.raises(Expired):
            catalog_rows(scene.actor(), "item", commit)
    with pytest.raises(Expired), scene.a.pinned(commit):
        raise AssertionError("an expired commit was pinned")
    scene.settle(scene.b)


def test_a_transaction_planned_before_the_horizon_expires(scene: Scene) -> None:
    scene.work()
    old = scene.a.begin()
    old.insert("mirror", [{"uid": "late"}])
    _published(scene, 3)
    scene.b.vacuum()
    with pytest.raises(Expired):
        scene.a.commit(old)
    assert "late" not in as_model(delta_rows(scene.root, "mirror"))


def test_a_ratification_after_the_lease_was_lost_is_abandoned(scene: Scene) -> None:
    _published(scene, 2)
    with pytest.raises(Abandoned), scene.a.catalog.locked(epoch=1):
        raise AssertionError("an old lease was honoured")
