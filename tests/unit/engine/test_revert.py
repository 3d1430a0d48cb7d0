from __future__ import annotations

import math
from collections.abc import Callable

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec, Transaction
from lakehouse.errors import (
    ChangedSinceRead,
    Duplicate,
    Expired,
    InputError,
    ReadOnly,
    ReferenceMissing,
    StillReferenced,
)
from tests.unit.engine.support import LABEL, add, label, once_at, plain, renames, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")
BOTH = pytest.mark.catalogs("sqlite", "postgres")


def mixed(txn: Transaction) -> None:
    """Insert, update and delete on two tables."""
    txn.insert("label", [label("new")])
    txn.upsert("label", [label("a", "changed", 1)])
    txn.delete("label", ["b"])
    txn.insert("link", [{"uid": "l", "label": "new"}])


@BOTH
@pytest.mark.parametrize("bulk_rows", [0, 10_000])
@pytest.mark.parametrize("flushed", [False, True])
def test_what_a_commit_did_is_undone_and_done_again_by_reverting_the_revert(
    make: Callable[..., Lake], bulk_rows: int, flushed: bool
) -> None:
    lake = make(bulk_rows=bulk_rows)
    add(lake, "a", "b", "c")
    before = rows_of(lake)
    lake.run(mixed, message="mixed")
    done, after = lake.head(), rows_of(lake)
    if flushed:
        lake.flush()
    add(lake, "d")
    undone = lake.revert(done)
    assert rows_of(lake) == [*before, label("d")]
    assert rows_of(lake, "link") == []
    info = lake.commits(limit=1)[0]
    assert (info.id, info.user, info.message) == (undone, "ann", f"revert of commit {done}: mixed")
    assert rows_of(lake, at=done) == after, "history stays as it was"
    again = lake.revert(undone, message="after all")
    assert rows_of(lake) == sorted([*after, label("d")], key=lambda r: r["uid"])
    assert uids(lake, "link") == ["l"]
    assert lake.commits(limit=1)[0].message == "after all"
    lake.revert(again)
    lake.flush()
    assert rows_of(lake) == plain(lake) == [*before, label("d")]


def test_a_row_changed_since_is_a_conflict_that_names_the_commits(lake: Lake) -> None:
    add(lake, "a", "b")
    first = lake.head()
    lake.run(renames("a", "x"))
    lake.run(renames("b", "y"))
    lake.run(renames("a", "z"))
    with pytest.raises(ChangedSinceRead, match=rf"commit {first} cannot.*'a', 'b' changed since, in {first + 1}, "):
        lake.revert(first)
    with pytest.raises(ChangedSinceRead, match=f"revert commit {first + 3} first"):
        lake.revert(first + 1)
    assert lake.head() == first + 3
    for commit in (first + 3, first + 2, first + 1):
        lake.revert(commit)
    lake.revert(first)
    assert uids(lake) == []


def test_a_row_that_was_changed_and_changed_back_does_not_stand_in_the_way(lake: Lake) -> None:
    add(lake, "a")
    first = lake.head()
    lake.run(renames("a", "x"))
    lake.run(renames("a", "name of a"))
    lake.revert(first)
    assert uids(lake) == []


def test_what_refers_to_an_inserted_row_stands_in_the_way_and_is_named(lake: Lake) -> None:
    add(lake, "a")
    first = lake.head()
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    with pytest.raises(StillReferenced, match=rf"commit {first} cannot be reverted: 'a' .* link\.label of 'l'"):
        lake.revert(first)
    lake.revert(lake.head())
    lake.revert(first)
    assert uids(lake) == uids(lake, "link") == []


def test_a_deletion_is_not_undone_where_its_place_is_taken(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x"), label("b", "y")]))
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "b"}]))
    lake.run(lambda txn: txn.delete("label", ["a"]))
    gone = lake.head()
    lake.run(lambda txn: txn.insert("label", [label("c", "x")]))
    with pytest.raises(Duplicate, match=r"cannot be reverted.*'x' is already taken"):
        lake.revert(gone)
    lake.revert(lake.head())
    lake.run(lambda txn: txn.delete("link", ["l"]))
    unlinked = lake.head()
    lake.run(lambda txn: txn.delete("label", ["b"]))
    with pytest.raises(ReferenceMissing, match="label has no 'b'"):
        lake.revert(unlinked)
    lake.revert(gone)
    assert uids(lake) == ["a"]
    add(lake, "z")
    lake.run(lambda txn: txn.delete("label", ["z"]))
    gone = lake.head()
    add(lake, "z")
    with pytest.raises(ChangedSinceRead, match="'z' changed since"):
        lake.revert(gone)


