"""The anomalies of Hermitage (github.com/ept/hermitage), as scripts: which of them can be seen here, and which cannot.

Every transaction reads one snapshot and commits as a whole; rows that it changes must still be as it read them. So all
anomalies below snapshot isolation are refused or invisible, and write skew (G2-item, G2) is admitted, unless a
transaction demands that what it read was not touched, as the serialisable mode does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.engine import Lake, TableUntouched, Transaction
from lakehouse.errors import ChangedSinceRead
from tests.catalogs import CatalogFor
from tests.unit.engine.support import create, label, quiet, rows_of

pytestmark = pytest.mark.concurrency


class World:
    """The table ``test`` of Hermitage with the rows (1, 10) and (2, 20), and transactions of two processes."""

    def __init__(self, lakes: list[Lake]) -> None:
        self._lakes, self._began = lakes, 0
        lakes[0].run(lambda txn: txn.insert("label", [label("1", n=10), label("2", n=20)]))

    def begin(self, *, serializable: bool = False) -> Transaction:
        """Begin a transaction, each time in the other process."""
        self._began += 1
        txn = self._lakes[self._began % 2].begin()
        if serializable:
            txn.require(TableUntouched("label"))
        return txn

    def commit(self, txn: Transaction) -> None:
        self._lakes[0].commit(txn)

    def refuses(self, txn: Transaction) -> None:
        """The transaction is refused whole, and planning it again may help."""
        before = self.now()
        with pytest.raises(ChangedSinceRead) as caught:
            self.commit(txn)
        assert caught.value.transient
        assert self.now() == before

    def now(self) -> dict[str, int]:
        """What a new reader sees, in either process."""
        found = [{row["uid"]: row["n"] for row in rows_of(lake)} for lake in self._lakes]
        assert found[0] == found[1]
        return found[0]


@pytest.fixture
def world(tmp_path: Path, catalog: CatalogFor) -> Iterator[World]:
    root = tmp_path / "lake"
    with create(root, catalog=catalog(root)) as one, Lake.open(root, options=quiet()) as two:
        yield World([one, two])


def value(txn: Transaction, uid: str) -> int | None:
    row = txn.snapshot.get("label", uid)
    return None if row is None else row["n"]


def where(txn: Transaction, test: Callable[[int], bool]) -> dict[str, int]:
    """Read by a predicate."""
    rows = txn.snapshot.arrow("SELECT uid, n FROM label", tables=["label"]).to_pylist()
    return {row["uid"]: row["n"] for row in rows if test(row["n"])}


def put(txn: Transaction, uid: str, n: int) -> None:
    """Change a row as it was read."""
    read = txn.base.get("label", uid)
    row: dict[str, Any] = {**label(uid), **(read or {}), "n": n}
    txn.upsert("label", [row], as_read=[read] if read else None)


def blindly(txn: Transaction, uid: str, n: int) -> None:
    """Write a row whatever it was."""
    txn.upsert("label", [label(uid, n=n)])


def test_g0_dirty_writes_are_never_mixed(world: World) -> None:
    one, two = world.begin(), world.begin()
    put(one, "1", 11)
    put(two, "1", 12)
    put(one, "2", 21)
    world.commit(one)
    put(two, "2", 22)
    world.refuses(two)
    assert world.now() == {"1": 11, "2": 21}


def test_g0_blind_writes_are_those_of_one_transaction_whole_or_refused(world: World) -> None:
    one, two = world.begin(), world.begin()
    for txn, ones in ((one, 1), (two, 2)):
        blindly(txn, "1", 10 + ones)
        blindly(txn, "2", 20 + ones)
    world.commit(one)
    world.refuses(two)  # the names of the rows are unique: who replaces a row must know what it held
    assert world.now() == {"1": 11, "2": 21}


def test_g1a_what_was_rolled_back_was_never_seen(world: World) -> None:
    one, two = world.begin(), world.begin()
    put(one, "1", 101)
    assert value(two, "1") == 10
    one.state = "rolled back"
    assert value(two, "1") == 10
    world.commit(two)
    assert world.now() == {"1": 10, "2": 20}


def test_g1b_intermediate_values_were_never_seen(world: World) -> None:
    one, two = world.begin(), world.begin()
    put(one, "1", 101)
    assert value(two, "1") == 10
    put(one, "1", 11)
    world.commit(one)
    assert value(two, "1") == 10
    assert world.now() == {"1": 11, "2": 20}


@pytest.mark.parametrize("serializable", [False, True])
def test_g1c_two_transactions_never_see_one_another(world: World, serializable: bool) -> None:
    one, two = world.begin(serializable=serializable), world.begin(serializable=serializable)
    put(one, "1", 11)
    put(two, "2", 22)
    assert value(one, "2") == 20
    assert value(two, "1") == 10
    world.commit(one)
    if serializable:
        world.refuses(two)
    else:
        world.commit(two)
    assert world.now() == {"1": 11, "2": 20 if serializable else 22}


def test_otv_an_observed_transaction_does_not_vanish(world: World) -> None:
    one, two = world.begin(), world.begin()
    put(one, "1", 11)
    put(one, "2", 19)
    put(two, "1", 12)
    world.commit(one)
    three = world.begin()
    assert value(three, "1") == 11
    put(two, "2", 18)
    world.refuses(two)
    assert value(three, "2") == 19
    assert (value(three, "1"), value(three, "2")) == (11, 19)


def test_pmp_a_predicate_sees_no_row_that_came_later(world: World) -> None:
    one, two = world.begin(), world.begin()
    assert where(one, lambda n: n == 30) == {}
    two.insert("label", [label("3", n=30)])
    world.commit(two)
    assert where(one, lambda n: n % 3 == 0) == {}
    assert world.now()["3"] == 30


def test_pmp_rows_found_by_a_predicate_and_changed_since_are_not_deleted(world: World) -> None:
    one, two = world.begin(), world.begin()
    for uid in ("1", "2"):
        put(one, uid, (value(one, uid) or 0) + 10)
    assert where(two, lambda n: n == 20) == {"2": 20}
    two.delete("label", where(two, lambda n: n == 20))
    world.commit(one)
    world.refuses(two)
    assert world.now() == {"1": 20, "2": 30}


def test_p4_no_update_is_lost(world: World) -> None:
    one, two = world.begin(), world.begin()
    for txn in (one, two):
        put(txn, "1", (value(txn, "1") or 0) + 1)
    world.commit(one)
    world.refuses(two)
    again = world.begin()
    put(again, "1", (value(again, "1") or 0) + 1)
    world.commit(again)
    assert world.now() == {"1": 12, "2": 20}


def test_g_single_a_reader_sees_no_half_of_a_later_commit(world: World) -> None:
    one, two = world.begin(), world.begin()
    assert value(one, "1") == 10
    assert (value(two, "1"), value(two, "2")) == (10, 20)
    put(two, "1", 12)
    put(two, "2", 18)
    world.commit(two)
    assert value(one, "2") == 20


def test_g_single_by_predicate_sees_one_state(world: World) -> None:
    one, two = world.begin(), world.begin()
    assert where(one, lambda n: n % 5 == 0) == {"1": 10, "2": 20}
    put(two, "1", 12)
    world.commit(two)
    assert where(one, lambda n: n % 3 == 0) == {}


def test_g_single_a_write_on_what_has_changed_is_refused(world: World) -> None:
    one, two = world.begin(), world.begin()
    assert value(one, "1") == 10
    put(two, "1", 12)
    put(two, "2", 18)
    world.commit(two)
    one.delete("label", where(one, lambda n: n == 20))
    world.refuses(one)
    assert world.now() == {"1": 12, "2": 18}


@pytest.mark.parametrize("serializable", [False, True])
def test_g2_item_write_skew_is_admitted_unless_what_was_read_must_be_untouched(
    world: World, serializable: bool
) -> None:
    one, two = world.begin(serializable=serializable), world.begin(serializable=serializable)
    for txn in (one, two):
        assert (value(txn, "1"), value(txn, "2")) == (10, 20)
    put(one, "1", 11)
    put(two, "2", 21)
    world.commit(one)
    if serializable:
        world.refuses(two)
    else:
        world.commit(two)
    assert world.now() == {"1": 11, "2": 20 if serializable else 21}


@pytest.mark.parametrize("serializable", [False, True])
def test_g2_phantoms_are_admitted_unless_what_was_read_must_be_untouched(world: World, serializable: bool) -> None:
    one, two = world.begin(serializable=serializable), world.begin(serializable=serializable)
    for txn in (one, two):
        assert where(txn, lambda n: n % 3 == 0) == {}
    one.insert("label", [label("3", n=30)])
    two.insert("label", [label("4", n=42)])
    world.commit(one)
    if serializable:
        world.refuses(two)
    else:
        world.commit(two)
    assert ("4" in world.now()) is not serializable


def test_g2_of_two_edges_a_cycle_of_three_is_refused_where_it_is_demanded(world: World) -> None:
    """Fekete's: T1 reads, T2 writes what T1 read, T3 reads T2's write before T1 writes."""
    one = world.begin(serializable=True)
    assert where(one, lambda _: True) == {"1": 10, "2": 20}
    two = world.begin(serializable=True)
    put(two, "2", 25)
    world.commit(two)
    three = world.begin(serializable=True)
    assert where(three, lambda _: True) == {"1": 10, "2": 25}
    world.commit(three)
    put(one, "1", 0)
    world.refuses(one)
