"""Saving a small frame as an artifact, and saving a label."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

from benchmarks.bare import BareSqlite, put_durably
from benchmarks.harness import Row, Side, alternate, at_most, ms, scratch
from lakehouse.ids import new_uid
from registries import Instance

__all__ = ["run"]

_ROUNDS = 300


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder, Instance.create(folder / "instance", user="bench") as lake:
        objects = folder / "objects"
        objects.mkdir()
        bare = BareSqlite(folder / "bare.db", ["artifact", "label"])
        frames = alternate({"ours": _saving(lake), "bare": _bare_saving(bare, objects)}, rounds=_ROUNDS, warm=10)
        labels = alternate({"ours": _labelling(lake), "bare": _bare_labelling(bare)}, rounds=_ROUNDS, warm=10)
        bare.close()
    floor = "parquet, blake3, fsync, SQLite"
    limits = at_most(2.5), at_most(value=4)
    yield ms("artifact", "save a 10-row pandas frame", frames["ours"], frames["bare"], floor, *limits)
    limit = at_most(value=3)
    yield ms(
        "artifact",
        "save a label, with the check for close names",
        labels["ours"],
        labels["bare"],
        "SQLite, one row",
        limit,
    )


def _frame(turn: int) -> pd.DataFrame:
    random = np.random.default_rng(turn)
    return pd.DataFrame(
        {"sample": [f"s{turn}-{i}" for i in range(10)], "n": random.integers(0, 1000, 10), "x": random.random(10)}
    )


def _saving(lake: Any) -> Side:
    def side(turn: int) -> Callable[[], object]:
        frame = _frame(turn)
        return lambda: lake.Artifact.from_df(frame, key=f"frames/{turn}.parquet").save()

    return side


def _bare_saving(bare: BareSqlite, objects: Path) -> Side:
    def side(turn: int) -> Callable[[], object]:
        frame = _frame(turn)

        def act() -> None:
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pandas(frame), sink)
            data = sink.getvalue()
            name = blake3(data).hexdigest()
            put_durably(objects / f"{name}.parquet", data)
            bare.insert([("artifact", new_uid(), f"frames/{turn}.parquet {name} {len(data)}".encode())])

        return act

    return side


def _labelling(lake: Any) -> Side:
    return lambda turn: lambda: lake.ULabel(name=f"label {turn}").save()


def _bare_labelling(bare: BareSqlite) -> Side:
    return lambda turn: lambda: bare.insert([("label", new_uid(), f"label {turn}".encode())])
