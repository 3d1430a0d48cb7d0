"""Object stores and networks that fail under a lake: nothing acknowledged is lost, and nothing is half visible."""

from __future__ import annotations

import json

import pytest

from formats.buckets import bucket_at
from lakehouse.engine import Lake
from lakehouse.errors import Diverged, LakehouseError, Unavailable
from tests.remote.store import Proxy
from tests.remote.test_lake import QUIET, SPECS, head_json, in_delta, put, uids

PLACES = {
    "data file": ("PUT", r"tables/label/p-"),
    "log entry": ("PUT", r"tables/label/_delta_log/"),
    "head": ("PUT", r"head\.json"),
    "head read": ("GET", r"head\.json"),
    "listing": ("GET", r"list-type=2"),
}


@pytest.fixture
def lake(bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with Lake.create(f"{bucket}/lake", SPECS, options=QUIET) as made:
        put(made, "first")
        yield made


@pytest.mark.parametrize("place", PLACES)
def test_one_fault_is_passed_over_or_said_and_the_next_save_makes_it_good(lake: Lake, proxy: Proxy, place: str) -> None:
    method, path = PLACES[place]
    root, expected = str(lake.root), ["first"]
    for action in ("before", "after", "dropped", "throttled"):
        rule = proxy.rule(action, method=method, path=path)
        acknowledged = True
        try:
            put(lake, f"x {action}")
        except LakehouseError as error:
            assert isinstance(error, Unavailable), error
            acknowledged = False
        assert rule.seen == 1
        if acknowledged:
            assert f"x {action}" in in_delta(root)
            assert head_json(root)["commit"] == lake.head()
        put(lake, f"y {action}")
        expected += [f"x {action}", f"y {action}"]
        assert uids(lake) == in_delta(root) == sorted(expected)
        assert head_json(root)["commit"] == lake.head()


def test_a_store_that_stays_away_loses_nothing(lake: Lake, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(lake.root)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    gone = proxy.rule("before", method="PUT", path="tables", times=1_000)
    with pytest.raises(Unavailable, match=r"not acknowledged.*next save"):
        put(lake, "second")
    assert in_delta(root) == ["first"]
    gone.times = 0
    assert lake.flush() == lake.head()
    assert uids(lake) == in_delta(root) == ["first", "second"]


def test_a_log_that_cannot_be_reached_is_no_damaged_one(lake: Lake, proxy: Proxy) -> None:
    away = proxy.rule("before", method="GET", path=r"_delta_log/_last_checkpoint", times=1_000)
    with pytest.raises(Unavailable, match="not acknowledged"):
        put(lake, "second")
    with pytest.raises(Unavailable, match="cannot be reached"):
        lake.flush()
    away.times = 0
    put(lake, "third")
    assert in_delta(str(lake.root)) == ["first", "second", "third"]


def test_a_process_that_died_after_its_log_entry_is_followed_up(lake: Lake, proxy: Proxy) -> None:
    root = str(lake.root)
    proxy.rule("before", method="(GET|PUT)", path=r"head\.json", times=1_000)
    with pytest.raises(Unavailable):
        put(lake, "second")
    assert in_delta(root) == ["first", "second"]
    assert head_json_before(root, proxy) < lake.head()
    with Lake.open(root, SPECS, options=QUIET) as again:
        assert head_json(root)["commit"] == again.head()
        assert uids(again) == ["first", "second"]


def head_json_before(root: str, proxy: Proxy) -> int:
    proxy.rules.clear()
    return int(str(head_json(root)["commit"]))


def test_a_listing_that_lags_behind_is_no_divergence(lake: Lake, proxy: Proxy) -> None:
    proxy.rule("stale", method="GET", path=r"list-type=2.*label.*_delta_log|_delta_log.*list-type=2", times=2)
    put(lake, "second")
    assert in_delta(str(lake.root)) == ["first", "second"]


def test_an_older_head_never_replaces_a_newer_one(lake: Lake) -> None:
    root = str(lake.root)
    newer = head_json(root) | {"commit": 1_000}
    bucket_at(root).put("head.json", json.dumps(newer).encode())
    with pytest.raises(Diverged, match="another one wrote it"):
        put(lake, "second")
    assert head_json(root)["commit"] == 1_000
