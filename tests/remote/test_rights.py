"""Keys of a bucket that may only read, or that end in the middle: typed errors, nothing lost, nothing half."""

from __future__ import annotations

from pathlib import Path

import pytest

from formats import transfer
from lakehouse.engine import Lake
from lakehouse.engine.check import check
from lakehouse.errors import LakehouseError, ReadOnly, Unavailable
from registries.instance import Instance
from tests.remote.store import Proxy
from tests.remote.test_lake import QUIET, SPECS, in_delta, put

DATA = bytes(range(256)) * 60_000  # 15 MB


def test_a_key_that_may_only_read_publishes_nothing_and_loses_nothing(bucket: str, proxy: Proxy) -> None:
    with Lake.create(f"{bucket}/lake", SPECS, options=QUIET) as lake:
        put(lake, "before")
        proxy.rule("denied", method="PUT|POST|DELETE", times=10_000)
        with pytest.raises((ReadOnly, Unavailable), match="denied"):
            put(lake, "refused")
        assert in_delta(f"{bucket}/lake") == ["before"]
        proxy.forget()
        put(lake, "after")
        assert {"before", "after"} <= set(in_delta(f"{bucket}/lake"))
        assert check(lake).ok


@pytest.mark.parametrize(("action", "told"), [("expired", "expired"), ("denied", "denied")])
def test_a_token_that_ends_in_the_middle_of_an_upload_leaves_no_row_and_the_next_one_goes_on(
    bucket: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, told: str
) -> None:
    monkeypatch.setattr(transfer, "PART", 5 << 20)
    monkeypatch.setattr(transfer, "THREADS", 2)
    (tmp_path / "large.bin").write_bytes(DATA)
    with Instance.create(tmp_path / "lab") as lake:
        cold = lake.Storage(root=f"{bucket}/cold").save()
        proxy.rule(action, method="PUT", path="partNumber=3", times=100)
        with pytest.raises(LakehouseError, match=told) as caught:
            lake.Artifact(tmp_path / "large.bin", storage=cold).save()
        assert "SECRET" not in str(caught.value)
        assert lake.Artifact.filter().count() == 0
        proxy.forget()
        saved = lake.Artifact(tmp_path / "large.bin", storage=cold).save()
        assert proxy.count("PUT", "partNumber=") == 1, "the other parts had arrived"
        assert saved.load() == DATA
