"""Look-ups across large tables of links, which are kept by a column once they are asked for again."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec, Transaction
from lakehouse.errors import ChangedSinceRead
from tests.unit.engine.support import LINK, add

pytestmark = pytest.mark.catalogs("sqlite")  # what is kept never reaches the catalog

LABELS = [f"l{n}" for n in range(7)]


def links(start: int, stop: int, seed: int = 1) -> list[dict[str, str | None]]:
    dice = random.Random(seed)
    choices = [*LABELS, None]
    return [{"uid": f"{n:05d}", "label": dice.choice(choices), "note": f"n{n}"} for n in range(start, stop)]


@pytest.fixture
def large(make: object) -> Lake:
    """Return a lake whose links lie in several published files and are scanned."""
    lake: Lake = make(small_rows=10, file_rows=20, bulk_rows=15)  # type: ignore[operator]
    add(lake, *LABELS)
    lake.run(lambda txn: txn.insert("link", links(0, 100)))
    lake.flush()
    assert len(lake.snapshot().state("link").base.files) >= 5
    return lake


def kept(lake: Lake, *labels: str) -> list[tuple[str, str]]:
    found = lake.snapshot().across("link", "label", labels, ["note"])
    assert found is not None
    assert found.column_names == ["uid", "note"]
    return sorted(zip(found["uid"].to_pylist(), found["note"].to_pylist(), strict=True))


def scanned(lake: Lake, *labels: str) -> list[tuple[str, str]]:
    sql = "SELECT uid, note FROM link WHERE label IN (SELECT unnest(?)) ORDER BY uid"
    found = lake.snapshot().arrow(sql, [list(labels)], ["link"])
    return list(zip(found["uid"].to_pylist(), found["note"].to_pylist(), strict=True))


def agrees(lake: Lake) -> bool:
    return all(kept(lake, *asked) == scanned(lake, *asked) for asked in (LABELS[:1], LABELS[2:5], LABELS, ["none"]))


def test_what_is_asked_once_is_left_to_a_scan(large: Lake) -> None:
    snapshot = large.snapshot()
    assert snapshot.across("link", "label", ["l0"], ["note"]) is None
    assert snapshot.across("link", "label", ["l1"], ["note"]) is not None
    assert snapshot.across("link", "label", ["l1"], []) is None


def test_what_is_kept_follows_every_kind_of_change(large: Lake) -> None:
    large.snapshot().across("link", "label", ["l0"], ["note"])
    assert agrees(large)
    moved = [{**link, "label": "l0", "note": "moved"} for link in links(3, 6)]
    large.run(lambda txn: txn.insert("link", links(100, 105)))
    large.run(lambda txn: txn.upsert("link", moved))
    assert agrees(large)
    large.run(lambda txn: txn.delete("link", ["00003", "00050", "00101"]))
    assert agrees(large)
    large.run(lambda txn: txn.insert("link", links(105, 140)))  # staged
    large.run(lambda txn: txn.upsert("link", [{**link, "label": "l6"} for link in links(90, 110)]))
    large.run(lambda txn: txn.delete("link", ["00120"]))
    assert large.snapshot().state("link").tail.staged
    assert agrees(large)
    large.flush()
    assert agrees(large)
    large.compact()
    assert agrees(large)


def test_an_older_commit_is_answered_as_it_was(large: Lake) -> None:
    before = large.snapshot()
    before.across("link", "label", ["l0"], [])
    wanted = scanned(large, "l0")
    large.run(lambda txn: txn.delete("link", [uid for uid, _ in wanted]))
    large.flush()
    found = before.across("link", "label", ["l0"], [])
    assert found is not None
    assert sorted(found["uid"].to_pylist()) == [uid for uid, _ in wanted]
    assert kept_uids(large, "l0") == []


def kept_uids(lake: Lake, label: str) -> list[str]:
    found = lake.snapshot().across("link", "label", [label], [])
    assert found is not None
    return sorted(found["uid"].to_pylist())


def test_a_transaction_sees_its_own_links(large: Lake) -> None:
    large.snapshot().across("link", "label", ["l0"], [])
    with large.transaction() as txn:
        gone = kept_uids(large, "l0")[0]
        txn.delete("link", [gone])
        txn.insert("link", [{"uid": "new", "label": "l0", "note": None}])
        found = txn.snapshot.across("link", "label", ["l0"], [])
        assert found is not None
        assert "new" in found["uid"].to_pylist()
        assert gone not in found["uid"].to_pylist()


def test_a_serialisable_transaction_refuses_links_that_came_since(large: Lake, other: Lake) -> None:
    large.snapshot().across("link", "label", ["l0"], [])

    def count(txn: Transaction) -> int:
        found = txn.snapshot.across("link", "label", ["l0"], [])
        assert found is not None
        return len(found)

    def write(uid: str) -> None:
        other.run(lambda txn: txn.insert("link", [{"uid": uid, "label": uid[:2], "note": None}]))

    with large.transaction(serializable=True) as txn:
        count(txn)
        write("l1 is another label")
        add(large, "of no matter")
    with pytest.raises(ChangedSinceRead), large.transaction(serializable=True) as txn:
        count(txn)
        write("l0 is the same")
        add(large, "acts on it")


def test_a_table_of_more_rows_than_are_kept_is_scanned_and_the_oldest_index_is_forgotten(make: object) -> None:
    lake: Lake = make(small_rows=10, file_rows=20, bulk_rows=15, crossing_rows=100)  # type: ignore[operator]
    add(lake, *LABELS)
    lake.run(lambda txn: txn.insert("link", links(0, 100)))
    lake.flush()
    for columns in ([], ["note"]) * 3:
        lake.snapshot().across("link", "label", ["l0"], columns)
    assert agrees(lake)
    assert 0 < lake.snapshot().scanner.crossings.rows <= 100
    lake.run(lambda txn: txn.insert("link", links(100, 120)))
    assert lake.snapshot().across("link", "label", ["l0"], ["note"]) is None


def test_a_column_that_is_younger_than_the_files_has_no_values_in_them(large: Lake) -> None:
    wider = TableSpec("link", LINK.schema.append(pa.field("kind", pa.string())), references=LINK.references)
    large.ensure([wider])
    large.run(lambda txn: txn.insert("link", [{"uid": "new", "label": "l0", "note": None, "kind": "close"}]))
    for column, value in (("label", "l0"), ("kind", "close")):
        large.snapshot().across("link", column, [value], ["kind"])
        found = large.snapshot().across("link", column, [value], ["kind"])
        assert found is not None
        assert found["kind"].drop_null().to_pylist() == ["close"]
        assert len(found) == (1 if column == "kind" else len(scanned(large, "l0")))
