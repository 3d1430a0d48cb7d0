"""Files that a query can do without are not read, and nothing is missing from what it returns."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec
from lakehouse.engine.pruning import Bound
from lakehouse.engine.snapshot import Order
from tests.unit.engine.support import UID, quiet

DAY = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = [UID, ("at", pa.timestamp("us", tz="UTC")), ("n", pa.int64()), ("name", pa.string()), ("x", pa.float64())]
SPEC = TableSpec("event", pa.schema(COLUMNS))
YOUNGER = TableSpec("event", pa.schema([*COLUMNS, ("seen", pa.date32())]))
SMALL_FILES = {"small_rows": 0, "file_rows": 10, "bulk_rows": 5, "merge_files": 1_000}


def row(number: int, **more: Any) -> dict[str, Any]:
    at = DAY + timedelta(hours=number)
    return {"uid": f"u{number:04}", "at": at, "n": number, "name": f"name {number:04}", "x": number / 7, **more}


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Lake]:
    """A table of ten files that is never kept in memory."""
    with Lake.create(tmp_path / "lake", [SPEC], options=quiet(**SMALL_FILES)) as lake:
        lake.run(lambda txn: txn.insert("event", [row(number) for number in range(100)]))
        lake.flush()
        yield lake


def files(lake: Lake) -> list[Path]:
    base = lake.snapshot().state("event").base
    return [base.folder.path(file.path) for file in base.files]


def between(lake: Lake, bound: Bound) -> list[str]:
    """Return the uids of rows within a bound, read from the files that may hold them."""
    sql = f'SELECT uid FROM event WHERE "{bound.column}" BETWEEN ? AND ? ORDER BY uid'
    found = lake.snapshot().arrow(sql, [bound.low, bound.high], ["event"], bounds={"event": [bound]})
    return found["uid"].to_pylist()


def newest(lake: Lake, count: int, *, column: str = "at", descending: bool = True, where: str = "true") -> list[Any]:
    direction = "DESC" if descending else "ASC"
    sql = f'SELECT * FROM event WHERE {where} ORDER BY "{column}" {direction} NULLS LAST LIMIT {count}'
    order = Order("event", column, descending, count)
    return lake.snapshot().first(order, sql, [], ["event"])["uid"].to_pylist()


def remove_all_but(lake: Lake, kept: list[int]) -> None:
    for position, path in enumerate(files(lake)):
        if position not in kept:
            path.unlink()


def test_window_of_time_needs_only_the_files_of_that_time(big: Lake) -> None:
    remove_all_but(big, [4, 5])
    bound = Bound("at", DAY + timedelta(hours=45), DAY + timedelta(hours=54))
    assert between(big, bound) == [f"u{number:04}" for number in range(45, 55)]


def test_whole_numbers_choose_files_too(big: Lake) -> None:
    remove_all_but(big, [3])
    assert between(big, Bound("n", 31, 33)) == ["u0031", "u0032", "u0033"]


def test_lookup_by_a_column_needs_only_the_files_that_may_hold_the_value(big: Lake) -> None:
    remove_all_but(big, [7])
    assert big.snapshot().lookup("event", "n", [71, 72])["n"].to_pylist() == [71, 72]
    many = [f"u{number:04}" for number in range(70, 80)] * 10
    assert len(big.snapshot().lookup("event", "uid", [*many, *(f"x{n}" for n in range(100))])) == 10


def test_newest_rows_need_only_the_newest_files(big: Lake) -> None:
    remove_all_but(big, [6, 7, 8, 9])
    assert newest(big, 3) == ["u0099", "u0098", "u0097"]


def test_oldest_rows_need_only_the_oldest_files(big: Lake) -> None:
    remove_all_but(big, [0, 1, 2, 3])
    assert newest(big, 2, descending=False) == ["u0000", "u0001"]
    assert newest(big, 2, column="uid", descending=False) == ["u0000", "u0001"]


def test_newest_rows_that_are_rare_are_found_in_old_files(big: Lake) -> None:
    assert newest(big, 3, where="n % 50 = 7") == ["u0057", "u0007"]
    assert newest(big, 1, where="n < 5") == ["u0004"]
    assert newest(big, 0) == []


def test_newest_rows_follow_updates_deletes_and_inserts_that_are_not_published(big: Lake) -> None:
    big.run(lambda txn: txn.delete("event", [f"u{number:04}" for number in range(60, 100)]))
    assert newest(big, 2) == ["u0059", "u0058"]
    big.run(lambda txn: txn.upsert("event", [row(3, at=DAY + timedelta(days=30))]))
    assert newest(big, 2) == ["u0003", "u0059"]
    big.run(lambda txn: txn.insert("event", [row(900 + number) for number in range(20)]))
    assert newest(big, 2) == ["u0919", "u0918"]


def test_rows_that_were_moved_out_of_a_window_leave_it_and_those_moved_in_enter(big: Lake) -> None:
    big.run(lambda txn: txn.upsert("event", [row(50, n=5_000), row(3, n=51)]))
    for _ in range(2):
        assert between(big, Bound("n", 49, 52)) == ["u0003", "u0049", "u0051", "u0052"]
        assert between(big, Bound("n", 5_000, 5_000)) == ["u0050"]
        big.flush()


def test_rows_without_a_value_come_last_whatever_the_files_say(big: Lake) -> None:
    big.run(lambda txn: txn.upsert("event", [row(number, at=None) for number in range(90, 100)]))
    big.flush()
    assert newest(big, 2) == ["u0089", "u0088"]
    assert newest(big, 95, where="n >= 85")[:5] == [f"u{number:04}" for number in range(89, 84, -1)]


def test_files_older_than_a_column_neither_hide_rows_nor_are_mistaken_for_holding_some(big: Lake) -> None:
    big.ensure([YOUNGER])
    assert newest(big, 1, column="seen") != []
    big.run(lambda txn: txn.upsert("event", [row(number, seen=date(2026, 1, number + 1)) for number in range(12)]))
    for _ in range(2):
        assert newest(big, 2, column="seen") == ["u0011", "u0010"]
        assert between(big, Bound("seen", date(2026, 1, 3), date(2026, 1, 4))) == ["u0002", "u0003"]
        big.flush()


def test_bounds_never_lose_a_row_however_the_table_came_to_be(big: Lake) -> None:
    draw = random.Random(7)
    for turn in range(12):
        numbers = draw.sample(range(150), 12)
        big.run(lambda txn, numbers=numbers: txn.upsert("event", [row(n, n=draw.randint(0, 150)) for n in numbers[:8]]))
        big.run(lambda txn, numbers=numbers: txn.delete("event", [f"u{n:04}" for n in numbers[8:]]))
        if turn % 3 == 0:
            big.flush()
        everything = big.snapshot().arrow("SELECT * FROM event", [], ["event"]).to_pylist()
        for low, high in itertools.pairwise(sorted(draw.sample(range(150), 6))):
            expected = sorted(item["uid"] for item in everything if low <= item["n"] <= high)
            assert between(big, Bound("n", low, high)) == expected
        ranked = sorted(everything, key=lambda item: -item["n"])
        values = {item["uid"]: item["n"] for item in everything}
        assert [values[uid] for uid in newest(big, 7, column="n")] == [item["n"] for item in ranked[:7]]


def test_statistics_reach_plain_delta_readers_and_survive_recovery(big: Lake) -> None:
    from deltalake import DeltaTable

    actions = pa.table(DeltaTable(str(big.root / "tables" / "event")).get_add_actions(flatten=True))
    assert sorted(actions["min.n"].to_pylist()) == list(range(0, 100, 10))
    assert max(actions["max.at"].to_pylist()) == DAY + timedelta(hours=99)


@pytest.mark.parametrize(
    ("bound", "values", "met"),
    [
        (Bound("n", 1, 2), [3, 4], False),
        (Bound("n", 1.5, 2.5), [2, 2], True),
        (Bound("n", "1", "2"), [3, 4], True),
        (Bound("d", date(2026, 1, 2)), ["2026-01-01", "2026-01-01"], False),
        (Bound("at", datetime(2026, 1, 1, 1, tzinfo=UTC)), ["2026-01-01T00:00:00.000000Z"] * 2, False),
        (Bound("n"), [1, 1], True),
    ],
)
def test_bounds_admit_what_may_lie_within(bound: Bound, values: list[Any], met: bool) -> None:
    assert bound.admits(values) is met


@pytest.fixture
def older(big: Lake) -> Path:
    """A lake whose catalog has the first format."""
    root = big.root
    big.close()
    with sqlite3.connect(root / "catalog.db") as con:
        con.execute("ALTER TABLE file DROP COLUMN stats")
        con.execute("DROP TABLE intent")
        con.execute("DROP TABLE tag")
        con.execute("PRAGMA user_version = 1")
    con.close()
    return root


@pytest.mark.parametrize("read_only", [True, False])
def test_catalog_of_the_first_format_opens_and_shows_everything(older: Path, read_only: bool) -> None:
    with Lake.open(older, options=quiet(**SMALL_FILES), read_only=read_only, upgrade=not read_only) as lake:
        assert between(lake, Bound("n", 31, 33)) == ["u0031", "u0032", "u0033"]
        assert newest(lake, 2) == ["u0099", "u0098"]


def test_catalog_of_the_first_format_is_written_on(older: Path, make_reader: Callable[[Path], Lake]) -> None:
    reader = make_reader(older)
    with Lake.open(older, options=quiet(**SMALL_FILES), upgrade=True) as lake:
        lake.run(lambda txn: txn.upsert("event", [row(5, n=500)]))
        lake.flush()
        assert between(lake, Bound("n", 400, 600)) == ["u0005"]
    assert between(reader, Bound("n", 400, 600)) == ["u0005"]


@pytest.fixture
def make_reader() -> Iterator[Callable[[Path], Lake]]:
    made: list[Lake] = []

    def make(root: Path) -> Lake:
        made.append(Lake.open(root, options=quiet(**SMALL_FILES), read_only=True))
        return made[-1]

    yield make
    for lake in made:
        lake.close()
