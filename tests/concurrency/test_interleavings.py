"""Interleavings and combinations that once broke a promise, each as the shortest script that shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, Options, TableSpec, Transaction, faults, recovery, state, unique
from lakehouse.errors import ChangedSinceRead, Duplicate, Expired, ReferenceMissing, SchemaChanged, StillReferenced
from tests.catalogs import CatalogFor

pytestmark = pytest.mark.concurrency
_UID = pa.field("uid", pa.string(), nullable=False)
_NAMED = pa.schema([_UID, ("name", pa.string())])
_LINK = TableSpec("link", pa.schema([_UID, ("item", pa.string())]), references={"item": "item"})
_OPTIONS = Options(lease=1e-6, retention=0.0, grace=0.0, bulk_rows=5, auto_publish=False)
Opener = Callable[..., Lake]


def _item(*added: str) -> TableSpec:
    return TableSpec("item", pa.schema([*_NAMED, *((c, pa.int64()) for c in added)]), unique=(("name",),))


@pytest.fixture
def opened(tmp_path: Path, catalog: CatalogFor) -> Iterator[Opener]:
    """Return an opener of the same lake: every call is another process's view of it."""
    lakes: list[Lake] = []

    def opener(*added: str) -> Lake:
        specs, root = [_item(*added), _LINK], tmp_path / "lake"
        lakes.append(Lake.create(root, specs, catalog=catalog(root), options=_OPTIONS))
        return lakes[-1]

    yield opener
    faults.install(None)
    for lake in lakes:
        lake.close()


def _once_at(point: str, act: Callable[[], object]) -> None:
    """Let another act at the first passage of a point."""

    def hook(name: str) -> None:
        if name == point:
            faults.install(None)
            act()

    faults.install(hook)


