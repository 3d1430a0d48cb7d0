from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from lakehouse.engine import (
    KeysAbsent,
    Lake,
    RowsAsRead,
    RowsExist,
    TableSpec,
    TableUntouched,
    Transaction,
    Unreferenced,
)
from lakehouse.errors import (
    ChangedSinceRead,
    Conflict,
    Duplicate,
    LakehouseError,
    ReferenceMissing,
    StillReferenced,
)
from tests.unit.engine.support import UID, add, label, once_at, renames, rows_of, uids


def test_transaction_reads_its_own_writes_and_others_do_not(lake: Lake, other: Lake) -> None:
    add(lake, "a", "b")
    with lake.transaction() as txn:
        txn.insert("label", [label("c")])
        txn.upsert("label", [label("a", "new")])
        txn.delete("label", ["b"])
        assert uids(lake) == ["a", "c"]
        assert lake.snapshot().get("label", "a")["name"] == "new"
        assert lake.snapshot().get("label", "b") is None
        assert lake.sql("select count(*) from label").fetchall() == [(2,)]
        assert lake.snapshot().lookup("label", "name", ["new"])["uid"].to_pylist() == ["a"]
        assert uids(other) == ["a", "b"]
    assert uids(other) == ["a", "c"]


def test_block_that_raises_leaves_nothing(lake: Lake) -> None:
    before = lake.head()
    with pytest.raises(KeyboardInterrupt), lake.transaction() as txn:
        txn.insert("label", [label("a")])
        raise KeyboardInterrupt
    assert lake.head() == before
    assert uids(lake) == []


def test_several_tables_are_one_commit_with_its_message(lake: Lake) -> None:
    before = lake.head()
    lake.stamp_runs(lambda: "r1")
    with lake.transaction("import batch 7"):
        add(lake, "a")
        lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    (info,) = lake.commits(limit=1)
    assert (info.id, info.message, info.user, info.run) == (before + 1, "import batch 7", "ann", "r1")
    assert info.at.tzinfo is UTC


def test_savepoint_that_raises_undoes_its_own_part_only(lake: Lake) -> None:
    with lake.transaction():
        add(lake, "a")
        with pytest.raises(RuntimeError), lake.transaction():
            add(lake, "b")
            with pytest.raises(ValueError, match="inner"), lake.transaction():
                add(lake, "c")
                assert uids(lake) == ["a", "b", "c"]
                raise ValueError("inner")
            assert uids(lake) == ["a", "b"]
            raise RuntimeError
        assert uids(lake) == ["a"]
        add(lake, "d")
    assert uids(lake) == ["a", "d"]


def test_savepoint_that_was_undone_leaves_no_requirement(lake: Lake) -> None:
    add(lake, "a")
    with lake.transaction():
        with pytest.raises(RuntimeError), lake.transaction():
            add(lake, "a")  # would be a duplicate
            raise RuntimeError
        add(lake, "b")
    assert uids(lake) == ["a", "b"]


def test_empty_transaction_makes_no_commit(lake: Lake) -> None:
    before = lake.head()
    with lake.transaction():
        pass
    lake.run(lambda txn: txn.delete("label", []))
    assert lake.head() == before


def test_row_inserted_and_deleted_in_one_transaction_never_was(lake: Lake) -> None:
    with lake.transaction() as txn:
        txn.insert("label", [label("a")])
        txn.delete("label", ["a"])
        txn.insert("label", [label("b")])
    assert uids(lake) == ["b"]
    add(lake, "a")
    assert uids(lake) == ["a", "b"]


def test_row_deleted_and_inserted_again_is_replaced(lake: Lake) -> None:
    add(lake, "a")
    with lake.transaction() as txn:
        txn.delete("label", ["a"])
        txn.insert("label", [label("a", "again", 2)])
    assert rows_of(lake) == [label("a", "again", 2)]
    lake.flush()
    assert rows_of(lake) == [label("a", "again", 2)]


# -- conflicts ---------------------------------------------------------------------------------------------------------
def test_key_that_is_there_is_a_final_duplicate(lake: Lake) -> None:
    add(lake, "a")
    with pytest.raises(Duplicate, match="'a'") as caught:
        add(lake, "a")
    assert not caught.value.transient


