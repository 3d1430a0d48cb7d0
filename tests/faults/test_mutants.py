"""Rules broken on purpose: each script passes with the engine as it is and fails with its rule broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from lakehouse.engine import commit as commit_module
from lakehouse.engine import faults, plan, publish, recovery, retention, session_sql, unique
from lakehouse.engine.folder import table_folder
from lakehouse.errors import Conflict, Diverged, Duplicate, LakehouseError, SchemaChanged
from tests.faults.scene import TABLES, Scene, as_model, catalog_rows
from tests.faults.test_zombies import go_on, prepare, sleep_at

pytestmark = pytest.mark.faults
Script = Callable[[Scene], None]
Patch = pytest.MonkeyPatch


# -- scripts -------------------------------------------------------------------------------------------------------
def zombie(point: str, script: str) -> Script:
    """Return the script of a publisher that sleeps at a point while others act."""

    def run(scene: Scene) -> None:
        prepare(scene, point)
        happened = sleep_at(scene, point, 1, script)
        scene.a.publisher.publish()
        faults.install(None)
        assert happened()
        go_on(scene)

    return run


def old_commits_are_read_after_publishing(scene: Scene) -> None:
    scene.work(times=3)
    scene.a.flush()
    scene.work()
    scene.a.flush()
    for commit, rows in scene.states.items():
        if commit >= 2:  # both tables are there
            assert as_model(catalog_rows(scene.actor(), "mirror", commit)) == rows


def restored_catalog_is_noticed(scene: Scene) -> None:
    """As after a restored backup: the lake's id is known, the commits that Delta shows are others."""
    scene.work(times=2)
    scene.a.flush()
    scene.work(times=2)
    scene.interrupted("publish.log_synced", scene.a.publisher.publish)
    with scene.a.catalog.locked() as session:
        session._db.run("UPDATE commits SET uid = 'another' WHERE id = (SELECT max(id) FROM commits)")
    with pytest.raises(Diverged):
        scene.b.flush(timeout=1)


def conflict_between_check_and_lock_is_refused(scene: Scene) -> None:
    scene.work(times=2)
    txn = scene.a.begin()
    txn.insert("mirror", [{"uid": "race", "val": 1, "name": "name of race"}])

    def hook(name: str) -> None:
        if name == "commit.checked":
            faults.install(None)
            scene.b.run(lambda other: other.upsert("mirror", [{"uid": "race", "val": 2, "name": "name of race"}]))

    faults.install(hook)
    with pytest.raises(Conflict):
        scene.a.commit(txn)


def pinned_state_outlives_vacuum(scene: Scene) -> None:
    scene.work(times=2)
    scene.a.flush()
    scene.work(times=2)
    with scene.a.pinned() as commit:
        before = catalog_rows(scene.a, "item", commit)
        scene.work()
        scene.a.flush()
        scene.work()
        scene.a.flush()
        scene.a.vacuum()
        for table in TABLES:
            assert as_model(catalog_rows(scene.actor(), table, commit)) == scene.states[commit]
        assert catalog_rows(scene.actor(), "item", commit) == before


def freed_names_are_free(scene: Scene) -> None:
    scene.a.run(lambda txn: txn.insert("item", [{"uid": "one", "name": "taken"}, {"uid": "two", "name": "too"}]))
    scene.a.run(lambda txn: txn.delete("item", ["one"]))
    scene.b.run(lambda txn: txn.upsert("item", [{"uid": "two", "name": "taken"}]))
    scene.b.run(lambda txn: txn.insert("item", [{"uid": "three", "name": "too"}]))
    with pytest.raises(Duplicate):
        scene.a.run(lambda txn: txn.insert("item", [{"uid": "four", "name": "taken"}]))


def younger_schema_is_a_conflict(scene: Scene) -> None:
    scene.work(times=2)
    txn = scene.a.begin()
    txn.insert("item", [{"uid": "late", "name": "name of late"}])
    scene.evolve(scene.b)
    scene.work(scene.b)
    with pytest.raises(SchemaChanged):
        scene.a.commit(txn)


