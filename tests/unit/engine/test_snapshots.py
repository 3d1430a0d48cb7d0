from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse.engine import Lake
from lakehouse.errors import Expired, InputError
from tests.unit.engine.support import add, label, renames, rows_of, uids


def test_snapshot_goes_on_showing_its_commit(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    before = lake.snapshot()
    other.run(renames("a", "new"))
    add(other, "b")
    other.flush()
    assert before.get("label", "a") == label("a")
    assert before.arrow("SELECT * FROM label", tables=["label"]).to_pylist() == [label("a")]
    assert before.lookup("label", "name", ["new"]).num_rows == 0
    assert uids(lake) == ["a", "b"]


def test_table_first_read_after_others_committed_is_still_of_the_snapshot(lake: Lake, other: Lake) -> None:
    add(lake, "a", table="event")
    before = lake.snapshot()
    add(other, "b", table="event")
    other.flush()
    assert before.lookup("event", "uid", ["a", "b"])["uid"].to_pylist() == ["a"]


@pytest.mark.parametrize("small_rows", [0, 200_000])
def test_every_retained_commit_can_be_read_by_number_and_time(make: object, small_rows: int) -> None:
    lake = make(small_rows=small_rows, bulk_rows=3)  # type: ignore[operator]
    history = {lake.head(): []}
    times = {}

    def note() -> None:
        history[lake.head()] = rows_of(lake)
        times[lake.head()] = lake.snapshot().at

    for step in range(3):
        add(lake, *(f"{step}{c}" for c in "abcdef"[: 2 + 2 * step]))
        note()
        lake.run(renames(f"{step}a", f"renamed {step}"))
        note()
        lake.run(lambda txn, step=step: txn.delete("label", [f"{step}b"]))
        note()
        if step != 1:
            lake.flush()
    for commit, rows in history.items():
        assert rows_of(lake, at=commit) == rows
        if commit in times:
            assert rows_of(lake, at=times[commit]) == rows
            assert rows_of(lake, at=times[commit] + timedelta(microseconds=0)) == rows
    with Lake.open(lake.root, options=lake.options) as fresh:
        for commit in reversed(history):
            assert rows_of(fresh, at=commit) == history[commit]


def test_time_before_the_lake_shows_nothing(lake: Lake) -> None:
    add(lake, "a")
    snapshot = lake.snapshot(datetime(1, 1, 1, tzinfo=UTC))
    assert snapshot.commit == 0
    assert snapshot.at is None
    assert snapshot.get("label", "a") is None


def test_time_after_the_last_commit_shows_the_head(lake: Lake) -> None:
    add(lake, "a")
    assert lake.snapshot(datetime(9999, 12, 31, tzinfo=UTC)).commit == lake.head()


def test_time_without_zone_is_refused(lake: Lake) -> None:
    with pytest.raises(InputError, match="no time zone"):
        lake.snapshot(datetime(2026, 1, 1))


@pytest.mark.parametrize("at", [-1, 10_000, 2**70, True, "1", 1.5, "object"])
def test_commit_that_there_is_not_is_refused(lake: Lake, at: object) -> None:
    with pytest.raises(InputError, match="no commit"):
        lake.snapshot(at)  # type: ignore[arg-type]


def test_commit_times_grow_even_when_the_clock_is_set_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    add(lake, "a")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 86_400 * 10**9)
    add(lake, "b")
    second, first = lake.commits(limit=2)
    assert second.at == first.at + timedelta(microseconds=1)
    assert uids(lake, at=first.at) == ["a"]


def test_vacuumed_commit_is_expired_and_a_pinned_one_is_not(make: object) -> None:
    lake = make(retention=0.0, grace=0.0)  # type: ignore[operator]
    add(lake, "a")
    old = lake.snapshot()
    first = lake.head()
    with lake.pinned() as pinned:
        assert pinned == first
        add(lake, "b")
        lake.flush()
        lake.run(renames("a", "x"))
        lake.flush()
        lake.vacuum()
        assert uids(lake, at=first) == ["a"]
    lake.vacuum()
    with pytest.raises(Expired, match="no longer readable"):
        uids(lake, at=first)
    with pytest.raises(Expired):
        old.get("label", "a")
    with pytest.raises(Expired), lake.pinned(first):
        pass
    assert uids(lake) == ["a", "b"]


def test_scan_whose_files_were_vacuumed_meanwhile_is_expired(make: object) -> None:
    lake = make(retention=0.0, grace=0.0, small_rows=0)  # type: ignore[operator]
    add(lake, "a", "b")
    lake.flush()
    old = lake.snapshot()
    assert old.get("label", "a") is not None
    lake.run(renames("a", "x"))
    lake.flush()
    add(lake, "c")
    lake.flush()
    assert lake.vacuum()
    with pytest.raises(Expired):
        old.lookup("label", "uid", ["a", "b"])
    with pytest.raises(Expired):
        old.arrow("SELECT * FROM label", tables=["label"])


def test_tables_that_are_fetched_with_a_snapshot_are_of_its_commit(lake: Lake) -> None:
    add(lake, "a")
    before = lake.snapshot(tables=["label", "link", "no such table"])
    add(lake, "b")
    assert set(before.fetched) == {"label", "link"}
    assert [row["uid"] for row in before.rows("label").to_pylist()] == ["a"]
    assert lake.snapshot(lake.head() - 1, tables=["label"]).get("label", "b") is None


def test_a_transaction_sees_what_others_committed_since_the_last_one(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    add(other, "b")
    assert lake.run(lambda txn: sorted(txn.snapshot.rows("label")["uid"].to_pylist())) == ["a", "b"]
    add(lake, "c")
    other.flush()
    assert lake.run(lambda txn: txn.snapshot.count("label")) == 3


def test_a_transaction_fetches_what_the_last_one_asked_for_and_not_what_that_only_fetched(lake: Lake) -> None:
    lake.run(lambda txn: (txn.snapshot.rows("label"), txn.insert("label", [label("a")], fresh=True)))
    assert lake.begin().base.fetched == ("label",)
    lake.run(lambda txn: txn.insert("label", [label("b")], fresh=True))
    assert lake.begin().base.fetched == ()
    assert uids(lake) == ["a", "b"]
