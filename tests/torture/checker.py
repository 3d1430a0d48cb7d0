"""Live checkers: one reads snapshots that it pins and reads again, one reads as a plain Delta reader."""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.engine import Snapshot
from lakehouse.errors import Expired, Unavailable
from tests.torture.ledger import Ledger
from tests.torture.world import COLUMNS, RETENTION, digest_sql, open_lake, plain_digest

_RULES = {
    "items and mirrors differ": "SELECT count(*) FROM (FROM item SELECT uid, val, name EXCEPT FROM mirror)",
    "a link refers to nothing": "SELECT count(*) FROM link ANTI JOIN item ON item.uid = link.item WHERE item IS NOT NULL",
    "a unique name is held twice": "SELECT count(name) - count(DISTINCT name) FROM item",
    "a uid occurs twice": "SELECT count(*) - count(DISTINCT uid) FROM item",
}


class PinnedReader:
    """Reads all tables at a commit, and again after others published and vacuumed."""

    def __init__(self, root: Path, seed: int, ledger: Ledger) -> None:
        self._lake, self._random, self._ledger = open_lake(root), random.Random(seed), ledger

    def look(self) -> None:
        self._see(self._any_commit(), "unpinned")
        at = None if self._random.random() < 0.6 else self._any_commit()
        with self._lake.pinned(at, seconds=30.0) as commit:
            first = self._see(commit, "pinned")
            for _ in range(self._random.randrange(1, 4)):
                time.sleep(self._random.uniform(0.05, 1.2))
                self._lake.states.clear()
                if self._see(commit, "pinned again") != first:
                    self._ledger.write(violation=f"the pinned state of commit {commit} changed")

    def _any_commit(self) -> int:
        with self._lake.catalog.read() as session:
            return self._random.randint(session.meta().oldest_readable, session.head())

    def _see(self, commit: int, source: str) -> dict[str, Any]:
        snapshot = self._lake.snapshot(commit)
        digest = observed(snapshot)
        self._ledger.write(obs=commit, d=digest, src=source)
        for rule, sql in _RULES.items():
            if snapshot.arrow(sql, tables=list(COLUMNS)).column(0)[0].as_py():
                self._ledger.write(violation=f"{rule} at commit {commit} ({source})")
        self._look_up(snapshot, source)
        return digest

    def _look_up(self, snapshot: Snapshot, source: str) -> None:
        """What a scan shows is what a look-up finds."""
        scanned = snapshot.arrow("SELECT * FROM item ORDER BY hash(uid) LIMIT 20", tables=["item"]).to_pylist()
        found = {r["uid"]: r for r in snapshot.lookup("item", "uid", [r["uid"] for r in scanned]).to_pylist()}
        if found != {r["uid"]: r for r in scanned}:
            self._ledger.write(violation=f"look-up and scan differ at commit {snapshot.commit} ({source})")


class DeltaReader:
    """Reads Delta tables and ``head.json`` without the engine."""

    def __init__(self, root: Path, seed: int, ledger: Ledger) -> None:
        self._root, self._random, self._ledger = root, random.Random(seed), ledger
        self._lake = json.loads((root / "lake.json").read_text())["lake"]
        self._con = duckdb.connect(config={"threads": 1})

    def look(self) -> None:
        for table in COLUMNS:
            if (self._root / "tables" / table / "_delta_log").exists():
                self._read_table(table)
        if (self._root / "head.json").exists():
            self._read_head()
        time.sleep(0.2)

    def _read_table(self, table: str) -> None:
        began = time.monotonic()
        delta = DeltaTable(str(self._root / "tables" / table))
        uris = delta.file_uris()
        if len(uris) != len(set(uris)):
            self._ledger.write(violation=f"Delta {table} version {delta.version()} names a file twice")
        if self._random.random() < 0.2:
            time.sleep(self._random.uniform(0, 0.5))
        commit = delta.transaction_version(self._lake) or 0
        try:
            self._ledger.write(obs=commit, d={table: plain_digest(self._con, table, uris)}, src="delta")
        except duckdb.IOException as error:
            if time.monotonic() - began > 0.9 * RETENTION:  # nobody promised such a slow reader anything
                self._ledger.write(slow=1)
            else:
                self._ledger.write(violation=f"Delta {table} version {delta.version()}: {error}")

    def _read_head(self) -> None:
        head = json.loads((self._root / "head.json").read_text())
        folder = self._root / "tables"
        try:
            digests = {
                table: plain_digest(self._con, table, [str(folder / table / path) for path in found["files"]])
                for table, found in head["tables"].items()
            }
        except duckdb.IOException as error:
            if json.loads((self._root / "head.json").read_text()) == head:
                self._ledger.write(violation=f"head.json names a file that is gone: {error}")
            return
        self._ledger.write(obs=head["commit"], d=digests, src="head.json")


def observed(snapshot: Snapshot) -> dict[str, Any]:
    """Return the digests of all tables at a snapshot."""
    sql = " UNION ALL ".join(digest_sql(table, table) for table in COLUMNS)
    return {row["t"]: [row["n"], row["s"]] for row in snapshot.arrow(sql, tables=list(COLUMNS)).to_pylist()}


def main() -> None:
    kind, root, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    pa.set_cpu_count(1)
    ledger = Ledger(root.with_suffix(".ledgers") / f"checker-{kind}")
    reader = (PinnedReader if kind == "pinned" else DeltaReader)(root, seed, ledger)
    while True:
        try:
            reader.look()
        except Expired:
            ledger.write(expired=1)
        except Unavailable as error:
            ledger.write(unavailable=type(error).__name__)
        except Exception:
            ledger.write(violation=f"{kind} checker: " + traceback.format_exc()[-1500:])


if __name__ == "__main__":
    main()
