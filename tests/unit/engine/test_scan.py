from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.engine import Lake
from lakehouse.engine.scan import source_of
from lakehouse.errors import DataLoss, Duplicate, UnknownField
from tests.unit.engine.support import add, label, renames, rows_of, uids


def keys(start: int, stop: int) -> list[str]:
    return [f"{n:05d}" for n in range(start, stop)]


pytestmark = pytest.mark.catalogs("sqlite")  # scans never reach the catalog


@pytest.fixture
def large(make: object) -> Lake:
    """Return a lake whose table lies in several published files and is scanned."""
    lake: Lake = make(small_rows=10, file_rows=20, bulk_rows=15)  # type: ignore[operator]
    lake.run(lambda txn: txn.insert("label", [label(k, n=int(k)) for k in keys(0, 100)]))
    lake.flush()
    state = lake.snapshot().state("label")
    assert len(state.base.files) >= 5
    assert not state.in_memory
    return lake


def test_uid_lookup_reads_only_the_file_that_may_hold_it(large: Lake) -> None:
    state = large.snapshot().state("label")
    (wanted,) = [f for f in state.base.files if f.low <= "00042" <= f.high]
    for file in state.base.files:
        if file != wanted:
            state.base.folder.remove(file.path)
    assert large.snapshot().get("label", "00042") == label("00042", n=42)
    assert large.snapshot().get("label", "zz") is None
    assert large.snapshot().lookup("label", "uid", [None]).num_rows == 0
    with pytest.raises(DataLoss):
        large.snapshot().lookup("label", "n", [3])


@pytest.mark.parametrize("many", [3, 80])
def test_lookups_by_other_columns_scan(large: Lake, many: int) -> None:
    found = large.snapshot().lookup("label", "n", list(range(many)))
    assert sorted(found["uid"].to_pylist()) == keys(0, many)
    assert large.snapshot().lookup("label", "name", ["name of 00099"])["n"].to_pylist() == [99]
    assert large.snapshot().lookup("label", "n", []).num_rows == 0


def test_replaced_and_deleted_rows_are_hidden(large: Lake) -> None:
    large.run(renames("00005", "new"))
    large.run(lambda txn: txn.delete("label", ["00006"]))
    snapshot = large.snapshot()
    assert snapshot.count("label") == 99
    assert snapshot.get("label", "00005")["name"] == "new"
    assert snapshot.get("label", "00006") is None
    assert snapshot.lookup("label", "name", ["name of 00005"]).num_rows == 0
    assert snapshot.lookup("label", "n", [5, 6])["uid"].to_pylist() == ["00005"]


def test_staged_files_are_read_and_hidden_by_what_came_later(large: Lake) -> None:
    large.run(lambda txn: txn.insert("label", [label(k, n=int(k)) for k in keys(100, 140)]))
    assert large.snapshot().state("label").tail.staged
    large.run(renames("00120", "new"))
    large.run(lambda txn: txn.delete("label", ["00121", "00001"]))
    expected = sorted(set(keys(0, 140)) - {"00121", "00001"})
    for _ in range(2):
        assert uids(large) == expected
        assert large.snapshot().get("label", "00120")["name"] == "new"
        assert large.snapshot().get("label", "00121") is None
        assert large.snapshot().get("label", "00130") == label("00130", n=130)
        large.flush()
    assert not large.snapshot().state("label").tail.staged


def test_row_of_a_staged_file_deleted_and_staged_again_is_there_once(large: Lake) -> None:
    rows = [label(k, n=1) for k in keys(100, 120)]
    large.run(lambda txn: txn.insert("label", rows))
    large.run(lambda txn: txn.delete("label", keys(100, 120)))
    again = [{**row, "n": 2} for row in rows]
    large.run(lambda txn: txn.insert("label", again))
    large.run(lambda txn: txn.upsert("label", [label("00100", n=3)]))
    for _ in range(2):
        found = [r["n"] for r in rows_of(large) if r["uid"] >= "00100"]
        assert found == [3] + [2] * 19
        large.flush()


