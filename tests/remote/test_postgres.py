"""Lakes in a bucket with a Postgres catalog: several machines write, and readers need neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from formats.buckets import bucket_at
from lakehouse.engine import Lake
from tests.remote.test_lake import QUIET, SPECS, head_json, in_delta, put, uids


@pytest.mark.catalogs("postgres")
def test_two_machines_share_a_lake_in_a_bucket(bucket: str, catalog, tmp_path: Path, monkeypatch) -> None:
    root = f"{bucket}/lab"
    url = catalog(Path("/lab"))
    with Lake.create(root, SPECS, options=QUIET, catalog=url) as one:
        put(one, "a")
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, str(tmp_path / "second machine" / name))
        with Lake.open(root, SPECS, options=QUIET) as two:
            put(two, "b")
            put(one, "c")
            assert uids(two) == uids(one) == ["a", "b", "c"]
            two.flush()
            assert in_delta(root) == ["a", "b", "c"]
            one.run(lambda txn: txn.delete("label", ["a"]))
            assert one.flush() == head_json(root)["commit"]
            assert uids(two) == in_delta(root) == ["b", "c"]
            assert two.vacuum() is not None
        with Lake.open(root, read_only=True) as reader:
            assert uids(reader) == ["b", "c"]
    assert b"password" not in bucket_at(root).get("lake.json")[0]
    assert bucket_at(root).size("writer.json") is None, "the catalog is shared: no lease between catalogs"
