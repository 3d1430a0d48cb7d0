"""Four processes that save frames side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from registries import Instance

__all__ = ["bare", "ours", "together"]

_WORKER = """
import sys, time
import numpy as np, pandas as pd
from registries import Instance
lake = Instance.open(sys.argv[1], user=f"worker{sys.argv[2]}")
lake.Artifact.from_df(pd.DataFrame({"n": [int(sys.argv[2])]}), key=f"warm/{sys.argv[2]}.parquet").save()
print("ready", flush=True)
seconds = float(sys.stdin.readline())
count, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    frame = pd.DataFrame({"n": np.arange(10) + count, "who": [sys.argv[2]] * 10})
    lake.Artifact.from_df(frame, key=f"w{sys.argv[2]}/{count}.parquet").save()
    count += 1
print(count, flush=True)
lake.close()
"""

_BARE = """
import io, sys, time
from pathlib import Path
import numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq
from blake3 import blake3
from benchmarks.bare import BareSqlite, put_durably
from lakehouse.ids import new_uid
folder = Path(sys.argv[1])
bare = BareSqlite(folder / "bare.db", ["artifact"])
print("ready", flush=True)
seconds = float(sys.stdin.readline())
count, end = 0, time.monotonic() + seconds
while time.monotonic() < end:
    frame = pd.DataFrame({"n": np.arange(10) + count, "who": [sys.argv[2]] * 10})
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame), sink)
    name = blake3(sink.getvalue()).hexdigest()
    put_durably(folder / name[:2] / f"{name}.parquet", sink.getvalue())
    bare.insert([("artifact", new_uid(), f"w{sys.argv[2]}/{count}.parquet {name}".encode())])
    count += 1
print(count, flush=True)
bare.close()
"""


def ours(root: Path) -> list[subprocess.Popen[str]]:
    """Return four processes that get ready to save to a new instance."""
    Instance.create(root, user="bench").close()
    return _four(_WORKER, root)


def bare(folder: Path) -> list[subprocess.Popen[str]]:
    """Return four processes that get ready to do the same with files in 256 folders, fsync and one SQLite file."""
    for number in range(256):
        (folder / f"{number:02x}").mkdir(parents=True)
    return _four(_BARE, folder)


def _four(program: str, root: Path) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]


def together(workers: Sequence[subprocess.Popen[str]], seconds: float) -> float:
    """Return how many they save a second, all together; each says ``ready``, gets the seconds, and tells its number."""
    for worker in workers:
        assert worker.stdout is not None
        while (line := worker.stdout.readline()).strip() != "ready":
            if not line:
                sys.exit("a process ended before it was ready to save")
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{seconds}\n")
        worker.stdin.flush()
    return sum(int(worker.communicate()[0].split()[-1]) for worker in workers) / seconds
