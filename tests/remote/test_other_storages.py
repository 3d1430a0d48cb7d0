"""Artifacts in containers of Azure and buckets of Google: files large and small, ranges of them, and hashes that lie there."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import anndata as ad
import numpy as np
import polars as pl
import pytest

from formats import transfer
from formats.folders import read_folder
from formats.hashing import hash_bytes
from formats.registry import by_name, format_in_store
from formats.remote import RemoteOptions, filesystem
from formats.storage import Storage
from lakehouse.errors import InvalidFile, NotFound, Unavailable
from tests.remote.azure import PROGRAM

_numbers = itertools.count(1)
_azurite = pytest.mark.skipif(not PROGRAM.exists(), reason="azurite, which `make test` fetches with npm, is not here")


@pytest.fixture(params=[pytest.param("az", marks=_azurite), "gs"])
def storage(request: pytest.FixtureRequest) -> Storage:
    request.getfixturevalue({"az": "azure", "gs": "google"}[request.param])
    name = f"shelf-{next(_numbers)}"
    filesystem(f"{request.param}://{name}", RemoteOptions()).mkdir(name)
    return Storage(f"{request.param}://{name}/below")


@pytest.mark.filterwarnings("ignore:Sending a large body directly")  # which gcsfs does
def test_files_large_and_small_come_back_and_are_read_in_ranges(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PART", 1 << 20)
    for size in (5, 5_000_000):
        data = np.random.default_rng(0).bytes(size)
        source = tmp_path / f"{size}.bin"
        source.write_bytes(data)
        path = storage.put_object(hash_bytes(data), ".bin", source)
        assert storage.local_path(path, size=size).read_bytes() == data
        there = storage.remote_path(path)
        assert there is not None
        with there.open() as file:
            file.seek(-3, 2)
            assert file.read() == data[-3:]
    storage.remove(path)
    assert not storage.exists(path)
    with pytest.raises(NotFound):
        storage.local_path("absent.txt")


@pytest.mark.parametrize("storage", [pytest.param("az", marks=_azurite)], indirect=True)
def test_a_large_file_that_changed_since_it_was_hashed_leaves_nothing(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PART", 1 << 20)
    (tmp_path / "x.bin").write_bytes(bytes(5_000_000))
    with pytest.raises(InvalidFile, match="changed"):
        storage.put_object(hash_bytes(b"other"), ".bin", tmp_path / "x.bin")
    assert list(storage.list()) == []


def test_what_the_store_holds_other_than_it_was_sent_is_found_out(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs = filesystem(storage.root, RemoteOptions())
    plain = fs.pipe_file
    monkeypatch.setattr(fs, "pipe_file", lambda address, data: plain(address, b"X" + data[1:]))
    with pytest.raises(Unavailable, match="not as it was sent"):
        storage.put_object(hash_bytes(b"bytes"), ".bin", b"bytes")


def test_a_file_that_lies_there_has_its_hash_and_a_folder_is_opened_there(storage: Storage, tmp_path: Path) -> None:
    filesystem(storage.root, RemoteOptions()).pipe_file(f"{storage.root}/theirs.txt", b"abc")
    assert storage.known_hash("theirs.txt") == ("md5", "900150983cd24fb0d6963f7d28e17f72")
    zarr = by_name("zarr")
    zarr.write(np.arange(10.0), tmp_path / "x.zarr")
    there = storage.remote_path(storage.put_folder(read_folder(tmp_path / "x.zarr"), ".zarr"))
    assert there is not None
    with zarr.open(there.as_path()) as array:
        assert array[3:5].tolist() == [3.0, 4.0]


def test_arrays_of_tiledb_are_opened_where_they_lie(storage: Storage, tmp_path: Path) -> None:
    made = {"tiledb": np.arange(12.0).reshape(3, 4), "soma": ad.AnnData(np.ones((5, 3), "f4"))}
    for name, obj in made.items():
        fmt, local = by_name(name), tmp_path / f"x.{name}"
        fmt.write(obj, local)
        there = storage.remote_path(storage.put_folder(read_folder(local), f".{name}"))
        assert there is not None
        path = there.as_path()
        assert format_in_store(path, f".{name}") is fmt
        assert fmt.describe(path) == fmt.describe(local)
        with fmt.open(path) as opened:
            assert opened.obs.count == 5 if name == "soma" else opened[1, 2:].tolist() == [6.0, 7.0]


def test_polars_reads_with_the_options_of_a_root(storage: Storage) -> None:
    filesystem(storage.root, RemoteOptions()).pipe_file(f"{storage.root}/t.parquet", parquet())
    options = RemoteOptions().object_store(storage.protocol)
    assert pl.read_parquet(f"{storage.root}/t.parquet", storage_options=options).rows() == [(1,), (2,)]


def parquet() -> bytes:
    held = io.BytesIO()
    pl.DataFrame({"a": [1, 2]}).write_parquet(held)
    return held.getvalue()
