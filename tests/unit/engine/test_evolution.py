from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec
from lakehouse.errors import SchemaChanged
from tests.unit.engine.support import LABEL, add, label, once_at, plain, renames, rows_of, uids


def wide(*columns: str) -> TableSpec:
    schema = LABEL.schema
    for column in columns:
        schema = schema.append(pa.field(column, pa.string()))
    return TableSpec("label", schema, unique=LABEL.unique)


@pytest.mark.parametrize("small_rows", [0, 200_000])
@pytest.mark.parametrize("flushed", [False, True])
def test_columns_grow_through_tail_files_and_delta(make: object, small_rows: int, flushed: bool) -> None:
    lake: Lake = make(small_rows=small_rows, bulk_rows=3)  # type: ignore[operator]
    add(lake, "a")
    lake.run(lambda txn: txn.insert("label", [label(f"s{n}") for n in range(5)]))
    old = rows_of(lake)
    before = lake.head()
    if flushed:
        lake.flush()
    lake.ensure([wide("unit")])
    expected = [{**row, "unit": None} for row in old]
    assert rows_of(lake) == expected
    lake.run(lambda txn: txn.upsert("label", [{**txn.snapshot.get("label", "s1"), "unit": "mm"}]))
    lake.ensure([wide("unit", "kind")])
    lake.run(lambda txn: txn.insert("label", [{**label(f"t{n}"), "kind": "k"} for n in range(5)]))
    now = rows_of(lake)
    assert {r["uid"]: (r["unit"], r["kind"]) for r in now if r["unit"] or r["kind"]} == {
        "s1": ("mm", None),
        **{f"t{n}": (None, "k") for n in range(5)},
    }
    lake.flush()
    assert rows_of(lake) == plain(lake) == now
    assert rows_of(lake, at=before) == old
    assert lake.snapshot().get("label", "a")["kind"] is None
    assert lake.snapshot().lookup("label", "kind", ["k"]).num_rows == 5
    assert lake.sql("select count(unit), count(kind) from label").fetchall() == [(1, 5)]


def test_staged_file_of_an_older_schema_is_rewritten_with_the_new_one(make: object) -> None:
    lake: Lake = make(bulk_rows=3)  # type: ignore[operator]
    lake.run(lambda txn: txn.insert("label", [label(f"s{n}") for n in range(5)]))
    lake.ensure([wide("unit")])
    lake.run(renames("s2", "new"))
    lake.flush()
    assert plain(lake) == rows_of(lake)
    assert plain(lake)[2] == {**label("s2", "new"), "unit": None}


def test_table_of_a_newer_program_appears_in_an_open_handle(lake: Lake, other: Lake) -> None:
    lake.ensure([TableSpec("later", LABEL.schema)])
    lake.run(lambda txn: txn.insert("later", [label("a")]))
    assert uids(other, "later") == ["a"]
    other.run(lambda txn: txn.insert("later", [label("b")]))
    assert uids(lake, "later") == ["a", "b"]


def test_columns_changed_meanwhile_are_planned_again(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    with once_at("commit.checked", lambda: other.ensure([wide("unit")])) as seen:
        lake.run(lambda txn: txn.upsert("label", [{**txn.snapshot.get("label", "a"), "n": 1}]))
    assert seen.count("commit.planned") == 2
    assert rows_of(lake) == [{**label("a", n=1), "unit": None}]


def test_columns_changed_under_a_transaction_by_hand_are_a_transient_conflict(lake: Lake, other: Lake) -> None:
    txn = lake.begin()
    txn.insert("label", [label("a")])
    other.ensure([wide("unit")])
    with pytest.raises(SchemaChanged) as caught:
        lake.commit(txn)
    assert caught.value.transient
    assert uids(lake) == []


def test_same_columns_added_by_two_programs_at_once_are_added_once(lake: Lake, other: Lake) -> None:
    with once_at("lock.taken", lambda: None):
        lake.ensure([wide("unit")])
        before = lake.head()
        other.ensure([wide("unit")])
    assert other.head() == before
    assert other.schemas.current("label").version == 2


def test_published_table_grows_for_plain_readers_with_a_version_of_its_own(lake: Lake) -> None:
    add(lake, "a")
    lake.flush()
    lake.ensure([wide("unit")])
    lake.flush()
    assert plain(lake) == [{**label("a"), "unit": None}]
    assert plain(lake, version=1) == [label("a")]
    add(lake, "b")
    lake.flush()
    assert [r["uid"] for r in plain(lake)] == ["a", "b"]