def names_are_taken_once_within_a_transaction(scene: Scene) -> None:
    def plan_both(txn: Any) -> None:
        txn.upsert("item", [{"uid": "one", "name": "twice"}])
        many = [{"uid": f"b{n:04}", "name": f"name {n}"} for n in range(unique._BULK + 1)]
        txn.insert("item", [*many, {"uid": "two", "name": "twice"}])

    with pytest.raises(Duplicate):
        scene.a.run(plan_both)


def swept_staged_files_are_staged_again(scene: Scene) -> None:
    scene.work()
    scene.a.flush()
    scene.count = 2  # the next commit inserts in bulk

    def hook(name: str) -> None:
        if name == "commit.staged":
            faults.install(None)
            scene.b.vacuum()

    faults.install(hook)
    scene.work(scene.a)
    scene.settle(scene.b)


def head_stays_at_the_newest(scene: Scene) -> None:
    prepare(scene, "publish.before_head")
    sleep_at(scene, "publish.before_head", 1, "wp")
    scene.a.publisher.publish()
    faults.install(None)
    head = json.loads((scene.root / "head.json").read_text())
    assert head["commit"] == scene.b.head()
    scene.agree(scene.b)


def unknown_compaction_is_noticed(scene: Scene) -> None:
    """As after a restored backup: the log shows a compaction that the catalog never intended."""
    for _ in range(4):
        scene.work()
        scene.a.flush()
    scene.interrupted("compact.log_synced", scene.a.compact)
    with scene.a.catalog.locked() as session:
        session._db.run("DELETE FROM intent")
    with pytest.raises(Diverged):
        scene.b.flush(timeout=1)


def head_json_outlives_a_vacuum_after_a_compaction_that_died(scene: Scene) -> None:
    for _ in range(4):
        scene.work()
        scene.a.flush()
    scene.interrupted("compact.ratified", scene.a.compact)
    scene.b.vacuum()
    scene.agree(scene.b)


# -- mutants -------------------------------------------------------------------------------------------------------
def blind_publication(patch: Patch) -> None:
    """The publication is recorded without compare-and-set and without looking at the epoch."""

    def ratify(self: Any, table: str, old: int, new: Any, adds: Any, removes: Any, epoch: int) -> None:
        with self._catalog.locked() as session:
            db = session._db
            db.run("DELETE FROM publication WHERE tbl = ? AND version = ?", table, new.version)
            db.run("INSERT INTO publication VALUES(?, ?, ?, 0)", table, new.version, new.commit)
            for f in adds:
                db.run("DELETE FROM file WHERE tbl = ? AND path = ?", table, f.path)
                db.many(
                    "INSERT INTO file VALUES(?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                    [session._file_row(table, f, new.commit)],
                )
            for path in removes:
                db.run("UPDATE file SET died = ? WHERE tbl = ? AND path = ?", new.commit, table, path)

    patch.setattr(publish.Publisher, "ratify", ratify)


def publishing_drops_changes(patch: Patch) -> None:
    real = session_sql.SqlSession.ratify

    def ratify(self: Any, table: str, old: int, new: Any, *rest: Any) -> bool:
        done = real(self, table, old, new, *rest)
        self._db.run("DELETE FROM change WHERE tbl = ? AND id <= ?", table, new.commit)
        return done

    patch.setattr(session_sql.SqlSession, "ratify", ratify)


def recovery_trusts_the_lake_id(patch: Patch) -> None:
    patch.setattr(recovery.Recovery, "_is_ours", lambda self, table, entry, published: entry.note.lake == self._lake)


def requirements_checked_before_the_lock_only(patch: Patch) -> None:
    patch.setattr(commit_module.Committer, "_admit", lambda *_: None)


def vacuum_takes_the_horizon_literally(patch: Patch) -> None:
    real = session_sql.SqlSession.advance_horizon

    def advance(self: Any, oldest: int, swept_before: int) -> None:
        real(self, oldest, swept_before)
        self._db.run("DELETE FROM change WHERE id <= (SELECT oldest_readable FROM meta)")

    patch.setattr(session_sql.SqlSession, "advance_horizon", advance)


