"""A check finds what was harmed, says where, and changes nothing; a vacuum says beforehand what it would do."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.engine import Lake
from lakehouse.engine.check import check
from lakehouse.engine.findings import CheckReport, Severity
from tests.faults.scene import Die, die_at
from tests.unit.engine.support import add, label, once_at, plain, quiet, rows_of, uids

Make = Callable[..., Lake]


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Return a lake with published rows, a tail, and a staged file."""
    add(lake, "a", "b", "c")
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    lake.flush()
    lake.run(lambda txn: txn.upsert("label", [label("a", n=1)]))
    lake.flush()
    add(lake, "tail")
    return lake


def _again(lake: Lake, *, deep: bool = False) -> CheckReport:
    """Check as another process would, with nothing in memory, and see that nothing was changed."""
    files = {p: p.stat().st_mtime_ns for p in lake.root.rglob("*") if p.is_file() and "catalog" not in p.name}
    with Lake.open(lake.root, options=quiet(), read_only=True) as reader:
        report = check(reader, deep=deep)
    assert {p: p.stat().st_mtime_ns for p in files} == files
    return report


def _harm(report: CheckReport) -> set[tuple[str, str]]:
    return {(finding.kind, finding.where.split("/p-")[0]) for finding in report.of(Severity.HARM)}


def _data_file(lake: Lake, table: str = "label") -> Path:
    uri = DeltaTable(str(lake.root / "tables" / table)).file_uris()[0]
    return lake.root / "tables" / table / uri.rsplit("/", 1)[-1]


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_lake_has_no_findings(filled: Lake, deep: bool) -> None:
    seen: list[tuple[int, int | None]] = []
    report = check(filled, deep=deep, progress=lambda done, total: seen.append((done, total)))
    assert report.ok and not report.of(Severity.WARNING)
    assert (report.commit, report.tables, report.deep) == (filled.head(), 3, deep)
    assert report.files == seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("table", ["label", "link"])
def test_a_missing_file_is_harm_that_names_it(filled: Lake, table: str) -> None:
    path = _data_file(filled, table)
    path.unlink()
    report = _again(filled)
    assert ("missing", f"tables/{table}") in _harm(report)
    assert any(path.name in finding.where for finding in report.findings)


def test_a_file_of_another_size_is_changed(filled: Lake) -> None:
    os.truncate(_data_file(filled), 50)
    assert ("changed", "tables/label") in _harm(_again(filled))


def test_changed_bytes_are_found_by_a_deep_check_alone(filled: Lake) -> None:
    path = _data_file(filled)
    data = bytearray(path.read_bytes())
    data[4:60] = bytes(reversed(data[4:60]))
    path.write_bytes(data)
    assert ("damaged", "tables/label") in _harm(_again(filled, deep=True))


def test_all_faults_are_found_at_once(filled: Lake) -> None:
    _data_file(filled, "label").unlink()
    DeltaTable(str(filled.root / "tables" / "link")).alter.set_table_properties({"delta.appendOnly": "false"})
    (filled.root / "head.json").write_text("{}")
    report = _again(filled)
    assert {("missing", "tables/label"), ("diverged", "tables/link")} <= _harm(report)
    assert [finding.where for finding in report.of(Severity.WARNING)] == ["head.json"]


@pytest.mark.parametrize("what", ["foreign", "log deleted", "entry lost", "files swapped"])
def test_a_log_that_is_not_the_catalogs_is_diverged(filled: Lake, what: str) -> None:
    log = filled.root / "tables" / "label" / "_delta_log"
    if what == "foreign":
        DeltaTable(str(log.parent)).alter.set_table_properties({"delta.appendOnly": "false"})
    elif what == "log deleted":
        shutil.rmtree(log)
    elif what == "entry lost":
        max(log.glob("*.json")).unlink()
    else:
        entry = max(log.glob("*.json"))
        lines = [json.loads(line) for line in entry.read_text().splitlines()]
        for line in lines:
            if "add" in line:
                shutil.copy(log.parent / line["add"]["path"], log.parent / "p-0-0-0-other.parquet")
                line["add"]["path"] = "p-0-0-0-other.parquet"
        entry.write_text("\n".join(map(json.dumps, lines)))
    assert ("diverged", "tables/label") in _harm(_again(filled))


