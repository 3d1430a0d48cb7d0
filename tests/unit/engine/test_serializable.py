"""Anomalies that snapshot isolation admits, and that the serialisable mode refuses; two handles stand for processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, Transaction
from lakehouse.errors import ChangedSinceRead, InputError
from tests.unit.engine.support import add, label, once_at, renames, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")
BOTH = pytest.mark.catalogs("sqlite", "postgres")

ON_CALL = "SELECT uid FROM label WHERE n = 1 ORDER BY uid"


@pytest.fixture
def doctors(lake: Lake) -> Lake:
    """Return a lake with two doctors on call."""
    lake.run(lambda txn: txn.insert("label", [label("alice", n=1), label("bob", n=1)]))
    return lake


READS: dict[str, Callable[[Lake], list[str]]] = {
    "query": lambda lake: lake.snapshot().arrow(ON_CALL, tables=["label"])["uid"].to_pylist(),
    "sql": lambda lake: [uid for (uid,) in lake.sql(ON_CALL).fetchall()],
    "sql view": lambda lake: [u for (u,) in lake.sql("from v", views={"w": ON_CALL, "v": "from w"}).fetchall()],
    "sql function": lambda lake: [u for (u,) in lake.sql("select uid from query_table('label') where n=1").fetchall()],
    "look-up by value": lambda lake: sorted(lake.snapshot().lookup("label", "n", [1])["uid"].to_pylist()),
    "look-up by uid": lambda lake: [
        row["uid"] for row in lake.snapshot().lookup("label", "uid", ["alice", "bob"]).to_pylist() if row["n"] == 1
    ],
    "rows one by one": lambda lake: [u for u in ("alice", "bob") if (lake.snapshot().get("label", u) or {})["n"] == 1],
}
COUNTED: dict[str, Callable[[Lake], Any]] = {
    "count": lambda lake: lake.snapshot().count("label"),
    "absence": lambda lake: lake.snapshot().missing("label", pa.array(["carol", "bob"])),
    "source": lambda lake: lake.snapshot().source("label"),
}


@contextmanager
def both(*lakes: Lake, serializable: bool) -> Iterator[list[Transaction]]:
    """Begin a transaction on each handle; they end in order."""
    with ExitStack() as stack:
        yield [stack.enter_context(lake.transaction(serializable=serializable)) for lake in reversed(lakes)][::-1]


def leaves(lake: Lake, txn: Transaction, who: str, read: Callable[[Lake], list[str]]) -> None:
    """Go off call if another one stays."""
    if len(read(lake)) > 1:
        row = lake.snapshot().get("label", who)
        assert row is not None
        txn.upsert("label", [{**row, "n": 0}], as_read=[row])


@pytest.mark.parametrize("read", READS)
def test_two_doctors_may_both_leave_without_the_mode_and_one_must_stay_in_it(
    doctors: Lake, other: Lake, read: str
) -> None:
    with both(doctors, other, serializable=False) as (mine, theirs):
        leaves(doctors, mine, "alice", READS[read])
        leaves(other, theirs, "bob", READS[read])
    assert READS[read](doctors) == [], "write skew, which snapshot isolation admits"
    doctors.run(lambda txn: txn.upsert("label", [label("alice", n=1), label("bob", n=1)]))
    with pytest.raises(ChangedSinceRead), both(doctors, other, serializable=True) as (mine, theirs):
        leaves(doctors, mine, "alice", READS[read])
        leaves(other, theirs, "bob", READS[read])
    assert READS[read](doctors) == ["bob"] or READS[read](doctors) == ["alice"]


@pytest.mark.parametrize("read", [*READS, *COUNTED])
def test_whoever_read_what_has_changed_since_must_not_write(doctors: Lake, other: Lake, read: str) -> None:
    with pytest.raises(ChangedSinceRead) as caught, doctors.transaction(serializable=True) as txn:
        {**READS, **COUNTED}[read](doctors)
        other.run(lambda txn: txn.delete("label", ["bob"]))
        txn.insert("event", [{"uid": "e"}])
    assert caught.value.transient
    assert uids(doctors, "event") == []


PHANTOMS: dict[str, Callable[[Lake], Any]] = {
    "query": lambda lake: lake.snapshot().arrow("SELECT * FROM label WHERE n = 3", tables=["label"]),
    "look-up by value": lambda lake: lake.snapshot().lookup("label", "n", [3]),
    "look-up by uid": lambda lake: lake.snapshot().get("label", "carol"),
    "absence": lambda lake: lake.snapshot().missing("label", pa.array(["carol"])),
}


@BOTH
@pytest.mark.parametrize("bulk_rows", [0, 10_000])
@pytest.mark.parametrize("read", PHANTOMS)
def test_a_phantom_is_a_conflict(make: Callable[..., Lake], read: str, bulk_rows: int) -> None:
    lake = make(bulk_rows=bulk_rows)
    add(lake, "a")
    for write in (lambda txn: txn.insert("label", [label("carol", n=3)]), lambda txn: txn.delete("label", ["carol"])):
        with pytest.raises(ChangedSinceRead), lake.transaction(serializable=True) as txn:
            PHANTOMS[read](lake)
            txn.insert("event", [{"uid": "e"}])
            with Lake.open(lake.root, options=lake.options) as other:
                other.run(write)
    assert uids(lake, "event") == []


def test_what_was_not_read_may_change(doctors: Lake, other: Lake) -> None:
    with doctors.transaction(serializable=True) as txn:
        assert doctors.snapshot().get("label", "alice") is not None
        assert doctors.snapshot().lookup("label", "n", [7]).num_rows == 0
        assert doctors.sql("with label as (select 1 as x) select * from label join event on true").fetchall() == []
        doctors.snapshot(doctors.head()).count("link")
        other.run(renames("bob", "x"))
        add(other, "carol")
        other.run(lambda txn: txn.insert("link", [{"uid": "l"}]))
        txn.insert("link", [{"uid": "mine"}])
    assert uids(doctors, "link") == ["l", "mine"]


def test_reads_of_plans_are_planned_again_and_those_of_the_block_are_not(doctors: Lake, other: Lake) -> None:
    def count(txn: Transaction) -> None:
        txn.upsert("event", [{"uid": "count", "size": float(txn.snapshot.count("label"))}])

    with once_at("commit.checked", lambda: add(other, "carol")):
        doctors.run(count, serializable=True)
    assert rows_of(doctors, "event")[0]["size"] == 3
    with once_at("commit.checked", lambda: add(other, "dave")), doctors.transaction("mine", serializable=True):
        doctors.run(count)
    assert rows_of(doctors, "event")[0]["size"] == 4
    assert doctors.commits(limit=1)[0].message == "mine"
    theirs = once_at("commit.checked", lambda: add(other, "erin"))
    with theirs, pytest.raises(ChangedSinceRead), doctors.transaction(serializable=True):
        doctors.snapshot().count("label")
        doctors.run(count)
    assert rows_of(doctors, "event")[0]["size"] == 4
    with once_at("commit.checked", lambda: add(other, "frank")):
        doctors.run(count)
    assert rows_of(doctors, "event")[0]["size"] == 5, "without the mode the count is that of the snapshot"


def test_what_an_undone_savepoint_read_counts(doctors: Lake, other: Lake) -> None:
    with pytest.raises(ChangedSinceRead), doctors.transaction(serializable=True) as txn:
        with pytest.raises(RuntimeError), doctors.transaction():
            assert doctors.snapshot().count("label") == 2
            raise RuntimeError
        add(other, "carol")
        txn.insert("event", [{"uid": "e"}])


def test_a_block_that_only_reads_never_conflicts(doctors: Lake, other: Lake) -> None:
    with doctors.transaction(serializable=True):
        assert doctors.snapshot().count("label") == 2
        add(other, "carol")
        assert doctors.snapshot().count("label") == 2


@BOTH
def test_the_read_only_anomaly_does_not_occur(lake: Lake, other: Lake) -> None:
    """Fekete, O'Neil and O'Neil, 2004: checking and savings, a withdrawal, a deposit, and a report in between."""

    def balance(handle: Lake) -> dict[str, int]:
        return {r["uid"]: r["n"] for r in handle.snapshot().lookup("label", "uid", ["x", "y"]).to_pylist()}

    def withdraw(txn: Transaction) -> None:
        rows = {r["uid"]: r["n"] for r in txn.snapshot.lookup("label", "uid", ["x", "y"]).to_pylist()}
        fee = 1 if rows["x"] + rows["y"] < 10 else 0
        txn.upsert("label", [label("x", n=rows["x"] - 10 - fee)])

    reports = []

    def meanwhile() -> None:
        other.run(lambda txn: txn.upsert("label", [label("y", n=20)]), serializable=True)
        reports.append(balance(other))

    lake.run(lambda txn: txn.insert("label", [label("x", n=0), label("y", n=0)]))
    with once_at("commit.checked", meanwhile):
        lake.run(withdraw, serializable=True)
    assert reports == [{"x": 0, "y": 20}]
    assert balance(lake) == {"x": -10, "y": 20}, "after the deposit that the report shows there is no fee"


def test_the_mode_is_asked_for_at_the_outermost_block(lake: Lake) -> None:
    for inner in (
        lambda: lake.transaction(serializable=True).__enter__(),
        lambda: lake.run(lambda txn: None, serializable=True),
    ):
        with pytest.raises(InputError, match="around this one is not serialisable"), lake.transaction():
            inner()
    with lake.transaction(serializable=True), lake.transaction(serializable=True):
        lake.run(lambda txn: None, serializable=True)


def test_a_transaction_by_hand_can_be_serialisable(doctors: Lake, other: Lake) -> None:
    txn = doctors.begin(serializable=True)
    assert txn.snapshot.count("label") == 2
    txn.insert("event", [{"uid": "e"}])
    add(other, "carol")
    with pytest.raises(ChangedSinceRead):
        doctors.commit(txn)
    assert uids(doctors, "event") == []