def _insert(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    lake.run(lambda txn: txn.insert(table, rows))


# -- references ----------------------------------------------------------------------------------------------------
def test_a_transaction_cannot_refer_to_what_it_deletes(opened: Opener) -> None:
    lake = opened()
    _insert(lake, "item", {"uid": "a"})

    def plan(txn: Transaction) -> None:
        txn.delete("item", ["a"])
        txn.insert("link", [{"uid": "l", "item": "a"}])

    with pytest.raises(ReferenceMissing, match="this transaction deletes"):
        lake.run(plan)
    assert lake.snapshot().get("item", "a")


def test_a_transaction_may_point_a_link_elsewhere_and_delete_its_target(opened: Opener) -> None:
    lake = opened()
    _insert(lake, "item", {"uid": "a"}, {"uid": "b"})
    _insert(lake, "link", {"uid": "l", "item": "a"})

    def plan(txn: Transaction) -> None:
        txn.upsert("link", [{"uid": "l", "item": "b"}])
        txn.delete("item", ["a"])

    lake.run(plan)
    assert lake.snapshot().get("link", "l") == {"uid": "l", "item": "b"}
    assert lake.snapshot().get("item", "a") is None


def test_rows_upserted_and_inserted_together_can_be_referred_to(opened: Opener) -> None:
    lake = opened()

    def plan(txn: Transaction) -> None:
        txn.upsert("item", [{"uid": "a"}])
        txn.insert("item", [{"uid": "b"}])
        txn.insert("link", [{"uid": "l", "item": "a"}, {"uid": "m", "item": "b"}])

    lake.run(plan)
    assert lake.snapshot().count("link") == 2


@pytest.mark.parametrize("links", [1, 9], ids=["in the catalog", "in staged files"])
def test_a_target_is_not_deleted_while_another_process_links_to_it(opened: Opener, links: int) -> None:
    one, other = opened(), opened()
    _insert(one, "item", {"uid": "a"})
    txn = one.begin()
    txn.delete("item", ["a"])
    _once_at("commit.checked", lambda: _insert(other, "link", *({"uid": f"l{n}", "item": "a"} for n in range(links))))
    with pytest.raises(StillReferenced):
        one.commit(txn)


def test_a_link_is_refused_when_its_target_is_deleted_before_the_lock(opened: Opener) -> None:
    one, other = opened(), opened()
    _insert(one, "item", {"uid": "a"})
    txn = one.begin()
    txn.insert("link", [{"uid": "l", "item": "a"}])
    _once_at("commit.checked", lambda: other.run(lambda t: t.delete("item", ["a"])))
    with pytest.raises(ReferenceMissing):
        one.commit(txn)


# -- unique names --------------------------------------------------------------------------------------------------
def _many(prefix: str, *more: dict[str, str]) -> list[dict[str, str]]:
    """Return enough rows to be claimed through the filter of hashes."""
    return [{"uid": f"{prefix}{n:05}", "name": f"{prefix}{n}"} for n in range(unique._BULK + 1)] + list(more)


def test_a_name_cannot_be_taken_by_an_update_and_a_bulk_insert_of_one_transaction(opened: Opener) -> None:
    lake = opened()

    def plan(txn: Transaction) -> None:
        txn.upsert("item", [{"uid": "a", "name": "b7"}])
        txn.insert("item", _many("b"))

    with pytest.raises(Duplicate):
        lake.run(plan)


@pytest.mark.parametrize("bulk_before", [True, False])
@pytest.mark.parametrize("bulk_after", [True, False])
def test_a_name_given_up_in_a_transaction_can_be_taken_in_it(
    opened: Opener, bulk_before: bool, bulk_after: bool
) -> None:
    lake = opened()
    _insert(lake, "item", *(_many("b") if bulk_before else [{"uid": "b00007", "name": "b7"}]))
    successor = {"uid": "z", "name": "b7"}

    def plan(txn: Transaction) -> None:
        txn.delete("item", ["b00007"])
        txn.insert("item", _many("c", successor) if bulk_after else [successor])

    lake.run(plan)
    assert lake.snapshot().lookup("item", "name", ["b7"]).to_pylist() == [successor]
    with pytest.raises(Duplicate):
        _insert(lake, "item", {"uid": "y", "name": "b7"})


@pytest.mark.parametrize("bulk", [True, False])
def test_a_name_taken_between_check_and_lock_is_refused(opened: Opener, bulk: bool) -> None:
    one, other = opened(), opened()
    txn = one.begin()
    txn.insert("item", _many("b") if bulk else [{"uid": "b", "name": "b7"}])
    _once_at("commit.checked", lambda: _insert(other, "item", {"uid": "other", "name": "b7"}))
    with pytest.raises(Duplicate):
        one.commit(txn)


def test_a_bulk_insert_between_check_and_lock_takes_its_names(opened: Opener) -> None:
    one, other = opened(), opened()
    txn = one.begin()
    txn.insert("item", [{"uid": "late", "name": "b7"}])
    _once_at("commit.checked", lambda: _insert(other, "item", *_many("b")))
    with pytest.raises(Duplicate):
        one.commit(txn)


# -- schemas -------------------------------------------------------------------------------------------------------
def test_rows_of_a_younger_schema_are_a_conflict_and_not_a_crash(opened: Opener) -> None:
    one = opened()
    txn = one.begin()
    txn.insert("item", [{"uid": "a"}])
    _insert(opened("x"), "item", {"uid": "b", "x": 1})
    with pytest.raises(SchemaChanged):
        one.commit(txn)
    _insert(one, "item", {"uid": "a", "x": 2})  # planned again, it goes through


def test_a_schema_that_a_sleeper_put_into_delta_is_adopted(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sleeper lost its lease, wakes with a newer target than the holder's, and puts a schema into the log."""
    holder, sleeper = opened(), opened()
    _insert(holder, "item", {"uid": "a"})
    holder.flush()
    asleep, awake = threading.Event(), threading.Event()
    thread = threading.Thread(target=sleeper.publisher.publish)

    def hook(name: str) -> None:
        if name == "publish.leased" and threading.current_thread() is thread:
            asleep.set()
            awake.wait(20)

    real = recovery.Recovery.run

    def run(self: recovery.Recovery, *arguments: Any) -> None:
        if threading.current_thread() is not thread and not awake.is_set():  # the holder has fixed its target
            opened("x")
            awake.set()
            thread.join(20)
        real(self, *arguments)

    faults.install(hook)
    thread.start()
    assert asleep.wait(20)
    monkeypatch.setattr(recovery.Recovery, "run", run)
    assert holder.publisher.publish() is not None
    assert awake.is_set()
    assert holder.flush(timeout=5) == holder.head()
    _insert(holder, "item", {"uid": "b", "x": 1})
    assert holder.flush(timeout=5) == holder.head()


# -- staging and clocks --------------------------------------------------------------------------------------------
def test_a_bulk_insert_goes_through_after_the_clock_was_set_back(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = opened()
    _insert(lake, "item", {"uid": "a"})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    lake.vacuum()
    monkeypatch.undo()
    left = 5

    def hook(name: str) -> None:
        nonlocal left
        left -= name == "commit.staged"
        assert left, "it is staged again and again"

    faults.install(hook)
    _insert(lake, "item", *({"uid": f"b{n}"} for n in range(20)))
    faults.install(None)
    lake.vacuum()
    assert lake.flush(timeout=5) == lake.head()
    assert lake.snapshot().count("item") == 21


def test_a_row_changed_between_check_and_lock_is_not_overwritten(opened: Opener) -> None:
    one, other = opened(), opened()
    _insert(one, "item", {"uid": "a", "name": "first"})
    txn = one.begin()
    txn.upsert("item", [{"uid": "a", "name": "mine"}], as_read=[{"uid": "a", "name": "first"}])
    _once_at("commit.checked", lambda: other.run(lambda t: t.upsert("item", [{"uid": "a", "name": "theirs"}])))
    with pytest.raises(ChangedSinceRead):
        one.commit(txn)
    assert one.snapshot().get("item", "a") == {"uid": "a", "name": "theirs"}


def test_a_state_whose_staged_keys_are_swept_while_it_is_read_expires(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(), opened()
    _insert(one, "link", *({"uid": f"l{n}"} for n in range(20)))
    one.run(lambda txn: txn.delete("link", [f"l{n}" for n in range(9)]))
    snapshot = other.snapshot()
    real = state.StateCache.column

    def column(self: state.StateCache, *arguments: Any) -> Any:
        if self is other.states:
            monkeypatch.undo()
            for uid in ("x", "y"):
                _insert(one, "link", {"uid": uid})
                one.flush()
            one.vacuum()
        return real(self, *arguments)

    monkeypatch.setattr(state.StateCache, "column", column)
    with pytest.raises(Expired):
        snapshot.count("link")
    assert other.snapshot().count("link") == 13
