"""Frames that come in batches: the verdict is that of the whole, with its positions, counts, examples and hints."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from validation import Fault, Relation, Rule, Slot, Vocabulary
from validation.batches import batch_faults
from validation.frames import frame_faults

CELLS = Vocabulary(["T cell", "B cell"], synonyms={"T cell": ["T lymphocyte"]}, name="CellType")


def resolve(name: str, rule: Rule) -> Vocabulary:
    return CELLS


def in_batches(slot: Slot, frame: pl.DataFrame, size: int) -> list[Fault]:
    return batch_faults(slot, lambda: frame.iter_slices(size), resolve)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_give_the_faults_of_the_whole(size: int):
    frame = pl.DataFrame({"a": [1, 2, 2, 5, 4, -1], "c": ["T cell", "x", "T cell", None, "y", "x"]})
    slot = Slot([Rule("a", "int", ge=0, unique=True), Rule("c", "cat[CellType]"), Rule("gone")])
    whole = frame_faults(slot, frame, resolve)
    parts = in_batches(slot, frame, size)
    assert {(f.reason, f.column, f.rows, f.count) for f in parts} == {
        (f.reason, f.column, f.rows, f.count) for f in whole
    }


def test_rows_that_repeat_together_are_found_across_batches():
    slot = Slot([Rule("a"), Rule("b")], unique_together=[("a", "b")])
    frame = pl.DataFrame({"a": [1, 1, 2, 1], "b": [1, 2, 1, 1]})
    (fault,) = batch_faults(slot, lambda: [frame[:2], frame[2:]], resolve)
    assert (fault.reason, fault.rows, fault.message) == ("duplicate_rows", (0, 3), "a and b repeat together")


def test_order_is_followed_across_batches():
    slot = Slot([Rule("a", "int", order="increasing")])
    faults = batch_faults(slot, lambda: [pl.DataFrame({"a": [1, 5]}), pl.DataFrame({"a": [4, 6]})], resolve)
    assert [(f.reason, f.rows) for f in faults] == [("not_ordered", (2,))]


def cell_rule(**more: Any) -> Rule:
    return Rule("c", "cat[CellType]", **more)


WHOLES: list[tuple[str, Slot, dict[str, Any]]] = [
    ("two unknown, one may be", Slot([cell_rule(max_unknown=1)]), {"c": ["x", "T cell", "x", "y", "B cell"]}),
    ("two unknown, two may be", Slot([cell_rule(max_unknown=2)]), {"c": ["x", "T cell", "x", "y", "B cell"]}),
    ("half of few", Slot([cell_rule(max_unknown=0.5, nullable=True)]), {"c": ["x", "x", None, "T cell", "T cell"]}),
    ("more than half", Slot([cell_rule(max_unknown=0.5)]), {"c": ["x", "T cell", "T cell", "T cell", "y"]}),
    ("other spellings", Slot([cell_rule()]), {"c": ["z", "t cell", "B cell", "T lymphocyte", "b CELL"]}),
    ("in an order", Slot([Rule("c", "cat[CellType]", field="name", order="increasing")]), {"c": ["T cell", "B cell"]}),
    (
        "many that match nothing",
        Slot([Rule("a", "str", regex="[a-c]")]),
        {"a": ["a", "d is e", "b", "d", "e", "f is d"]},
    ),
    ("many of a wrong length", Slot([Rule("a", "str", max_length=1)]), {"a": ["aa", "a", "bb", "cc", "aa"]}),
    ("not to be converted", Slot([Rule("a", "int", coerce=True)]), {"a": ["1", "x", None, "y", "x"]}),
    ("nulls between", Slot([Rule("a", "int", coerce=True, unique=True, nullable=True)]), {"a": ["1", None, None, "1"]}),
    ("whole and broken", Slot([Rule("a", "number", coerce=True, unique=True)]), {"a": ["1", "2.5", "1", "2.5", "3"]}),
    (
        "falling",
        Slot([Rule("a", "number", coerce=True, order="increasing")]),
        {"a": ["1", "2.5", "2", None, "1", "0.5"]},
    ),
    ("repeated text", Slot([Rule("a", "str", unique=True)]), {"a": ["x", "y", None, "x", "y", "z"]}),
    (
        "repeated categories",
        Slot([Rule("a", "cat", unique=True)]),
        {"a": pl.Series(list("xyzyx"), dtype=pl.Categorical)},
    ),
    ("large numbers", Slot([Rule("a", "int", unique=True)]), {"a": [2**53, 2**53 + 1, 5, 2**53 + 1]}),
    (
        "nulls to be compared",
        Slot([Rule("a", "int", coerce=True, nullable=True), Rule("b")], relations=[Relation("a", "<", "b")]),
        {"a": [None, "5", None], "b": [1, 2, 3]},
    ),
    (
        "nothing to be compared",
        Slot([], relations=[Relation("a", "<", "b")]),
        {"a": pl.Series([None, None], dtype=pl.String), "b": [1, 2]},
    ),
    (
        "unlike columns",
        Slot([], relations=[Relation("a", "<", "b"), Relation("b", "<", "c")]),
        {"a": ["x", "y"], "b": [1, 2], "c": ["x", "y"]},
    ),
    (
        "times of two kinds",
        Slot([Rule("a", "datetime", coerce=True)]),
        {"a": ["2026-01-01", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00", "2026-01-02T10:00:00Z"]},
    ),
]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(("slot", "columns"), [pytest.param(*row[1:], id=row[0]) for row in WHOLES])
def test_every_word_is_that_of_the_whole(slot: Slot, columns: dict[str, Any], size: int):
    frame = pl.DataFrame(columns)
    whole = frame_faults(slot, frame, resolve)
    assert sorted(map(str, in_batches(slot, frame, size))) == sorted(map(str, whole))


def test_examples_are_the_first_of_the_whole_file():
    frame = pl.DataFrame({"a": [f"v{i}" for i in range(20)]})
    (fault,) = in_batches(Slot([Rule("a", "str", regex="x")]), frame, 3)
    assert (fault.count, fault.examples) == (20, ("v0", "v1", "v2", "v3", "v4"))


def test_times_with_a_zone_are_not_compared_with_times_without_one():
    times = [dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    slot = Slot([Rule("a", "datetime", coerce=True, order="increasing")])
    given = [str(time) for time in times]
    reasons = [fault.reason for fault in in_batches(slot, pl.DataFrame({"a": given}), 1)]
    assert reasons == ["not_coercible"]
