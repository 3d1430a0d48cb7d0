from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, TableSpec, history
from lakehouse.errors import Expired, InputError, UnknownField
from tests.unit.engine.support import LABEL, add, label, renames, rows_of

pytestmark = pytest.mark.catalogs("sqlite")
BOTH = pytest.mark.catalogs("sqlite", "postgres")


def told(lake: Lake, *span: Any, table: str = "label") -> list[tuple]:
    found = lake.changes(*span, table=table).arrow()
    assert found.schema.names == [
        "commit", "at", "user", "run", "message", "table", "op", "uid", "before", "after",
    ]  # fmt: skip
    return [(r["commit"], r["op"], r["uid"], r["before"], r["after"]) for r in found.to_pylist()]


@BOTH
def test_every_change_is_told_with_the_row_before_and_after(lake: Lake) -> None:
    start = lake.head()
    lake.stamp_runs(lambda: "r1")
    with lake.transaction("two labels") as txn:
        txn.insert("label", [label("b"), label("a")])
    lake.run(renames("a", "x"))
    lake.run(lambda txn: txn.delete("label", ["b", "nobody"]))
    a, x = label("a"), label("a", "x")
    assert told(lake) == [
        (start + 1, "insert", "a", None, a),
        (start + 1, "insert", "b", None, label("b")),
        (start + 2, "update", "a", a, x),
        (start + 3, "delete", "b", label("b"), None),
    ]
    first = lake.changes(until=start + 1, table="label").arrow().to_pylist()[0]
    info = lake.commits()[2]
    assert (first["at"], first["user"], first["run"], first["message"]) == (info.at, "ann", "r1", "two labels")
    assert first["table"] == "label"


def test_a_range_is_open_below_and_closed_above(lake: Lake) -> None:
    add(lake, "a")
    add(lake, "b")
    lake.tags.add("middle")
    add(lake, "c")
    at = lake.snapshot("middle").at
    head = lake.head()
    assert [c[2] for c in told(lake, "middle")] == [c[2] for c in told(lake, at)] == ["c"]
    assert [c[2] for c in told(lake, head - 2, "middle")] == ["b"]
    assert [c[2] for c in told(lake, None, at - timedelta(microseconds=1))] == ["a"]
    assert told(lake, head, head) == []
    with pytest.raises(InputError, match="turn them round"):
        lake.changes(head, "middle")
    with pytest.raises(InputError, match="no commit"):
        lake.changes(head + 1)
    with pytest.raises(UnknownField, match="did you mean 'label'"):
        lake.changes(table="labl")


@BOTH
def test_all_tables_come_together_by_commit_with_values_as_json(lake: Lake) -> None:
    with lake.transaction() as txn:
        txn.insert("label", [label("a", "näme")])
        txn.insert("link", [{"uid": "l", "label": "a", "note": None}])
        txn.insert("event", [{"uid": "e", "size": float("nan")}])
    lake.run(lambda txn: txn.delete("link", ["l"]))
    rows = lake.changes().arrow().to_pylist()
    assert [(r["table"], r["op"], r["uid"]) for r in rows] == [
        ("event", "insert", "e"), ("label", "insert", "a"), ("link", "insert", "l"), ("link", "delete", "l"),
    ]  # fmt: skip
    assert json.loads(rows[1]["after"]) == label("a", "näme")
    assert rows[1]["before"] is None
    assert json.loads(rows[3]["before"]) == {"uid": "l", "label": "a", "note": None}
    assert rows[3]["after"] is None
    assert lake.changes(table="link").pl()["op"].to_list() == ["insert", "delete"]
    assert lake.changes().pl().height == 4
    assert lake.changes(table="link").df()["before"][1]["label"] == "a"
    assert lake.changes(lake.head(), table="link").pl().height == lake.changes(lake.head()).df().shape[0] == 0


def model(lake: Lake) -> list[tuple]:
    """Return what a comparison of the table at each commit with the one before it tells."""
    found = []
    for commit in range(1, lake.head() + 1):
        old, new = ({r["uid"]: r for r in rows_of(lake, at=c)} for c in (commit - 1, commit))
        for uid in sorted(old.keys() | new.keys()):
            if old.get(uid) != new.get(uid):
                op = "insert" if uid not in old else "delete" if uid not in new else "update"
                found.append((commit, op, uid, old.get(uid), new.get(uid)))
    return found


@pytest.mark.parametrize(
    ("small_rows", "window", "flush"),
    [(0, 3, "sometimes"), (200_000, 12, "never"), (0, 100_000, "always"), (200_000, 3, "always")],
)
def test_changes_are_those_between_neighbouring_states_however_they_are_stored(
    make: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch, small_rows: int, window: int, flush: str
) -> None:
    monkeypatch.setattr(history, "_ROWS", window)
    monkeypatch.setattr(history, "_COMMITS", max(window // 3, 1))
    lake = make(small_rows=small_rows, bulk_rows=3, file_rows=4)
    for step in range(4):
        bulk = [label(f"b{n}", f"b{n} of {step}", step) for n in range(12)]
        lake.run(lambda txn, bulk=bulk: txn.upsert("label", bulk))
        add(lake, f"s{step}")
        lake.run(renames(f"s{step}", f"renamed {step}"))
        with lake.transaction() as txn:
            txn.delete("label", ["b1", f"s{step}"])
            txn.upsert("label", [label("b2", n=100 + step)])
            txn.insert("label", [label(f"s{step}", "again")] if step == 2 else [label(f"t{step}")])
        lake.run(lambda txn: txn.delete("label", [f"b{n}" for n in range(3, 9)]))
        if flush == "always" or (flush == "sometimes" and step % 2):
            lake.flush()
    assert told(lake) == model(lake)
    middle = lake.head() // 2
    assert told(lake, middle) == [change for change in model(lake) if change[0] > middle]
    assert pa.concat_tables(lake.changes(table="label").batches()).num_rows == len(model(lake))


def test_columns_that_were_added_are_null_before(lake: Lake) -> None:
    add(lake, "a")
    lake.run(renames("a", "x"))
    before = lake.head()
    lake.ensure([TableSpec("label", LABEL.schema.append(pa.field("unit", pa.string())), unique=LABEL.unique)])
    lake.run(lambda txn: txn.upsert("label", [{**txn.snapshot.get("label", "a"), "unit": "mm"}]))
    last = told(lake)[-1]
    assert last[3:] == ({**label("a", "x"), "unit": None}, {**label("a", "x"), "unit": "mm"})
    assert told(lake)[0][4] == {**label("a"), "unit": None}
    assert told(lake, None, before)[0][4] == label("a")


@BOTH
def test_changes_below_the_horizon_are_expired_also_at_a_tag(make: Callable[..., Lake]) -> None:
    lake = make(retention=0.0, grace=0.0)
    add(lake, "a")
    lake.tags.add("first")
    asked = lake.changes(table="label")
    for uid in "bc":
        add(lake, uid)
        lake.flush()
    lake.vacuum()
    for since in (0, "first"):
        with pytest.raises(Expired, match="the oldest to ask since is"):
            lake.changes(since)
    with pytest.raises(Expired):
        asked.arrow()
    add(lake, "d")
    assert [change[2] for change in told(lake)][-1] == "d", "what is retained is the default"


def test_many_commits_with_long_messages_keep_each_message_once(lake: Lake) -> None:
    with lake.transaction("m" * 100_000) as txn:
        txn.insert("event", [{"uid": f"e{n:03}"} for n in range(500)])
    found = lake.changes(table="event").arrow()
    assert found.nbytes < 1_000_000
    assert found["message"][0].as_py() == "m" * 100_000
