"""A Postgres server that is restarted, ends sessions, loses replies, is full, or slow: all or nothing, and never in doubt."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lakehouse.engine import Lake, Options, faults
from lakehouse.errors import Busy, Disconnected, LakehouseError, OutcomeUnknown, Unavailable
from tests.faults.wire import Wire
from tests.postgres import PostgresServer
from tests.unit.engine.support import SPECS, add, label, once_at, quiet, uids

pytestmark = pytest.mark.faults
INSIDE = ["lock.taken", "lock.mid_append", "lock.before_commit"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer("max_connections = 16\nsuperuser_reserved_connections = 2").start()
    yield running
    running.remove()


@pytest.fixture
def wire(server: PostgresServer) -> Iterator[Wire]:
    passing = Wire(server.port)
    yield passing
    passing.close()


Make = Callable[..., Lake]


@pytest.fixture
def make(tmp_path: Path, server: PostgresServer) -> Iterator[Make]:
    """Return a maker of lakes on the server, or on the port of a wire to it."""
    made: list[Lake] = []

    def maker(port: int | None = None, user: str = "postgres", **options: Any) -> Lake:
        url = f"postgresql://{user}@127.0.0.1:{port or server.port}/postgres"
        root = tmp_path / f"lake-{len(made)}"
        made.append(Lake.create(root, SPECS, catalog=url, options=quiet(**options)))
        return made[-1]

    yield maker
    faults.install(None)
    for lake in made:
        lake.close()


def end_sessions(server: PostgresServer, lake: Lake, state: str = "%") -> int:
    """End the sessions that use a lake's schema, from the server's side; returns how many."""
    sql = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'lakehouse' AND state LIKE %s"
    )
    return len(server.rows(sql, state))


def committed(lake: Lake, *expected: str) -> None:
    """The rows are there, each by one commit, and nothing else is."""
    assert uids(lake) == sorted(expected)
    inserted = [c for c in lake.commits() if not c.message.startswith("tables")]
    assert len(inserted) == len(expected)


# -- sessions that end ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("how", "point"),
    [
        *(("restart", point) for point in ("commit.checked", "lock.taken")),
        *(("crash", point) for point in ("lock.mid_append", "lock.before_commit", "commit.done")),
        *(("end", point) for point in ("commit.planned", "commit.checked", *INSIDE, "commit.done")),
    ],
)
def test_a_commit_is_made_once_whatever_becomes_of_its_session(
    point: str, how: str, make: Make, server: PostgresServer
) -> None:
    lake = make()
    add(lake, "a")
    deeds = {
        "restart": lambda: server.restart(signal.SIGINT),
        "crash": lambda: server.restart(signal.SIGQUIT),
        "end": lambda: end_sessions(server, lake),
    }
    with once_at(point, deeds[how]) as seen:
        add(lake, "b")
    assert point in seen
    committed(lake, "a", "b")
    add(lake, "c")
    committed(lake, "a", "b", "c")


def test_a_lock_holder_whose_session_is_ended_while_it_sleeps_blocks_nobody_and_halves_nothing(
    make: Make, server: PostgresServer
) -> None:
    lake = make()
    with Lake.open(lake.root, options=quiet()) as other:

        def while_it_sleeps() -> None:
            assert end_sessions(server, lake, "idle in transaction") == 1
            add(other, "theirs")  # the lock is free, though its holder does not know yet

        with once_at("lock.mid_append", while_it_sleeps):
            add(lake, "ours")
        committed(other, "ours", "theirs")


def test_a_client_that_sleeps_with_the_lock_loses_it_in_time(make: Make) -> None:
    lake = make(lock_idle=0.2)
    with Lake.open(lake.root, options=quiet(lock_timeout=20.0)) as other:
        with once_at("lock.taken", lambda: add(other, "theirs")):
            add(lake, "ours")
        committed(other, "ours", "theirs")


def test_what_was_found_false_meanwhile_is_a_conflict_and_not_committed_again(
    make: Make, server: PostgresServer
) -> None:
    lake = make()
    with Lake.open(lake.root, options=quiet()) as other:

        def while_it_sleeps() -> None:
            end_sessions(server, lake, "idle in transaction")
            add(other, "same")

        with once_at("lock.mid_append", while_it_sleeps), pytest.raises(LakehouseError, match="same"):
            add(lake, "same")
        committed(other, "same")


def test_readers_go_on_after_a_restart_and_a_read_that_was_cut_is_a_passing_error(
    make: Make, server: PostgresServer
) -> None:
    lake = make()
    add(lake, "a")
    server.restart(signal.SIGQUIT)
    assert uids(lake) == ["a"]
    with pytest.raises(Disconnected), lake.catalog.read() as session:
        end_sessions(server, lake)
        session.commits(None)
    assert uids(lake) == ["a"]


def test_publishing_goes_on_where_a_lost_session_left_it(make: Make, server: PostgresServer) -> None:
    lake = make(lease=1e-6)
    add(lake, "a")
    for point in ("publish.before_delta", "publish.after_delta", "publish.before_head", "lock.head_replaced"):
        with once_at(point, lambda: end_sessions(server, lake)):
            try:
                lake.publisher.publish()
            except Unavailable:
                pass
        add(lake, f"after {point}")
    assert lake.flush() == lake.head()
    assert len(uids(lake)) == 5


# -- replies that are lost -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("cut", ["request", "reply"])
def test_a_commit_whose_reply_is_lost_is_looked_up_and_made_once(cut: str, make: Make, wire: Wire) -> None:
    lake = make(wire.port)
    add(lake, "a")
    with once_at("lock.before_commit", lambda: setattr(wire, "cut", cut)) as seen:
        add(lake, "b")
    assert wire.cut == ""
    assert seen.count("lock.before_commit") == (2 if cut == "request" else 1)  # what was made is not made again
    committed(lake, "a", "b")


@pytest.mark.parametrize("cut", ["request", "reply"])
def test_an_outcome_that_cannot_be_asked_for_is_said_to_be_unknown_and_can_be_committed_again(
    cut: str, make: Make, wire: Wire
) -> None:
    lake = make(wire.port, reconnect=0.3)
    add(lake, "a")
    txn = lake.begin(client_txn="mine")
    txn.insert("label", [label("b")])
    wire.on_cut = lambda: setattr(wire, "down", True)
    with (
        once_at("lock.before_commit", lambda: setattr(wire, "cut", cut)),
        pytest.raises(OutcomeUnknown, match="client_txn='mine'"),
    ):
        lake.commit(txn)
    wire.down = False
    done = lake.commit(txn)
    again = lake.begin(client_txn="mine")
    again.insert("label", [label("b")])
    assert lake.commit(again) == done == lake.head()
    committed(lake, "a", "b")


def test_the_outcome_is_not_asked_for_while_the_lost_session_may_still_commit(
    make: Make, wire: Wire, server: PostgresServer
) -> None:
    """The wire is cut before the COMMIT, and the server does not notice: the lock tells that the session lives."""
    lake = make(wire.port, lock_timeout=0.5, reconnect=0.5)
    with psycopg.connect(server.url()) as con:
        schema = lake.catalog.address.schema  # type: ignore[attr-defined]
        con.execute("SET idle_in_transaction_session_timeout = 0")

        def swap() -> None:
            """Let another session hold the lock, as the lost one would."""
            wire.cut = "request"
            wire.on_cut = lambda: _hold(con, schema)

        with once_at("lock.before_commit", swap), pytest.raises(OutcomeUnknown):
            add(lake, "a")
        con.rollback()
    add(lake, "b")
    committed(lake, "b")


def _hold(con: psycopg.Connection[Any], schema: str) -> None:
    time.sleep(0.1)
    con.execute(f"SELECT 1 FROM {schema}.meta FOR UPDATE")


# -- servers that are slow, full or away ---------------------------------------------------------------------------
def test_a_lock_that_is_held_for_long_is_busy_and_reading_goes_on(make: Make, server: PostgresServer) -> None:
    lake = make(lock_timeout=0.2)
    add(lake, "a")
    with psycopg.connect(server.url()) as con:
        _hold(con, lake.catalog.address.schema)  # type: ignore[attr-defined]
        with pytest.raises(Busy, match="lock"):
            add(lake, "b")
        assert uids(lake) == ["a"]
    add(lake, "b")
    committed(lake, "a", "b")


def test_a_statement_that_takes_too_long_is_cancelled_and_nothing_is_committed(
    make: Make, server: PostgresServer
) -> None:
    lake = make(statement_timeout=0.2)
    with psycopg.connect(server.url()) as con:
        _hold(con, lake.catalog.address.schema)  # type: ignore[attr-defined]
        with pytest.raises(Busy, match="too long"):
            add(lake, "a")
    committed(lake)


def test_a_server_without_a_free_connection_is_waited_for_and_then_busy(make: Make, server: PostgresServer) -> None:
    lake = make(reconnect=0.3)
    with ExitStack() as taken:
        one = taken.enter_context(psycopg.connect(server.url(), autocommit=True))
        one.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakehouse'")
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(server.url()))
        with pytest.raises(Busy, match="no free connection"):
            add(lake, "a")
        waiting = threading.Timer(0.1, one.close)
        waiting.start()
        add(lake, "b")
        waiting.join()
    committed(lake, "b")


def test_more_threads_than_connections_take_turns(make: Make) -> None:
    lake = make(connections=2)
    threads = [threading.Thread(target=add, args=(lake, f"k{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    committed(lake, *(f"k{n}" for n in range(8)))


def test_a_server_that_is_away_is_a_passing_error_that_shows_no_password(
    make: Make, server: PostgresServer, tmp_path: Path
) -> None:
    lake = make(reconnect=0.3)
    server.stop(signal.SIGQUIT)
    try:
        with pytest.raises(Unavailable):
            add(lake, "a")
        url = server.url("ada", "SECRET")
        with pytest.raises(Unavailable) as caught:
            Lake.create(tmp_path / "new", SPECS, catalog=url, options=Options(reconnect=0.3))
        assert "SECRET" not in f"{caught.value} {caught.value!r}"
        assert not (tmp_path / "new" / "lake.json").exists()
    finally:
        server.start()
    add(lake, "b")
    committed(lake, "b")
