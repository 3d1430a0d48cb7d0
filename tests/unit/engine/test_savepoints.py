"""Savepoints with rows enough to be staged as files, several deep, and inside a batch."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from lakehouse.engine import Lake
from lakehouse.errors import Duplicate
from tests.unit.engine.support import add, label, plain, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")


@pytest.fixture(params=["transaction", "batch"])
def around(request: pytest.FixtureRequest) -> str:
    """Return what the savepoints stand in."""
    return request.param


def outer(lake: Lake, around: str) -> object:
    return lake.transaction() if around == "transaction" else lake.batch(seconds=60)


def bulk(prefix: str, count: int = 8, n: int = 0) -> pa.Table:
    rows = [label(f"{prefix}{i}", n=n) for i in range(count)]
    return pa.Table.from_pylist(rows, pa.schema([("uid", pa.string()), ("name", pa.string()), ("n", pa.int64())]))


def test_bulk_rows_of_a_savepoint_stay_when_it_is_released_and_go_when_it_is_not(
    make: Callable[..., Lake], around: str
) -> None:
    lake = make(bulk_rows=3, file_rows=5)
    add(lake, "kept")
    with outer(lake, around):
        with lake.transaction() as txn:
            txn.insert("label", bulk("a"))
            with pytest.raises(RuntimeError), lake.transaction():
                txn.upsert("label", bulk("a", 5, n=7))
                txn.delete("label", ["kept", "a7"])
                with lake.transaction():
                    txn.insert("label", bulk("b"))
                assert len(uids(lake)) == 15
                raise RuntimeError
            assert len(uids(lake)) == 9
            with lake.transaction():
                txn.upsert("label", bulk("a", 4, n=1))
        assert len(uids(lake)) == 9
        with pytest.raises(RuntimeError), lake.transaction() as txn:
            txn.delete("label", uids(lake))
            assert uids(lake) == []
            raise RuntimeError
    expected = [label(f"a{i}", n=1 if i < 4 else 0) for i in range(8)] + [label("kept")]
    assert rows_of(lake) == expected
    lake.flush()
    assert rows_of(lake) == plain(lake) == expected


def test_an_error_in_the_middle_leaves_what_came_before_and_after(make: Callable[..., Lake], around: str) -> None:
    lake = make(bulk_rows=3)
    with outer(lake, around):
        for step in range(6):
            try:
                with lake.transaction():
                    lake.run(lambda txn, step=step: txn.insert("label", bulk(f"s{step}-", 4)))
                    if step % 2:
                        lake.run(lambda txn: txn.insert("label", [label("s0-0", "taken")]))
                        raise ValueError(step)
            except ValueError:
                assert "s0-0" in uids(lake)
    assert uids(lake) == [f"s{step}-{n}" for step in (0, 2, 4) for n in range(4)]


def test_a_duplicate_inside_one_savepoint_is_found_at_the_end_of_what_makes_the_commit(lake: Lake) -> None:
    with pytest.raises(Duplicate), lake.transaction():
        with lake.transaction():
            add(lake, "a")
        with lake.transaction():
            add(lake, "a")
    assert uids(lake) == []
    with pytest.raises(Duplicate), lake.batch(seconds=60):
        for uid in "aab":
            with lake.transaction():
                add(lake, uid)
    assert uids(lake) == ["a", "b"], "in a batch it costs that one save"