@pytest.mark.parametrize("rows", [[label("x", "p"), label("x", "q")], [label("x", "p"), label("y", "p")]])
def test_duplicates_inside_one_transaction_are_final(lake: Lake, rows: list[dict]) -> None:
    with pytest.raises(Duplicate) as caught:
        lake.run(lambda txn: txn.insert("label", rows))
    assert not caught.value.transient
    with pytest.raises(Duplicate) as caught, lake.transaction() as txn:
        for row in rows:
            txn.insert("label", [row])
    assert not caught.value.transient
    assert uids(lake) == []


def test_unique_name_that_is_held_is_a_final_duplicate_naming_it(lake: Lake) -> None:
    add(lake, "a")
    with pytest.raises(Duplicate, match="name of a") as caught:
        lake.run(lambda txn: txn.insert("label", [label("b", "name of a")]))
    assert not caught.value.transient


def test_two_unique_names_can_be_swapped(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x"), label("b", "y")]))
    lake.run(lambda txn: txn.upsert("label", [label("a", "y"), label("b", "x")]))
    assert {r["uid"]: r["name"] for r in rows_of(lake)} == {"a": "y", "b": "x"}
    for name in "xy":
        with pytest.raises(Duplicate):
            lake.run(lambda txn, name=name: txn.insert("label", [label("c", name)]))


def test_renaming_frees_the_old_name(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x")]))
    lake.run(renames("a", "y"))
    lake.run(lambda txn: txn.insert("label", [label("b", "x")]))
    assert {r["uid"]: r["name"] for r in rows_of(lake)} == {"a": "y", "b": "x"}


def test_deleting_frees_the_name_also_after_publishing(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x")]))
    lake.flush()
    lake.run(lambda txn: txn.delete("label", ["a"]))
    lake.run(lambda txn: txn.insert("label", [label("b", "x")]))
    assert uids(lake) == ["b"]


def test_null_exempts_from_uniqueness(lake: Lake) -> None:
    rows = [{"uid": "a"}, {"uid": "b"}]
    lake.run(lambda txn: txn.insert("label", rows))
    assert uids(lake) == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.bool_(), True),
        (pa.float64(), 1.0),
        (pa.timestamp("us", tz="UTC"), datetime(2026, 1, 1, tzinfo=UTC)),
        (pa.date32(), datetime(2026, 1, 1, tzinfo=UTC).date()),
        (pa.int64(), 2**62),
    ],
    ids=str,
)
def test_unique_values_are_the_same_for_one_row_and_for_many(lake: Lake, kind: pa.DataType, value: object) -> None:
    lake.ensure([TableSpec("thing", pa.schema([UID, ("v", kind)]), unique=(("v",),))])
    lake.run(lambda txn: txn.insert("thing", [{"uid": "a", "v": value}]))
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("thing", [{"uid": "b", "v": value}, {"uid": "c"}]))
    lake.run(lambda txn: txn.delete("thing", ["a", "zz"]))  # two keys: the other way of making pairs
    lake.run(lambda txn: txn.insert("thing", [{"uid": "b", "v": value}]))
    assert uids(lake, "thing") == ["b"]


def test_joined_unique_values_do_not_run_into_each_other(lake: Lake) -> None:
    spec = TableSpec("pair", pa.schema([UID, ("p", pa.string()), ("q", pa.string())]), unique=(("p", "q"),))
    lake.ensure([spec])
    lake.run(lambda txn: txn.insert("pair", [{"uid": "a", "p": "x\x1fy", "q": "z"}]))
    lake.run(lambda txn: txn.insert("pair", [{"uid": "b", "p": "x", "q": "y\x1fz"}]))
    more = [{"uid": "c", "p": "k\x1fl", "q": "m"}, {"uid": "d", "p": "k", "q": "l\x1fm"}]
    lake.run(lambda txn: txn.insert("pair", more))
    assert uids(lake, "pair") == ["a", "b", "c", "d"]


def test_reference_to_nothing_is_final_and_to_the_same_commit_fine(lake: Lake) -> None:
    with pytest.raises(ReferenceMissing, match="'nowhere'") as caught:
        lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "nowhere"}]))
    assert not caught.value.transient
    with lake.transaction() as txn:
        txn.insert("link", [{"uid": "l", "label": "a"}])
        txn.insert("label", [label("a")])
    lake.run(lambda txn: txn.insert("link", [{"uid": "m", "label": None}]))
    assert uids(lake, "link") == ["l", "m"]


