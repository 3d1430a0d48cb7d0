from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.backup import back_up
from lakehouse.engine.faults import POINTS, install
from lakehouse.engine.migrate import TableChange, migrate
from lakehouse.engine.rebuild import rebuild
from lakehouse.engine.restore import restore
from lakehouse.errors import ChangedSinceRead, Duplicate, InputError, OlderFormat, ReadOnly, ReferenceMissing
from tests.faults.scene import Die, die_at
from tests.unit.engine.support import LABEL, SPECS, UID, add, label, once_at, plain, quiet, renames, rows_of, uids

LISTED = TableSpec(
    "label",
    pa.schema([UID, ("name", pa.string()), ("n", pa.list_(pa.string()))]),
    unique=(("name",),),
)
"""``label`` with another type of ``n``."""


def listed(rows: pa.Table) -> pa.Table:
    values = pa.array([[str(n)] for n in rows["n"].to_pylist()], pa.list_(pa.string()))
    return pa.table([rows["uid"], rows["name"], values], schema=LISTED.schema)


@pytest.mark.parametrize("small_rows", [0, 200_000])
@pytest.mark.parametrize("flushed", [False, True])
def test_rows_are_written_anew_in_one_commit_and_the_old_ones_stay_readable(
    make: Any, small_rows: int, flushed: bool
) -> None:
    lake: Lake = make(small_rows=small_rows, bulk_rows=3)
    add(lake, "a")
    lake.run(lambda txn: txn.insert("label", [label(f"s{n}", n=n) for n in range(6)]))
    if flushed:
        lake.flush()
    lake.run(renames("s2", "renamed"))
    lake.run(lambda txn: txn.delete("label", ["s4"]))
    old, before = rows_of(lake), lake.head()
    done = migrate(lake, [TableChange(LISTED, listed)], message="numbers as lists")
    assert done == before + 1 == lake.head()
    now = [{**row, "n": [str(row["n"])]} for row in old]
    assert rows_of(lake) == now
    assert rows_of(lake, at=before) == old
    lake.run(lambda txn: txn.insert("label", [{"uid": "z", "name": "last", "n": ["x", "y"]}]))
    now.append({"uid": "z", "name": "last", "n": ["x", "y"]})
    lake.flush()
    assert rows_of(lake) == plain(lake) == now
    assert rows_of(lake, at=before) == old
    assert lake.sql("select count(*) from label where list_contains(n, '2')").fetchall() == [(1,)]
    lake.compact()
    lake.vacuum()
    assert rows_of(lake) == now


def test_unique_values_stay_taken_after_a_rewrite_and_free_ones_free(lake: Lake) -> None:
    add(lake, "a")
    migrate(lake, [TableChange(LISTED, listed)], message="x")
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("label", [{"uid": "b", "name": "name of a"}]))
    lake.run(lambda txn: txn.delete("label", ["a"]))
    lake.run(lambda txn: txn.insert("label", [{"uid": "b", "name": "name of a"}]))
    assert uids(lake) == ["b"]


def test_a_column_becomes_unique_where_its_values_are(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", n=1), label("b", n=2)]))
    numbered = replace(LABEL, unique=(("n",),))
    migrate(lake, [TableChange(numbered, lambda rows: rows)], message="x")
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("label", [label("c", n=2)]))
    lake.run(lambda txn: txn.insert("label", [label("c", "name of a", n=3)]))  # names may repeat from now on
    with pytest.raises(Duplicate, match=r"name cannot become unique: 1 values occur more than once.*'name of a'"):
        migrate(lake, [TableChange(LABEL, lambda rows: rows)], message="x")
    assert uids(lake) == ["a", "b", "c"]


def test_what_rows_would_break_is_refused_and_nothing_changes(lake: Lake) -> None:
    add(lake, "a")
    before = rows_of(lake), lake.head()
    referring = replace(LABEL, references={"name": "event"})
    with pytest.raises(ReferenceMissing, match="which event lacks"):
        migrate(lake, [TableChange(referring, lambda rows: rows)], message="x")
    with pytest.raises(InputError, match="and their uids"):
        migrate(lake, [TableChange(LISTED, lambda rows: listed(rows).slice(1))], message="x")
    strict = replace(LABEL, schema=pa.schema([UID, ("name", pa.string()), pa.field("n", pa.int64(), nullable=False)]))
    with pytest.raises(InputError, match="n has no value in 1 rows"):
        migrate(lake, [TableChange(strict, lambda rows: rows)], message="x")
    assert (rows_of(lake), lake.head()) == before


