from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lakehouse.engine import Lake
from lakehouse.engine.catalog_sqlite import FORMAT
from lakehouse.errors import Duplicate, Expired, InputError, InvalidName, NotFound, OlderFormat, ReadOnly
from tests.unit.engine.support import SPECS, add, create, label, plain, quiet, renames, rows_of, uids


def test_a_tag_names_a_commit_wherever_one_is_asked_for(lake: Lake) -> None:
    add(lake, "a")
    made = lake.tags.add("paper-v1", message="as submitted")
    add(lake, "b")
    assert (made.commit, made.user, made.message) == (lake.head() - 1, "ann", "as submitted")
    assert lake.tags.list() == [made]
    assert uids(lake, at="paper-v1") == ["a"]
    assert lake.sql("select uid from label", at="paper-v1").fetchall() == [("a",)]
    assert lake.snapshot("paper-v1").commit == made.commit
    assert lake.tags.add("same", "paper-v1").commit == made.commit
    assert lake.tags.add("by time", lake.snapshot(made.commit).at).commit == made.commit
    assert lake.tags.add("empty", 0).commit == 0
    assert [tag.name for tag in lake.tags.list()] == ["empty", "by time", "paper-v1", "same"]


def test_text_that_is_a_time_is_a_time(lake: Lake) -> None:
    add(lake, "a")
    first = lake.commits(limit=1)[0].at
    add(lake, "b")
    assert uids(lake, at=first.isoformat()) == ["a"]
    assert uids(lake, at=first.replace(tzinfo=None).isoformat()) == ["a"]
    assert uids(lake, at=(first - timedelta(days=1)).date().isoformat()) == []


def test_an_unknown_tag_is_refused_with_the_near_ones(lake: Lake) -> None:
    with pytest.raises(InputError, match="there are no tags"):
        lake.snapshot("paper")
    lake.tags.add("paper-v1")
    with pytest.raises(InputError, match="did you mean 'paper-v1'"):
        lake.snapshot("papr-v1")
    with pytest.raises(NotFound, match="did you mean 'paper-v1'"):
        lake.tags.drop("papr-v1")


def test_a_taken_name_is_a_duplicate_unless_it_is_moved(lake: Lake) -> None:
    add(lake, "a")
    first = lake.tags.add("best")
    add(lake, "b")
    with pytest.raises(Duplicate, match=f"commit {first.commit} is called 'best'"):
        lake.tags.add("best")
    assert uids(lake, at="best") == ["a"]
    lake.tags.add("best", move=True)
    assert uids(lake, at="best") == ["a", "b"]
    assert len(lake.tags.list()) == 1


def test_a_dropped_tag_is_gone_and_its_name_free(lake: Lake, other: Lake) -> None:
    lake.tags.add("x")
    other.tags.drop("x")
    assert lake.tags.list() == []
    add(lake, "a")
    assert lake.tags.add("x").commit == lake.head()


BAD_NAMES = [
    "",
    " ",
    " x",
    "x ",
    "a\0b",
    "a\nb",
    "a\u202eb",
    "x" * 1_001,
    "\ud800",
    "7",
    "2026-01-01",
    "20260101",
    None,
    7,
]


@pytest.mark.catalogs("sqlite")
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_names_that_cannot_be_stored_or_mean_something_else_are_refused(lake: Lake, name: str) -> None:
    with pytest.raises(InvalidName, match="tag"):
        lake.tags.add(name)
    assert lake.tags.list() == []


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE tag;--", 'a""b', "%", "_", "back\\", "select", "naïve 細胞", "$1", "?"]
)
def test_odd_names_round_trip(lake: Lake, name: str) -> None:
    add(lake, "a")
    lake.tags.add(name)
    add(lake, "b")
    assert [tag.name for tag in lake.tags.list()] == [name]
    assert uids(lake, at=name) == ["a"]
    lake.tags.drop(name)


def test_a_name_is_found_however_it_was_typed(lake: Lake) -> None:
    lake.tags.add("café")
    assert lake.snapshot("cafe\u0301").commit == lake.head()
    with pytest.raises(Duplicate):
        lake.tags.add("cafe\u0301")
    lake.tags.drop("cafe\u0301")
    assert lake.tags.list() == []


def test_a_reader_may_not_tag(lake: Lake) -> None:
    lake.tags.add("x")
    with Lake.open(lake.root, read_only=True) as reader:
        assert [tag.name for tag in reader.tags.list()] == ["x"]
        for act in (lambda: reader.tags.add("y"), lambda: reader.tags.drop("x")):
            with pytest.raises(ReadOnly):
                act()


# -- retention ---------------------------------------------------------------------------------------------------------
def history(lake: Lake) -> dict[int, list[dict]]:
    """Make commits with single, bulk and replaced rows, publishing in between; returns the rows at each."""
    seen = {}
    for step in range(6):
        add(lake, f"s{step}")
        seen[lake.head()] = rows_of(lake)
        lake.run(lambda txn, step=step: txn.insert("label", [label(f"b{step}{n}") for n in range(5)]))
        lake.run(renames(f"s{step}", f"renamed {step}"))
        seen[lake.head()] = rows_of(lake)
        lake.run(lambda txn, step=step: txn.upsert("label", [label(f"b{step}{n}", n=step) for n in range(4)]))
        lake.run(lambda txn, step=step: txn.delete("label", [f"b{step}4"]))
        seen[lake.head()] = rows_of(lake)
        if step % 2:
            lake.flush()
    lake.flush()
    return seen


