from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.engine import Lake
from lakehouse.errors import Unavailable
from tests.unit.engine.support import add, label, plain, rows_of, uids

pytestmark = pytest.mark.catalogs("sqlite")  # the disk is that of the SQLite file
BULK = [label(f"k{n:03}") for n in range(40)]


def _full(fd: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_while_staging_commits_nothing_and_leaves_no_file(
    make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake: Lake = make(bulk_rows=10)  # type: ignore[operator]
    before = lake.head()
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(Unavailable, match="No space left on device"):
        lake.run(lambda txn: txn.insert("label", BULK))
    monkeypatch.undo()
    assert lake.head() == before
    assert list((lake.root / "tables").rglob("*.parquet")) == []
    lake.run(lambda txn: txn.insert("label", BULK))
    lake.flush()
    assert plain(lake) == rows_of(lake)


def test_full_disk_while_publishing_shows_nothing_half_and_is_made_good_later(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(lake, "a")
    lake.flush()
    add(lake, "b")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises((Unavailable, OSError), match="No space left on device"):
        lake.flush()
    monkeypatch.undo()
    assert [r["uid"] for r in plain(lake)] == ["a"]
    assert uids(lake) == ["a", "b"]
    lake.flush()
    assert [r["uid"] for r in plain(lake)] == ["a", "b"]


_LIMITED = """
import resource, secrets, sys
from lakehouse.engine import Lake
from lakehouse.errors import Unavailable
from tests.unit.engine.support import label, quiet, uids

lake = Lake.open(sys.argv[1], options=quiet(bulk_rows=int(sys.argv[2])))
rows = [label(f"k{n:05}", secrets.token_hex(100)) for n in range(3000)]
before = lake.head()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    lake.run(lambda txn: txn.insert("label", rows))
except Unavailable as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert lake.head() == before
    assert uids(lake) == ["a"]
    lake.run(lambda txn: txn.insert("label", [label("b")]))
    assert uids(lake) == ["a", "b"]
    sys.exit(7)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("bulk_rows", [10, 100_000], ids=["staged", "in the catalog"])
def test_disk_that_takes_no_more_bytes_commits_nothing(lake: Lake, bulk_rows: int) -> None:
    add(lake, "a")
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(lake.root), str(bulk_rows)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert uids(lake) == ["a", "b"]
    lake.flush()
    assert plain(lake) == rows_of(lake)