def test_what_a_dead_publisher_left_is_a_note(filled: Lake) -> None:
    from lakehouse.engine import faults

    faults.install(die_at("publish.after_delta"))
    with pytest.raises(Die):
        filled.publisher.publish()
    faults.install(None)
    report = _again(filled)
    assert report.ok and [f.kind for f in report.findings] == ["unfinished"]
    filled.flush()
    assert not _again(filled).findings


def test_orphans_are_noted_with_their_bytes(filled: Lake) -> None:
    (filled.root / "tables" / "label" / "p-0-0-0-orphan.parquet").write_bytes(b"12345")
    report = _again(filled)
    assert report.ok
    (found,) = [finding for finding in report.findings if finding.kind == "orphaned"]
    assert found.where == "tables/label" and "1 files of 5 bytes" in found.message


def test_a_head_json_of_another_lake_or_of_the_future_is_harm(filled: Lake) -> None:
    path = filled.root / "head.json"
    head = json.loads(path.read_text())
    for change in ({"lake": "another"}, {"commit": 10_000}):
        path.write_text(json.dumps(head | change))
        assert ("diverged", "head.json") in _harm(_again(filled))
    path.write_text(json.dumps(head | {"commit": head["commit"] - 1}))
    assert [f.kind for f in _again(filled).of(Severity.WARNING)] == ["out of step"]


@pytest.mark.catalogs("sqlite")  # its file is changed by hand
def test_broken_references_and_values_held_twice_are_found(filled: Lake) -> None:
    """They cannot come about through the engine: rows are put into the catalog behind its back."""
    con = sqlite3.connect(filled.root / "catalog.db")
    con.execute("DELETE FROM change WHERE tbl = 'label'")  # the row 'tail'
    con.commit()
    con.close()
    with filled.catalog.locked() as session:
        session._db.run("DELETE FROM unique_value WHERE val = 'name of b'")
    filled.states.clear()
    assert ("unguarded", "label") in _harm(_again(filled, deep=True))
    filled.run(lambda txn: txn.insert("label", [label("twin", "name of b")]))
    with filled.catalog.locked() as session:
        body = session._db.rows("SELECT body FROM change WHERE tbl = 'label' ORDER BY id DESC")[0][0]
        session._db.run("UPDATE change SET op = 'upsert', body = ?", body.replace(b"twin", b"a\0\0\0"))
    report = _again(filled)
    assert ("duplicate", "label") in _harm(report)
    assert "name of b" in next(f for f in report.findings if f.kind == "duplicate").message


def test_a_reference_to_a_row_that_is_gone_is_found(filled: Lake) -> None:
    filled.run(lambda txn: txn.delete("label", ["b"]))
    with filled.catalog.locked() as session:
        body = session._db.rows("SELECT body FROM change WHERE op = 'delete'")[0][0]
        session._db.run("UPDATE change SET body = ? WHERE op = 'delete'", body[::-1].replace(b"b", b"a", 1)[::-1])
    report = _again(filled)
    assert ("broken reference", "link.label") in _harm(report)
    assert "l to a" in report.of(Severity.HARM)[0].message


@pytest.mark.catalogs("sqlite")  # its file is changed by hand
def test_a_damaged_catalog_is_found_by_a_deep_check(filled: Lake) -> None:
    for step in range(60):
        add(filled, f"k{step:03}")
    filled.close()
    path = filled.root / "catalog.db"
    con = sqlite3.connect(path)
    (page,) = con.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_commits_1'").fetchone()
    (size,) = con.execute("PRAGMA page_size").fetchone()
    con.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size + 100 : page * size] = b"\xff" * (size - 100)
    path.write_bytes(data)
    with Lake.open(filled.root, options=quiet(), read_only=True) as reader:
        assert ("damaged", "catalog") in _harm(check(reader, deep=True))


