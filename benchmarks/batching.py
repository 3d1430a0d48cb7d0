"""Many small saves: each a commit, and gathered in batches, beside bare SQLite with the same grouping."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, Sample, Side, alternate, scratch
from lakehouse.engine import Lake, Options, TableSpec
from lakehouse.ids import new_uid
from registries.instance import Instance
from registries.label import ULabel

__all__ = ["run"]

_SAVES, _LABELS, _ROUNDS = 100, 10, 7
_FLOOR = "bare SQLite, the same rows and grouping"


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures: saves of 10 labels per second, 100 of them a round."""
    del large
    declared = ULabel.spec()
    alone = TableSpec(declared.name, declared.schema, declared.unique)  # without the tables that it refers to
    with (
        scratch() as folder,
        Instance.create(folder / "lake", user="bench") as lake,
        Lake.create(folder / "engine", [alone], options=Options(auto_publish=False)) as engine,
    ):
        lake.ULabel(name="first").save()
        yield from _compared(folder, lake, engine)


def _compared(folder: Path, lake: Instance, engine: Lake) -> Iterator[Row]:
    bare = _Bare(folder / "bare.db", ULabel.spec())
    sides: dict[str, Side] = {
        "records": _records(lake, gathered=False),
        "records, batch": _records(lake, gathered=True),
        "rows": _rows(engine, gathered=False),
        "rows, batch": _rows(engine, gathered=True),
        "bare": bare.side(1),
        "bare, batch": bare.side(_SAVES),
    }
    found = alternate(sides, rounds=_ROUNDS, warm=1)
    bare.close()
    for name, what in (("records", "lh.save of 10 new labels"), ("rows", "engine: 10 rows planned and saved")):
        yield _rate(f"{what}, a commit each", found[name], found["bare"])
        yield _rate(f"{what}, lh.batch(every=100)", found[f"{name}, batch"], found["bare, batch"])
    gain = found["records"].median / found["records, batch"].median
    yield Row("batch", "saves of 10 labels in a batch, times those of a commit each", gain, "×")


def _rate(name: str, sample: Sample, floor: Sample) -> Row:
    return Row("batch", name, _SAVES / sample.median, "saves/s", _SAVES / floor.median, _FLOOR)


def _records(lake: Instance, *, gathered: bool) -> Side:
    def side(_: int) -> Callable[[], object]:
        saves = [[lake.ULabel(name=f"label {new_uid()}") for _ in range(_LABELS)] for _ in range(_SAVES)]

        def act() -> None:
            with lake.batch(every=_SAVES, seconds=60) if gathered else nullcontext():
                for labels in saves:
                    lake.save(labels)

        return act

    return side


def _label_rows() -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    made: dict[str, Any] = {"created_at": now, "created_by": "bench"}
    made |= {name: [] for name in ("synonyms", "parent_uids", "parent_relations")}
    uids = [new_uid() for _ in range(_LABELS)]
    return [{"uid": uid, "name": f"label {uid}", **made} for uid in uids]


def _rows(engine: Lake, *, gathered: bool) -> Side:
    def side(_: int) -> Callable[[], object]:
        saves = [_label_rows() for _ in range(_SAVES)]

        def act() -> None:
            with engine.batch(every=_SAVES, seconds=60) if gathered else nullcontext():
                for rows in saves:
                    engine.run(lambda txn, rows=rows: txn.insert("ulabel", rows, fresh=True))

        return act

    return side


class _Bare:
    """A SQLite table with the columns of a label and its unique name; WAL, ``synchronous=FULL``."""

    def __init__(self, path: Path, spec: TableSpec) -> None:
        self._columns = spec.schema.names
        self._con = sqlite3.connect(path, isolation_level=None)
        self._con.execute("PRAGMA journal_mode = WAL")
        self._con.execute("PRAGMA synchronous = FULL")
        rest = ", ".join(f'"{name}"' for name in self._columns if name not in ("uid", "name"))
        self._con.execute(f"CREATE TABLE label(uid TEXT PRIMARY KEY, name TEXT UNIQUE, {rest})")
        marks = ", ".join("?" for _ in self._columns)
        named = ", ".join(f'"{name}"' for name in self._columns)
        self._insert = f"INSERT INTO label({named}) VALUES({marks})"

    def side(self, every: int) -> Side:
        """Return saves of 10 rows each, ``every`` of them in one transaction."""

        def prepare(_: int) -> Callable[[], object]:
            saves = [[self._values(row) for row in _label_rows()] for _ in range(_SAVES)]

            def act() -> None:
                for start in range(0, _SAVES, every):
                    self._con.execute("BEGIN IMMEDIATE")
                    for rows in saves[start : start + every]:
                        self._con.executemany(self._insert, rows)
                    self._con.execute("COMMIT")

            return act

        return prepare

    def _values(self, row: dict[str, Any]) -> list[Any]:
        values = [row.get(name) for name in self._columns]
        values = [str(value) if isinstance(value, list) else value for value in values]
        return [value.isoformat() if isinstance(value, datetime) else value for value in values]

    def close(self) -> None:
        """Close the file."""
        self._con.close()