def test_several_tables_change_in_one_commit(lake: Lake) -> None:
    add(lake, "a")
    head = lake.head()
    changes = [
        TableChange(LISTED, listed),
        TableChange(TableSpec("later", LABEL.schema)),
        TableChange(TableSpec("event", SPECS[2].schema.append(pa.field("unit", pa.string())))),
    ]
    migrate(lake, changes, message="three")
    assert lake.head() == head + 1
    assert [info.message for info in lake.commits(1)] == ["three"]
    assert lake.snapshot().schema("event").names == ["uid", "at", "size", "unit"]
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_what_others_commit_meanwhile_is_written_anew_as_well(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    with once_at("commit.checked", lambda: add(other, "b")):
        migrate(lake, [TableChange(LISTED, listed)], message="x")
    assert [row["n"] for row in rows_of(lake)] == [["None"], ["None"]]
    assert rows_of(other) == rows_of(lake)


def test_a_save_planned_before_a_rewrite_is_planned_again_after_it(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    with once_at("commit.checked", lambda: migrate(other, [TableChange(LISTED, listed)], message="x")):
        lake.run(lambda txn: txn.insert("label", [{"uid": "b", "name": "b"}]))
    assert rows_of(lake) == [{"uid": "a", "name": "name of a", "n": ["None"]}, {"uid": "b", "name": "b", "n": None}]


def test_history_passes_over_a_rewrite_and_an_earlier_commit_is_not_reverted_across_it(lake: Lake) -> None:
    add(lake, "a")
    lake.run(renames("a", "b"))
    first = lake.head()
    done = migrate(lake, [TableChange(LISTED, listed)], message="x")
    found = lake.changes(table="label").arrow().to_pylist()
    assert [(row["commit"], row["op"]) for row in found if row["commit"] >= first] == [(first, "update")]
    with pytest.raises(ChangedSinceRead, match=f"migrated in commit {done}.*at={first - 1}"):
        lake.revert(first)
    with pytest.raises(InputError, match="changed no rows"):
        lake.revert(done)


def test_a_lake_for_reading_only_is_not_migrated(lake: Lake) -> None:
    with Lake.open(lake.root, options=quiet(), read_only=True) as reader, pytest.raises(ReadOnly):
        migrate(reader, [TableChange(LISTED, listed)], message="x")


@pytest.mark.catalogs("sqlite")
def test_a_rewritten_table_survives_a_lost_catalog_and_a_backup_from_before(lake: Lake, tmp_path: Path) -> None:
    add(lake, "a")
    lake.flush()
    kept = rows_of(lake)
    back_up(lake.catalog, tmp_path / "old.db")
    migrate(lake, [TableChange(LISTED, listed)], message="x")
    lake.flush()
    now, root = rows_of(lake), lake.root
    lake.close()
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        (root / name).unlink(missing_ok=True)
    rebuild(root, options=quiet())
    with Lake.open(root, options=quiet()) as again:
        assert rows_of(again) == plain(again) == now
        add(again, "e", table="event")
    restore(root, tmp_path / "old.db", discard_newer=True, options=quiet())
    with Lake.open(root, options=quiet()) as older:
        assert rows_of(older) == plain(older) == kept
        add(older, "b")
        older.flush()
        assert rows_of(older) == plain(older)


@pytest.mark.catalogs("sqlite")
@pytest.mark.parametrize("point", ["lock.mid_append", "commit.checked"])
def test_a_migration_that_is_killed_leaves_everything_as_it_was(lake: Lake, point: str) -> None:
    add(lake, "a")
    before = rows_of(lake), lake.head()
    install(die_at(point))
    with pytest.raises(Die):
        migrate(lake, [TableChange(LISTED, listed)], message="x")
    install(None)
    with Lake.open(lake.root, options=quiet()) as again:
        assert (rows_of(again), again.head()) == before
        migrate(again, [TableChange(LISTED, listed)], message="x")
        again.flush()
        assert rows_of(again) == plain(again)


@pytest.mark.catalogs("sqlite")
@pytest.mark.parametrize("bulk_rows", [3, 10_000])
@pytest.mark.parametrize("point", sorted(p for p in POINTS if p.startswith("publish.") and p != "publish.created"))
def test_publishing_a_rewrite_that_is_killed_goes_on_where_it_broke_off(make: Any, point: str, bulk_rows: int) -> None:
    lake: Lake = make(bulk_rows=bulk_rows, lease=0.2)
    lake.run(lambda txn: txn.insert("label", [label(f"s{n}", n=n) for n in range(6)]))
    lake.flush()
    old, before = rows_of(lake), lake.head()
    lake.run(renames("s2", "renamed"))
    migrate(lake, [TableChange(LISTED, listed)], message="x")
    lake.run(lambda txn: txn.insert("label", [{"uid": "z", "name": "last", "n": ["x"]}]))
    now = rows_of(lake)
    for turn in range(1, 4):  # each of the three Delta commits of this round
        install(die_at(point, turn))
        with suppress(Die):
            lake.flush()
        install(None)
    with Lake.open(lake.root, options=quiet(lease=0.2)) as again:
        again.flush()
        assert rows_of(again) == plain(again) == now
        assert rows_of(again, at=before) == old


@pytest.mark.catalogs("postgres")
def test_an_older_catalog_in_postgres_is_read_as_it_is_and_upgraded_on_demand(lake: Lake) -> None:
    add(lake, "a")
    root = lake.root
    catalog: Any = lake.catalog
    with catalog.unlocked() as db:
        db.run("UPDATE catalog_format SET version = 1")
    lake.close()
    with pytest.raises(OlderFormat, match=r"has format 1.*lh\.migrate"):
        Lake.open(root, options=quiet())
    with Lake.open(root, options=quiet(), read_only=True) as reader:
        assert uids(reader) == ["a"]
    with Lake.open(root, options=quiet(), upgrade=True) as upgraded:
        add(upgraded, "b")
    with Lake.open(root, options=quiet()) as again:
        assert uids(again) == ["a", "b"]
