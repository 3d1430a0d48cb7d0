"""Further rules broken on purpose: those of retries, clocks, recovery, expiry, restored and rebuilt catalogs, sweeps."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from formats import storage_local, sweep
from lakehouse.engine import faults, rebuild, recovery, restore, session_sql, state, transaction
from lakehouse.engine.backup import back_up
from lakehouse.engine.catalog_postgres import PostgresCatalog
from lakehouse.engine.catalog_sqlite import SqliteCatalog
from lakehouse.engine.placing import Place
from lakehouse.engine.realign import Realigner
from lakehouse.errors import Busy, Diverged, Duplicate, Expired, InputError, LakehouseError
from tests.faults.scene import OPTIONS, TABLES, Die, Scene, as_model, catalog_rows, delta_rows, die_at, open_lake

pytestmark = pytest.mark.faults
Script = Callable[[Scene], None]
Patch = pytest.MonkeyPatch


def _entry(scene: Scene, table: str) -> Path:
    return max((scene.root / "tables" / table / "_delta_log").glob("*.json"))


# -- scripts -------------------------------------------------------------------------------------------------------
def retries_are_found_again(scene: Scene) -> None:
    txns = [scene.a.begin(client_txn="once") for _ in range(2)]
    for txn in txns:
        txn.insert("mirror", [{"uid": "x", "val": 1, "name": "name of x"}])
    assert scene.a.commit(txns[0]) == scene.a.commit(txns[1])


def times_grow(scene: Scene) -> None:
    scene.work()
    real = time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() - 10**12)
        scene.work()
    times = [commit.at for commit in scene.a.commits()]
    assert all(later > earlier for later, earlier in itertools.pairwise(times))


def torn_files_are_not_adopted(scene: Scene) -> None:
    scene.work(times=5)
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    newest = max((scene.root / "tables" / "item").glob("p-*.parquet"), key=lambda p: p.stat().st_mtime_ns)
    os.truncate(newest, newest.stat().st_size - 9)
    scene.settle(scene.b)


def nothing_is_adopted_beside_what_diverged(scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    scene.work()
    scene.interrupted("publish.ratified", scene.a.publisher.publish)  # the first table; both are in Delta below
    scene.a.publisher.publish()
    scene.work()
    scene.interrupted("publish.log_synced", scene.a.publisher.publish)
    entry = _entry(scene, "mirror")
    entry.with_name(f"{int(entry.stem) + 1:020d}.json").write_text('{"commitInfo": {"operation": "WRITE"}}')
    with scene.b.catalog.read() as session:
        before = [session.publication(table, session.head()) for table in TABLES]
    with pytest.raises(Diverged):
        scene.b.flush(timeout=1)
    with scene.b.catalog.read() as session:
        assert [session.publication(table, session.head()) for table in TABLES] == before


def late_removers_remove_nothing(scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    scene.work()
    scene.interrupted("publish.after_delta", scene.a.publisher.publish)
    _entry(scene, "item").write_bytes(b"")

    def others(name: str) -> None:
        if name == "recover.classified":
            faults.install(None)
            scene.settle(scene.b)

    faults.install(others)
    scene.a.publisher.publish()
    scene.settle(scene.b)


def expired_commits_are_refused(scene: Scene) -> None:
    scene.work(times=2)
    old = scene.a.head()
    for _ in range(2):
        scene.work()
        scene.a.flush()
    scene.a.vacuum()
    with pytest.raises(Expired):
        catalog_rows(scene.actor(), "item", old)


def backups_swallow_nothing(scene: Scene) -> None:
    scene.work(times=2)
    path = back_up(scene.a.catalog, scene.root.with_suffix(".backup")).path
    scene.work(times=2)
    scene.close()
    with pytest.raises(InputError):
        restore.restore(scene.root, path, options=OPTIONS)


def numbers_are_not_used_twice(scene: Scene) -> None:
    scene.work(times=2)
    path = back_up(scene.a.catalog, scene.root.with_suffix(".backup")).path
    scene.work(times=2)
    known = {commit.id: commit.uid for commit in scene.a.commits()}
    scene.close()
    restore.restore(scene.root, path, discard_newer=True, options=OPTIONS)
    with open_lake(scene.root) as lake:
        assert all(known.get(commit.id, commit.uid) == commit.uid for commit in lake.commits())


def restored_tables_are_published_again(scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    expected = scene.rows
    path = back_up(scene.a.catalog, scene.root.with_suffix(".backup")).path
    scene.work(times=2)
    scene.a.flush()
    scene.close()
    restore.restore(scene.root, path, discard_newer=True, options=OPTIONS)
    for table in TABLES:
        assert as_model(delta_rows(scene.root, table)) == expected


def commits_of_an_open_process_are_not_lost(scene: Scene) -> None:
    scene.work(times=2)
    path = back_up(scene.a.catalog, scene.root.with_suffix(".backup")).path
    with pytest.raises(Busy):
        restore.restore(scene.root, path, options=OPTIONS)
    scene.work()
    with open_lake(scene.root) as lake:
        assert as_model(catalog_rows(lake, "item")) == scene.rows


def rebuilt_names_are_guarded(scene: Scene) -> None:
    scene.work(times=3)
    scene.a.flush()
    name = f"name of {min(scene.rows)}"
    scene.close()
    (scene.root / "catalog.db").unlink()
    rebuild.rebuild(scene.root, options=OPTIONS)
    with open_lake(scene.root) as lake, pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("item", [{"uid": "thief", "name": name}]))


def half_rounds_are_taken_back(scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    expected = scene.rows
    scene.work()
    faults.install(die_at("publish.ratified"))
    with pytest.raises(Die):
        scene.a.publisher.publish()
    scene.close()
    (scene.root / "catalog.db").unlink()
    rebuild.rebuild(scene.root, options=OPTIONS)
    with open_lake(scene.root) as lake:
        for table in TABLES:
            assert as_model(catalog_rows(lake, table)) == as_model(delta_rows(scene.root, table)) == expected


def touched_objects_are_kept(scene: Scene) -> None:
    place = storage_local.LocalPlace(str(scene.root / "storage"))
    path = "objects/ab/" + "a" * 32
    place.put(path, b"x", "a" * 32, 1, None)
    os.utime(scene.root / "storage" / path, (1, 1))
    before = time.time() - 60
    place.put(path, b"x", "a" * 32, 1, None)
    assert not list(sweep.sweep_objects(scene.root / "storage", lambda _: False, before=before))


def objects_touched_at_the_last_moment_are_kept(scene: Scene) -> None:
    path = scene.root / "storage" / "objects" / "ab" / "abc"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self == path:
            os.utime(path)
        return real(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        list(sweep.sweep_objects(scene.root / "storage", lambda _: False, before=time.time() - 60))
    assert path.exists()


def late_commits_store_their_files_again(scene: Scene) -> None:
    scene.work()
    txn = scene.a.begin()
    txn.storing()
    txn.insert("mirror", [{"uid": "x", "val": 1, "name": "name of x"}])
    time.sleep(0.001)
    scene.b.vacuum()
    with pytest.raises(Expired):
        scene.a.commit(txn)


# -- mutants -------------------------------------------------------------------------------------------------------
def client_transactions_are_not_looked_up(patch: Patch) -> None:
    patch.setattr(session_sql.SqlSession, "outcome", lambda *_: None)


def commits_are_stamped_by_the_clock_alone(patch: Patch) -> None:
    patch.setattr(session_sql, "max", lambda first, *_: first, raising=False)


def files_of_orphans_are_trusted(patch: Patch) -> None:
    patch.setattr(recovery, "is_sound", lambda *_: True)


def tables_are_recovered_one_by_one(patch: Patch) -> None:
    def run(self: Any, epoch: int, ratify: Any) -> None:
        for table in self._schemas.names():
            found = self._classify(table)
            for entry in found.good:
                self._adopt(found, entry, epoch, ratify)

    patch.setattr(recovery.Recovery, "run", run)


def _without_epoch(real: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def locked(self: Any, epoch: int | None = None, **options: Any) -> Any:
        with real(self, **options) as session:
            yield session

    return locked


def epochs_are_not_compared(patch: Patch) -> None:
    for kind in (SqliteCatalog, PostgresCatalog):
        patch.setattr(kind, "locked", _without_epoch(kind.locked))


def horizons_are_not_looked_at(patch: Patch) -> None:
    patch.setattr(state, "refuse_expired", lambda *_: None)


def backups_are_not_compared(patch: Patch) -> None:
    patch.setattr(restore, "_lacking", lambda *_: 0)


def commits_are_counted_on_from_the_backup(patch: Patch) -> None:
    real = restore._Restoration._note
    patch.setattr(
        restore._Restoration,
        "_note",
        lambda self, catalog, head, epoch, **oldest: real(self, catalog, self._said.head + 1, epoch, **oldest),
    )


def logs_are_left_ahead(patch: Patch) -> None:
    patch.setattr(Realigner, "realign", lambda *_: None)


def catalogs_are_renamed_into_place(patch: Patch) -> None:
    patch.setattr(Place, "_overwrite", lambda self: self.draft_path.replace(self.path))


def names_are_not_claimed_again(patch: Patch) -> None:
    patch.setattr(rebuild, "record", lambda *_: None)


def objects_are_not_touched(patch: Patch) -> None:
    patch.setattr(storage_local, "_touched", lambda path: path.exists())


def objects_are_deleted_as_they_were_seen(patch: Patch) -> None:
    def deleted(path: Path, before: float) -> bool:
        doomed = path.rename(path.with_name(".tmp-doomed"))
        doomed.unlink()
        return True

    patch.setattr(sweep, "_deleted", deleted)


def uploads_are_not_remembered(patch: Patch) -> None:
    patch.setattr(transaction.Transaction, "storing", lambda self: None)


Case = tuple[Script, Callable[[Patch], None]]
CASES: list[Case] = [
    (retries_are_found_again, client_transactions_are_not_looked_up),
    (times_grow, commits_are_stamped_by_the_clock_alone),
    (torn_files_are_not_adopted, files_of_orphans_are_trusted),
    (nothing_is_adopted_beside_what_diverged, tables_are_recovered_one_by_one),
    (late_removers_remove_nothing, epochs_are_not_compared),
    (expired_commits_are_refused, horizons_are_not_looked_at),
    (touched_objects_are_kept, objects_are_not_touched),
    (objects_touched_at_the_last_moment_are_kept, objects_are_deleted_as_they_were_seen),
    (late_commits_store_their_files_again, uploads_are_not_remembered),
]
FILES: list[Case] = [
    (backups_swallow_nothing, backups_are_not_compared),
    (numbers_are_not_used_twice, commits_are_counted_on_from_the_backup),
    (restored_tables_are_published_again, logs_are_left_ahead),
    (commits_of_an_open_process_are_not_lost, catalogs_are_renamed_into_place),
    (rebuilt_names_are_guarded, names_are_not_claimed_again),
    (half_rounds_are_taken_back, logs_are_left_ahead),
]
"""Catalogs in files: one in Postgres is backed up and restored by its server's own tools."""
CAUGHT = (AssertionError, LakehouseError, KeyError, OSError, pytest.fail.Exception)


def _scripts(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("script", [pytest.param(script, id=script.__name__) for script, _ in cases])


def _mutants(cases: list[Case]) -> pytest.MarkDecorator:
    found = [pytest.param(script, mutant, id=f"{script.__name__}-{mutant.__name__}") for script, mutant in cases]
    return pytest.mark.parametrize(("script", "mutant"), found)


@_scripts(CASES)
def test_the_engine_passes_every_further_script(script: Script, scene: Scene) -> None:
    script(scene)


@_mutants(CASES)
def test_every_further_broken_rule_is_caught(
    script: Script, mutant: Callable[[Patch], None], scene: Scene, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(CAUGHT):
        script(scene)


@pytest.mark.catalogs("sqlite")
@_scripts(FILES)
def test_the_engine_passes_every_script_of_files(script: Script, scene: Scene) -> None:
    script(scene)


@pytest.mark.catalogs("sqlite")
@_mutants(FILES)
def test_every_broken_rule_of_files_is_caught(
    script: Script, mutant: Callable[[Patch], None], scene: Scene, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(CAUGHT):
        script(scene)