def test_what_is_referred_to_goes_only_with_what_refers_to_it(lake: Lake) -> None:
    add(lake, "a")
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    with pytest.raises(StillReferenced, match=r"link\.label"):
        lake.run(lambda txn: txn.delete("label", ["a"]))
    with lake.transaction() as txn:
        txn.delete("label", ["a"])
        txn.delete("link", ["l"])
    assert uids(lake) == uids(lake, "link") == []


def test_reference_that_the_same_transaction_moves_away_does_not_hold_its_target(lake: Lake) -> None:
    add(lake, "a", "b")
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    with lake.transaction() as txn:
        txn.upsert("link", [{"uid": "l", "label": "b"}])
        txn.delete("label", ["a"])
    assert uids(lake) == ["b"]


def test_row_deleted_and_made_again_keeps_its_references(lake: Lake) -> None:
    add(lake, "a")
    lake.run(lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]))
    with lake.transaction() as txn:
        txn.delete("label", ["a"])
        txn.insert("label", [label("a", "again")])
    assert uids(lake) == ["a"]


def test_deleting_a_target_in_the_transaction_that_links_to_it_is_refused(lake: Lake) -> None:
    add(lake, "a")
    with pytest.raises((ReferenceMissing, StillReferenced)), lake.transaction() as txn:
        txn.insert("link", [{"uid": "l", "label": "a"}])
        txn.delete("label", ["a"])
    assert uids(lake, "link") == []


def test_stale_row_as_read_is_final_and_says_which_column(lake: Lake) -> None:
    add(lake, "a")
    read = lake.snapshot().get("label", "a")
    lake.run(renames("a", "other"))
    with pytest.raises(ChangedSinceRead, match="'name'") as caught:
        lake.run(lambda txn: txn.upsert("label", [{**read, "n": 5}], as_read=[read]))
    assert not caught.value.transient
    assert lake.snapshot().get("label", "a")["name"] == "other"


MEANWHILE = {
    "key added": (KeysAbsent("label", frozenset(["z"])), lambda txn: txn.insert("label", [label("z")]), Duplicate),
    "row changed": (
        RowsAsRead("label", {"a": {"name": "name of a"}}),
        lambda txn: txn.upsert("label", [label("a", "q")]),
        ChangedSinceRead,
    ),
    "target deleted": (RowsExist("label", frozenset("a")), lambda txn: txn.delete("label", ["a"]), ReferenceMissing),
    "link made": (
        Unreferenced("link", "label", frozenset("a")),
        lambda txn: txn.insert("link", [{"uid": "l", "label": "a"}]),
        StillReferenced,
    ),
    "table touched": (
        TableUntouched("event"),
        lambda txn: txn.insert("event", [{"uid": "e"}]),
        ChangedSinceRead,
    ),
}


@pytest.mark.parametrize("case", MEANWHILE)
@pytest.mark.parametrize("where", ["commit.planned", "commit.checked"])
@pytest.mark.parametrize("bulk", [False, True])
def test_requirement_broken_meanwhile_is_a_transient_conflict(make: object, case: str, where: str, bulk: bool) -> None:
    lake = make(bulk_rows=0 if bulk else 10_000)  # type: ignore[operator]
    add(lake, "a")
    requirement, meanwhile, kind = MEANWHILE[case]
    with Lake.open(lake.root, options=lake.options) as other:
        txn = lake.begin()
        txn.require(requirement)
        txn.insert("event", [{"uid": "mine"}])
        before = lake.head()
        with once_at(where, lambda: other.run(meanwhile)) as seen, pytest.raises(kind) as caught:
            lake.commit(txn)
    assert where in seen
    assert caught.value.transient
    assert lake.head() == before + 1
    assert "mine" not in uids(lake, "event")


