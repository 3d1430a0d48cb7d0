"""Forked and spawned workers on one lake. A fork copies locks and threads that are no longer there: all is by design."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse.engine import Lake, Options, Transaction
from lakehouse.errors import Duplicate, LakehouseError, Unsupported
from tests.catalogs import CatalogFor
from tests.unit.engine.support import QUIET, add, create, label, plain, rows_of, uids

pytestmark = [
    pytest.mark.concurrency,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
    # Python warns of forks in a process with threads: that is what is tested here
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    # Polars warns of forks as such; nothing of it is used in the children
    pytest.mark.filterwarnings("ignore:Using fork.* can cause Polars:RuntimeWarning"),
]
_lake: Lake | None = None


@pytest.fixture
def lake(tmp_path: Path, catalog: CatalogFor) -> Iterator[Lake]:
    """Return a lake that used DuckDB and deltalake and published, as a parent does before it forks."""
    with create(tmp_path / "lake", catalog=catalog(tmp_path / "lake")) as opened:
        add(opened, "base")
        opened.flush()
        assert len(plain(opened)) == 1
        add(opened, "tail")
        assert uids(opened) == ["base", "tail"]
        assert opened.sql("SELECT count(*) FROM label").fetchall() == [(2,)]
        yield opened


class Child:
    """A forked child that runs a function and ends without the parent's clean-up."""

    def __init__(self, work: Callable[[], object]) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                signal.alarm(60)
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def join(self) -> int:
        """Return the exit code, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> int:
        os.kill(self.pid, signal.SIGKILL)
        return self.join()


class Signal:
    """One-way notice between forked processes."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def set(self) -> None:
        os.write(self._write, b"x")

    def wait(self) -> None:
        os.read(self._read, 1)


def _forbidden(*args: object, **kwargs: object) -> None:
    raise AssertionError("this must not be called in a forked child")


def _forbid_threads_of_rust() -> None:
    """Make any use of deltalake or Polars an error, here in the child."""
    import deltalake

    deltalake.DeltaTable.__init__ = _forbidden  # type: ignore[method-assign]
    deltalake.DeltaTable.create = _forbidden  # type: ignore[method-assign,assignment]
    if (polars := sys.modules.get("polars")) is not None:
        polars.DataFrame.__init__ = _forbidden
    assert _lake is not None
    _lake.publisher._round = _forbidden  # type: ignore[method-assign,assignment]


def _in_fork(number: int) -> int:
    _forbid_threads_of_rust()
    lake = _lake
    assert lake is not None
    with lake.transaction():
        add(lake, f"f{number}")
        lake.run(lambda txn: txn.insert("link", [{"uid": f"l{number}", "label": f"f{number}"}]))
    snapshot = lake.snapshot()
    assert snapshot.get("label", "base") == label("base")
    assert snapshot.lookup("label", "name", [f"name of f{number}"])["uid"].to_pylist() == [f"f{number}"]
    assert lake.sql("SELECT count(*) FROM label WHERE uid = 'tail'").fetchall() == [(1,)]
    found = snapshot.arrow(
        "SELECT uid FROM label JOIN (SELECT label FROM link) l ON l.label = uid", tables=["label", "link"]
    )
    assert f"f{number}" in found["uid"].to_pylist()
    try:
        lake.run(lambda txn: txn.insert("label", [label(f"x{number}", "name of base")]))
    except Duplicate:
        return os.getpid()
    raise AssertionError("a name that is taken was taken again")


def test_fork_pool_saves_and_reads_through_the_lake_of_its_parent(lake: Lake) -> None:
    global _lake
    _lake = lake
    with multiprocessing.get_context("fork").Pool(3) as pool:
        result = pool.map_async(_in_fork, range(12), chunksize=1)
        add(lake, "meanwhile")
        pids = result.get(60)
    assert os.getpid() not in pids
    expected = sorted(["base", "meanwhile", "tail", *(f"f{n}" for n in range(12))])
    assert uids(lake) == expected
    add(lake, "after")
    lake.flush()
    assert plain(lake) == rows_of(lake)
    assert len(plain(lake, "link")) == 12


def _in_spawn(job: tuple[str, int]) -> int:
    root, number = job
    with Lake.open(root, options=QUIET) as lake:
        add(lake, f"s{number}")
        lake.flush()
        assert f"s{number}" in [row["uid"] for row in plain(lake)]
    return os.getpid()


def test_spawn_pool_saves_and_publishes(lake: Lake) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(_in_spawn, [(str(lake.root), n) for n in range(6)], chunksize=1)
    assert uids(lake) == sorted(["base", "tail", *(f"s{n}" for n in range(6))])
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_publishing_in_a_forked_child_is_refused_and_says_who_should(lake: Lake) -> None:
    def work() -> None:
        add(lake, "child")
        with pytest.raises(Unsupported, match="'spawn'"):
            lake.flush()
        with Lake.open(lake.root, options=Options(publish_commits=0)) as own:  # a handle of its own helps nothing
            add(own, "own")
            with pytest.raises(Unsupported):
                own.flush()

    assert Child(work).join() == 0
    lake.flush()
    assert [r["uid"] for r in plain(lake)] == ["base", "child", "own", "tail"]


def test_what_a_child_commits_after_its_parent_closed_is_not_lost(lake: Lake) -> None:
    ready, go = Signal(), Signal()

    def work() -> None:
        add(lake, "before")
        ready.set()
        go.wait()
        add(lake, "after")
        assert uids(lake) == ["after", "base", "before", "tail"]

    child = Child(work)
    ready.wait()
    lake.close()
    go.set()
    assert child.join() == 0
    with Lake.open(lake.root, options=QUIET) as again:
        assert uids(again) == ["after", "base", "before", "tail"]


