"""Unique values of bulk inserts stay unique however their hashes are kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.engine import Lake
from lakehouse.engine.faults import install
from lakehouse.engine.hashruns import blocks_of, known, merge_runs
from lakehouse.engine.texthashes import hash_texts
from lakehouse.errors import Duplicate
from tests.unit.engine.support import SPECS, add, create, label, quiet

BULK = 1_500


def bulk(lake: Lake, turn: int) -> None:
    lake.run(lambda txn: txn.insert("label", [label(f"b{turn}-{n:05}") for n in range(BULK)], fresh=True))


def test_hashes_are_what_earlier_versions_left_in_catalogs_however_many_there_are() -> None:
    texts = ["", "a", "12345678", "123456789", "é" * 300]
    kept = [0, 18200093698705970205, 13901284048201896963, 7272019073679549433, 12308296531377642837]
    assert hash_texts(pa.array(texts)).tolist() == kept
    many = hash_texts(pa.array(["ahead", *texts * 40_000]).slice(1))
    assert (many.reshape(-1, len(kept)) == np.array(kept, np.uint64)).all()


def taken(lake: Lake, turn: int, number: int) -> bool:
    name = f"name of b{turn}-{number:05}"
    try:
        lake.run(lambda txn: txn.insert("label", [label(f"again-{turn}-{number}", name)]))
    except Duplicate:
        return True
    return False


def test_names_stay_taken_when_runs_are_merged(lake: Lake) -> None:
    for turn in range(4):
        bulk(lake, turn)
    epoch = lake._lease.acquire()
    assert epoch is not None
    assert not merge_runs(lake.catalog, epoch, "label", "name", least=100)
    assert merge_runs(lake.catalog, epoch, "label", "name", least=2)
    with lake.catalog.read() as session:
        assert session.filter_bytes("label", "name") == 4 * BULK * 8
    assert all(taken(lake, turn, number) for turn in range(4) for number in (0, 77, BULK - 1))
    with pytest.raises(Duplicate):
        bulk(lake, 2)
    bulk(lake, 9)
    lake.run(lambda txn: txn.delete("label", ["b1-00005"]))
    assert not taken(lake, 1, 5)


def test_half_merged_runs_are_as_good_as_merged_ones(lake: Lake) -> None:
    for turn in range(3):
        bulk(lake, turn)
    epoch = lake._lease.acquire()
    assert epoch is not None
    left = 100

    def hook(name: str) -> None:
        nonlocal left
        left -= name == "lock.taken"
        if not left:
            raise KeyboardInterrupt

    install(hook)
    with pytest.raises(KeyboardInterrupt):
        merge_runs(lake.catalog, epoch, "label", "name", least=2)
    install(None)
    assert all(taken(lake, turn, number) for turn in range(3) for number in range(0, BULK, 250))


def test_hashes_are_found_at_every_depth_and_twins_all(lake: Lake) -> None:
    random = np.random.default_rng(5)
    drawn = np.sort(random.integers(0, 2**63, 5_000, dtype=np.uint64) * np.uint64(2))
    with lake.catalog.locked() as session:
        for bits, part in zip((8, 11, 15), np.array_split(random.permutation(drawn), 3), strict=True):
            session.add_filter("label", "name", blocks_of(np.sort(part), bits))
    asked = np.sort(np.concatenate([drawn[::7], drawn[::7], drawn[::7] + np.uint64(1)]))
    with lake.catalog.read() as session:
        assert sorted(session.filter_depths("label", "name")) == [8, 11, 15]
        hit = known(session, "label", "name", asked)
        single = [bool(known(session, "label", "name", asked[i : i + 1])[0]) for i in range(0, len(asked), 40)]
    assert (hit == np.isin(asked, drawn)).all()
    assert single == list(hit[::40])


def test_blocks_of_an_older_catalog_keep_their_names_taken(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    with create(root) as lake:
        bulk(lake, 0)
        with lake.catalog.read() as session:
            whole = b"".join(session.filter_blocks("label", "name", 0, 1 << 40))
    hashes = np.sort(np.frombuffer(whole, "<u8"))
    with sqlite3.connect(root / "catalog.db") as con:
        con.execute("DELETE FROM unique_block")
        rows = [("label", "name", number - 1024, body) for number, body in blocks_of(hashes, 10)]
        con.executemany("INSERT INTO unique_block VALUES(?, ?, ?, ?)", rows)
        con.execute("ALTER TABLE file DROP COLUMN stats")
        con.execute("DROP TABLE intent")
        con.execute("PRAGMA user_version = 2")
    con.close()
    with Lake.open(root, SPECS, options=quiet(), upgrade=True) as lake:
        add(lake, "new")
        assert all(taken(lake, 0, number) for number in (0, 500, BULK - 1))
