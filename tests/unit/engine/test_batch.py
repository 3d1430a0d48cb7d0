from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.engine import Lake, Transaction
from lakehouse.engine.faults import install
from lakehouse.errors import ChangedSinceRead, Duplicate, InputError, LakehouseError, OutcomeUnknown, Unavailable
from tests.unit.engine.support import SPECS, add, create, label, once_at, quiet, renames, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")
BOTH = pytest.mark.catalogs("sqlite", "postgres")


@BOTH
def test_saves_are_seen_here_at_once_and_elsewhere_with_their_group(lake: Lake, other: Lake) -> None:
    before = lake.head()
    with lake.batch(every=3, seconds=60, message="loop"):
        add(lake, "a")
        add(lake, "b")
        assert uids(lake) == ["a", "b"]
        assert lake.sql("select count(*) from label").fetchall() == [(2,)]
        assert uids(other) == []
        add(lake, "c")
        assert uids(other) == ["a", "b", "c"]
        assert lake.head() == before + 1
        add(lake, "d")
        assert uids(lake) == ["a", "b", "c", "d"]
    assert uids(other) == ["a", "b", "c", "d"]
    assert [c.message for c in lake.commits(limit=2)] == ["loop", "loop"]
    assert lake.head() == before + 2


def test_a_group_ends_by_age_and_by_flush(lake: Lake) -> None:
    before = lake.head()
    with lake.batch(seconds=0):
        add(lake, "a")
        add(lake, "b")
    assert lake.head() == before + 2
    with lake.batch(seconds=60) as batch:
        add(lake, "c")
        batch.flush()
        assert lake.head() == before + 3
        batch.flush()
        assert lake.head() == before + 3
    assert lake.head() == before + 3


def test_a_save_that_raises_leaves_nothing_and_the_others_stay(lake: Lake) -> None:
    def half(txn: Transaction) -> None:
        txn.insert("label", [label("half")])
        raise ValueError("stop")

    with lake.batch(seconds=60):
        add(lake, "a")
        with pytest.raises(ValueError, match="stop"):
            lake.run(half)
        assert uids(lake) == ["a"]
        add(lake, "b")
    assert uids(lake) == ["a", "b"]
    with pytest.raises(ValueError, match="stop"), lake.batch(seconds=60):
        lake.run(half)
    with pytest.raises(KeyboardInterrupt), lake.batch(seconds=60):
        add(lake, "c")
        raise KeyboardInterrupt
    assert uids(lake) == ["a", "b", "c"], "what was saved before an exception is committed"


def test_a_transaction_inside_is_one_of_the_saves(lake: Lake) -> None:
    before = lake.head()
    with lake.batch(every=3, seconds=60):
        add(lake, "a")
        with lake.transaction("its message is not kept"):
            add(lake, "b")
            with pytest.raises(RuntimeError), lake.transaction():
                add(lake, "gone")
                raise RuntimeError
            add(lake, "c")
            add(lake, "d")
            assert lake.head() == before, "not in the middle of a block"
        with pytest.raises(RuntimeError), lake.transaction():
            add(lake, "e")
            raise RuntimeError
        assert uids(lake) == ["a", "b", "c", "d"]
        add(lake, "f")
        assert lake.head() == before + 1
    assert uids(lake) == ["a", "b", "c", "d", "f"]


def test_a_serialisable_transaction_inside_is_a_commit_of_its_own(lake: Lake) -> None:
    before = lake.head()
    with lake.batch(seconds=60):
        add(lake, "a")
        with lake.transaction(serializable=True):
            assert lake.head() == before + 1
            add(lake, "b")
        assert lake.head() == before + 2
        lake.run(lambda txn: txn.insert("label", [label("c")]), serializable=True)
        assert lake.head() == before + 3
    assert uids(lake) == ["a", "b", "c"]


# -- conflicts ---------------------------------------------------------------------------------------------------------
def find_or_add(name: str) -> Callable[[Transaction], str]:
    """Return a plan that makes a label unless one has the name, as registries do."""

    def plan(txn: Transaction) -> str:
        if rows := txn.snapshot.lookup("label", "name", [name]).to_pylist():
            return rows[0]["uid"]
        txn.insert("label", [label(f"{name}-{len(txn.plans)}", name)])
        return f"{name}-{len(txn.plans)}"

    return plan


@BOTH
def test_a_conflict_plans_the_group_again_and_loses_nothing(lake: Lake, other: Lake) -> None:
    with lake.batch(every=5, seconds=60):
        for name in "pqrst":
            lake.run(find_or_add(name))
            if name == "r":
                other.run(lambda txn: txn.insert("label", [label("theirs", "q")]))
    assert {r["name"]: r["uid"] for r in rows_of(lake)}["q"] == "theirs"
    assert sorted(r["name"] for r in rows_of(lake)) == list("pqrst")