def test_change_that_breaks_no_requirement_is_no_conflict(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    with once_at("commit.checked", lambda: add(other, "b")):
        add(lake, "c")
    assert uids(lake) == ["a", "b", "c"]


def test_unique_name_taken_meanwhile_is_planned_again_and_then_final(lake: Lake, other: Lake) -> None:
    theirs = once_at("commit.checked", lambda: other.run(lambda txn: txn.insert("label", [label("b", "x")])))
    with theirs, pytest.raises(Duplicate) as caught:
        lake.run(lambda txn: txn.insert("label", [label("a", "x")]))
    assert not caught.value.transient
    assert uids(lake) == ["b"]


# -- retries -----------------------------------------------------------------------------------------------------------
def test_plan_is_run_again_on_what_came_meanwhile(lake: Lake, other: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x", 0)]))

    def count_up(txn: Transaction) -> int:
        row = txn.snapshot.get("label", "a")
        txn.upsert("label", [{**row, "n": row["n"] + 1}], as_read=[row])
        return row["n"] + 1

    with once_at("commit.checked", lambda: other.run(count_up)):
        assert lake.run(count_up) == 2
    assert lake.snapshot().get("label", "a")["n"] == 2


def test_block_of_plans_is_replayed_after_a_conflict(lake: Lake, other: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x", 0)]))
    with once_at("commit.checked", lambda: other.run(renames("a", "theirs"))), lake.transaction("mine"):
        lake.run(lambda txn: txn.insert("event", [{"uid": "e"}]))
        lake.run(lambda txn: txn.upsert("label", [{**txn.snapshot.get("label", "a"), "n": 7}]))
    assert rows_of(lake) == [label("a", "theirs", 7)]
    assert uids(lake, "event") == ["e"]
    assert lake.commits(limit=1)[0].message == "mine"


def test_block_with_direct_changes_is_not_replayed(lake: Lake, other: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x", 0)]))
    theirs = once_at("commit.checked", lambda: other.run(renames("a", "theirs")))
    with theirs, pytest.raises(ChangedSinceRead) as caught, lake.transaction() as txn:
        txn.upsert("label", [label("a", "mine", 1)])
    assert caught.value.transient
    assert rows_of(lake) == [label("a", "theirs", 0)]


def test_plan_undone_by_its_savepoint_is_not_replayed(lake: Lake, other: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", "x", 0)]))
    with once_at("commit.checked", lambda: other.run(renames("a", "theirs"))), lake.transaction():
        with pytest.raises(RuntimeError), lake.transaction():
            add(lake, "undone")
            raise RuntimeError
        lake.run(lambda txn: txn.upsert("label", [{**txn.snapshot.get("label", "a"), "n": 7}]))
    assert uids(lake) == ["a"]


def test_client_transaction_that_is_retried_returns_the_first_commit(lake: Lake, other: Lake) -> None:
    def attempt(handle: Lake) -> int:
        txn = handle.begin(client_txn="job 7")
        txn.insert("label", [label("a")])
        return handle.commit(txn)

    first = attempt(lake)
    add(lake, "b")
    assert attempt(lake) == attempt(other) == first
    assert uids(lake) == ["a", "b"]


def test_lost_reply_is_found_again_under_the_same_client_transaction(lake: Lake) -> None:
    def attempt() -> int:
        txn = lake.begin(client_txn="job 8")
        txn.insert("event", [{"uid": "e"}], fresh=True)
        return lake.commit(txn)

    def lose() -> None:
        raise ConnectionResetError

    with once_at("commit.done", lose), pytest.raises(ConnectionResetError):
        attempt()
    assert attempt() == lake.head()
    assert uids(lake, "event") == ["e"]


@pytest.mark.parametrize("end", ["committed", "rolled back"])
def test_spent_transaction_refuses_reuse(lake: Lake, end: str) -> None:
    try:
        with lake.transaction() as txn:
            txn.insert("label", [label("a")])
            if end == "rolled back":
                raise RuntimeError
    except RuntimeError:
        pass
    for use in (
        lambda: txn.insert("label", [label("b")]),
        lambda: txn.upsert("label", [label("b")]),
        lambda: txn.delete("label", ["b"]),
        lambda: txn.require(TableUntouched("label")),
        lambda: txn.run(lambda t: None),
    ):
        with pytest.raises(LakehouseError, match=end):
            use()


def test_rolled_back_transaction_cannot_be_committed_by_hand(lake: Lake) -> None:
    with pytest.raises(RuntimeError), lake.transaction() as txn:
        txn.insert("label", [label("a")])
        raise RuntimeError
    with pytest.raises(LakehouseError, match="rolled back"):
        lake.commit(txn)
    assert uids(lake) == []


def test_conflict_leaves_no_staged_change_visible(make: object) -> None:
    lake = make(bulk_rows=2)  # type: ignore[operator]
    add(lake, "a")
    with pytest.raises(Conflict):
        lake.run(lambda txn: txn.insert("label", [label(u) for u in "abcd"]))
    assert uids(lake) == ["a"]
    lake.flush()
    assert uids(lake) == ["a"]
