from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.engine.changes import Op, Segment
from lakehouse.engine.table import KEYS
from lakehouse.engine.tail import Tail, widened

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False), ("v", pa.int64())])
Step = tuple[str, dict[str, int]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "upsert", "delete"]), st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9))
    ),
    max_size=12,
)


def segment(commit: int, op: str, rows: dict[str, int]) -> Segment:
    if op == "delete":
        return Segment(
            commit, Op.DELETE, 1, pa.RecordBatch.from_arrays([pa.array(list(rows), pa.string())], schema=KEYS)
        )
    arrays = [pa.array(list(rows), pa.string()), pa.array(list(rows.values()), pa.int64())]
    return Segment(commit, Op(op), 1, pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))


def naive(base: dict[str, int], steps: list[Step]) -> tuple[dict[str, int], list[Step]]:
    """Fold by hand; inserts of keys that are there do not happen."""
    state, done = dict(base), []
    for op, rows in steps:
        rows = {k: v for k, v in rows.items() if op != "insert" or k not in state}
        done.append((op, rows))
        for key, value in rows.items():
            if op == "delete":
                state.pop(key, None)
            else:
                state[key] = value
    return state, done


def live(base: dict[str, int], tail: Tail) -> dict[str, int]:
    """Return what the tail shows over a base."""
    gone = set(tail.hidden_after(-1).to_pylist())
    over = {r["uid"]: r["v"] for r in tail.rows.to_pylist()}
    assert len(over) == len(tail.rows), "a key stands twice in the tail"
    below = {k: v for k, v in base.items() if k not in gone}
    assert not below.keys() & over.keys(), "a key stands in the base and in the tail"
    return below | over


@settings(max_examples=150, deadline=None)
@given(base=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9)), steps=STEPS, cut=st.integers(0, 12))
def test_folding_is_what_a_dict_does_however_it_is_cut(base: dict[str, int], steps: list[Step], cut: int) -> None:
    wanted, done = naive(base, steps)
    segments = [segment(n + 1, op, rows) for n, (op, rows) in enumerate(done)]
    empty = Tail.empty(SCHEMA)
    assert live(base, empty.advance(segments)) == wanted
    halves = empty.advance(segments[:cut]).advance(segments[cut:])
    assert live(base, halves) == wanted
    assert halves.length == len(segments)


def test_advancing_leaves_the_older_tail_as_it_was() -> None:
    first = Tail.empty(SCHEMA).advance([segment(1, "insert", {"a": 1})])
    first.advance([segment(2, "upsert", {"a": 2}), segment(3, "delete", {"a": 0})])
    assert first.rows.to_pylist() == [{"uid": "a", "v": 1}]
    assert not len(first.hidden)


def test_key_hidden_before_a_staged_file_came_does_not_hide_its_row() -> None:
    tail = Tail.empty(SCHEMA).advance([segment(1, "delete", {"a": 0}), segment(2, "upsert", {"b": 1})])
    assert tail.hidden_after(-1).to_pylist() == ["a", "b"]
    assert tail.hidden_after(0).to_pylist() == ["b"]
    assert tail.hidden_after(1).to_pylist() == []


def test_older_rows_get_nulls_in_a_younger_schema() -> None:
    wide = SCHEMA.append(pa.field("w", pa.string()))
    batch = segment(1, "insert", {"a": 1}).batch
    assert widened(batch, wide).to_pylist() == [{"uid": "a", "v": 1, "w": None}]
    assert Tail.empty(SCHEMA).advance([segment(1, "insert", {"a": 1})]).widen(wide).rows.schema.equals(wide)
