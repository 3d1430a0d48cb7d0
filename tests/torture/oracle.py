"""The oracle: replays the ledgers in the order of the commit table; it shares no code with the engine."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa

from tests.torture.ledger import records
from tests.torture.world import COLUMNS

__all__ = ["Evidence", "Replay", "gather", "judge"]

Digest = list[Any]
_COUNTED = {"fault": lambda r: f"{r['deed']} at {r['fault']}", "obs": lambda r: f"observation {r['src']}"}


@dataclass
class Evidence:
    """What all processes wrote down, sorted."""

    intents: dict[str, list[list[Any]]] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    observations: list[dict[str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    opened: list[float] = field(default_factory=list)
    """How long a process that took another's place needed to open the lake, in seconds."""
    recovered: list[float] = field(default_factory=list)
    """How long each recovery took, in seconds."""


def gather(folder: Path) -> Evidence:
    """Read the ledgers of a folder."""
    found = Evidence()
    for record in records(folder):
        _sort_in(found, record)
    return found


def _sort_in(found: Evidence, record: dict[str, Any]) -> None:
    if "txn" in record:
        found.intents[record["txn"]] = record["ops"]
    elif "acked" in record:
        found.acked[record["acked"]] = record["id"]
    elif "refused" in record:
        found.refused[record["refused"]] = record["why"]
        found.counts[f"refused {record['why']}"] += 1
    elif "violation" in record:
        found.violations.append(record["violation"])
    elif "opened" in record:
        found.opened.append(record["opened"])
    elif "recovered" in record:
        found.recovered.append(record["recovered"])
    elif "publish" in record:
        found.counts["published" if record["publish"] is not None else "publisher yielded"] += 1
    elif "vacuum" in record:
        found.counts["vacuumed" if record["vacuum"] is not None else "vacuum yielded"] += 1
        found.counts["files swept"] += record["vacuum"] or 0
    else:
        if "obs" in record:
            found.observations.append(record)
        kind = next(iter(record))
        found.counts[_COUNTED[kind](record) if kind in _COUNTED else kind] += 1


class Replay:
    """Live rows after each commit, as digests; what breaks a rule on the way is noted."""

    def __init__(self, intents: dict[str, list[list[Any]]]) -> None:
        self._hashes = {t: _hashes(t, _rows(t, intents.values())) for t in COLUMNS}
        self.rows: dict[str, dict[str, tuple[Any, ...]]] = {"item": {}, "link": {}}
        self.names: dict[str, str] = {}
        self._referring: dict[str, set[str]] = {}
        self._sums = {"item": 0, "link": 0}
        self.at: dict[int, dict[str, Digest]] = {0: self._digest()}
        self.faults: list[str] = []

    def play(self, commit: int, operations: list[list[Any]]) -> None:
        """Apply a commit; each uid occurs in it once."""
        for operation in operations:
            self._step(commit, *operation)
        for table, kind, uid, second, third, _ in operations:
            if table == "item" and kind != "delete" and third is not None and self.names.setdefault(third, uid) != uid:
                self.faults.append(f"commit {commit}: the name {third} is held by {self.names[third]} and {uid}")
            if table == "link" and kind != "delete" and second is not None and second not in self.rows["item"]:
                self.faults.append(f"commit {commit}: link {uid} refers to {second}, which is not there")
            if table == "item" and kind == "delete" and self._referring.get(uid):
                self.faults.append(f"commit {commit}: {uid} was deleted though {self._referring[uid]} refer to it")
        self.at[commit] = self._digest()

    def _step(self, commit: int, table: str, kind: str, uid: str, second: Any, third: Any, read: int | None) -> None:
        rows, value = self.rows[table], 0 if table == "item" else 1
        old = rows.pop(uid, None)
        if kind == "insert" and old is not None:
            self.faults.append(f"commit {commit}: {table} {uid} was inserted twice")
        if kind != "insert" and (old is None or old[value] != read):
            self.faults.append(f"commit {commit}: a lost update of {table} {uid}: read {read}, was {old}")
        if old is not None:
            self._sums[table] -= self._hashes[table][uid, *old]
            self._forget(table, uid, old)
        if kind != "delete":
            rows[uid] = (second, third)
            self._sums[table] += self._hashes[table][uid, second, third]
            if table == "link" and second is not None:
                self._referring.setdefault(second, set()).add(uid)

    def _forget(self, table: str, uid: str, old: tuple[Any, ...]) -> None:
        if table == "link":
            self._referring.get(old[0], set()).discard(uid)
        elif old[1] is not None and self.names.get(old[1]) == uid:
            del self.names[old[1]]

    def _digest(self) -> dict[str, Digest]:
        items, links = ([len(self.rows[t]), str(self._sums[t])] for t in ("item", "link"))
        return {"item": items, "mirror": items, "link": links}