def test_bulk_duplicates_of_keys_and_names_are_refused(large: Lake) -> None:
    with pytest.raises(Duplicate):
        large.run(lambda txn: txn.insert("label", [label(k, f"other {k}") for k in keys(99, 130)]))
    with pytest.raises(Duplicate):
        large.run(lambda txn: txn.insert("label", [label(f"x{k}", f"name of {k}") for k in keys(99, 130)]))
    assert large.snapshot().count("label") == 100


def test_names_claimed_in_bulk_can_be_freed_and_passed_on(make: object) -> None:
    lake: Lake = make(bulk_rows=50)  # type: ignore[operator]
    many = pa.table({"uid": keys(0, 1500), "name": [f"n{k}" for k in keys(0, 1500)]})
    lake.run(lambda txn: txn.insert("label", many))
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("label", [label("x", "n00007")]))
    lake.run(lambda txn: txn.delete("label", ["00007"]))
    lake.run(lambda txn: txn.insert("label", [label("x", "n00007")]))
    with lake.transaction() as txn:  # passed on within one transaction
        txn.delete("label", ["00008"])
        txn.insert("label", [label("y", "n00008")])
        txn.upsert("label", [label("00009", "moved")])
        txn.insert("label", [label("z", "n00009")])
    with pytest.raises(Duplicate):
        lake.run(lambda txn: txn.insert("label", [label("w", "n00008")]))
    swapped = [label("00010", "n00011"), label("00011", "n00010")]
    lake.run(lambda txn: txn.upsert("label", swapped))
    assert lake.snapshot().lookup("label", "name", ["n00010"])["uid"].to_pylist() == ["00011"]
    assert lake.snapshot().count("label") == 1501


@pytest.mark.parametrize("count", [3, 1500])
def test_name_that_its_holder_keeps_is_not_given_to_another_row(make: object, count: int) -> None:
    lake: Lake = make(bulk_rows=50)  # type: ignore[operator]
    many = pa.table({"uid": keys(0, count), "name": [f"n{k}" for k in keys(0, count)]})
    lake.run(lambda txn: txn.insert("label", many))
    both = [label("00001", "n00001", 5), label("00002", "n00001", 5)]
    with pytest.raises(Duplicate) as caught:
        lake.run(lambda txn: txn.upsert("label", both))
    assert not caught.value.transient
    assert lake.snapshot().lookup("label", "name", ["n00001"])["uid"].to_pylist() == ["00001"]


def test_filters_and_projection_reach_the_parquet_files(large: Lake) -> None:
    source = source_of(large.snapshot().state("label"))
    ((_, text),) = large.sql("EXPLAIN SELECT name FROM label WHERE n = 42").fetchall()
    assert len(source.paths) >= 5
    assert "n=42" in text.replace(" ", "")
    assert "uid" not in text.lower()


def test_unknown_column_suggests_the_near_one(large: Lake) -> None:
    for at in (None, 0):
        with pytest.raises(UnknownField, match="did you mean 'name'"):
            large.snapshot(at).lookup("label", "nme", ["x"])
    with pytest.raises(UnknownField, match="did you mean 'label'"):
        large.snapshot().get("lable", "x")


def test_lookup_agrees_in_memory_and_by_scan(make: object) -> None:
    ways = [make(name, small_rows=rows) for name, rows in (("mem", 10_000), ("scan", 0))]  # type: ignore[operator]
    for lake in ways:
        lake.run(lambda txn: txn.insert("label", [label(k, n=int(k) % 7) for k in keys(0, 50)]))
        lake.flush()
        lake.run(renames("00003", "x"))
        lake.run(lambda txn: txn.delete("label", ["00010"]))
        add(lake, "late")
    for column, values in {
        "uid": ["00003", "00010", "late", "no"],
        "n": [3, None, 2**62],
        "name": ["x", "name of 00003", "name of 00004", ""],
    }.items():
        found = [sorted(lake.snapshot().lookup("label", column, values).to_pylist(), key=str) for lake in ways]
        assert found[0] == found[1]
