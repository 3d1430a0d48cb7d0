"""Compaction: the same rows in fewer and fuller files, whatever else goes on."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.changes import DataFile
from lakehouse.engine.compaction import groups_of
from lakehouse.engine.folder import LocalFolder
from lakehouse.engine.recovery import Recovery
from lakehouse.errors import Diverged
from tests.unit.engine.support import UID, add, create, label, once_at, plain, quiet, renames, rows_of, uids

TIGHT = {"file_rows": 20, "bulk_rows": 3, "merge_files": 1_000, "small_rows": 0}


@pytest.fixture
def worn(tmp_path: Path) -> Iterator[Lake]:
    """A lake whose label table has six files of ten rows, all over the same range."""
    with create(tmp_path / "worn", **TIGHT) as lake:
        for turn in range(6):
            add(lake, *(f"{number:03}-{turn:02}" for number in range(10)))
            lake.flush()
        yield lake


def files(lake: Lake, table: str = "label") -> list[DataFile]:
    return sorted(lake.snapshot().state(table).base.files, key=lambda file: file.low)


def overlaps(found: list[DataFile]) -> int:
    return sum(before.high >= after.low for before, after in itertools.pairwise(found))


def test_compaction_leaves_the_same_rows_in_full_files_that_do_not_overlap(worn: Lake) -> None:
    before, commit = rows_of(worn), worn.head()
    done = worn.compact()
    assert (done.removed, done.added, done.rows) == (6, 3, 60)
    assert [file.rows for file in files(worn)] == [20] * 3
    assert not overlaps(files(worn))
    assert rows_of(worn) == plain(worn) == before
    assert worn.head() == commit


def test_compacting_again_finds_nothing_to_do(worn: Lake) -> None:
    worn.compact()
    version = DeltaTable(str(worn.root / "tables" / "label")).version()
    assert worn.compact().removed == 0
    assert DeltaTable(str(worn.root / "tables" / "label")).version() == version


def test_delta_readers_are_told_that_no_row_changed(worn: Lake) -> None:
    published = DeltaTable(str(worn.root / "tables" / "label"))
    worn.compact()
    table = DeltaTable(str(worn.root / "tables" / "label"))
    entry = worn.root / "tables" / "label" / "_delta_log" / f"{table.version():020}.json"
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    changes = [a[kind]["dataChange"] for a in actions for kind in ("add", "remove") if kind in a]
    assert changes and not any(changes)
    assert table.transaction_version(worn.id) == published.transaction_version(worn.id)
    assert sorted(published.to_pyarrow_table()["uid"].to_pylist()) == uids(worn)


def test_head_json_names_the_new_files(worn: Lake) -> None:
    worn.compact()
    head = json.loads((worn.root / "head.json").read_text())
    assert set(head["tables"]["label"]["files"]) == {file.path for file in files(worn)}
    assert head["commit"] == worn.head()


def test_commits_that_are_not_published_stay_what_they_are(worn: Lake) -> None:
    worn.run(renames("003-04", "another"))
    worn.run(lambda txn: txn.delete("label", ["009-05"]))
    before = rows_of(worn)
    worn.compact()
    assert rows_of(worn) == before
    worn.flush()
    assert rows_of(worn) == plain(worn) == before


def test_pinned_readers_and_old_commits_read_on_after_compaction_and_vacuum(tmp_path: Path) -> None:
    with create(tmp_path / "lake", **TIGHT, retention=0.0, grace=0.0) as lake:
        seen = []
        for turn in range(6):
            add(lake, *(f"{number:03}-{turn}" for number in range(5)))
            lake.flush()
            seen.append((lake.head(), uids(lake)))
        with lake.pinned(seen[2][0]):
            held = lake.snapshot(seen[2][0])
            lake.compact()
            lake.vacuum()
            for commit, expected in seen[2:]:
                assert uids(lake, at=commit) == expected
            assert held.count("label") == len(seen[2][1])
        lake.vacuum()
        assert uids(lake) == seen[-1][1]
        left = {path.name for path in (lake.root / "tables" / "label").glob("*.parquet")}
        assert left == {file.path for file in files(lake)}


def test_vacuum_after_a_compaction_that_died_leaves_the_files_that_head_json_names(tmp_path: Path) -> None:
    with create(tmp_path / "lake", **TIGHT, retention=0.0, grace=0.0, lease=1e-6) as lake:
        for turn in range(4):
            add(lake, *(f"{number:03}-{turn}" for number in range(5)))
            lake.flush()
        with once_at("compact.ratified", _die), pytest.raises(KeyboardInterrupt):
            lake.compact()
        lake.vacuum()
        head = json.loads((lake.root / "head.json").read_text())
        assert all((lake.root / "tables" / "label" / name).exists() for name in head["tables"]["label"]["files"])


def _die() -> None:
    raise KeyboardInterrupt


def test_writers_and_publishers_go_on_between_the_steps(worn: Lake, tmp_path: Path) -> None:
    other = Lake.open(worn.root, options=quiet(**TIGHT), user="bob")

    def meanwhile() -> None:
        add(other, "meanwhile")
        other.run(renames("000-00", "renamed meanwhile"))
        other.run(lambda txn: txn.delete("label", ["000-01"]))

    with once_at("compact.written", lambda: _in_thread(meanwhile)):
        worn.compact()
    assert "meanwhile" in uids(worn) and "000-01" not in uids(worn)
    other.flush()
    assert rows_of(worn) == plain(worn) == rows_of(other)
    other.close()


def _in_thread(act: Any) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


@pytest.mark.parametrize("point", ["compact.intended", "compact.after_delta", "compact.log_synced"])
def test_what_a_dead_compaction_left_is_adopted_or_forgotten(worn: Lake, point: str) -> None:
    before = rows_of(worn)
    with once_at(point, _die), pytest.raises(KeyboardInterrupt):
        worn.compact()
    other = Lake.open(worn.root, options=quiet(**TIGHT, lease=1e-6))
    add(other, "later")
    other.flush()
    assert rows_of(other)[:-1] == before
    assert rows_of(other) == plain(other)
    other.compact()
    assert not overlaps(files(other))
    assert rows_of(other) == plain(other)
    other.close()


def test_compaction_that_the_catalog_does_not_know_of_is_another_history(worn: Lake) -> None:
    with once_at("compact.after_delta", _die), pytest.raises(KeyboardInterrupt):
        worn.compact()
    with worn.catalog.locked() as session:
        session._db.run("DELETE FROM intent")  # as after a restored backup
    with pytest.raises(Diverged):
        worn.flush(timeout=1)
    verdicts = Recovery(LocalFolder(worn.root), worn.catalog, worn.schemas, worn.id).examine()
    assert [v.table for v in verdicts if v.diverged] == ["label"]


def test_compaction_of_other_files_than_were_intended_is_another_history(worn: Lake) -> None:
    with once_at("compact.after_delta", _die), pytest.raises(KeyboardInterrupt):
        worn.compact()
    with worn.catalog.locked() as session:
        session._db.run("UPDATE intent SET removes = '[]'")
    with pytest.raises(Diverged):
        worn.flush(timeout=1)


def test_every_type_survives_compaction_as_it_was(tmp_path: Path) -> None:
    kinds: list[tuple[str, pa.DataType, Any]] = [
        ("flag", pa.bool_(), True),
        ("tiny", pa.int8(), -7),
        ("x", pa.float32(), 0.5),
        ("y", pa.float64(), float("inf")),
        ("d", pa.date32(), date(1, 1, 1)),
        ("at", pa.timestamp("us", tz="UTC"), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        ("local", pa.timestamp("us"), datetime(2026, 1, 1)),
        ("money", pa.decimal128(20, 4), Decimal("12.3400")),
        ("raw", pa.binary(), b"\x00\xff"),
        ("many", pa.list_(pa.string()), ["a", None, ""]),
        ("pairs", pa.map_(pa.string(), pa.int64()), [("k", 1)]),
        ("parts", pa.struct([("a", pa.int64()), ("b", pa.list_(pa.int64()))]), {"a": None, "b": [1]}),
        ("text", pa.string(), "naïve\x00細胞"),
    ]
    spec = TableSpec("kinds", pa.schema([UID, *((name, kind) for name, kind, _ in kinds)]))
    with Lake.create(tmp_path / "lake", [spec], options=quiet(**TIGHT)) as lake:
        for turn in range(4):
            full = {"uid": f"a{turn}"} | {name: value for name, _, value in kinds}
            lake.run(lambda txn, full=full: txn.insert("kinds", [full, {"uid": f"b{full['uid']}"}]))
            lake.flush()
        before = lake.snapshot().arrow("SELECT * FROM kinds ORDER BY uid", tables=["kinds"])
        schema = DeltaTable(str(lake.root / "tables" / "kinds")).schema()
        assert lake.compact().removed == 4
        assert lake.snapshot().arrow("SELECT * FROM kinds ORDER BY uid", tables=["kinds"]).equals(before)
        assert DeltaTable(str(lake.root / "tables" / "kinds")).schema() == schema
        assert len(plain(lake, "kinds")) == 8


def test_files_older_than_a_column_are_compacted_with_younger_ones(worn: Lake) -> None:
    schema = worn.snapshot().schema("label")
    worn.ensure([TableSpec("label", schema.append(pa.field("seen", pa.int64())), unique=(("name",),))])
    worn.run(lambda txn: txn.insert("label", [{**label("zz"), "seen": 4}]))
    worn.flush()
    before = rows_of(worn)
    worn.compact()
    assert rows_of(worn) == plain(worn) == before


def test_what_does_not_fit_in_memory_is_sorted_on_disk(tmp_path: Path) -> None:
    options = {"bulk_rows": 10, "file_rows": 20_000, "merge_files": 1_000, "compact_memory": 30_000_000}
    with create(tmp_path / "lake", **options, small_rows=0) as lake:
        for turn in range(3):
            rows = [label(f"{number:06}-{turn}", "x" * 99 + f"{turn}-{number}") for number in range(40_000)]
            lake.run(lambda txn, rows=rows: txn.insert("label", rows, fresh=True))
        lake.flush()
        lake.compact()
        assert not overlaps(files(lake))
        assert lake.snapshot().count("label") == 120_000


def _file(low: str, high: str, rows: int) -> DataFile:
    return DataFile(f"{low}-{high}", 1, rows, low, high, 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([("a", "c", 10), ("d", "f", 10)], []),
        ([("a", "c", 10), ("b", "f", 10), ("g", "h", 10)], [["a-c", "b-f"]]),
        ([("a", "z", 10), ("b", "c", 10), ("d", "e", 10)], [["a-z", "b-c", "d-e"]]),
        ([("a", "b", 2), ("c", "d", 3), ("e", "f", 10), ("g", "h", 1)], [["a-b", "c-d"]]),
        ([("a", "b", 2), ("c", "e", 10), ("d", "f", 10)], [["a-b", "c-e", "d-f"]]),
        ([], []),
    ],
)
def test_neighbours_that_overlap_or_are_small_belong_together(
    found: list[tuple[str, str, int]], expected: list[list[str]]
) -> None:
    groups = groups_of([_file(*item) for item in found], 10)
    assert [[file.path for file in group] for group in groups] == expected
