"""Bulk rows become sorted files of plain Parquet types, whatever their uids and texts are."""

from __future__ import annotations

import random
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.engine import Lake
from lakehouse.errors import Duplicate
from tests.unit.engine.support import label, plain, rows_of, uids


def test_repetitive_texts_of_many_files_stay_plain_texts_for_every_reader(make: Callable[..., Lake]) -> None:
    lake = make(bulk_rows=100, file_rows=2_000)
    rows = [{**label(f"k{n:05}", n=n), "name": f"name {n}"} for n in range(5_000)]
    notes = [{"uid": f"l{n:05}", "label": None, "note": ("same", "other", None)[n % 3]} for n in range(5_000)]
    lake.run(lambda txn: (txn.insert("label", rows), txn.insert("link", notes)))
    files = sorted((lake.root / "tables" / "link").glob("s-*.parquet"))
    assert len(files) > 1
    assert pq.read_schema(files[0]).field("note").type == pa.string()
    assert rows_of(lake, "link") == notes
    lake.flush()
    assert plain(lake, "link") == notes
    assert plain(lake) == rows


def test_bulk_rows_in_any_order_and_of_any_uid_come_out_sorted(make: Callable[..., Lake]) -> None:
    order = random.Random(1).sample(range(250_000), 250_000)
    for name, texts in {
        "alike": [f"a-common-beginning-{n:08}" for n in order],
        "twins": [f"{n % 7:012}{n:08}" for n in order],
        "ragged": [f"{n:x}" for n in order],
    }.items():
        lake = make(name, bulk_rows=100, file_rows=60_000)
        lake.run(lambda txn, texts=texts: txn.insert("event", pa.table({"uid": texts})))  # type: ignore[misc]
        assert uids(lake, "event") == sorted(texts)
        files = [pq.read_table(f)["uid"] for f in (lake.root / "tables" / "event").glob("s-*.parquet")]
        ordered = sorted((f.to_pylist() for f in files), key=lambda found: found[0])
        assert [uid for found in ordered for uid in found] == sorted(texts)


def test_a_uid_that_occurs_twice_among_many_is_named(make: Callable[..., Lake]) -> None:
    lake = make(bulk_rows=100)
    texts = [f"{n:020}" for n in range(250_000)]
    with pytest.raises(Duplicate, match="'00000000000000123456' occurs twice"):
        lake.run(lambda txn: txn.insert("event", pa.table({"uid": [*texts, texts[123_456]]})))
    assert uids(lake, "event") == []
