"""Ingest of what lies in a bucket: where it lies in a registered storage, fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from formats.remote import RemoteOptions, filesystem
from formats.storehash import digest_of
from lakehouse.errors import InvalidData, InvalidKey, NotFound
from registries.ingest import Ingest, IngestReport, Options
from registries.instance import Instance
from tests.remote.store import Proxy
from validation import Rule

GOOD = b"donor,age\nD1,31\nD2,45\n"
BAD = b"donor,age\nD1,-3\n"


@pytest.fixture
def lake(bucket: str, tmp_path: Path) -> Iterator[Instance]:
    with Instance.create(tmp_path / "lab") as made:
        made.Storage(root=f"{bucket}/ours").save()
        made.save([made.ULabel(name="D1"), made.ULabel(name="D2"), made.ULabel(name="pilot")])
        made.Schema([Rule("donor", "cat[ULabel]"), Rule("age", "int", ge=0)], name="donors").save()
        yield made


def put(bucket: str, name: str, data: bytes) -> str:
    where = bucket.partition("://")[2]
    filesystem(bucket, RemoteOptions()).call_s3("put_object", Bucket=where, Key=name, Body=data)
    return f"{bucket}/{name}"


def run(lake: Instance, source: Any, **options: Any) -> IngestReport:
    return Ingest(lake, source, Options(**options)).run()


def test_objects_of_a_registered_bucket_are_labelled_and_validated_where_they_lie(lake: Instance, bucket: str) -> None:
    for name, data in (("run 1/a.csv", GOOD), ("run 1/bad.csv", BAD), ("run 1/deep/b.csv", GOOD), ("other.csv", GOOD)):
        put(bucket, f"ours/{name}", data)
    url = f"{bucket}/ours/run 1/**/*.csv"
    report = run(lake, url, schema="donors", labels=("pilot",), on_error="skip")
    assert report.counts == {"new": 2, "failed": 1}
    assert [(one.key, one.reason) for one in report.failures] == [("run 1/bad.csv", "invalid")]
    found = lake.Artifact.get(key="run 1/a.csv")
    assert (found.hash_kind, found.hash, found.n_rows) == ("md5", digest_of(GOOD, "md5"), 2)
    assert found.labels.all() == {None: ["pilot"], "donor": ["D1", "D2"]}
    assert lake.Artifact.filter(schemas__name="donors").count() == 2
    assert not (Path(str(lake.root)) / "storage" / "objects").exists()
    before = len(lake.snapshots())
    assert run(lake, url, schema="donors", labels=("pilot",), on_error="skip").counts == {"failed": 1, "unchanged": 2}
    assert len(lake.snapshots()) == before
    put(bucket, "ours/run 1/a.csv", GOOD + b"D1,7\n")
    assert run(lake, f"{bucket}/ours/run 1/a*").counts == {"new version": 1}
    with pytest.raises(InvalidData, match=r"bad\.csv"):
        run(lake, url, schema="donors")


def test_a_manifest_lists_urls_and_files_side_by_side(lake: Instance, bucket: str, tmp_path: Path) -> None:
    ours, theirs = put(bucket, "ours/a.csv", GOOD), put(bucket, "theirs/b.csv", GOOD + b"D2,1\n")
    (tmp_path / "c.csv").write_bytes(GOOD + b"D1,2\n")
    lake.Feature(name="depth", dtype="int").save()
    manifest = pd.DataFrame(
        {
            "path": [ours, theirs, "c.csv", f"{bucket}/theirs/nowhere.csv"],
            "labels": ["pilot", "", "pilot", ""],
            "description": ["one", "two", None, None],
            "features": [None, '{"depth": 4}', None, None],
        }
    )
    assert run(lake, manifest, dry_run=True, on_error="skip").counts == {"failed": 1, "new": 3}
    report = run(lake, manifest, schema="donors", on_error="skip")
    assert report.counts == {"new": 3, "failed": 1}
    assert report.failures[0].reason == "vanished"
    first, second, third = (lake.Artifact.get(key=key) for key in ("a.csv", "b.csv", "c.csv"))
    assert (first.place()[0].root, first.hash_kind, first.description) == (f"{bucket}/ours", "md5", "one")
    assert (second.hash_kind, second.description) == ("blake3", "two")
    assert second.features.get_values() == {"depth": 4, "donor": ["D1", "D2"]}
    assert str(second.path).startswith(str(lake.root))
    assert [len(one.load()) for one in (first, second, third)] == [2, 3, 3]
    assert lake.Artifact.filter(ulabels__name="pilot").count() == 2
    assert lake.check(deep=True).ok
    assert run(lake, manifest, on_error="skip").counts == {"unchanged": 3, "failed": 1}


def test_what_lies_in_another_bucket_is_copied_to_the_storage_that_is_asked_for(lake: Instance, bucket: str) -> None:
    put(bucket, "theirs/run2/x.bin", b"x" * 10)
    put(bucket, "theirs/run2/broken.parquet", b"PAR1 nothing else")
    put(bucket, "theirs/run2/.hidden", b"no")
    url = f"{bucket}/theirs/run2"
    report = run(lake, url, storage=f"{bucket}/ours", on_error="quarantine")
    assert report.counts == {"new": 1, "quarantined": 1}
    found = lake.Artifact.get(key="run2/x.bin")
    assert found.place()[0].root == f"{bucket}/ours"
    assert found.load() == b"x" * 10
    kept = lake.Artifact.filter(ulabels__name="quarantined").one()
    assert (kept.key, kept.load()) == ("quarantine/run2/broken.parquet", b"PAR1 nothing else")


def test_the_object_at_a_url_is_ingested(lake: Instance, bucket: str, tmp_path: Path) -> None:
    ours, theirs = put(bucket, "ours/one/a.csv", GOOD), put(bucket, "theirs/one/b.csv", GOOD + b"D1,2\n")
    put(bucket, "theirs/one/b.csv.old", b"no")
    assert run(lake, ours).counts == {"new": 1}
    assert lake.Artifact.get(key="one/a.csv").place()[0].root == f"{bucket}/ours"
    assert run(lake, theirs).counts == {"new": 1}
    assert run(lake, theirs, prefix="lab").counts == {"new": 1}
    assert len(lake.Artifact.get(key="b.csv").load()) == len(lake.Artifact.get(key="lab/b.csv").load()) == 3
    odd = put(bucket, "ours/one/odd[1].csv", GOOD)
    assert [one.key for one in run(lake, odd).outcomes] == ["one/odd[1].csv"]
    with pytest.raises(NotFound, match="at or below"):
        run(lake, f"{bucket}/theirs/one/b.cs")


def test_an_unchanged_bucket_is_listed_and_asked_for_nothing_else(lake: Instance, bucket: str, proxy: Proxy) -> None:
    for n in range(5):
        put(bucket, f"ours/run/{n}.csv", GOOD + b"D1,%d\n" % n)
        put(bucket, f"theirs/walk/{n}.csv", GOOD + b"D2,%d\n" % n)
    put(bucket, "ours/run/x.zarr/.zgroup", b'{"zarr_format": 2}')
    for folder, count in (("ours/run", 6), ("theirs/walk", 5)):
        assert run(lake, f"{bucket}/{folder}").counts == {"new": count}
        proxy.forget()
        assert run(lake, f"{bucket}/{folder}").counts == {"unchanged": count}
        assert [method for method, path in proxy.log if "list-type=2" in path] == ["GET"] == [m for m, _ in proxy.log]
    put(bucket, "ours/run/3.csv", GOOD + b"D1,7\n")  # of the same size
    put(bucket, "ours/run/x.zarr/.zattrs", b"{}")
    proxy.forget()
    assert run(lake, f"{bucket}/ours/run").counts == {"unchanged": 4, "new version": 2}
    assert not [path for _, path in proxy.log if "2.csv" in path]
    urls = pd.DataFrame({"path": [f"{bucket}/ours/run/{n}.csv" for n in range(3)]})
    assert run(lake, urls).counts == {"unchanged": 3}
    proxy.forget()
    assert run(lake, urls).counts == {"unchanged": 3}
    assert [method for method, _ in proxy.log] == ["HEAD"] * 3


def test_a_folder_of_a_bucket_that_is_one_thing_is_one_artifact(lake: Instance, bucket: str, tmp_path: Path) -> None:
    import numpy as np
    import zarr

    zarr.create_array(str(tmp_path / "x.zarr"), data=np.arange(6))
    for path in (tmp_path / "x.zarr").rglob("*"):
        if path.is_file():
            put(bucket, f"ours/run/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    assert run(lake, f"{bucket}/ours/run").counts == {"new": 1}
    assert lake.Artifact.get(key="run/x.zarr").load().tolist() == [0, 1, 2, 3, 4, 5]
    assert run(lake, f"{bucket}/ours/run/x.zarr").counts == {"unchanged": 1}


def test_urls_that_hold_secrets_or_nothing_are_refused_and_not_repeated(lake: Instance, bucket: str) -> None:
    for url in ("s3://key:secret@bucket/x", f"{bucket}/ours/x.csv?X-Amz-Signature=secret"):
        with pytest.raises(InvalidKey) as caught:
            run(lake, url)
        assert "secret" not in str(caught.value)
        report = run(lake, pd.DataFrame({"path": [url]}), on_error="skip")
        assert report.counts == {"failed": 1}
        assert "secret" not in report.to_json()
    with pytest.raises(NotFound, match="nothing lies below"):
        run(lake, f"{bucket}/ours/none/*.csv")