@BOTH
@pytest.mark.parametrize("every", [4, 100])
def test_a_save_that_cannot_be_carried_out_any_more_is_given_up_alone(lake: Lake, other: Lake, every: int) -> None:
    add(lake, "x")
    told: list[tuple[Any, Any]] = []
    rename = renames("x", "mine")
    read = lake.snapshot().get("label", "x")

    def stale(txn: Transaction) -> None:
        txn.upsert("label", [{**read, "name": "mine"}], as_read=[read])

    with (
        pytest.raises(ChangedSinceRead, match="'x'") as caught,
        lake.batch(every=every, seconds=60, settled=lambda plan, error: told.append((plan, error))),
    ):
        add(lake, "a")
        lake.run(stale)
        add(lake, "b")
        other.run(renames("x", "theirs"))
        add(lake, "c")
    assert "given up because of this" in "".join(caught.value.__notes__)
    assert {r["uid"]: r["name"] for r in rows_of(lake)} == {
        "a": "name of a", "b": "name of b", "c": "name of c", "x": "theirs",
    }  # fmt: skip
    assert [isinstance(error, ChangedSinceRead) for plan, error in told if plan is stale] == [True]
    assert sum(error is None for _, error in told) == 3
    lake.run(rename)


def test_the_error_of_an_earlier_save_is_raised_before_the_next_one_begins(lake: Lake, other: Lake) -> None:
    with lake.batch(every=2, seconds=60):
        add(lake, "a")
        other.run(lambda txn: txn.insert("label", [label("a", "other")]))
        add(lake, "b")
        with pytest.raises(Duplicate, match="'a'"):
            add(lake, "c")
        add(lake, "d")
    assert uids(lake) == ["a", "b", "d"]


def test_several_lost_saves_are_told_together(lake: Lake, other: Lake) -> None:
    with pytest.raises(Duplicate) as caught, lake.batch(every=100, seconds=60):
        for uid in "abcde":
            add(lake, uid)
        add(other, *"bd")
        raise_nothing = uids(lake)
    assert raise_nothing == list("abcde")
    assert "So was another" in "".join(caught.value.__notes__)
    assert uids(lake) == list("abcde")


def test_an_exception_of_the_block_stays_the_one_that_is_raised(lake: Lake, other: Lake) -> None:
    with pytest.raises(KeyError) as caught, lake.batch(seconds=60):
        add(lake, "a")
        other.run(lambda txn: txn.insert("label", [label("a", "other")]))
        raise KeyError("mine")
    assert "were not committed" in "".join(caught.value.__notes__)


def test_changes_by_hand_are_committed_at_once_and_raise_their_own_conflict(lake: Lake, other: Lake) -> None:
    before = lake.head()
    add(lake, "x")
    with lake.batch(seconds=60):
        add(lake, "a")
        with lake.transaction() as txn:
            txn.insert("label", [label("b")])
        assert lake.head() == before + 2
        add(lake, "c")
        with pytest.raises(ChangedSinceRead), lake.transaction() as txn:
            txn.upsert("label", [label("x", "mine")], as_read=[lake.snapshot().get("label", "x")])
            other.run(renames("x", "theirs"))
        add(lake, "d")
    assert uids(lake) == ["a", "b", "c", "d", "x"]
    assert lake.snapshot().get("label", "x")["name"] == "theirs"


def test_changes_by_hand_that_failed_for_now_are_the_callers_to_repeat(lake: Lake) -> None:
    def full() -> None:
        raise Unavailable("no space")

    with lake.batch(seconds=60):
        add(lake, "a")
        with pytest.raises(Unavailable, match="no space"), once_at("lock.taken", full), lake.transaction() as txn:
            txn.insert("label", [label("refused")])
        add(lake, "b")
    assert uids(lake) == ["a", "b"]


def test_nothing_is_added_to_changes_by_hand_whose_outcome_is_unknown(lake: Lake) -> None:
    def lost() -> None:
        raise OutcomeUnknown("the reply was lost")

    with lake.batch(seconds=60):
        with pytest.raises(OutcomeUnknown), once_at("commit.done", lost), lake.transaction() as txn:
            txn.insert("label", [label("a")])
        add(lake, "b")
    assert uids(lake) == ["a", "b"]


def test_a_group_is_not_flushed_from_inside_a_save(lake: Lake) -> None:
    with lake.batch(seconds=60) as batch:
        add(lake, "a")
        with pytest.raises(InputError, match="after its block"), lake.transaction():
            add(lake, "half")
            batch.flush()
        batch.flush()
    assert uids(lake) == ["a"]


