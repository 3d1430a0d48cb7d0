"""Files that were registered where they lie, and that somebody wrote to since."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import numpy as np
import pytest

from formats.registry import by_name
from lakehouse.errors import DataLoss, InvalidFile
from registries import unchanged

HOUR = 3600


@pytest.fixture
def shelf(lake, tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "shelf"
    folder.mkdir()
    lake.Storage(root=str(folder)).save()
    return folder


@pytest.fixture
def counted(monkeypatch):
    """What is hashed to find out whether it changed."""
    hashed: list[Path] = []
    plain = unchanged.hash_there

    def count(path, kind):
        hashed.append(path)
        return plain(path, kind)

    monkeypatch.setattr(unchanged, "hash_there", count)
    return hashed


def aged(path: Path) -> Path:
    """Give a file the time that one has which was written an hour ago; its ctime cannot be set."""
    os.utime(path, (time.time() - HOUR,) * 2)
    return path


def registered(lake, path, monkeypatch):
    """Register a file as though that were later than all its times."""
    monkeypatch.setattr(unchanged, "SLACK", -dt.timedelta(seconds=HOUR))
    return lake.Artifact(path).save()


def test_other_bytes_of_the_same_size_are_not_taken_for_those_that_were_registered(lake, shelf):
    (shelf / "a.csv").write_text("a,b\n1,2\n")
    found = lake.Artifact(shelf / "a.csv").save()
    assert found.load()["b"].tolist() == [2]
    (shelf / "a.csv").write_text("a,b\n1,3\n")
    aged(shelf / "a.csv")
    for read in (found.load, found.open, found.stage, found.describe, lambda: found.path):
        with pytest.raises(
            DataLoss, match=rf"a\.csv.*holds other content \(hash .*{found.hash}.*version 0.*next version.*old bytes"
        ):
            read()
    with pytest.raises(DataLoss):
        lake.sql('select * from content."a.csv"').df()
    newer = lake.Artifact(shelf / "a.csv").save()
    assert (newer.version, newer.load()["b"].tolist()) == (1, [3])
    (shelf / "a.csv").write_text("a,b\n1,2\n")
    assert found.load()["b"].tolist() == [2], "the old bytes are back"


def test_a_folder_with_other_bytes_in_it_is_found_out_too(lake, shelf):
    by_name("zarr").write(np.arange(5.0), shelf / "x.zarr")
    found = lake.Artifact(shelf / "x.zarr").save()
    assert found.load().tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    chunk = max(
        (p for p in (shelf / "x.zarr").rglob("*") if p.is_file() and p.name != "zarr.json"),
        key=lambda p: p.stat().st_size,
    )
    chunk.write_bytes(bytes(chunk.stat().st_size))
    with pytest.raises(DataLoss, match="holds other content"):
        found.load()


def test_a_file_that_was_written_again_with_the_same_bytes_is_hashed_once(lake, shelf, counted):
    (shelf / "a.txt").write_bytes(b"same")
    found = lake.Artifact(shelf / "a.txt").save()
    (shelf / "a.txt").write_bytes(b"same")
    assert [found.load() for _ in range(3)] == [b"same"] * 3
    assert len(counted) == 1
    os.utime(shelf / "a.txt")
    assert (found.load(), len(counted)) == (b"same", 2)


def test_a_file_that_is_older_than_its_row_is_never_hashed(lake, shelf, counted, monkeypatch):
    (shelf / "a.txt").write_bytes(b"same")
    found = registered(lake, shelf / "a.txt", monkeypatch)
    assert found.load() == found.path.read_bytes() == b"same"
    assert counted == []


def test_a_cache_that_cannot_be_written_costs_hashing_again(lake, shelf, counted, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file")
    (shelf / "a.txt").write_bytes(b"same")
    found = lake.Artifact(shelf / "a.txt").save()
    assert (found.load(), found.load(), len(counted)) == (b"same", b"same", 2)


def test_bytes_that_are_saved_are_kept_though_a_file_elsewhere_holds_the_same(lake, shelf):
    (shelf / "a.txt").write_bytes(b"same")
    theirs = lake.Artifact(shelf / "a.txt").save()
    ours = lake.Artifact(b"same", key="ours.txt").save()
    assert ours.path.is_relative_to(lake.root)
    (shelf / "a.txt").write_bytes(b"gone")
    assert ours.load() == b"same"
    assert lake.Artifact(b"same", key="a.txt").save().load() == b"same", "saved anew: the file holds it no longer"
    with pytest.raises(DataLoss):
        theirs.load()


def test_a_file_that_is_written_to_between_hashing_and_saving_is_refused(lake, shelf):
    (shelf / "a.txt").write_bytes(b"one")
    artifact = lake.Artifact(shelf / "a.txt")
    artifact.prepare(lake)
    (shelf / "a.txt").write_bytes(b"two")
    with pytest.raises(InvalidFile, match="changed since it was hashed"):
        artifact.save()
    assert lake.Artifact.filter().count() == 0


def test_a_check_of_the_instance_names_it(lake, shelf):
    (shelf / "a.txt").write_bytes(b"one")
    lake.Artifact(shelf / "a.txt").save()
    (shelf / "a.txt").write_bytes(b"two")
    assert not lake.check(deep=True).ok
