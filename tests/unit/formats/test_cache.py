"""The cache of remote files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from formats.cache import Cache
from formats.hashing import hash_bytes
from lakehouse.errors import Unavailable


def writes(data: bytes, calls: list[str] | None = None) -> Callable[[Path], object]:
    def fill(target: Path) -> object:
        if calls is not None:
            calls.append(target.name)
        return target.write_bytes(data)

    return fill


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, limit=100, grace=0)


def test_what_is_there_is_not_filled_again(cache: Cache) -> None:
    calls: list[str] = []
    for _ in range(2):
        assert cache.fetch("x", writes(b"abc", calls), size=3, suffix=".txt").read_bytes() == b"abc"
    assert len(calls) == 1


def test_a_copy_of_the_wrong_size_or_hash_is_filled_again_and_then_refused(cache: Cache) -> None:
    pieces = iter([b"ab", b"abc"])
    assert cache.fetch("x", lambda t: t.write_bytes(next(pieces)), size=3).read_bytes() == b"abc"
    with pytest.raises(Unavailable, match="damaged"):
        cache.fetch("y", writes(b"abc"), hash=hash_bytes(b"other"))
    assert cache.used() == 3
    assert len(list(cache.folder.rglob("*.tmp-*"))) == 0


def test_an_entry_that_a_power_failure_cut_is_filled_again(cache: Cache) -> None:
    cache.fetch("x", writes(b"abc")).write_bytes(b"")
    assert cache.fetch("x", writes(b"abc")).read_bytes() == b"abc"


def test_what_was_used_least_recently_goes_first(cache: Cache) -> None:
    old, kept = cache.fetch("old", writes(b"x" * 40)), cache.fetch("kept", writes(b"y" * 40))
    for path, age in ((old, 300), (kept, 400)):
        os.utime(path, (time.time() - age,) * 2)
    assert cache.fetch("kept", writes(b"")) == kept  # used just now
    cache.fetch("new", writes(b"z" * 40))
    assert (old.exists(), kept.exists(), cache.used()) == (False, True, 80)


def test_what_was_handed_out_a_moment_ago_stays_even_beyond_the_bound(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=10, grace=600)
    paths = [cache.fetch(str(i), writes(b"x" * 8)) for i in range(4)]
    assert all(path.exists() for path in paths)


def test_threads_that_want_the_same_file_fill_it_once(cache: Cache) -> None:
    calls: list[str] = []

    def slow(target: Path) -> None:
        calls.append(target.name)
        time.sleep(0.05)
        target.write_bytes(b"abc")

    threads = [threading.Thread(target=cache.fetch, args=("x", slow)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.concurrency
def test_processes_share_a_cache_that_stays_within_its_bound(tmp_path: Path) -> None:
    code = """
import random, sys
from pathlib import Path
from formats.cache import Cache
cache = Cache(Path(sys.argv[1]), limit=20_000, grace=0)
for _ in range(300):
    name = random.randrange(60)
    data = bytes([name]) * 1_000
    path = cache.fetch(str(name), lambda t: t.write_bytes(data), size=1_000)
    try:
        assert path.read_bytes() == data, name
    except FileNotFoundError:
        pass  # without a grace another process may take it away at once
"""
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    cache = Cache(tmp_path, limit=20_000, grace=0)
    cache.fetch("last", writes(b"x"))
    assert cache.used() <= 20_000


def test_a_folder_is_an_entry_of_its_own(cache: Cache) -> None:
    def fill(target: Path) -> None:
        (target / "sub").mkdir(parents=True)
        (target / "sub" / "a").write_bytes(b"abc")

    path = cache.fetch("folder", fill, suffix=".zarr")
    assert (path / "sub" / "a").read_bytes() == b"abc"
    assert cache.fetch("folder", lambda _: pytest.fail("filled again"), suffix=".zarr") == path
    assert (cache.used(), cache.clear(), cache.used()) == (3, 1, 0)


def test_a_folder_that_is_not_whole_is_filled_again(cache: Cache) -> None:
    def fill(target: Path) -> None:
        target.mkdir()
        (target / "a").write_bytes(b"abc")

    path = cache.fetch("folder", fill, suffix=".zarr")
    (path / "a").chmod(0o600)
    (path / "a").write_bytes(b"a")
    again = cache.fetch("folder", fill, suffix=".zarr")
    assert (again / "a").read_bytes() == b"abc" and not list(cache.folder.rglob("*.tmp-*"))


def test_a_cache_that_cannot_be_written_is_named_with_the_choice(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(Unavailable, match="LAKEHOUSE_CACHE_DIR"):
        Cache(tmp_path, limit=100).fetch("x", writes(b"abc"))
    Cache(tmp_path, limit=100).add("x", b"abc")  # a copy that cannot be kept is no reason to fail
