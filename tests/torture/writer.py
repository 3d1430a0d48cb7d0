"""A writer: random transactions, publishing and vacuum, with kills and stalls at fault points.

Items and mirrors hold the same rows after every commit; links refer to items, which others delete.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg  # noqa: F401  loaded before the clock of the first opening starts
import pyarrow as pa

from lakehouse.engine import Lake, RowsAsRead, Transaction, faults, recovery, unique
from lakehouse.errors import Busy, Conflict, Disconnected, Expired, Unavailable
from tests.torture.ledger import Ledger
from tests.torture.world import COLUMNS, LEASE, open_lake

Operation = list[Any]
"""[table, kind, uid, second column, third column, the ``val`` that was read]; ``item`` stands for its mirror too."""
_COMMIT = [
    p for p in sorted(faults.POINTS) if p.split(".")[0] in ("commit", "lock", "file") and p != "lock.head_replaced"
]
_MAINTENANCE = sorted(faults.POINTS - set(_COMMIT))
_MAY_STALL = {p for p in faults.POINTS if not p.startswith("lock.")}


class Saboteur:
    """Kills or stalls its process: surely at one point, by chance at the others."""

    def __init__(self, seed: int, ledger: Ledger) -> None:
        self._random, self._ledger = random.Random(seed), ledger
        self._special = self._random.choice(_COMMIT + _MAINTENANCE * 2)
        self._deed = self._random.choice(["kill", "stall"])
        self._left = self._random.choice([1, 1, 2, 4])
        self.stalled = 0.0
        """How long the process was made to sleep, in seconds."""

    def __call__(self, name: str) -> None:
        if name == self._special:
            self._left -= 1
            if self._left == 0:
                self._act(name, self._deed)
        chance = self._random.random()
        if chance < 0.0008:
            self._act(name, "kill")
        elif chance < self._stall_chance(name):
            self._act(name, "stall")

    @staticmethod
    def _stall_chance(name: str) -> float:
        if name == "commit.checked":
            return 0.03
        if name in ("commit.staged", "vacuum.unlink"):
            return 0.003
        return 0.012 if name in _MAINTENANCE and name in _MAY_STALL else 0

    def _act(self, name: str, deed: str) -> None:
        deed = deed if name in _MAY_STALL else "kill"
        self._ledger.write(fault=name, deed=deed)
        if deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        pause = self._random.uniform(1.0, 3.0) if name == "commit.staged" else LEASE * self._random.uniform(0.8, 6)
        self.stalled += pause
        time.sleep(pause)


class Writer:
    """One thread of a writer process."""

    def __init__(self, lake: Lake, seed: int, name: str, ledger: Ledger) -> None:
        self._lake, self._random, self._name, self._ledger = lake, random.Random(seed), name, ledger
        self._count = 0

    def work(self) -> None:
        while True:
            try:
                self._maintain()
                self._transact()
            except Expired:
                self._ledger.write(expired=1)
            except Unavailable as error:  # the server ended the session: what was promised is written down already
                self._ledger.write(unavailable=type(error).__name__)
            except Exception:
                self._ledger.write(violation="writer: " + traceback.format_exc()[-1500:])

    def _maintain(self) -> None:
        chance = self._random.random()
        if chance < 0.14:
            self._ledger.write(publish=self._lake.publisher.publish())
        elif chance < 0.18:
            self._ledger.write(vacuum=self._lake.vacuum())
        elif chance < 0.20:
            with suppress(Busy):
                self._ledger.write(compact=self._lake.compact(timeout=0.0).removed)

    def _transact(self) -> None:
        self._count += 1
        name = f"{self._name}-{self._count}"
        txn = self._lake.begin(client_txn=name)
        operations = self._plan(txn)
        if not operations:
            return
        self._apply(txn, operations)
        self._ledger.write(txn=name, ops=operations)
        if self._random.random() < 0.01:
            time.sleep(self._random.uniform(0, 2.5))  # a slow planner meets expired snapshots
        try:
            commit = self._lake.commit(txn)
        except (Conflict, Disconnected) as error:
            self._ledger.write(refused=name, why=type(error).__name__)
            return
        self._ledger.write(acked=name, id=commit)
        if self._random.random() < 0.04:
            self._retry(txn, operations, commit)

    def _retry(self, txn: Transaction, operations: list[Operation], commit: int) -> None:
        """The reply was lost: the same transaction again, as it was or planned anew, is the first one."""
        again = txn
        if self._random.random() < 0.6:
            again = self._lake.begin(client_txn=txn.client_txn)
            self._apply(again, operations)
        assert self._lake.commit(again) == commit, "a retry became another commit"
        self._ledger.write(retried=txn.client_txn)

    # -- planning --------------------------------------------------------------------------------------------------
    def _plan(self, txn: Transaction) -> list[Operation]:
        """Return operations on rows as the snapshot shows them; each uid occurs once."""
        salt = f"{self._name}{self._count}"
        pattern = self._random.choice(["h%", "k%", "%"])
        items = txn.base.arrow(
            "SELECT uid, val, name FROM item WHERE uid LIKE ? ORDER BY hash(uid || ?) LIMIT 6",
            [pattern, salt],
            ["item"],
        ).to_pylist()
        links = txn.base.arrow("SELECT * FROM link ORDER BY hash(uid || ?) LIMIT 3", [salt], ["link"]).to_pylist()
        chance = self._random.random()
        if chance < 0.06:
            return self._bulk(items)
        if chance < 0.10:
            return self._purge(txn, salt)
        if chance < 0.12:
            return self._rewrite(txn, salt)
        if chance < 0.16 and len(items) > 1:  # two rows swap their unique names
            one, two = items[:2]
            return [self._update(one, two["name"]), self._update(two, one["name"])]
        found: dict[str, Operation] = {}
        for _ in range(self._random.choice([1, 1, 2, 4])):
            operation = self._on_link(items, links) if self._random.random() < 0.3 else self._on_item(items)
            found.setdefault(operation[2], operation)
        return list(found.values())

    def _on_item(self, items: list[dict[str, Any]]) -> Operation:
        chance = self._random.random()
        if chance < 0.65 and items:
            row = items.pop()
            if chance < 0.42:
                return self._update(row, items[0]["name"] if items and chance < 0.06 else self._unique_name())
            return ["item", "delete", row["uid"], None, None, row["val"]]
        hot = self._random.random() < 0.6
        uid = f"h{self._random.randrange(600)}" if hot else f"u{self._random.getrandbits(40):010x}"
        return ["item", "insert", uid, self._value(), self._unique_name(), None]

    def _on_link(self, items: list[dict[str, Any]], links: list[dict[str, Any]]) -> Operation:
        chance = self._random.random()
        target = self._random.choice(items)["uid"] if items else None
        if links and chance < 0.5:
            row = links.pop()
            if chance < 0.25:
                return ["link", "delete", row["uid"], None, None, row["val"]]
            return ["link", "update", row["uid"], target, self._value(), row["val"]]
        return ["link", "insert", f"l{self._random.getrandbits(40):010x}", target, self._value(), None]

    def _bulk(self, items: list[dict[str, Any]]) -> list[Operation]:
        """More rows than are kept in the catalog: they are staged as files."""
        many = range(self._random.randrange(31, 130))
        if items and self._random.random() < 0.3:
            targets = [row["uid"] for row in items]
            return [
                [
                    "link",
                    "insert",
                    f"l{self._random.getrandbits(40):010x}",
                    targets[n % len(targets)],
                    self._value(),
                    None,
                ]
                for n in many
            ]
        names = [self._bulk_name() for _ in many]
        if items and self._random.random() < 0.1:
            names[0] = items[0]["name"]  # most likely refused, unless another gave it up meanwhile
        return [
            ["item", "insert", f"k{self._random.getrandbits(40):010x}", self._value(), name, None]
            for name in names
            if name is None or names.count(name) == 1
        ]

    def _bulk_name(self) -> str | None:
        """Return a name that a bulk insert claims through the filter of hashes, now and then one of the common ones."""
        chance = self._random.random()
        if chance < 0.6:
            return f"m{self._random.randrange(60_000)}"
        return f"n{self._random.randrange(1500)}" if chance < 0.603 else None

    def _purge(self, txn: Transaction, salt: str) -> list[Operation]:
        """Delete many rows, of which some lie in staged files."""
        table = self._random.choice(["item", "link"])
        free = (
            "WHERE uid LIKE 'k%' AND uid NOT IN (SELECT item FROM link WHERE item IS NOT NULL)"
            if table == "item"
            else ""
        )
        sql = f"SELECT uid, val FROM {table} {free} ORDER BY hash(uid || ?) LIMIT 80"
        rows = txn.base.arrow(sql, [salt], ["item", "link"]).to_pylist()
        return [[table, "delete", row["uid"], None, None, row["val"]] for row in rows]

    def _rewrite(self, txn: Transaction, salt: str) -> list[Operation]:
        """Change more rows than are kept in the catalog; they keep their names."""
        sql = "SELECT uid, val, name FROM item ORDER BY hash(uid || ?) LIMIT 50"
        return [self._update(row, row["name"]) for row in txn.base.arrow(sql, [salt], ["item"]).to_pylist()]

    def _update(self, row: dict[str, Any], name: str | None) -> Operation:
        return ["item", "update", row["uid"], self._value(), name, row["val"]]

    def _unique_name(self) -> str | None:
        return self._random.choice([None, f"n{self._random.randrange(1500)}"])

    def _value(self) -> int:
        return self._random.getrandbits(50)

    # -- into the transaction --------------------------------------------------------------------------------------
    def _apply(self, txn: Transaction, operations: list[Operation]) -> None:
        for table, columns in COLUMNS.items():
            mine = [o for o in operations if (o[0] == "link") == (table == "link")]
            inserted, updated, deleted = ([o for o in mine if o[1] == kind] for kind in ("insert", "update", "delete"))
            known = self._lake.schemas.current(table).schema.names
            if inserted:
                rows = [_row(o, columns, known) for o in inserted]
                txn.insert(table, pa.Table.from_pylist(rows) if len(rows) > 30 else rows, fresh=len(rows) > 30)
            if updated:
                read = [{"uid": o[2], "val": o[5]} for o in updated]
                txn.upsert(table, [_row(o, columns, known) for o in updated], as_read=read)
            if deleted:
                txn.require(RowsAsRead(table, {o[2]: {"val": o[5]} for o in deleted}))
                txn.delete(table, [o[2] for o in deleted])


def _row(operation: Operation, columns: tuple[str, ...], known: list[str]) -> dict[str, Any]:
    """Return the row; the columns that came during the run repeat its value."""
    row = dict(zip(columns, operation[2:5], strict=True))
    return row | {name: row["val"] for name in known if name.startswith("x")}


def _time_recoveries(saboteur: Saboteur, ledger: Ledger) -> None:
    """Write down how long each recovery takes, without the stalls that are made on purpose."""
    real = recovery.Recovery.run

    def run(self: recovery.Recovery, *arguments: Any) -> None:
        began, stalled = time.perf_counter(), saboteur.stalled
        real(self, *arguments)
        ledger.write(recovered=time.perf_counter() - began - (saboteur.stalled - stalled))

    recovery.Recovery.run = run  # type: ignore[method-assign]


def _opened(root: Path, generation: int, ledger: Ledger) -> Lake:
    """Open the lake as others left it; only a server that is away just now makes it try again."""
    end = time.monotonic() + 60
    while True:
        began = time.monotonic()
        try:
            lake = open_lake(root, generation)
        except Unavailable:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
            continue
        except Exception:
            ledger.write(violation="opening: " + traceback.format_exc()[-1500:])
            raise
        ledger.write(opened=time.monotonic() - began)
        return lake


def main() -> None:
    root, seed, generation = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pa.set_cpu_count(1)
    unique._BULK = 20
    ledger = Ledger(root.with_suffix(".ledgers") / f"writer-{seed}")
    lake = _opened(root, generation, ledger)
    saboteur = Saboteur(seed, ledger)
    _time_recoveries(saboteur, ledger)
    faults.install(saboteur)
    threads = 2 if seed % 3 == 0 else 1
    for number in range(1, threads):
        writer = Writer(lake, seed * 10 + number, f"{seed}.{number}", ledger)
        threading.Thread(target=writer.work, daemon=True).start()
    Writer(lake, seed * 10, str(seed), ledger).work()


if __name__ == "__main__":
    main()
