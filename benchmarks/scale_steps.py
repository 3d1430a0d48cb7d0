"""The steps of the scale benchmark, each run in a process of its own, so that its memory is its own.

``python -m benchmarks.scale_steps STEP ROOT ROWS`` prints what was measured as one line of JSON.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Sample, Side, alternate
from benchmarks.scale_rows import DAYS, World
from lakehouse.engine import Lake, Transaction
from lakehouse.ids import new_uid
from registries.instance import Instance

__all__ = ["STEPS", "Figures"]

Figures = dict[str, float]
"""Seconds, unless the name says otherwise."""
_STEP = 2_000_000
_FLUSH_EVERY = 5
_UPDATES = 1_000
_GROUP_BY = "SELECT suffix, count(*) AS n, sum(size) AS size FROM artifact GROUP BY suffix"


def load(root: Path, rows: int) -> Figures:
    """Build the instance: one commit per two million artifacts with their links, published every ten million."""
    world, began, inside = World(rows), time.perf_counter(), 0.0
    with Instance.create(root) as home:
        home.lake.run(lambda txn: _basics(txn, world))
        for turn, (artifacts, links) in enumerate(world.batches(_STEP)):
            started = time.perf_counter()
            home.lake.run(lambda txn, a=artifacts, b=links: _insert(txn, a, b))  # type: ignore[misc]
            if turn % _FLUSH_EVERY == _FLUSH_EVERY - 1:
                home.flush()
            inside += time.perf_counter() - started
        started = time.perf_counter()
        home.flush()
        inside += time.perf_counter() - started
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    return {"load": inside, "load with making rows": time.perf_counter() - began, "bytes per row": size / rows}


def _basics(txn: Transaction, world: World) -> None:
    stamps = world.stamps
    txn.insert("user", [{"uid": world.user, "handle": "bench", **stamps}])
    txn.insert("storage", [{"uid": world.storage, "root": "elsewhere", "kind": "file", **stamps}])
    txn.insert("transform", [{"uid": world.transform, "name": "bench", "kind": "script", "version": "1", **stamps}])
    txn.insert("ulabel", world.label_rows())
    txn.insert("run", world.run_rows())


def _insert(txn: Transaction, artifacts: pa.Table, links: pa.Table) -> None:
    txn.insert("artifact", artifacts, fresh=True)
    txn.insert("artifact_ulabel", links, fresh=True)


def opening(root: Path, rows: int) -> Figures:
    """Open the instance, after imports."""
    del rows
    return _medians({"open": lambda _: lambda: Instance.open(root).close()}, rounds=9)


def reading(root: Path, rows: int) -> Figures:
    """Ask what people ask; every round another uid, day or label."""
    world, draw = World(rows), random.Random(1)
    with Instance.open(root) as home, duckdb.connect(config={"memory_limit": "4GB"}) as bare:
        base = home.snapshot().state("artifact").base
        files = [str(base.folder.path(file.path, file.size)) for file in base.files]
        uids = _some_uids(files, 16, draw)
        bare.execute("SET parquet_metadata_cache = true")
        bare.execute(f"CREATE VIEW artifact AS SELECT * FROM read_parquet({files!r}, hive_partitioning = false)")

        def day(_: int) -> Callable[[], object]:
            first, last = world.day(draw.randrange(DAYS))
            return home.Artifact.filter(created_at__gte=first, created_at__lt=last).count

        def label(_: int) -> Callable[[], object]:
            return home.Artifact.filter(ulabels__name=world.label_name(draw.randrange(world.labels))).all

        figures = _medians({"uid look-up": lambda turn: lambda: home.Artifact.get(uids[turn])}, rounds=15)
        figures |= _medians({"day window": day}, rounds=9)
        figures |= _medians(
            {"latest 20": lambda _: home.Artifact.filter().order_by("-created_at").limit(20).all}, rounds=5
        )
        figures |= _medians({"artifacts of a label": label}, rounds=5)
        return figures | _medians(
            {
                "group-by": lambda _: lambda: home.snapshot().arrow(_GROUP_BY, tables=["artifact"]),
                "group-by, bare DuckDB": lambda _: lambda: bare.sql(_GROUP_BY).to_arrow_table(),
            },
            rounds=7,
        )


def committing(root: Path, rows: int) -> Figures:
    """Commit one artifact, beside the same in an instance of 10,000 artifacts."""
    small = root.with_name(f"{root.name}-small")
    if not small.exists():
        load(small, 10_001)
    with Instance.open(root) as home, Instance.open(small) as other:
        sides = {"one-row commit": _committing(home, rows), "one-row commit, 10,000 rows": _committing(other, 10_001)}
        return _medians(sides, rounds=60)


def _committing(home: Instance, rows: int) -> Side:
    world = World(rows)
    known = world.first_row()

    def side(_: int) -> Callable[[], object]:
        uid = new_uid()
        row = {**known, "uid": uid, "key": f"new/{uid}"}
        return lambda: home.lake.run(lambda txn: txn.insert("artifact", [row], fresh=True))

    return side


def publishing(root: Path, rows: int) -> Figures:
    """Change 1,000 artifacts from all times in one commit, and publish that."""
    del rows
    draw = random.Random(time.time_ns())
    with Instance.open(root) as home:
        lake = home.lake
        lake.flush()
        before = {file.path: file for file in lake.snapshot().state("artifact").base.files}
        folder = lake.snapshot().state("artifact").base.folder
        uids = _some_uids([str(folder.path(path)) for path in before], _UPDATES, draw)
        found = lake.snapshot().lookup("artifact", "uid", uids).to_pylist()
        changed = [{**row, "description": f"changed {draw.random()}"} for row in found]
        took = [_timed(lambda: lake.run(lambda txn: txn.upsert("artifact", changed)))]
        took.append(_timed(lambda: lake.snapshot().arrow(_GROUP_BY, tables=["artifact"])))
        took.append(_timed(lake.flush))
        after = lake.snapshot().state("artifact").base.files
        gone = [file for path, file in before.items() if path not in {f.path for f in after}]
    names = (
        "1,000 scattered updates: commit",
        "group-by before they are published",
        "1,000 scattered updates: publish",
    )
    return dict(zip(names, took, strict=True)) | {
        "files rewritten": len(gone),
        "gigabytes rewritten": sum(file.size for file in gone) / 1e9,
    }


def compacting(root: Path, rows: int) -> Figures:
    """Compact the whole lake."""
    del rows
    with Lake.open(root) as lake:
        took = _timed(lake.compact)
    return {"compaction": took}


STEPS: dict[str, Callable[[Path, int], Figures]] = {
    "load": load,
    "compact": compacting,
    "open": opening,
    "read": reading,
    "commit": committing,
    "publish": publishing,
}


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _medians(sides: dict[str, Side], *, rounds: int) -> Figures:
    found: dict[str, Sample] = alternate(sides, rounds=rounds)
    return {name: sample.median for name, sample in found.items()}


def _some_uids(files: list[str], count: int, draw: random.Random) -> list[str]:
    """Return uids from all over the table."""
    return list(_drawn([draw.choice(files) for _ in range(count)], draw))


def _drawn(paths: Iterable[str], draw: random.Random) -> Iterator[str]:
    for path in paths:
        with pq.ParquetFile(path) as opened:
            group = opened.read_row_group(draw.randrange(opened.num_row_groups), columns=["uid"])
        yield group["uid"][draw.randrange(len(group))].as_py()


def main() -> None:
    """Run one step and print its figures and the process's peak memory."""
    step, root, rows = sys.argv[1:4]
    figures: dict[str, Any] = STEPS[step](Path(root), int(rows))
    unit = 1 if sys.platform == "darwin" else 1024
    figures[f"peak memory of {step}, GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