def orphans_swept_by_age(patch: Patch) -> None:
    real = retention.Retention._sweep

    def sweep(self: Any, table: str) -> int:
        with self._catalog.read() as session:
            used = session.referenced_paths(table)
        folder = table_folder(self._root, table)
        for name in folder.names():
            if name.startswith("p-") and name.endswith(".parquet") and name not in used:
                folder.remove(name)
        return real(self, table)

    patch.setattr(retention.Retention, "_sweep", sweep)


def head_replaced_without_lock(patch: Patch) -> None:
    real = publish.Publisher._write_head

    def write(self: Any, target: int, epoch: int) -> None:
        class Unlocked:
            read = self._catalog.read

            def locked(self, epoch: int) -> Any:
                return nullcontext(type("Session", (), {"set_head_json": lambda *_: None})())

        guarded, self._catalog = self._catalog, Unlocked()
        try:
            real(self, target, epoch)
        finally:
            self._catalog = guarded

    patch.setattr(publish.Publisher, "_write_head", write)


def names_are_not_released(patch: Patch) -> None:
    patch.setattr(session_sql.SqlSession, "release", lambda *_: None)


def schemas_are_not_compared(patch: Patch) -> None:
    patch.setattr(commit_module.Committer, "_refuse_other_schema", lambda *_: None)


def claims_are_not_merged(patch: Patch) -> None:
    patch.setattr(plan, "merged", lambda claims: claims)


def staged_files_are_trusted(patch: Patch) -> None:
    patch.setattr(commit_module.Committer, "_admit", lambda *_: None)


def compactions_are_trusted(patch: Patch) -> None:
    patch.setattr(recovery.Recovery, "_is_intended", lambda *_: True)


def vacuum_leaves_head_json(patch: Patch) -> None:
    patch.setattr(publish.Publisher, "renew_head", lambda *_: None)


SCRIPTS: dict[str, Script] = {
    "a sleeper before its publication": zombie("publish.log_synced", "wpw"),
    "a sleeper before its Delta commit": zombie("publish.before_delta", "v"),
    "a sleeper before head.json": head_stays_at_the_newest,
    "old commits": old_commits_are_read_after_publishing,
    "a restored catalog": restored_catalog_is_noticed,
    "a conflict between check and lock": conflict_between_check_and_lock_is_refused,
    "a pinned state": pinned_state_outlives_vacuum,
    "freed names": freed_names_are_free,
    "a younger schema": younger_schema_is_a_conflict,
    "a name twice in a transaction": names_are_taken_once_within_a_transaction,
    "swept staged files": swept_staged_files_are_staged_again,
    "a compaction of another history": unknown_compaction_is_noticed,
    "a vacuum after a compaction": head_json_outlives_a_vacuum_after_a_compaction_that_died,
}
MUTANTS: list[tuple[Callable[[Patch], None], str]] = [
    (blind_publication, "a sleeper before its publication"),
    (publishing_drops_changes, "old commits"),
    (recovery_trusts_the_lake_id, "a restored catalog"),
    (requirements_checked_before_the_lock_only, "a conflict between check and lock"),
    (vacuum_takes_the_horizon_literally, "a pinned state"),
    (orphans_swept_by_age, "a sleeper before its Delta commit"),
    (head_replaced_without_lock, "a sleeper before head.json"),
    (names_are_not_released, "freed names"),
    (schemas_are_not_compared, "a younger schema"),
    (claims_are_not_merged, "a name twice in a transaction"),
    (staged_files_are_trusted, "swept staged files"),
    (compactions_are_trusted, "a compaction of another history"),
    (vacuum_leaves_head_json, "a vacuum after a compaction"),
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_engine_passes_every_script(script: str, scene: Scene) -> None:
    SCRIPTS[script](scene)


@pytest.mark.parametrize(("mutant", "script"), [pytest.param(m, s, id=m.__name__) for m, s in MUTANTS])
def test_every_broken_rule_is_caught(
    mutant: Callable[[Patch], None], script: str, scene: Scene, monkeypatch: Patch
) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, LakehouseError, KeyError, OSError, pytest.fail.Exception)):
        SCRIPTS[script](scene)
