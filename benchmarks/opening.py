"""Creating and opening an instance, after imports."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import lakehouse as lh
from benchmarks.bare import BareSqlite
from benchmarks.harness import Row, Side, alternate, at_most, ms, scratch
from benchmarks.rows import small_specs
from lakehouse.engine import Lake

__all__ = ["run"]

_ROUNDS = 15
_MADE, _READ = "SQLite with as many tables", "sqlite3.connect, one query"
_CREATE, _OPEN = at_most(value=300), at_most(value=30)


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    del large
    with scratch() as folder:
        yield from _engine(folder)
        yield from _instance(folder)


def _engine(folder: Path) -> Iterator[Row]:
    specs = small_specs()
    Lake.create(folder / "known", specs).close()
    with sqlite3.connect(folder / "known.db") as con:
        con.execute("CREATE TABLE t(a)")
    con.close()
    sides: dict[str, Side] = {
        "create": lambda turn: lambda: Lake.create(folder / f"new{turn}", specs).close(),
        "bare create": lambda turn: _bare_create(folder / f"bare{turn}.db", [spec.name for spec in specs]),
        "open": lambda _: lambda: Lake.open(folder / "known", specs).close(),
        "bare open": lambda _: lambda: _bare_open(folder / "known.db"),
    }
    found = alternate(sides, rounds=_ROUNDS)
    yield ms("open", f"create a lake of {len(specs)} tables", found["create"], found["bare create"], _MADE, _CREATE)
    yield ms("open", f"open a lake of {len(specs)} tables", found["open"], found["bare open"], _READ, _OPEN)


def _bare_create(path: Path, names: list[str]) -> Callable[[], object]:
    return lambda: BareSqlite(path, names).close()


def _bare_open(path: Path) -> None:
    con = sqlite3.connect(path)
    con.execute("SELECT * FROM t").fetchall()
    con.close()


def _instance(folder: Path) -> Iterator[Row]:
    lh.init(folder / "instance", pointer=False)
    sides: dict[str, Side] = {
        "init": lambda turn: _alone(lambda: lh.init(folder / f"made{turn}", pointer=False)),
        "bare create": lambda turn: _bare_create(
            folder / f"bare-again{turn}.db", [spec.name for spec in small_specs()]
        ),
        "connect": lambda _: _alone(lambda: lh.connect(folder / "instance")),
        "bare open": lambda _: lambda: _bare_open(folder / "known.db"),
    }
    found = alternate(sides, rounds=_ROUNDS)
    lh.disconnect()
    yield ms("open", "lh.init", found["init"], found["bare create"], _MADE, _CREATE)
    yield ms("open", "lh.connect", found["connect"], found["bare open"], _READ, _OPEN)


def _alone(act: Callable[[], object]) -> Callable[[], object]:
    """Return the act, after closing unmeasured whatever instance is open."""
    lh.disconnect()
    return act