def test_an_undone_block_by_hand_leaves_the_group_repeatable(lake: Lake, other: Lake) -> None:
    with lake.batch(seconds=60):
        lake.run(find_or_add("p"))
        with pytest.raises(RuntimeError), lake.transaction() as txn:
            txn.insert("label", [label("gone")])
            raise RuntimeError
        other.run(lambda txn: txn.insert("label", [label("theirs", "p")]))
        lake.run(find_or_add("q"))
    assert sorted(r["name"] for r in rows_of(lake)) == ["p", "q"]


# -- faults ------------------------------------------------------------------------------------------------------------
def test_a_commit_that_failed_for_now_is_tried_again_by_the_end(lake: Lake) -> None:
    def full() -> None:
        raise Unavailable("no space")

    with once_at("lock.taken", full), lake.batch(every=2, seconds=60):
        add(lake, "a")
        add(lake, "b")
        with pytest.raises(Unavailable, match="no space"):
            add(lake, "c")
        add(lake, "d")
    assert uids(lake) == ["a", "b", "d"]


@BOTH
@pytest.mark.parametrize("point", ["commit.planned", "lock.taken", "lock.before_commit", "commit.done"])
def test_an_interrupted_group_is_committed_once_and_whole(lake: Lake, point: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), once_at(point, interrupt), lake.batch(every=3, seconds=60):
        for uid in "abcd":
            lake.run(lambda txn, uid=uid: txn.insert("label", [label(uid)], fresh=True))
    assert uids(lake) == ["a", "b", "c"]
    assert len(lake.changes(table="label").arrow()) == 3


def _saves_and_dies(root: Path, point: str, after: int) -> None:
    lake = Lake.open(root, SPECS, options=quiet())
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += name == point
        if passed == after:
            os.kill(os.getpid(), signal.SIGKILL)

    install(die)
    with lake.batch(every=5, seconds=60):
        for n in range(100):
            lake.run(lambda txn, n=n: txn.insert("label", [label(f"{n:03}x"), label(f"{n:03}y")]))


@pytest.mark.parametrize("point", ["lock.taken", "lock.mid_append", "commit.done"])
def test_a_crash_leaves_the_first_saves_and_no_half_one(tmp_path: Path, point: str) -> None:
    create(tmp_path / "lake").close()
    child = multiprocessing.get_context("spawn").Process(target=_saves_and_dies, args=(tmp_path / "lake", point, 4))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with Lake.open(tmp_path / "lake", SPECS, options=quiet()) as lake:
        found = uids(lake)
    saves = 20 if point == "commit.done" else 15
    assert found == [f"{n:03}{side}" for n in range(saves) for side in "xy"]


def test_threads_have_batches_of_their_own(lake: Lake) -> None:
    gate = threading.Barrier(3)

    def work(name: str) -> None:
        with lake.batch(every=7, seconds=60):
            gate.wait()
            for n in range(30):
                add(lake, f"{name}{n:02}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    before = lake.head()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert uids(lake) == [f"{name}{n:02}" for name in "abc" for n in range(30)]
    assert lake.head() == before + 15


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_gathered_saves_to_its_parent(lake: Lake) -> None:
    before = lake.head()
    with lake.batch(seconds=60):
        add(lake, "a")
        if not (child := os.fork()):
            code = 1
            try:
                with lake.batch(seconds=60):
                    code = 0 if uids(lake) == [] else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        add(lake, "b")
    assert uids(lake) == ["a", "b"]
    assert lake.head() == before + 1


def test_a_batch_inside_another_joins_it_and_is_durable_at_its_end(lake: Lake, other: Lake) -> None:
    with lake.batch(seconds=60):
        add(lake, "a")
        with lake.batch():
            add(lake, "b")
        assert uids(other) == ["a", "b"]


def test_a_batch_inside_a_transaction_and_odd_limits_are_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="several commits"), lake.transaction(), lake.batch():
        pass
    for wrong in ({"every": 0}, {"every": True}, {"every": 1.5}, {"seconds": -1}, {"seconds": float("nan")}):
        with pytest.raises(InputError, match="is accepted"), lake.batch(**wrong):
            pass
    with Lake.open(lake.root, read_only=True) as reader, pytest.raises(LakehouseError), reader.batch():
        add(reader, "a")


def test_a_revert_inside_a_batch_comes_after_what_was_saved(lake: Lake) -> None:
    add(lake, "a")
    first = lake.head()
    with lake.batch(seconds=60):
        add(lake, "b")
        assert lake.revert(first) == first + 2
    assert uids(lake) == ["b"]