@pytest.mark.parametrize("small_rows", [0, 200_000])
def test_tagged_commits_outlive_a_vacuum_and_the_others_do_not(make: Callable[..., Lake], small_rows: int) -> None:
    lake = make(retention=0.0, grace=0.0, bulk_rows=3, small_rows=small_rows)
    seen = history(lake)
    tagged = dict(zip("abcde", [list(seen)[i] for i in (0, 3, 4, 7, 8)], strict=True))
    for name, commit in tagged.items():
        lake.tags.add(name, commit)
    files = set((lake.root / "tables" / "label").glob("*.parquet"))
    for _ in range(2):
        lake.vacuum()
        with Lake.open(lake.root, SPECS, options=lake.options) as fresh:
            for handle in (lake, fresh):
                for name, commit in tagged.items():
                    assert rows_of(handle, at=name) == rows_of(handle, at=commit) == seen[commit]
                for commit in seen.keys() - {*tagged.values(), lake.head()}:
                    with pytest.raises(Expired):
                        rows_of(handle, at=commit)
                assert rows_of(handle) == plain(handle) == seen[max(seen)]
    kept = set((lake.root / "tables" / "label").glob("*.parquet"))
    assert kept < files, "what no tagged commit needs is dropped"
    for name in tagged:
        lake.tags.drop(name)
    lake.vacuum()
    with pytest.raises(Expired):
        rows_of(lake, at=tagged["a"])
    assert set((lake.root / "tables" / "label").glob("*.parquet")) < kept
    assert rows_of(lake) == plain(lake) == seen[max(seen)]


def test_an_expired_commit_cannot_be_tagged_and_a_tagged_one_can_be_again(make: Callable[..., Lake]) -> None:
    lake = make(retention=0.0, grace=0.0)
    seen = history(lake)
    first, second, *_ = seen
    lake.tags.add("kept", second)
    lake.vacuum()
    with pytest.raises(Expired):
        lake.tags.add("late", first)
    assert lake.tags.add("alias", second).commit == second
    lake.tags.drop("kept")
    lake.vacuum()
    assert rows_of(lake, at="alias") == seen[second]
    lake.tags.add("alias", move=True)
    with pytest.raises(Expired):
        lake.tags.add("back", second)


def test_sql_at_a_commit_whose_tag_was_dropped_is_expired(make: Callable[..., Lake]) -> None:
    lake = make(retention=0.0, grace=0.0, small_rows=0)
    seen = history(lake)
    lake.tags.add("kept", next(iter(seen)))
    lake.vacuum()
    assert lake.sql("select count(*) from label", at="kept").fetchall() == [(1,)]
    lake.tags.drop("kept")
    lake.vacuum()
    with pytest.raises(Expired):
        lake.sql("select count(*) from label", at=next(iter(seen)))


# -- catalogs made before ----------------------------------------------------------------------------------------------
def aged(root: Path) -> Path:
    """Make a lake as the first format was, and close it."""
    with create(root) as lake:
        add(lake, "a")
    con = sqlite3.connect(root / "catalog.db", isolation_level=None)
    con.execute("DROP TABLE tag")
    con.execute("ALTER TABLE file DROP COLUMN stats")
    con.execute("DROP TABLE intent")
    con.execute("PRAGMA user_version = 1")
    con.close()
    return root


def test_an_older_catalog_is_read_as_it_is_and_upgraded_when_that_is_asked_for(tmp_path: Path) -> None:
    root = aged(tmp_path / "lake")
    with Lake.open(root, read_only=True) as reader:
        assert uids(reader, at=reader.head()) == ["a"]
        assert reader.tags.list() == []
    con = sqlite3.connect(root / "catalog.db")
    assert con.execute("PRAGMA user_version").fetchone() == (1,)
    with pytest.raises(OlderFormat, match=r"lh\.migrate"):
        Lake.open(root, SPECS, options=quiet())
    assert con.execute("PRAGMA user_version").fetchone() == (1,)
    with Lake.open(root, SPECS, options=quiet(), upgrade=True) as writer:
        writer.tags.add("x")
        add(writer, "b")
        assert uids(writer, at="x") == ["a"]
    assert con.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    con.close()


def test_an_older_catalog_opened_by_several_at_once_is_migrated_once(tmp_path: Path) -> None:
    root = aged(tmp_path / "lake")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_tag, [(root, f"t{n}") for n in range(3)])
    with Lake.open(root, SPECS, options=quiet()) as lake:
        assert [tag.name for tag in lake.tags.list()] == ["t0", "t1", "t2"]


def _tag(given: tuple[Path, str]) -> None:
    with Lake.open(given[0], SPECS, options=quiet(), upgrade=True) as lake:
        lake.tags.add(given[1])
