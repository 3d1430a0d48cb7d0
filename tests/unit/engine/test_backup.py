"""Backups, restorations and rebuilt catalogs: nothing is swallowed, and what is lost is said."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec, faults
from lakehouse.engine.backup import back_up, examined
from lakehouse.engine.rebuild import rebuild
from lakehouse.engine.restore import restore
from lakehouse.errors import (
    Busy,
    ConfigurationError,
    DataLoss,
    Diverged,
    Duplicate,
    Expired,
    InputError,
    InstanceNotFound,
    IntegrityError,
    NotFound,
    ReferenceMissing,
    StillReferenced,
)
from tests.faults.scene import Die, die_at
from tests.unit.engine.support import LABEL, SPECS, UID, add, label, once_at, plain, quiet, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")  # a Postgres catalog is backed up by its server's own tools

Make = Callable[..., Lake]


def _backed_up(lake: Lake, name: str = "backup.db") -> Path:
    return back_up(lake.catalog, lake.root.parent / name).path


def _opened(root: Path) -> Lake:
    return Lake.open(root, SPECS, options=quiet())


def _settled(root: Path, expected: list[str]) -> None:
    """Catalog and Delta show the same rows, names are guarded, and work goes on."""
    with _opened(root) as lake:
        assert uids(lake) == expected
        lake.flush()
        assert plain(lake) == rows_of(lake)
        if expected:
            with pytest.raises(Duplicate):
                lake.run(lambda txn: txn.insert("label", [label("other", f"name of {expected[0]}")]))
        add(lake, "afterwards")
        lake.flush()
        assert [row["uid"] for row in plain(lake)] == sorted([*expected, "afterwards"])
        lake.vacuum()
        assert plain(lake) == rows_of(lake)
        assert json.loads((root / "head.json").read_text())["commit"] == lake.head()


# -- backup ------------------------------------------------------------------------------------------------------------
def test_a_backup_holds_what_was_committed_and_says_what_it_needs_beside(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    add(lake, "b")
    seen: list[tuple[int, int | None]] = []
    report = back_up(lake.catalog, lake.root.parent / "b.db", progress=lambda done, total: seen.append((done, total)))
    assert report.commit == lake.head() and report.unpublished == 1
    assert {"tables", "storage", "lake.json"} <= set(report.beside)
    assert seen[-1][0] == seen[-1][1]
    assert sorted(p.name for p in lake.root.parent.iterdir()) == ["b.db", "lake"], "something was left beside it"
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o600
    assert examined(report.path).head == lake.head()


def test_a_backup_is_one_commit_while_writers_go_on(lake: Lake, other: Lake) -> None:
    for step in range(30):
        add(lake, f"before{step:02}")
    stop = threading.Event()

    def write() -> None:
        step = 0
        while not stop.is_set():
            step += 1
            other.run(
                lambda txn, n=step: (
                    txn.insert("label", [label(f"w{n}")]),
                    txn.insert("link", [{"uid": f"l{n}", "label": f"w{n}"}]),
                )
            )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        paths = [back_up(lake.catalog, lake.root.parent / f"b{n}.db").path for n in range(5)]
    finally:
        stop.set()
        writer.join()
    for path in paths:
        with sqlite3.connect(path) as con:
            counted = dict(con.execute("SELECT tbl, count(*) FROM change GROUP BY tbl").fetchall())
            head = con.execute("SELECT max(id) FROM commits").fetchone()[0]
        con.close()
        assert counted.get("link", 0) == counted["label"] - 30
        assert head >= counted["label"]


def test_a_backup_replaces_nothing_and_needs_its_folder(lake: Lake, tmp_path: Path) -> None:
    path = _backed_up(lake)
    before = path.read_bytes()
    with pytest.raises(InputError, match="there already"):
        back_up(lake.catalog, path)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="no folder"):
        back_up(lake.catalog, tmp_path / "absent" / "b.db")


# -- restore -----------------------------------------------------------------------------------------------------------
def test_a_backup_of_a_lost_catalog_restores_published_rows_and_the_tail(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    add(lake, "b")
    path = _backed_up(lake)
    lake.close()
    for file in lake.root.glob("catalog.db*"):
        file.unlink()
    with pytest.raises(InstanceNotFound, match=r"lakehouse restore.*lakehouse rebuild"):
        _opened(lake.root)
    report = restore(lake.root, path, options=quiet())
    assert (report.commit, report.given_up, report.realigned) == (3, 0, ())
    _settled(lake.root, ["a", "b"])


def test_a_backup_over_a_damaged_catalog_keeps_the_damaged_one_aside(lake: Lake) -> None:
    add(lake, "a")
    path = _backed_up(lake)
    lake.close()
    (lake.root / "catalog.db").write_bytes(b"no database at all" * 100)
    report = restore(lake.root, path, options=quiet())
    assert report.aside is not None and report.aside.read_bytes().startswith(b"no database")
    _settled(lake.root, ["a"])


def test_a_newer_catalog_is_not_overwritten_unasked(lake: Lake) -> None:
    add(lake, "a")
    path = _backed_up(lake)
    add(lake, "b")
    add(lake, "c")
    lake.close()
    before = (lake.root / "catalog.db").read_bytes()
    with pytest.raises(InputError, match=r"holds 2 commits that the backup lacks.*discard_newer=True"):
        restore(lake.root, path, options=quiet())
    assert (lake.root / "catalog.db").read_bytes() == before
    report = restore(lake.root, path, discard_newer=True, options=quiet())
    assert report.given_up == 2
    assert report.head > 4, "a number of a commit that was given up came to mean another"
    _settled(lake.root, ["a"])


def test_an_open_catalog_is_not_overwritten(lake: Lake) -> None:
    add(lake, "a")
    path = _backed_up(lake)
    add(lake, "b")
    with pytest.raises(Busy, match="another process has"):
        restore(lake.root, path, discard_newer=True, options=quiet())
    add(lake, "c")
    assert uids(lake) == ["a", "b", "c"]
    lake.close()
    _settled(lake.root, ["a", "b", "c"])


@pytest.mark.parametrize("lost", [True, False], ids=["catalog lost", "catalog there"])
def test_commits_that_delta_shows_and_the_backup_lacks_are_not_swallowed(lake: Lake, lost: bool) -> None:
    add(lake, "a")
    lake.flush()
    path = _backed_up(lake)
    add(lake, "b")
    lake.run(lambda txn: txn.delete("label", ["a"]))
    lake.run(lambda txn: txn.insert("event", [{"uid": "e"}]))
    lake.flush()
    lake.close()
    if lost:
        for file in lake.root.glob("catalog.db*"):
            file.unlink()
    with pytest.raises(Diverged if lost else InputError, match=r"discard_newer=True"):
        restore(lake.root, path, options=quiet())
    assert lost != (lake.root / "catalog.db").exists()
    report = restore(lake.root, path, discard_newer=True, options=quiet())
    assert set(report.realigned) == {"label", "event"}
    _settled(lake.root, ["a"])
    with _opened(lake.root) as again:
        assert plain(again, "event") == rows_of(again, "event") == []


def test_columns_that_came_after_the_backup_stay_and_rows_go_back(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    path = _backed_up(lake)
    wide = TableSpec("label", LABEL.schema.append(pa.field("late", pa.string())), unique=LABEL.unique)
    new = TableSpec("added", pa.schema([UID, ("x", pa.int64())]))
    lake.ensure([wide, new])
    lake.run(lambda txn: txn.insert("label", [{**label("b"), "late": "x"}]))
    lake.run(lambda txn: txn.insert("added", [{"uid": "x", "x": 1}]))
    lake.flush()
    lake.close()
    restore(lake.root, path, discard_newer=True, options=quiet())
    with Lake.open(lake.root, [*SPECS, wide, new], options=quiet()) as again:
        assert rows_of(again) == [{**label("a"), "late": None}]
        again.run(lambda txn: txn.insert("label", [{**label("c"), "late": "y"}]))
        again.run(lambda txn: txn.insert("added", [{"uid": "y", "x": 2}]))
        again.flush()
        assert plain(again) == rows_of(again)
        assert plain(again, "added") == [{"uid": "y", "x": 2}]


def test_a_column_declared_before_the_backup_and_published_after_it_is_there_once(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    wide = TableSpec("label", LABEL.schema.append(pa.field("late", pa.string())), unique=LABEL.unique)
    lake.ensure([wide])
    lake.run(lambda txn: txn.insert("label", [{**label("b"), "late": "x"}]))
    path = _backed_up(lake)
    lake.run(lambda txn: txn.insert("label", [{**label("c"), "late": "x"}]))
    lake.flush()
    lake.close()
    restore(lake.root, path, discard_newer=True, options=quiet())
    with Lake.open(lake.root, [wide], options=quiet()) as again:
        assert rows_of(again) == [{**label("a"), "late": None}, {**label("b"), "late": "x"}]
        assert plain(again) == rows_of(again)


def test_a_backup_whose_files_were_vacuumed_is_refused(make: Make) -> None:
    lake = make(retention=0.0, grace=0.0)
    add(lake, "a")
    lake.flush()
    path = _backed_up(lake)
    for step in range(3):
        lake.run(lambda txn, n=step: txn.upsert("label", [label("a", n=n)]))
        lake.flush()
    lake.vacuum()
    lake.close()
    with pytest.raises(DataLoss, match=r"gone or damaged \(such as tables/label/p-.*nothing was changed"):
        restore(lake.root, path, discard_newer=True, options=quiet())
    with _opened(lake.root) as again:
        assert rows_of(again) == [label("a", n=2)]


def test_commits_whose_files_a_vacuum_dropped_after_the_backup_are_expired_and_not_lost(make: Make) -> None:
    lake = make(grace=0.0)
    add(lake, "a")
    lake.flush()
    for step in range(2):
        lake.run(lambda txn, n=step: txn.upsert("label", [label("a", n=n)]))
        lake.flush()
    path, head = _backed_up(lake), lake.head()
    lake.retention.clean(retention=0.0)
    lake.close()
    restore(lake.root, path, options=quiet())
    with _opened(lake.root) as again:
        assert rows_of(again, at=head) == [label("a", n=1)]
        with pytest.raises(Expired):
            rows_of(again, at=head - 1)


def test_what_is_no_backup_of_this_lake_is_refused(lake: Lake, make: Make, tmp_path: Path) -> None:
    foreign = _backed_up(make("foreign"), "foreign.db")
    lake.close()
    with pytest.raises(ConfigurationError, match="is of lake"):
        restore(lake.root, foreign, options=quiet())
    (tmp_path / "text.db").write_text("hello")
    with pytest.raises(IntegrityError, match="no sound catalog"):
        restore(lake.root, tmp_path / "text.db", options=quiet())
    with pytest.raises(NotFound):
        restore(lake.root, tmp_path / "absent.db", options=quiet())
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(IntegrityError, match="holds no catalog"):
        restore(lake.root, tmp_path / "empty.db", options=quiet())
    half = tmp_path / "half.db"
    half.write_bytes(foreign.read_bytes()[: foreign.stat().st_size // 2])
    with pytest.raises(IntegrityError):
        restore(lake.root, half, options=quiet())
    with _opened(lake.root) as again:
        assert uids(again) == []


def test_a_restoration_that_dies_half_way_can_be_run_again(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    path = _backed_up(lake)
    add(lake, "b")
    lake.run(lambda txn: txn.insert("event", [{"uid": "e"}]))
    lake.flush()
    lake.close()
    for point in ("restore.realigned", "restore.before_put", "restore.put"):
        with pytest.raises(Die), once_at(point, lambda: die_at("x")("x")):
            restore(lake.root, path, discard_newer=True, options=quiet())
        assert [p.name for p in lake.root.glob(".tmp-*")] == []
    restore(lake.root, path, discard_newer=True, options=quiet())
    _settled(lake.root, ["a"])


# -- rebuild -----------------------------------------------------------------------------------------------------------
def _lose_catalog(lake: Lake) -> None:
    lake.close()
    for file in lake.root.glob("catalog.db*"):
        file.unlink()


def _filled(lake: Lake) -> None:
    add(lake, "a", "b")
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    lake.run(lambda txn: txn.insert("label", [label(f"k{n:04}") for n in range(1_500)]))
    lake.flush()
    lake.run(lambda txn: txn.delete("label", ["b"]))
    lake.flush()


def test_a_rebuilt_catalog_shows_what_was_published_with_names_and_references(lake: Lake) -> None:
    _filled(lake)
    published, before = lake.head(), {t: rows_of(lake, t) for t in ("label", "link", "event")}
    uid = lake.commits(1)[0].uid
    add(lake, "tail")
    _lose_catalog(lake)
    report = rebuild(lake.root, options=quiet())
    assert (report.commit, report.uid, report.lost, report.consistent) == (published, uid, None, True)
    assert report.without_rules == report.realigned == ()
    assert report.rows == {"label": 1_501, "link": 1}
    with _opened(lake.root) as again:
        assert {t: rows_of(again, t) for t in ("label", "link", "event")} == before
        with pytest.raises(Duplicate):
            again.run(lambda txn: txn.insert("label", [label("x", "name of k0007")]))
        with pytest.raises(Duplicate):
            again.run(lambda txn: txn.insert("label", [label("a", "another")]))
        with pytest.raises(ReferenceMissing):
            again.run(lambda txn: txn.insert("link", [{"uid": "m", "label": "b"}]))
        with pytest.raises(StillReferenced):
            again.run(lambda txn: txn.delete("label", ["a"]))
        again.run(lambda txn: txn.insert("label", [label("x", "name of b")]))
        again.flush()
        assert plain(again) == rows_of(again)
        assert again.schemas.current("label").schema.equals(LABEL.schema, check_metadata=True)


def test_rules_come_from_the_log_where_no_program_declares_them(lake: Lake) -> None:
    _filled(lake)
    _lose_catalog(lake)
    (lake.root / "head.json").unlink()
    report = rebuild(lake.root, options=quiet())
    assert not report.consistent and report.without_rules == ()
    with Lake.open(lake.root, options=quiet()) as again:
        assert again.schemas.current("label").spec.unique == LABEL.unique
        with pytest.raises(Duplicate):
            again.run(lambda txn: txn.insert("label", [label("x", "name of a")]))
        with pytest.raises(StillReferenced):
            again.run(lambda txn: txn.delete("label", ["a"]))


def test_tables_that_an_unfinished_round_took_further_are_taken_back(lake: Lake) -> None:
    _filled(lake)
    published, expected = lake.head(), uids(lake)
    lake.run(
        lambda txn: (
            txn.insert("label", [label("half")]),
            txn.insert("link", [{"uid": "m", "label": "half"}]),
            txn.insert("event", [{"uid": "e"}]),
        )
    )
    faults.install(die_at("publish.ratified", 2))
    with pytest.raises(Die):
        lake.publisher.publish()
    faults.install(None)
    _lose_catalog(lake)
    report = rebuild(lake.root, options=quiet())
    assert report.commit == published and report.lost == 1 and report.realigned
    _settled(lake.root, expected)
    with _opened(lake.root) as again:
        assert rows_of(again, "event") == plain(again, "event") == []
        assert [row["uid"] for row in plain(again, "link")] == ["l"]


def test_a_lake_of_columns_that_grew_is_rebuilt(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    wide = TableSpec(
        "label", LABEL.schema.append(pa.field("late", pa.string())), unique=(*LABEL.unique, ("late",)), comment="grown"
    )
    lake.ensure([wide])
    lake.run(lambda txn: txn.insert("label", [{**label("b"), "late": "x"}]))
    lake.flush()
    before = rows_of(lake)
    _lose_catalog(lake)
    rebuild(lake.root, options=quiet())
    with Lake.open(lake.root, options=quiet()) as again:
        assert rows_of(again) == before
        assert again.schemas.current("label").spec.comment == "grown"
        with pytest.raises(Duplicate):
            again.run(lambda txn: txn.insert("label", [{**label("c"), "late": "x"}]))


def test_a_lake_that_was_restored_without_its_newest_column_is_rebuilt(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    backup = _backed_up(lake)
    lake.ensure([TableSpec("label", LABEL.schema.append(pa.field("late", pa.string())), unique=LABEL.unique)])
    lake.run(lambda txn: txn.insert("label", [{**label("given up"), "late": "x"}]))
    lake.flush()
    lake.close()
    restore(lake.root, backup, discard_newer=True)
    with _opened(lake.root) as restored:
        add(restored, "b")
        restored.flush()
        before = rows_of(restored)
    _lose_catalog(lake)
    rebuild(lake.root, options=quiet())
    with _opened(lake.root) as again:
        assert rows_of(again) == before
    _settled(lake.root, ["a", "b"])


def test_the_changes_of_commits_that_a_restoration_gave_up_are_empty(lake: Lake) -> None:
    add(lake, "a")
    backup = _backed_up(lake)
    add(lake, "given up")
    newest = lake.head()
    lake.close()
    restore(lake.root, backup, discard_newer=True)
    with _opened(lake.root) as restored:
        assert restored.changes(since=0, until=newest, table="label").arrow()["uid"].to_pylist() == ["a"]


def test_a_sound_catalog_is_not_rebuilt_and_a_damaged_one_kept_aside(lake: Lake) -> None:
    _filled(lake)
    expected = uids(lake)
    lake.close()
    with pytest.raises(InputError, match="is a sound catalog"):
        rebuild(lake.root, options=quiet())
    data = (lake.root / "catalog.db").read_bytes()
    (lake.root / "catalog.db").write_bytes(data[: len(data) // 3])
    for suffix in ("-wal", "-shm"):
        (lake.root / f"catalog.db{suffix}").unlink(missing_ok=True)
    report = rebuild(lake.root, options=quiet())
    assert report.aside is not None and report.aside.exists()
    _settled(lake.root, expected)


def test_what_cannot_be_rebuilt_is_said_and_nothing_is_made(lake: Lake, tmp_path: Path) -> None:
    _filled(lake)
    _lose_catalog(lake)
    file = next(iter((lake.root / "tables" / "link").glob("p-*.parquet")))
    file.rename(tmp_path / "kept")
    with pytest.raises(DataLoss, match="link: 1 published files are gone"):
        rebuild(lake.root, options=quiet())
    assert not (lake.root / "catalog.db").exists()
    assert list(lake.root.glob(".tmp-*")) == []
    (tmp_path / "kept").rename(file)
    rebuild(lake.root, options=quiet())
    with pytest.raises(InstanceNotFound, match="nothing tells which lake"):
        rebuild(tmp_path / "empty", options=quiet())


def test_what_a_first_publication_left_that_failed_does_not_stop_a_rebuilding(lake: Lake) -> None:
    _filled(lake)
    expected = uids(lake)
    _lose_catalog(lake)
    (lake.root / "tables" / "event" / "_delta_log").mkdir(parents=True)
    torn = lake.root / "tables" / "torn" / "_delta_log" / f"{0:020d}.json"
    torn.parent.mkdir(parents=True)
    torn.write_text("{")
    assert set(rebuild(lake.root, options=quiet()).rows) == {"label", "link"}
    _settled(lake.root, expected)


def test_a_lost_marker_is_written_again(lake: Lake) -> None:
    _filled(lake)
    expected, identity = uids(lake), lake.id
    _lose_catalog(lake)
    (lake.root / "lake.json").unlink()
    rebuild(lake.root, options=quiet())
    _settled(lake.root, expected)
    with _opened(lake.root) as again:
        assert again.id == identity


def test_a_log_of_before_rules_were_written_down_is_rebuilt_and_says_so(lake: Lake) -> None:
    _filled(lake)
    expected = uids(lake)
    _lose_catalog(lake)
    for entry in lake.root.glob("tables/*/_delta_log/*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            action.get("commitInfo", {}).get("lakehouse", {}).pop("rules", None)
        entry.write_text("\n".join(map(json.dumps, actions)))
    head = json.loads((lake.root / "head.json").read_text())
    for table in head["tables"].values():
        del table["rules"]
    del head["uid"]
    (lake.root / "head.json").write_text(json.dumps(head))
    report = rebuild(lake.root, options=quiet())
    assert set(report.without_rules) == {"label", "link"}
    with Lake.open(lake.root, options=quiet()) as again:
        assert uids(again) == expected


def test_the_old_catalog_of_a_rebuilt_lake_cannot_publish_over_it(lake: Lake, tmp_path: Path) -> None:
    _filled(lake)
    shutil.copy(_backed_up(lake), tmp_path / "old.db")
    _lose_catalog(lake)
    rebuild(lake.root, options=quiet())
    with _opened(lake.root) as again:
        add(again, "new")
        again.flush()
    for file in lake.root.glob("catalog.db*"):
        file.unlink()
    os.rename(tmp_path / "old.db", lake.root / "catalog.db")
    with Lake.open(lake.root, SPECS, options=quiet()) as zombie:
        add(zombie, "zombie")
        with pytest.raises(Diverged):
            zombie.flush()
        assert "zombie" not in [row["uid"] for row in plain(zombie)]