def _rows(table: str, intents: Iterable[list[list[Any]]]) -> set[tuple[Any, ...]]:
    kind = "link" if table == "link" else "item"
    return {tuple(o[2:5]) for operations in intents for o in operations if o[0] == kind and o[1] != "delete"}


def _hashes(table: str, rows: set[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    types = {"val": pa.int64()}
    columns = {
        name: pa.array([row[place] for row in rows], types.get(name, pa.string()))
        for place, name in enumerate(COLUMNS[table])
    }
    names = ", ".join(COLUMNS[table])
    with duckdb.connect() as con:
        con.register("rows", pa.table(columns))
        return {tuple(r[:3]): int(r[3]) for r in con.execute(f"SELECT *, hash({names})::HUGEINT FROM rows").fetchall()}


def _asked(catalog: Path | str) -> tuple[list[tuple[int, str, str, int]], set[str]]:
    """Return the commits and the claimed names, from a SQLite file or the URL of a Postgres schema."""
    commits, claimed = (
        "SELECT id, client_txn, message, at FROM commits ORDER BY id",
        "SELECT val FROM unique_value WHERE tbl = 'item'",
    )
    if isinstance(catalog, Path):
        with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as con:
            return con.execute(commits).fetchall(), {name for (name,) in con.execute(claimed)}
    url, schema = catalog.split("?schema=")
    with psycopg.connect(url, options=f"-c search_path={schema}") as server:
        return server.execute(commits).fetchall(), {name.decode() for (name,) in server.execute(claimed)}


def judge(catalog: Path | str, found: Evidence) -> tuple[list[str], Replay]:
    """Return every contradiction between ledgers, commits and observations, and the replay."""
    commits, claimed = _asked(catalog)
    bad, ids = list(found.violations), {name: number for number, name, _, _ in commits}
    bad += [f"acknowledged {n} is lost or moved" for n, number in found.acked.items() if ids.get(n) != number]
    bad += [f"refused {n} is there" for n in found.refused if n in ids]
    if [c[0] for c in commits] != list(range(1, len(commits) + 1)):
        bad.append("the commits have holes")
    if any(earlier[3] >= later[3] for earlier, later in pairwise(commits)):
        bad.append("commit times do not grow")
    replay = Replay(found.intents)
    for number, name, message, _ in commits:
        if name not in found.intents and not message.startswith("tables: "):
            bad.append(f"commit {number} was intended by nobody")
        replay.play(number, found.intents.get(name, []))
    bad += replay.faults
    for seen in found.observations:
        expected = {table: replay.at[seen["obs"]][table] for table in seen["d"]}
        if expected != seen["d"]:
            bad.append(f"an observation ({seen['src']}) of commit {seen['obs']} is {seen['d']}, replayed {expected}")
    if not claimed <= replay.names.keys():  # names of bulk inserts are claimed by hashes
        bad.append(f"{len(claimed - replay.names.keys())} unique values are claimed that no live item holds")
    return bad, replay
