"""Validating vectors, frames and files against a registry of 100,000 terms with synonyms."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from benchmarks.harness import Row, Side, alternate, at_most, ms, scratch
from lakehouse.ids import new_uid
from registries.curate import Curator
from registries.instance import Instance
from validation import Rule

__all__ = ["run"]

_TERMS, _VALUES, _CELLS, _GENES = 100_000, 100_000, 100_000, 30_000
_GROUP = "validate"

_FILE = """
import json, sys, time
from pathlib import Path
from registries.curate import Curator
from registries.instance import Instance
from validation import Rule, Slot
def peak():  # of this process alone: ru_maxrss begins with that of the one that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
lake = Instance.open(sys.argv[1])
slots = {"obs": Slot([Rule("label", "cat[CellType]")], index=Rule("index", unique=True)), "var": [], "X": [Rule("X", "float")]}
before, began = peak(), time.perf_counter()
assert Curator(sys.argv[2], slots, lake).validate().ok
print(json.dumps([time.perf_counter() - began, peak(), before]))
"""


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    with scratch() as folder:
        lake = Instance.create(folder / "lake", user="bench")
        names = _fill(lake)
        yield from _vectors(lake, names, rows=10_000_000 if large else 1_000_000)
        yield from _frames(lake, names)
        lake.flush()
        lake.close()
        yield from _file(folder, names)


def _fill(lake: Instance) -> list[str]:
    """Insert the terms as one Arrow table: saving them as objects is another benchmark's matter."""
    first = lake.CellType(name="a first one").save().to_row()
    names = [f"cell type number {i}" for i in range(_TERMS)]
    own: dict[str, list[Any]] = {name: [value] * _TERMS for name, value in first.items()}
    own |= {"uid": [new_uid() for _ in names], "name": names, "ontology_id": [f"CL:{i:07}" for i in range(_TERMS)]}
    own |= {"synonyms": [[f"kind {i}", f"sort {i}"] for i in range(_TERMS)]}
    own |= {"synonym_scopes": [["EXACT", "EXACT"]] * _TERMS}
    schema = lake.snapshot().schema("cell_type")
    table = pa.table({name: pa.array(own[name], schema.field(name).type) for name in schema.names}, schema=schema)
    lake.run(lambda txn: txn.insert("cell_type", table, fresh=True))
    return names


def _values(names: list[str]) -> list[str]:
    """Return 60% names, 25% synonyms, 10% in another case and 5% unknown ones."""
    dice = random.Random(7)
    made = []
    for _ in range(_VALUES):
        at, share = dice.randrange(_TERMS), dice.random()
        choices = ((0.6, names[at]), (0.85, f"kind {at}"), (0.95, names[at].upper()), (1.0, f"nothing {at}"))
        made.append(next(value for bound, value in choices if share <= bound))
    return made


def _act(act: Callable[[], object]) -> Side:
    return lambda _: act


def _vectors(lake: Instance, names: list[str], rows: int) -> Iterator[Row]:
    values, cells = pl.Series(_values(names)), lake.CellType
    floor = pl.DataFrame({"v": names, "k": names})
    asked = values.to_frame("v")
    sides = {
        "join": _act(lambda: asked.join(floor, on="v", how="left")),
        "validate": _act(lambda: cells.validate(values)),
        "inspect": _act(lambda: (found := cells.inspect(values)) and (found.non_validated, found.synonyms)),
        "standardize": _act(lambda: cells.standardize(values)),
        "validate a list": _act(lambda: cells.validate(listed)),
        "standardize a list": _act(lambda: cells.standardize(listed)),
    }
    listed = values.to_list()
    found = alternate(sides, rounds=7, warm=1)
    most = {"validate": 20, "inspect": 80, "standardize": 60, "validate a list": 20, "standardize a list": 60}
    for name, bound in most.items():
        yield ms(_GROUP, f"{name}, 100,000 values", found[name], found["join"], "Polars join", at_most(value=bound))
    many = pl.concat([values] * (rows // _VALUES))
    asked_many = many.to_frame("v")
    sides = {
        "join": _act(lambda: asked_many.join(floor, on="v", how="left")),
        "validate": _act(lambda: cells.validate(many)),
        "standardize": _act(lambda: cells.standardize(many)),
    }
    found = alternate(sides, rounds=3, warm=1)
    for name in ("validate", "standardize"):
        limits = (at_most(3), at_most(value=1_500 * rows / 10_000_000))
        yield ms(_GROUP, f"{name}, {rows:,} values", found[name], found["join"], "Polars join", *limits)


def _frames(lake: Instance, names: list[str]) -> Iterator[Row]:
    import pandera.polars as pandera

    dice = random.Random(3)
    few = names[:200]
    columns: dict[str, Any] = {f"c{i}": pl.Series(dice.choices(few, k=_VALUES), dtype=pl.Categorical) for i in range(5)}
    columns |= {f"n{i}": range(_VALUES) for i in range(15)}
    frame = pl.DataFrame(columns)
    rules = [Rule(f"c{i}", "cat[CellType]") for i in range(5)] + [Rule(f"n{i}", "int", ge=0) for i in range(15)]
    literal = {f"c{i}": pandera.Column(pl.Categorical, pandera.Check.isin(few)) for i in range(5)}
    literal |= {f"n{i}": pandera.Column(pl.Int64, pandera.Check.ge(0)) for i in range(15)}
    bare = pandera.DataFrameSchema(literal)
    sides = {"bare": _act(lambda: bare.validate(frame, lazy=True)), "ours": _act(Curator(frame, rules, lake).validate)}
    found = alternate(sides, rounds=5, warm=1)
    yield ms(_GROUP, "frame of 100,000 x 20", found["ours"], found["bare"], "bare pandera, literal lists", at_most(2))


def _file(folder: Path, names: list[str]) -> Iterator[Row]:
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    per_cell = (
        100  # distinct genes of a cell: one from each stretch; sparse.random would number all three billion places
    )
    stretch = _GENES // per_cell
    genes = np.arange(0, _GENES, stretch) + np.random.default_rng(1).integers(0, stretch, (_CELLS, per_cell))
    places = np.arange(0, _CELLS * per_cell + 1, per_cell)
    matrix = sparse.csr_matrix((np.ones(genes.size, "float32"), genes.ravel(), places), shape=(_CELLS, _GENES))
    obs = pd.DataFrame(
        {"label": pd.Categorical(np.resize(names[:100], _CELLS))}, index=[f"cell{i}" for i in range(_CELLS)]
    )
    var = pd.DataFrame(index=[f"gene{i}" for i in range(_GENES)])
    anndata.AnnData(matrix, obs=obs, var=var).write_h5ad(folder / "cells.h5ad")
    command = [sys.executable, "-c", _FILE, str(folder / "lake"), str(folder / "cells.h5ad")]
    found = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
    seconds, memory, before = sorted(found)[1]
    note = f"in a fresh process, imports and the registry's first read included; {before:.0f} MB before"
    yield Row(_GROUP, "h5ad of 100,000 x 30,000", seconds, "s", limits=(at_most(value=2),), note=note)
    yield Row(_GROUP, "h5ad of 100,000 x 30,000: peak", memory, "MB", limits=(at_most(value=500),))
