"""Content hashes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from formats import hashing
from formats.hashing import digest_of, hash_bytes, hash_file, is_hash, texts_of
from lakehouse.errors import InvalidFile, NotFound


def test_a_file_and_its_bytes_have_one_hash(tmp_path: Path) -> None:
    data = os.urandom(3 * hashing.CHUNK + 17)
    path = tmp_path / "x"
    path.write_bytes(data)
    assert hash_file(path) == hash_bytes(data)
    assert is_hash(hash_file(path))


def test_texts_of_many_digests_are_those_of_each() -> None:
    many = [os.urandom(n) for n in range(40)]
    assert texts_of([digest_of(data) for data in many]) == [hash_bytes(data) for data in many]
    assert texts_of([]) == []


def test_an_empty_file_has_a_hash_and_reports_progress_once(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    seen: list[tuple[int, int | None]] = []
    assert hash_file(path, progress=lambda done, total: seen.append((done, total))) == hash_bytes(b"")
    assert seen == [(0, 0)]


def test_progress_counts_up_to_the_size(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 1000)
    path = tmp_path / "x"
    path.write_bytes(b"x" * 2500)
    seen: list[tuple[int, int | None]] = []
    hash_file(path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1000, 2500), (2000, 2500), (2500, 2500)]


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch, change: str) -> None:
    monkeypatch.setattr(hashing, "CHUNK", 1000)
    path = tmp_path / "growing.csv"
    path.write_bytes(b"x" * 2500)

    def meddle(done: int, total: int | None) -> None:
        if done == 1000:
            if change == "grow":
                path.write_bytes(b"x" * 4000)
            elif change == "shrink":
                os.truncate(path, 1200)
            else:
                path.write_bytes(b"y" * 2500)
                os.utime(path, ns=(1, 1))

    with pytest.raises(InvalidFile, match=r"growing.csv' changed while it was read"):
        hash_file(path, progress=meddle)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"missing\.bin"):
        hash_file(tmp_path / "missing.bin")


def test_texts_that_are_no_hash_are_told_apart() -> None:
    assert not is_hash(hash_bytes(b"x").upper())
    assert not is_hash("../" + "a" * 29)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_large_file_is_hashed_in_a_forked_child_too(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * hashing.CHUNK))
    expected = hash_file(path)  # the parent's hashing threads are gone in the child
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        os._exit(0 if hash_file(path) == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0