@BOTH
def test_a_touch_between_planning_and_commit_is_noticed(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    first = lake.head()
    with once_at("commit.checked", lambda: other.run(renames("a", "x"))), pytest.raises(ChangedSinceRead):
        lake.revert(first)
    assert rows_of(lake) == [label("a", "x")]


def test_rows_with_nan_and_columns_added_since_are_compared_as_they_were(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("event", [{"uid": "e", "size": math.nan}]))
    first = lake.head()
    add(lake, "a")
    lake.ensure([TableSpec("label", LABEL.schema.append(pa.field("unit", pa.string())), unique=LABEL.unique)])
    lake.revert(first)
    lake.run(lambda txn: txn.upsert("label", [{**label("a"), "unit": "mm"}]))
    with pytest.raises(ChangedSinceRead, match="'a' changed since"):
        lake.revert(first + 1)
    lake.revert(lake.head())
    lake.revert(first + 1)
    assert uids(lake) == uids(lake, "event") == []


def test_rows_of_kept_tables_stay(lake: Lake) -> None:
    with lake.transaction() as txn:
        txn.insert("label", [label("a")])
        txn.insert("event", [{"uid": "e"}])
    lake.revert(lake.head(), kept={"label"})
    assert (uids(lake), uids(lake, "event")) == (["a"], [])


def test_what_has_nothing_to_undo_is_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="changed no rows"):
        lake.revert(lake.head())
    with pytest.raises(InputError, match="commit 0 is the empty lake"):
        lake.revert(0)
    with pytest.raises(InputError, match="no commit"):
        lake.revert(99)
    add(lake, "a")
    with pytest.raises(InputError, match="leave the transaction"), lake.transaction():
        lake.revert(lake.head())
    with Lake.open(lake.root, read_only=True) as reader, pytest.raises(ReadOnly):
        reader.revert(lake.head())
    assert uids(lake) == ["a"]


def test_the_commit_at_the_horizon_is_expired_and_the_one_after_it_is_not(make: Callable[..., Lake]) -> None:
    lake = make(retention=0.0, grace=0.0)
    for uid in "abc":
        add(lake, uid)
        lake.flush()
    add(lake, "d")
    lake.tags.add("kept", lake.head() - 2)
    lake.vacuum()
    with lake.catalog.read() as session:
        oldest = session.meta().oldest_readable
    for commit in (oldest, "kept"):
        with pytest.raises(Expired):
            lake.revert(commit)
    lake.revert(oldest + 1)
    assert uids(lake) == ["a", "b", "c"]


def test_a_bulk_commit_is_undone_in_one_commit(make: Callable[..., Lake]) -> None:
    lake = make(bulk_rows=100, file_rows=300)
    lake.run(lambda txn: txn.insert("label", [label(f"b{n:04}") for n in range(1_000)]))
    lake.run(lambda txn: txn.upsert("label", [label(f"b{n:04}", n=n) for n in range(500, 1_000)]))
    lake.flush()
    head = lake.head()
    lake.revert(head)
    assert {r["n"] for r in rows_of(lake)} == {None}
    lake.revert(lake.head())
    lake.revert(head)
    lake.revert(head - 1)
    lake.flush()
    assert rows_of(lake) == plain(lake) == []


def test_a_vacuum_between_planning_and_commit_is_noticed(make: Callable[..., Lake]) -> None:
    """What stood in the way of sweeping files is gone then: rows brought back might name swept ones."""
    lake = make(retention=0.0, grace=0.0)
    add(lake, "a")
    lake.run(lambda txn: txn.delete("label", ["a"]))
    gone = lake.head()
    lake.flush()
    with (
        Lake.open(lake.root, options=lake.options) as other,
        once_at("commit.checked", other.vacuum),
        pytest.raises(Expired),
    ):
        lake.revert(gone)
    assert (uids(lake), lake.head()) == ([], gone)
