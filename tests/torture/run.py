"""The supervisor: starts, kills and restarts the processes, then flushes and lets the oracle judge."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

from lakehouse.engine.check import check
from lakehouse.engine.findings import Severity
from tests.postgres import PostgresServer
from tests.torture.checker import observed
from tests.torture.oracle import gather, judge
from tests.torture.world import COLUMNS, GRACE, open_lake, plain_digest

__all__ = ["Supervisor", "main"]

_HOME = Path(__file__).parents[2]
_INCARNATIONS_PER_COLUMN = 40


class Supervisor:
    """Keeps writers alive for a while, or until enough of them were killed."""

    def __init__(self, root: Path, seed: int, writers: int, server: PostgresServer | None) -> None:
        self._root, self._random, self._writers = root, random.Random(seed), writers
        self._server, self.catalog = server, server and f"{server.url()}?schema=torture"
        self._born, self._seed = 0, seed
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._seeds: dict[int, int] = {}
        self.kills: Counter[str] = Counter()
        self.disturbed: Counter[str] = Counter()

    def run(self, *, seconds: float, kills: int | None) -> None:
        self._root.with_suffix(".ledgers").mkdir(parents=True)
        open_lake(self._root, catalog=self.catalog).close()
        checkers = [self._start("checker", kind, self._root, self._seed) for kind in ("pinned", "delta")]
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and (kills is None or self.kills.total() < kills):
                self._look_after_writers()
                if self._server is not None:
                    self._disturb(self._server)
                time.sleep(0.05)
            self.checkers_died = sum(checker.poll() is not None for checker in checkers)
        finally:
            for process in [*self._running.values(), *checkers]:
                process.kill()
                process.wait()

    def _look_after_writers(self) -> None:
        for place in range(self._writers):
            process = self._running.get(place)
            if process is not None and process.poll() is None:
                if self._is_at_work(place) and self._random.random() < 0.02:
                    process.kill()
                    process.wait()
                    self.kills["from outside"] += 1
                    del self._running[place]
                continue
            if process is not None:
                self.kills["from inside" if process.returncode == -9 else "BY ITSELF"] += 1
            self._born += 1
            self._seeds[place] = self._seed * 100_000 + self._born
            generation = self._born // _INCARNATIONS_PER_COLUMN
            self._running[place] = self._start("writer", self._root, self._seeds[place], generation)

    def _disturb(self, server: PostgresServer) -> None:
        """End a session from the server's side, now and then; seldom, crash the server itself."""
        chance = self._random.random()
        if chance < 0.02:
            ended = server.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakehouse' "
                "ORDER BY state = 'idle', random() LIMIT 1"
            )
            self.disturbed["sessions ended"] += len(ended)
        elif chance < 0.0215:
            server.restart(signal.SIGQUIT)
            self.disturbed["server crashes"] += 1

    def _is_at_work(self, place: int) -> bool:
        """Whether a writer has written something down: the death of one that is starting up would prove nothing."""
        path = self._root.with_suffix(".ledgers") / f"writer-{self._seeds[place]}"
        return path.exists() and path.stat().st_size > 0

    @staticmethod
    def _start(module: str, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", f"tests.torture.{module}", *map(str, arguments)], cwd=_HOME)


def _finish(root: Path, replay: Any, counts: Counter[str]) -> list[str]:
    """Flush and vacuum; then catalog, Delta and replay are one."""
    bad: list[str] = []
    with open_lake(root) as lake:
        expected = replay.at[lake.head()]
        if observed(lake.snapshot()) != expected:
            bad.append("the state in the end is not the replayed one")
        if lake.flush() != lake.head():
            bad.append("the flush did not reach the head")
        bad += _compare_delta(root, expected, "after the flush")
        time.sleep(GRACE + 0.1)
        lake.flush()
        counts["files swept in the end"] = lake.vacuum() or 0
        bad += _compare_delta(root, expected, "after the vacuum")
        if observed(lake.snapshot()) != expected:
            bad.append("the state after the vacuum is not the replayed one")
        bad += [f"a check finds {f.kind} in {f.where}: {f.message}" for f in check(lake, deep=True).of(Severity.HARM)]
    counts["files left"] = sum(1 for _ in root.glob("tables/*/*.parquet"))
    return bad


def _compare_delta(root: Path, expected: dict[str, Any], when: str) -> list[str]:
    bad: list[str] = []
    con = duckdb.connect()
    for table in COLUMNS:
        delta = DeltaTable(str(root / "tables" / table))
        uris = delta.file_uris()
        if len(uris) != len(set(uris)):
            bad.append(f"Delta {table} names a file twice {when}")
        if plain_digest(con, table, uris) != expected[table]:
            bad.append(f"Delta {table} is not the catalog {when}")
        if delta.to_pyarrow_table().num_rows != expected[table][0]:
            bad.append(f"pyarrow reads another number of rows from {table} {when}")
    return bad


def torture(
    root: Path, *, seed: int, seconds: float, kills: int | None, writers: int, server: PostgresServer | None = None
) -> tuple[list[str], dict[str, Any]]:
    """Run it all; returns the violations and the figures."""
    began = time.monotonic()
    supervisor = Supervisor(root, seed, writers, server)
    supervisor.run(seconds=seconds, kills=kills)
    found = gather(root.with_suffix(".ledgers"))
    bad, replay = judge(supervisor.catalog or root / "catalog.db", found)
    bad += _finish(root, replay, found.counts)
    if supervisor.kills["BY ITSELF"] or supervisor.checkers_died:
        bad.append("a process ended by itself")
    figures = {
        "seconds": round(time.monotonic() - began),
        "kills": supervisor.kills.total(),
        **supervisor.kills,
        "committed": max(replay.at),
        "acknowledged": len(found.acked),
        "refused": len(found.refused),
        "unknown": len(found.intents) - len(found.acked) - len(found.refused),
        "observations": len(found.observations),
        **supervisor.disturbed,
        "rows": {table: len(rows) for table, rows in replay.rows.items()},
        "seconds to open": _spread(found.opened),
        "seconds to recover": _spread(found.recovered),
        **dict(sorted(found.counts.items())),
    }
    return bad, figures


def _spread(seconds: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the longest of durations."""
    if not seconds:
        return {}
    ranked = sorted(seconds)
    found = {"median": ranked[len(ranked) // 2], "99 %": ranked[len(ranked) * 99 // 100], "longest": ranked[-1]}
    return {"times": len(ranked)} | {name: round(value, 4) for name, value in found.items()}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--kills", type=int, help="run until so many writers were killed")
    parser.add_argument("--seconds", type=float, default=None, help="run so long (with --kills: at most)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--catalog", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--folder", type=Path, help="where the lake goes; default: a temporary folder")
    given = parser.parse_args(arguments)
    seconds = given.seconds or (3_600.0 if given.kills else 30.0)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    root = folder / f"lake-{given.seed}"
    server = PostgresServer().start() if given.catalog == "postgres" else None
    bad, figures = torture(
        root, seed=given.seed, seconds=seconds, kills=given.kills, writers=given.writers, server=server
    )
    print(json.dumps(figures, indent=1))
    print(f"{len(bad)} violations")
    for text, count in Counter(b[:2_000] for b in bad).most_common(8):
        print(f"--- {count} times: {text}")
    if not bad and given.folder is None:
        shutil.rmtree(folder)
    elif bad:
        print(f"kept for inspection: {folder}")
    return int(bool(bad))
