"""Storage in a bucket: a real S3 process on the loopback, beside the bare client and beside a local disk.

The server is Python and slow; both sides meet the same one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.harness import Limit, Row, Side, alternate, at_most, ms, scratch
from formats.cache import Cache
from formats.hashing import hash_bytes
from formats.remote import RemoteOptions, filesystem
from formats.storage import Storage
from registries.instance import Instance

__all__ = ["run"]

_BUCKET = "s3://bench"
_ROUNDS = 5
_SIZE = 128 << 20


def run(*, large: bool) -> Iterator[Row]:
    """Yield the figures."""
    with scratch() as folder, _server(folder):
        filesystem(_BUCKET, RemoteOptions()).call_s3("create_bucket", Bucket="bench")
        yield from _transfers(folder, 2 * _SIZE if large else _SIZE)
        yield from _artifacts(folder)
        yield from _queries(folder)


@contextmanager
def _server(folder: Path) -> Iterator[None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = dict(os.environ)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    try:
        _await(port)
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.environ.clear()
        os.environ.update(before)


def _await(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server did not start")


def _transfers(folder: Path, size: int) -> Iterator[Row]:
    """The bare client is s3fs, which sends and fetches parts side by side as well; ours hashes, too."""
    store, fs = Storage(f"{_BUCKET}/transfers"), filesystem(_BUCKET, RemoteOptions())
    sources, paths = [folder / f"source{n}" for n in range(_ROUNDS + 1)], dict[int, str]()
    for number, source in enumerate(sources):
        source.write_bytes(np.random.default_rng(number).bytes(size))

    def up(turn: int) -> Callable[[], object]:
        digest = hash_bytes(sources[turn].read_bytes())
        return lambda: paths.setdefault(turn, store.put_object(digest, ".bin", sources[turn]))

    def bare_up(turn: int) -> Callable[[], object]:
        return lambda: fs.put_file(str(sources[turn]), f"{_BUCKET}/bare/{turn}")

    def down(turn: int) -> Callable[[], object]:
        return lambda: store.local_path(paths[turn], size=size)

    def bare_down(turn: int) -> Callable[[], object]:
        return lambda: fs.get_file(f"{_BUCKET}/bare/{turn}", str(folder / f"bare{turn}"))

    for name, ours, bare in (("upload", up, bare_up), ("download", down, bare_down)):
        found = alternate({"ours": ours, "bare": bare}, rounds=_ROUNDS)
        what = f"{name} {size >> 20} MB"
        yield ms("storage", what, found["ours"], found["bare"], "s3fs alone", at_most(1.3), note="with BLAKE3")


def _artifacts(folder: Path) -> Iterator[Row]:
    frame = pl.DataFrame({f"x{n}": np.random.default_rng(n).random(100_000) for n in range(5)})
    with Instance.create(folder / "lab") as lake:
        remote = lake.Storage(root=f"{_BUCKET}/artifacts").save()
        there = lake.Artifact.from_df(frame, key="there.parquet", storage=remote).save()
        # other values, since equal content would be shared
        here = lake.Artifact.from_df(frame.with_columns(pl.all() + 1), key="here.parquet").save()
        there.stage()
        found = alternate({"remote": _side(there.open), "local": _side(here.open)}, rounds=21, warm=3)
        more = (found["remote"].median - found["local"].median) * 1e3
        yield ms("storage", "open a cached remote parquet", found["remote"], found["local"], "a local one")
        yield Row(
            "storage", "open a cached remote parquet: more than a local one", more, "ms", limits=(Limit("value", 5),)
        )


def _queries(folder: Path) -> Iterator[Row]:
    """From the second time on, when copies of the data files are in the cache."""
    for root, options in ((f"{_BUCKET}/lake", {}), (folder / "lake", {})):
        with Instance.create(root, **options) as lake:
            lake.save([lake.ULabel(name=f"label {n}", description=f"of {n % 7}") for n in range(20_000)])
            lake.flush()
    with (
        Instance.open(f"{_BUCKET}/lake", read_only=True) as there,
        Instance.open(folder / "lake", read_only=True) as here,
    ):
        yield from _query(there, here, "filter", lambda lake: lake.ULabel.filter(name__startswith="label 19").pl())
        statement = "select description, count(*) from ulabel group by 1"
        yield from _query(there, here, "SQL", lambda lake: lake.sql(statement).fetchall())


def _query(there: Instance, here: Instance, name: str, ask: Callable[[Any], object]) -> Iterator[Row]:
    found = alternate({"there": _side(lambda: ask(there)), "here": _side(lambda: ask(here))}, rounds=15, warm=1)
    assert Cache().used()
    yield ms("storage", f"{name} in a bucket, again", found["there"], found["here"], "on a local disk", at_most(1.3))


def _side(act: Callable[[], object]) -> Side:
    return lambda _turn: act
