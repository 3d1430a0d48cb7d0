"""Bulk updates and deletes are staged as files, like bulk inserts, and hide what they replace."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.engine import Lake, Options, TableSpec
from lakehouse.errors import ChangedSinceRead, Duplicate

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False), ("val", pa.int64()), ("name", pa.string())])
SMALL = Options(bulk_rows=5, file_rows=8, auto_publish=False, retention=0.0, grace=0.0)


@pytest.fixture
def lake(tmp_path: Path):
    with Lake.create(tmp_path / "lake", [TableSpec("item", SCHEMA, unique=(("name",),))], options=SMALL) as opened:
        yield opened


def rows(low: int, high: int, add: int = 0, tag: str = "n") -> pa.Table:
    numbers = range(low, high)
    names = [f"{tag}{i}" for i in numbers]
    return pa.table({"uid": [f"u{i:04}" for i in numbers], "val": [i + add for i in numbers], "name": names})


def values(lake: Lake, at: int | None = None) -> dict[str, int]:
    found = lake.snapshot(at).arrow("select uid, val from item", [], ["item"])
    return dict(zip(found["uid"].to_pylist(), found["val"].to_pylist(), strict=True))


def plain(lake: Lake) -> dict[str, int]:
    found = DeltaTable(lake.root / "tables" / "item").to_pyarrow_table()
    assert len(found) == len(set(found["uid"].to_pylist()))
    return dict(zip(found["uid"].to_pylist(), found["val"].to_pylist(), strict=True))


def expected(parts: list[pa.Table], gone: range = range(0)) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        found.update(zip(part["uid"].to_pylist(), part["val"].to_pylist(), strict=True))
    return {uid: val for uid, val in found.items() if uid not in {f"u{i:04}" for i in gone}}


@pytest.mark.parametrize("published", [False, True])
def test_a_bulk_update_and_a_bulk_delete_hide_what_they_replace(lake: Lake, published: bool):
    first, second = rows(0, 40), rows(10, 30, add=1000)
    lake.run(lambda txn: txn.insert("item", first))
    if published:
        lake.flush()
    lake.run(lambda txn: txn.upsert("item", second))
    updated = lake.head()
    lake.run(lambda txn: txn.delete("item", [f"u{i:04}" for i in range(20, 35)]))
    wanted = expected([first, second], range(20, 35))
    assert values(lake) == wanted
    assert lake.snapshot().get("item", "u0012")["val"] == 1012
    assert lake.snapshot().get("item", "u0025") is None
    lake.flush()
    assert values(lake) == plain(lake) == wanted
    assert values(lake, updated) == expected([first, second])


def test_single_changes_after_a_bulk_update_win(lake: Lake):
    lake.run(lambda txn: txn.insert("item", rows(0, 20)))
    lake.run(lambda txn: txn.upsert("item", rows(0, 20, add=100)))
    lake.run(lambda txn: txn.upsert("item", [{"uid": "u0003", "val": 7, "name": "n3"}]))
    lake.run(lambda txn: txn.delete("item", ["u0004"]))
    lake.run(lambda txn: txn.insert("item", [{"uid": "u0004", "val": 8, "name": "n4"}]))
    wanted = expected([rows(0, 20, add=100)]) | {"u0003": 7, "u0004": 8}
    assert values(lake) == wanted
    lake.flush()
    assert plain(lake) == values(lake) == wanted


def test_a_row_read_before_a_bulk_update_is_not_overwritten(lake: Lake):
    lake.run(lambda txn: txn.insert("item", rows(0, 20)))
    txn = lake.begin()
    read = txn.snapshot.get("item", "u0002")
    lake.run(lambda other: other.upsert("item", rows(0, 20, add=100)))
    txn.upsert("item", [{**read, "val": -1}], as_read=[read])
    with pytest.raises(ChangedSinceRead, match="u0002"):
        lake.commit(txn)
    assert values(lake)["u0002"] == 102


def test_staged_keys_are_swept_once_nobody_needs_them(lake: Lake):
    lake.run(lambda txn: txn.insert("item", rows(0, 20)))
    lake.run(lambda txn: txn.delete("item", [f"u{i:04}" for i in range(10)]))
    lake.flush()
    lake.run(lambda txn: txn.upsert("item", [{"uid": "u0015", "val": 1, "name": "n15"}]))
    lake.flush()
    assert lake.vacuum()
    live = {path.rsplit("/", 1)[-1] for path in DeltaTable(lake.root / "tables" / "item").file_uris()}
    assert live <= {path.name for path in (lake.root / "tables" / "item").glob("*.parquet")}
    assert values(lake) == plain(lake)


@pytest.fixture
def bulky(tmp_path: Path):
    """A lake whose bulk claims of unique values go through the filter."""
    with Lake.create(tmp_path / "bulky", [TableSpec("item", SCHEMA, unique=(("name",),))], options=SMALL) as opened:
        opened.run(lambda txn: txn.insert("item", rows(0, 3000)))
        yield opened


def test_a_name_from_a_bulk_insert_is_taken(bulky: Lake):
    with pytest.raises(Duplicate, match="n77"):
        bulky.run(lambda txn: txn.insert("item", [{"uid": "x", "name": "n77"}]))
    again = rows(5000, 7000).set_column(2, "name", pa.array([f"m{i}" for i in range(1999)] + ["n2999"]))
    with pytest.raises(Duplicate, match="n2999"):
        bulky.run(lambda txn: txn.insert("item", again))
    assert len(values(bulky)) == 3000


def test_a_name_from_a_bulk_insert_is_free_once_its_row_is_gone_or_renamed(bulky: Lake):
    bulky.run(lambda txn: txn.delete("item", ["u0007"]))
    bulky.run(lambda txn: txn.upsert("item", [{"uid": "u0008", "val": 8, "name": "renamed"}]))
    bulky.run(lambda txn: txn.insert("item", [{"uid": "x7", "name": "n7"}, {"uid": "x8", "name": "n8"}]))
    with pytest.raises(Duplicate, match="n7"):
        bulky.run(lambda txn: txn.insert("item", [{"uid": "y7", "name": "n7"}]))


def test_a_bulk_insert_meets_names_claimed_one_by_one(bulky: Lake):
    bulky.run(lambda txn: txn.insert("item", [{"uid": "single", "name": "m1234"}]))
    with pytest.raises(Duplicate, match="m1234"):
        bulky.run(lambda txn: txn.insert("item", rows(5000, 7000).set_column(2, "name", names("m", 2000))))


def test_a_name_twice_in_one_bulk_insert_is_refused(bulky: Lake):
    twice = pa.array([f"m{i}" for i in range(1999)] + ["m5"])
    with pytest.raises(Duplicate, match="m5"):
        bulky.run(lambda txn: txn.insert("item", rows(5000, 7000).set_column(2, "name", twice)))


def test_two_bulk_inserts_of_one_name_at_one_moment_do_not_both_commit(bulky: Lake):
    late = bulky.begin()
    late.insert("item", rows(5000, 7000).set_column(2, "name", names("m", 2000)))
    bulky.run(lambda txn: txn.insert("item", rows(8000, 10_000).set_column(2, "name", names("m", 2000))))
    with pytest.raises(Duplicate) as caught:
        bulky.commit(late)
    assert caught.value.transient  # planned again, it would find the names


def names(tag: str, count: int) -> pa.Array:
    return pa.array([f"{tag}{i}" for i in range(count)])
