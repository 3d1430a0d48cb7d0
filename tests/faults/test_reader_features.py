"""A Delta log that another program upgraded is not ours to write to."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.engine import Lake, Options, TableSpec
from lakehouse.errors import Diverged

SCHEMA = pa.schema([pa.field("uid", pa.string(), nullable=False)])


def test_an_unknown_reader_feature_is_refused_and_nothing_changes(tmp_path: Path):
    with Lake.create(tmp_path / "lake", [TableSpec("label", SCHEMA)], options=Options(auto_publish=False)) as lake:
        lake.run(lambda txn: txn.insert("label", [{"uid": "a"}]))
        lake.flush()
        log = lake.root / "tables" / "label" / "_delta_log"
        features = {"readerFeatures": ["fromTheFuture"], "writerFeatures": ["fromTheFuture"]}
        protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}
        entry = "\n".join(map(json.dumps, [{"commitInfo": {"operation": "UPGRADE PROTOCOL"}}, protocol]))
        (log / f"{2:020d}.json").write_text(entry)
        before = {path.name: path.read_bytes() for path in log.iterdir()}
        lake.run(lambda txn: txn.insert("label", [{"uid": "b"}]))
        with pytest.raises(Diverged, match=r"label: version 2 .*nothing was changed"):
            lake.flush()
        assert {path.name: path.read_bytes() for path in log.iterdir()} == before
        assert lake.snapshot().lookup("label", "uid", ["a", "b"]).num_rows == 2  # what was committed is still read