def test_a_check_beside_writers_publishers_and_vacuums_finds_no_harm(make: Make) -> None:
    lake = make(retention=0.0, grace=0.0, file_rows=10)
    stop = threading.Event()

    def work() -> None:
        with Lake.open(lake.root, options=quiet(retention=0.0, grace=0.0, file_rows=10, bulk_rows=5)) as other:
            step = 0
            while not stop.is_set():
                step += 1
                other.run(lambda txn, n=step: txn.upsert("label", [label(f"k{n % 20}", n=n)]))
                other.run(lambda txn, n=step: txn.insert("link", [{"uid": f"l{n}", "label": f"k{n % 20}"}]))
                other.flush()
                other.vacuum()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        deadline, reports = time.monotonic() + 4, []
        while time.monotonic() < deadline:
            reports.append(check(lake, deep=True))
    finally:
        stop.set()
        worker.join()
    harm = [finding for report in reports for finding in report.of(Severity.HARM)]
    assert len(reports) > 2 and not harm, harm[:3]


# -- vacuum ------------------------------------------------------------------------------------------------------------
def _changed(lake: Lake, times: int) -> None:
    for step in range(times):
        lake.run(lambda txn, n=step: txn.upsert("label", [label("a", n=n)]))
        lake.flush()


def test_a_preview_says_what_the_vacuum_then_does_and_changes_nothing(make: Make) -> None:
    lake = make(grace=0.0)
    _changed(lake, 4)
    before = sorted(lake.root.rglob("*.parquet"))
    assert lake.retention.preview().files == 0  # within a week
    said = lake.retention.preview(retention=0.0)
    assert said.files > 0 and said.bytes > 0
    assert sorted(lake.root.rglob("*.parquet")) == before
    assert len(rows_of(lake, at=2)) == 0 or uids(lake, at=2) == ["a"], "the preview moved the horizon"
    done = lake.retention.clean(retention=0.0)
    assert done is not None
    assert (done.files, done.bytes, done.oldest_readable) == (said.files, said.bytes, said.oldest_readable)
    assert len(sorted(lake.root.rglob("*.parquet"))) == len(before) - said.files
    assert plain(lake) == rows_of(lake)


def test_pins_and_tags_are_shown_and_kept(make: Make) -> None:
    lake = make(grace=0.0)
    _changed(lake, 2)
    lake.tags.add("paper", 2)
    with lake.pinned(3) as commit:
        _changed(lake, 3)
        report = lake.retention.clean(retention=0.0)
        assert report is not None
        assert [pin.commit for pin in report.pins] == [commit] and report.tags == ("paper",)
        assert report.oldest_readable <= commit
        assert uids(lake, at=commit) == ["a"]


def test_a_vacuum_whose_lease_is_taken_says_so(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    seen: list[object] = []
    with once_at("publish.leased", lambda: seen.append(other.retention.clean())):
        lake.flush()
    assert seen == [None]


def test_values_of_every_retained_commit_are_known(make: Make) -> None:
    lake = make(grace=0.0, retention=3_600.0, bulk_rows=5)
    lake.run(lambda txn: txn.insert("label", [label("a", "first"), label("b", "kept")]))
    lake.flush()
    lake.run(lambda txn: txn.upsert("label", [label("a", "second")]))
    lake.flush()
    lake.run(lambda txn: txn.upsert("label", [label("a", "third")]))
    lake.run(lambda txn: txn.insert("label", [label(f"k{n}", f"bulk {n}") for n in range(9)]))
    lake.run(lambda txn: txn.delete("label", ["b"]))
    bulk = {f"bulk {n}" for n in range(9)}
    assert lake.retention.values("label", "name") == {(name,) for name in {"first", "second", "third", "kept"} | bulk}
    lake.flush()
    lake.retention.clean(retention=0.0)
    assert lake.retention.values("label", "name") == {(name,) for name in {"third"} | bulk}
