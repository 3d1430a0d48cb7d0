"""Lineage: what tracking costs, and how long questions about a million edges take."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

import lakehouse as lh
from benchmarks.bare import BareSqlite
from benchmarks.harness import Row, Sample, Side, alternate, at_most, ms, scratch
from registries import Instance, binding
from registries.bulk import new_uids
from registries.lineage.collapse import collapsed
from registries.lineage.drawing import svg
from registries.lineage.edges import edge_uid
from registries.lineage.network import network_of
from registries.lineage.view import LineageView

__all__ = ["run"]

_STEPS = 1_000
_CHAIN = 500  # artifacts, each made by a run that read the one before


@lh.step
def _stepped(x: int) -> int:
    return x


def _plain(x: int) -> int:
    return x


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    with scratch() as folder, Instance.create(folder / "instance", user="bench") as lake:
        before = binding.set_current(lake)
        try:
            bare = BareSqlite(folder / "bare.db", ["run"])
            yield from _recording(lake, bare)
            bare.close()
            yield from _asking(lake, 667_000 if large else 50_000)
        finally:
            binding.set_current(before)


def _recording(lake: Instance, bare: BareSqlite) -> Iterator[Row]:
    sides = {
        "ours": _tracking(),
        "bare": lambda turn: lambda: [bare.insert([("run", f"{turn}{n}", b"x" * 500)]) for n in "ab"],
    }
    tracked = alternate(sides, rounds=30, warm=3)
    limit = at_most(value=40)
    yield ms("lineage", "track and finish", tracked["ours"], tracked["bare"], "SQLite, two rows", limit)
    steps = alternate({"ours": _calls(_stepped), "bare": _calls(_plain)}, rounds=5)
    per_call = {name: Sample(tuple(one / _STEPS for one in found.times)) for name, found in steps.items()}
    limit = at_most(value=1)
    yield ms("lineage", f"one step of {_STEPS:,}", per_call["ours"], per_call["bare"], "the call itself", limit)
    read = alternate({"ours": _reading(lake)}, rounds=5)["ours"]
    limit = at_most(value=0.3)
    yield ms("lineage", "record an input", Sample(tuple(one / _STEPS for one in read.times)), None, "", limit)


def _tracking() -> Side:
    def act() -> None:
        lh.track(params={"alpha": 0.5, "n": 3})
        lh.finish()

    return lambda turn: act


def _calls(function: Callable[[int], int]) -> Side:
    def act() -> None:
        with lh.track("steps"):
            for number in range(_STEPS):
                function(number)

    return lambda turn: act


def _reading(lake: Instance) -> Side:
    artifacts = [lh.Artifact(f"{n}".encode(), key=f"inputs/{n}", format="blob") for n in range(_STEPS)]
    lake.save(artifacts)

    def act() -> None:
        with lh.track("reads"):
            for artifact in artifacts:
                lake.note_read(artifact)

    return lambda turn: act


def _asking(lake: Instance, artifacts: int) -> Iterator[Row]:
    chained, fanned = _filled(lake, artifacts)
    lake.flush()
    began = time.perf_counter()
    edges = len(network_of(lake.snapshot()))
    cold = time.perf_counter() - began
    yield ms("lineage", f"read {edges:,} edges, first time", Sample((cold,)))
    last = lake.Artifact.get(chained)
    sides = {
        "ancestors": _once(lambda: lake.Artifact.filter(upstream_of=last).count()),
        "graph": _once(lambda: last.view_lineage(direction="upstream").whole),
        "picture": _once(lambda: _drawn(lake.Artifact.get(fanned).view_lineage())),
    }
    found = alternate(sides, rounds=5)
    limit = at_most(value=200)
    yield ms("lineage", f"1,000 ancestors among {edges:,} edges", found["ancestors"], None, "", limit)
    yield ms("lineage", "the same, with what is known of each", found["graph"], None, "", limit)
    yield ms("lineage", "a picture of 5,000 nodes", found["picture"], None, "", at_most(value=2_000))


def _once(act: Callable[[], object]) -> Side:
    return lambda turn: act


def _drawn(view: LineageView) -> str:
    assert len(view.whole.nodes) > 4_900
    return svg(collapsed(view.whole))


def _filled(lake: Instance, artifacts: int) -> tuple[str, str]:
    """Make artifacts, each with a run that read one; return the end of a chain of 500, and what 2,500 were made of."""
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    transform = lake.Transform(name="bench").save()
    template: dict[str, Any] = lake.Artifact(b"x", key="template", format="blob").save().to_row()
    uids, runs = new_uids(artifacts), new_uids(artifacts)
    run_row = dict.fromkeys(lake.Run.meta.columns) | {
        "transform": transform.uid,
        "outcome": "finished",
        "started_at": now,
        "created_at": now,
        "created_by": lake.user_uid,
    }
    reads = _sources(artifacts)
    texts, run_texts = uids.to_pylist(), runs.to_pylist()
    inputs = [(run_texts[n], texts[reads[n]]) for n in range(artifacts) if reads[n] >= 0]

    def plan(txn: Any) -> None:
        txn.insert("run", _table(lake, "run", run_row, artifacts, uid=runs), fresh=True)
        keys = pa.array([f"bench/{n}.bin" for n in range(artifacts)])
        txn.insert("artifact", _table(lake, "artifact", template, artifacts, uid=uids, run=runs, key=keys), fresh=True)
        edge = {"created_at": now, "created_by": lake.user_uid, "run": None, "uid": "", "subject": "", "artifact": ""}
        columns = {
            "uid": pa.array([edge_uid("run_input", *pair) for pair in inputs]),
            "subject": pa.array([pair[0] for pair in inputs]),
            "artifact": pa.array([pair[1] for pair in inputs]),
        }
        txn.insert("run_input", _table(lake, "run_input", edge, len(inputs), **columns), fresh=True)

    lake.lake.run(plan)
    return texts[_CHAIN - 1], texts[_CHAIN]


def _sources(count: int) -> list[int]:
    """Return which artifact each run read: a chain, then a fan of 2,500, then others at random."""
    random = np.random.default_rng(7)
    found = [-1, *range(_CHAIN - 1), -1, *([_CHAIN] * 2_499)]
    rest = random.integers(_CHAIN + 2_500, count, count - len(found)).tolist()
    return [*found, *(int(one) if int(one) < at else -1 for at, one in enumerate(rest, start=len(found)))]


def _table(lake: Instance, table: str, row: dict[str, Any], count: int, **columns: Any) -> pa.Table:
    schema = lake.snapshot().schema(table)
    made = [columns[f.name] if f.name in columns else pa.repeat(pa.scalar(row[f.name], f.type), count) for f in schema]
    return pa.Table.from_arrays([pa.array(one) if isinstance(one, list) else one for one in made], schema=schema)