def test_open_transaction_of_the_parent_is_not_the_childs(lake: Lake) -> None:
    def work() -> None:
        assert uids(lake) == ["base", "tail"]
        add(lake, "child")

    with lake.transaction():
        add(lake, "parent")
        assert Child(work).join() == 0
    assert uids(lake) == ["base", "child", "parent", "tail"]


def test_child_killed_while_its_parent_holds_the_lock_blocks_nobody(lake: Lake) -> None:
    ready = Signal()

    def work() -> None:
        ready.set()
        add(lake, "never")

    with lake.catalog.locked():
        child = Child(work)
        ready.wait()
        time.sleep(0.05)  # let it queue for the lock
        assert child.kill() == -signal.SIGKILL
    add(lake, "later")
    assert uids(lake) == ["base", "later", "tail"]


def test_parent_killed_in_mid_commit_while_its_child_lives_blocks_nobody(lake: Lake) -> None:
    born, go, pid = Signal(), Signal(), Signal()

    def grandchild() -> None:
        born.set()
        go.wait()

    def parent() -> None:
        from lakehouse.engine.faults import install

        def hook(name: str) -> None:
            if name == "lock.before_commit":  # the lock is held, and a fork was made a moment ago by another thread
                os.kill(os.getpid(), signal.SIGKILL)

        add(lake, "first")
        Child(grandchild)
        born.wait()
        install(hook)
        add(lake, "half")

    assert Child(parent).join() == -signal.SIGKILL
    try:
        with Lake.open(lake.root, options=Options(lock_timeout=5.0, auto_publish=False)) as other:
            add(other, "later")
            assert uids(other) == ["base", "first", "later", "tail"]
    finally:
        go.set()
        for signals in (born, go, pid):
            os.close(signals._read)
            os.close(signals._write)


def test_parent_killed_while_holding_a_lock_it_had_queued_for_blocks_nobody(lake: Lake) -> None:
    """The descriptor that waits in the kernel's queue must not live on in a child."""
    queued, born, go, killed = Signal(), Signal(), Signal(), Signal()

    def parent() -> None:
        def commit() -> None:
            from lakehouse.engine.faults import install

            install(lambda name: killed.wait() if name == "lock.before_commit" else None)
            add(lake, "half")

        thread = threading.Thread(target=commit, daemon=True)
        thread.start()
        time.sleep(0.2)  # it waits for the lock, which the test holds
        Child(lambda: (born.set(), go.wait()))
        born.wait()
        queued.set()
        thread.join()

    with lake.catalog.locked():
        child = Child(parent)
        queued.wait()
    time.sleep(0.2)  # now it holds the lock
    assert child.kill() == -signal.SIGKILL
    try:
        with Lake.open(lake.root, options=Options(lock_timeout=5.0, auto_publish=False)) as other:
            add(other, "later")
            assert uids(other) == ["base", "later", "tail"]
    finally:
        go.set()


def test_forks_while_other_threads_commit_query_and_publish(lake: Lake) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []
    done = {"write": 0, "read": 0, "publish": 0}

    def loop(name: str, work: Callable[[int], object]) -> None:
        try:
            while not stop.is_set():
                work(done[name])
                done[name] += 1
        except BaseException as error:
            failures.append(error)

    def count_up(txn: Transaction) -> None:
        row = txn.snapshot.get("label", "base")
        assert row is not None
        txn.upsert("label", [{**row, "n": (row["n"] or 0) + 1}])

    threads = [
        threading.Thread(target=loop, args=("write", lambda n: (add(lake, f"w{n:05}"), lake.run(count_up)))),
        threading.Thread(target=loop, args=("read", lambda n: uids(lake))),
        threading.Thread(target=loop, args=("publish", lambda n: lake.flush())),
    ]
    for thread in threads:
        thread.start()
    try:
        children = []
        for number in range(12):

            def work(number: int = number) -> None:
                before = lake.snapshot()
                assert before.get("label", "tail") == label("tail")
                add(lake, f"child{number}")
                lake.run(count_up)
                assert f"child{number}" in uids(lake)

            children.append(Child(work))
            time.sleep(0.01 * (number % 4))
        codes = [child.join() for child in children]
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert codes == [0] * 12
    assert min(done.values()) > 0
    found = uids(lake)
    assert [u for u in found if u.startswith("w")] == [f"w{n:05}" for n in range(done["write"])]
    assert sum(u.startswith("child") for u in found) == 12
    assert lake.snapshot().get("label", "base")["n"] == done["write"] + 12  # type: ignore[index]
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_a_childs_queries_are_its_own(lake: Lake):
    """What the parent asked in SQL, done with or still held, neither ends the child nor answers it."""
    held = [lake.sql("select count(*) from label")]

    def work() -> None:
        held.clear()
        assert lake.sql("select count(*) from label").fetchall() == [(2,)]
        add(lake, "of the child")
        assert lake.sql("select count(*) from label").fetchall() == [(3,)]

    assert Child(work).join() == 0
    assert lake.sql("select count(*) from label").fetchall() == [(3,)]
    assert held[0].fetchall() == [(2,)]


def test_a_child_that_leaves_its_parents_transaction_commits_nothing_of_it(lake: Lake) -> None:
    """It would commit under the parent's name, and the parent would take that for its own commit."""
    child = 0
    try:
        with lake.transaction():
            add(lake, "a")
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                add(lake, "b")
    except LakehouseError as error:
        if child:
            raise
        os._exit(0 if "forked" in str(error) else 1)
    if not child:
        os._exit(1)
    assert uids(lake) == ["a", "b", "base", "tail"]
