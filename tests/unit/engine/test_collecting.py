"""Rows that a transaction collects one by one: seen as if they were written, written as one batch."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.engine import Lake
from lakehouse.errors import ChangedSinceRead, Conflict, Duplicate, UnknownField
from tests.unit.engine.support import add, label

EXPECTED = {("label", "name"): ["name of a", "name of b", "name of z"], ("label", "uid"): ["a", "b", "z"]}


def names(found: pa.Table) -> list[str]:
    return sorted(found["name"].to_pylist())


@pytest.mark.parametrize("expected", [{}, EXPECTED])
def test_what_is_collected_is_looked_up_and_read(lake: Lake, expected: dict[tuple[str, str], list[object]]) -> None:
    add(lake, "a")

    def plan(txn):
        with txn.collecting(expected):
            assert txn.snapshot.get("label", "b") is None
            txn.insert("label", [label("b")])
            assert txn.snapshot.get("label", "b")["name"] == "name of b"
            assert names(txn.snapshot.lookup("label", "name", ["name of a", "name of b", "name of z"])) == [
                "name of a",
                "name of b",
            ]
            before = txn.snapshot.get("label", "a")
            txn.upsert("label", [label("a", "renamed")], as_read=[before])
            assert not len(txn.snapshot.lookup("label", "name", ["name of a"]))
            assert txn.snapshot.get("label", "a")["name"] == "renamed"
            assert txn.snapshot.count("label") == 2  # a query sees them too
            txn.insert("label", [label("c")], fresh=True)
            assert names(txn.snapshot.lookup("label", "uid", ["a", "b", "c"])) == ["name of b", "name of c", "renamed"]

    lake.run(plan)
    assert names(lake.snapshot().rows("label")) == ["name of b", "name of c", "renamed"]


def test_many_are_one_batch(lake: Lake) -> None:
    def plan(txn):
        with txn.collecting({}):
            for number in range(500):
                assert not len(txn.snapshot.lookup("label", "name", [f"n{number}"]))
                txn.insert("label", [label(f"u{number}", f"n{number}")])
        assert len(txn.log["label"]) == 1

    lake.run(plan)
    assert lake.snapshot().count("label") == 500


def test_a_block_that_fails_leaves_nothing(lake: Lake) -> None:
    def plan(txn):
        with pytest.raises(ZeroDivisionError), txn.collecting({}):
            txn.insert("label", [label("b")])
            raise ZeroDivisionError
        assert txn.snapshot.get("label", "b") is None
        txn.insert("label", [label("c")])

    lake.run(plan)
    assert [row["uid"] for row in lake.snapshot().rows("label").to_pylist()] == ["c"]


def test_the_same_checks_hold_as_for_rows_that_are_written_one_by_one(lake: Lake) -> None:
    add(lake, "a")

    def collected(*changes):
        def plan(txn):
            with txn.collecting({}):
                for change in changes:
                    change(txn)

        return plan

    with pytest.raises(Conflict):
        lake.run(collected(lambda txn: txn.insert("label", [label("a", "other")])))
    with pytest.raises(Duplicate):
        lake.run(collected(lambda txn: txn.insert("label", [label("b", "name of a")])))
    with pytest.raises(Duplicate):
        lake.run(collected(*[lambda txn: txn.insert("label", [label("b")])] * 2))
    with pytest.raises(ChangedSinceRead):
        lake.run(collected(lambda txn: txn.upsert("label", [label("a", "x")], as_read=[label("a", "never was")])))
    with pytest.raises(UnknownField):
        lake.run(collected(lambda txn: txn.insert("label", [{"uid": "d", "nmae": "x"}])))
    with pytest.raises(UnknownField):
        lake.run(collected(lambda txn: txn.snapshot.lookup("label", "nmae", ["x"])))
    assert [row["uid"] for row in lake.snapshot().rows("label").to_pylist()] == ["a"]


def test_deletes_savepoints_and_arrow_rows_come_after_what_was_collected(lake: Lake) -> None:
    def plan(txn):
        with txn.collecting({}):
            txn.insert("label", [label("a"), label("b")])
            txn.delete("label", ["a"])
            assert txn.snapshot.get("label", "a") is None
            txn.insert("label", [label("c")])
            with pytest.raises(ZeroDivisionError), txn.savepoint():
                txn.insert("label", [label("d")])
                raise ZeroDivisionError
            txn.insert("label", pa.Table.from_pylist([label("e")]))
            txn.upsert("label", [label("c", "replaced")])
            assert txn.snapshot.get("label", "c")["name"] == "replaced"

    lake.run(plan)
    assert lake.snapshot().get("label", "c")["name"] == "replaced"
    assert sorted(row["uid"] for row in lake.snapshot().rows("label").to_pylist()) == ["b", "c", "e"]


def test_a_serialisable_block_notes_what_it_reads_all_the_same(lake: Lake) -> None:
    add(lake, "a")
    with pytest.raises(ChangedSinceRead), lake.transaction(serializable=True) as txn, txn.collecting(EXPECTED):
        assert txn.snapshot.get("label", "z") is None
        other = lake.begin()
        other.insert("label", [label("z")])
        lake.commit(other)
        txn.insert("label", [label("b")])
