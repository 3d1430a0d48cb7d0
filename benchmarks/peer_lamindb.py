"""What LaminDB takes for the steps of ``benchmarks.peers``; runs in an environment of its own, in an empty folder.

``python peer_lamindb.py ROWS SECONDS`` prints one JSON object: seconds a step, or how many a second, by name.
It uses the fastest public way that there is for each: ``ln.save(list)`` without the search for close names, warm caches.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_WORKER = "--worker"


def main() -> None:
    if sys.argv[1] == _WORKER:
        _saving(float(sys.argv[2]), sys.argv[3])
        return
    rows, seconds = int(sys.argv[1]), float(sys.argv[2])
    lamin = Path(sys.executable).with_name("lamin")
    done = subprocess.run(
        [lamin, "init", "--storage", "./storage", "--name", "peer"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    ln = _connected()
    found = _points(ln) | _many(ln, rows)
    found["four processes saving frames"] = _processes(seconds)
    print(json.dumps(found))


def _connected() -> Any:
    """Return the module, which asks no hub."""
    ln: Any = import_module("lamindb")
    ln.setup.settings.instance._is_on_hub = False
    ln.settings.verbosity = "error"
    return ln


def _median(act: Callable[[int], object], rounds: int, warm: int = 3) -> float:
    times = []
    for turn in range(rounds + warm):
        began = time.perf_counter()
        act(turn)
        times.append(time.perf_counter() - began)
    return statistics.median(times[warm:])


def _frame(name: str, turn: int) -> Any:
    pd: Any = import_module("pandas")
    return pd.DataFrame({"n": [turn + number for number in range(10)], "who": [name] * 10})


def _points(ln: Any) -> dict[str, float]:
    def artifact(turn: int) -> None:
        ln.Artifact.from_dataframe(_frame("points", turn), key=f"points/{turn}.parquet").save()

    return {
        "save a label": _median(lambda turn: ln.ULabel(name=f"label {turn}").save(), 100),
        "save a 10-row frame": _median(artifact, 60),
        "get an artifact by key": _median(lambda _: ln.Artifact.get(key="points/7.parquet"), 60),
    }


def _many(ln: Any, rows: int) -> dict[str, float]:
    ln.settings.creation.search_names = False
    names = [f"term {number}" for number in range(rows)]
    began = time.perf_counter()
    ln.save([ln.ULabel(name=name) for name in names])
    found = {"labels in bulk": rows / (time.perf_counter() - began)}
    uid = ln.ULabel.get(name="term 77").uid
    artifacts = ln.Artifact.filter(key__startswith="points/").to_list()
    label = ln.ULabel.get(name="term 5")
    for artifact in artifacts:
        artifact.ulabels.add(label)
    found["values looked up"] = _median(lambda _: ln.ULabel.from_values(names), 3, 1)
    found["get a label by uid"] = _median(lambda _: ln.ULabel.get(uid), 60)
    found["get a label by name"] = _median(lambda _: ln.ULabel.get(name="term 77"), 60)
    found["artifacts of a label"] = _median(lambda _: ln.Artifact.filter(ulabels__name="term 5").to_list(), 20)
    found["labels as a frame"] = _median(lambda _: ln.ULabel.filter().to_dataframe(limit=None), 3, 1)
    return found


def _processes(seconds: float) -> float:
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, _WORKER, str(seconds), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        while worker.stdout.readline().strip() != "ready":
            if worker.poll() is not None:
                sys.exit("a process of LaminDB's ended early")
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sum(int(worker.communicate()[0].split()[-1]) for worker in workers) / seconds


def _saving(seconds: float, name: str) -> None:
    ln = _connected()
    ln.Artifact.from_dataframe(_frame(name, 0), key=f"warm/{name}.parquet").save()
    print("ready", flush=True)
    sys.stdin.readline()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        ln.Artifact.from_dataframe(_frame(name, count), key=f"w{name}/{count}.parquet").save()
        count += 1
    print(count, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    main()
