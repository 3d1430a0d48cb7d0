from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.engine import Lake, Transaction
from lakehouse.errors import Duplicate
from tests.catalogs import CatalogFor
from tests.unit.engine.support import add, create, label, plain, rows_of, uids

pytestmark = pytest.mark.concurrency


@pytest.fixture
def lake(tmp_path: Path, catalog: CatalogFor) -> Iterator[Lake]:
    with create(tmp_path / "lake", catalog=catalog(tmp_path / "lake"), bulk_rows=30) as opened:
        yield opened


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """Run ``work(0..count-1)`` in threads that start at once; the first error is raised."""
    start = threading.Barrier(count)

    def one(number: int) -> object:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_no_row_of_many_threads_is_lost(lake: Lake) -> None:
    def work(me: int) -> None:
        for step in range(10):
            add(lake, f"{me}-{step:02}")
            assert lake.snapshot().get("label", f"{me}-{step:02}") is not None

    together(8, work)
    assert len(uids(lake)) == 80
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_unique_name_has_one_winner_among_threads(lake: Lake) -> None:
    def work(me: int) -> int:
        won = 0
        for name in range(10):
            try:
                lake.run(lambda txn, name=name: txn.insert("label", [label(f"{me}-{name}", f"n{name}")]))
                won += 1
            except Duplicate:
                pass
        return won

    assert sum(together(6, work)) == 10  # type: ignore[arg-type]
    assert sorted(r["name"] for r in rows_of(lake)) == [f"n{n}" for n in range(10)]


def test_no_increment_of_many_threads_is_lost(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label("a", n=0)]))

    def count_up(txn: Transaction) -> None:
        row = txn.snapshot.get("label", "a")
        assert row is not None
        txn.upsert("label", [{**row, "n": row["n"] + 1}], as_read=[row])

    together(4, lambda me: [lake.run(count_up) for _ in range(10)])
    assert lake.snapshot().get("label", "a")["n"] == 40  # type: ignore[index]


def test_queries_see_whole_commits_while_others_save_and_publish(lake: Lake) -> None:
    done = threading.Event()

    def write(me: int) -> None:
        for step in range(6):
            rows = [label(f"{me}-{step}-{n:02}") for n in range(40 if step % 3 == 0 else 5)]
            with lake.transaction() as txn:
                txn.insert("label", rows)
                txn.insert("event", [{"uid": row["uid"]} for row in rows])

    def read(me: int) -> int:
        seen = 0
        while not done.is_set():
            snapshot = lake.snapshot()
            both = "SELECT (SELECT count(*) FROM label) AS l, (SELECT count(*) FROM event) AS e"
            if me % 2:
                counts = snapshot.arrow(both, tables=["label", "event"]).to_pylist()[0]
                assert counts["l"] == counts["e"] >= seen
                seen = counts["l"]
            else:
                ((labels, events),) = lake.sql(both).fetchall()
                assert labels == events >= seen
                seen = labels
        return seen

    def work(me: int) -> None:
        if me < 3:
            write(me)
        elif me < 6:
            read(me)
        else:
            while not done.is_set():
                lake.flush()

    with ThreadPoolExecutor(7) as pool:
        futures = [pool.submit(work, me) for me in range(7)]
        try:
            for future in futures[:3]:
                future.result(120)
        finally:
            done.set()
        for future in futures:
            future.result(120)
    assert lake.snapshot().count("label") == lake.snapshot().count("event") == 3 * (80 + 20)
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_open_transaction_belongs_to_its_thread(lake: Lake) -> None:
    with lake.transaction() as txn:
        add(lake, "mine")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(uids, lake).result() == []
            pool.submit(add, lake, "theirs").result()
            assert pool.submit(uids, lake).result() == ["theirs"]
        assert uids(lake) == ["mine"]
        assert len(txn.plans) == 1
    assert uids(lake) == ["mine", "theirs"]


def test_snapshot_can_be_shared_by_threads(lake: Lake) -> None:
    lake.run(lambda txn: txn.insert("label", [label(f"k{n:02}", n=n) for n in range(50)]))
    lake.flush()
    snapshot = lake.snapshot()
    found = together(
        8,
        lambda me: (
            snapshot.lookup("label", "n", [me])["uid"].to_pylist(),
            snapshot.arrow("SELECT sum(n) AS s FROM label", tables=["label"])["s"].to_pylist(),
        ),
    )
    assert found == [([f"k{me:02}"], [sum(range(50))]) for me in range(8)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_threads_that_ended_leave_no_descriptors_behind(lake: Lake) -> None:
    add(lake, "a")

    def look() -> None:
        assert uids(lake) == ["a"]

    def count_after(threads: int) -> int:
        for _ in range(threads):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        return len(os.listdir("/proc/self/fd"))

    assert count_after(40) <= count_after(3) + 3


def test_lake_closed_in_another_thread_is_closed_everywhere(lake: Lake) -> None:
    together(3, lambda me: add(lake, f"k{me}"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lake.close).result()
    with Lake.open(lake.root) as again:
        assert len(uids(again)) == 3
