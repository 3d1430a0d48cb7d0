"""The index of the rows that are not published yet."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.engine import Lake
from lakehouse.engine.textindex import TextIndex
from tests.unit.engine.support import add, label, renames

ROWS = pa.table({"uid": ["a", "b", "a"], "n": [1, 2, 3]})


def often(index: TextIndex, rows: pa.Table, column: str, *values: object) -> list[list[int] | None]:
    return [index.positions(rows, column, values) for _ in range(8)]


def test_a_column_that_is_asked_for_a_few_times_is_not_indexed() -> None:
    found = often(TextIndex(), ROWS, "uid", "a")
    assert found[0] is None
    assert found[-1] == [0, 2]


def test_rows_that_came_since_are_found_and_those_that_others_have_already_are_not() -> None:
    index = TextIndex()
    often(index, ROWS.slice(0, 2), "uid", "a")
    assert index.positions(ROWS, "uid", ["b", "a", "b"]) == [0, 1, 2]
    assert index.positions(ROWS.slice(0, 2), "uid", ["a"]) == [0]
    assert index.positions(ROWS.slice(0, 0), "uid", ["a"]) == []


@pytest.mark.parametrize(("column", "values"), [("n", ["1"]), ("uid", [1]), ("uid", [None]), ("uid", ["a"] * 17)])
def test_what_is_no_text_or_much_is_looked_for_otherwise(column: str, values: list[object]) -> None:
    assert often(TextIndex(), ROWS, column, *values)[-1] is None


def found(lake: Lake, column: str, value: str) -> list[str]:
    """Look up several times, the last ones of which are answered by an index."""
    answers = [lake.snapshot().lookup("label", column, [value])["uid"].to_pylist() for _ in range(6)]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


def test_look_ups_go_on_being_right_while_rows_are_added_changed_and_deleted(lake: Lake, other: Lake) -> None:
    add(lake, "a", "b")
    assert found(lake, "name", "name of a") == ["a"]
    add(other, "c")
    assert found(lake, "name", "name of c") == ["c"]
    other.run(renames("a", "new"))
    assert found(lake, "name", "name of a") == []
    assert found(lake, "name", "new") == ["a"]
    lake.run(lambda txn: txn.delete("label", ["b"]))
    assert found(lake, "uid", "b") == []
    add(lake, "b")
    lake.flush()
    assert found(lake, "uid", "b") == ["b"]


def test_what_a_transaction_wrote_and_took_back_is_never_found_by_others(lake: Lake, other: Lake) -> None:
    add(lake, "a")
    assert found(lake, "uid", "a") == ["a"]

    def seen(uid: str) -> list[str]:
        return lake.snapshot().lookup("label", "uid", [uid])["uid"].to_pylist()

    with pytest.raises(KeyboardInterrupt), lake.transaction() as txn:
        txn.insert("label", [label("x")], fresh=True)
        assert [seen("x") for _ in range(8)] == [["x"]] * 8
        raise KeyboardInterrupt
    add(other, "y")
    assert found(lake, "uid", "x") == []
    assert found(lake, "uid", "y") == ["y"]
