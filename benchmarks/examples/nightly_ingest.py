"""Nightly ingest of an instrument's folder: what ``lakehouse ingest FOLDER --sync --on-error quarantine`` does from cron."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import lakehouse as lh

__all__ = ["main"]


def main(folder: Path) -> list[dict[str, int]]:
    """Follow a folder over two nights, and return what became of its files."""
    runs = folder / "instrument"
    measured(runs, "monday", 3)
    lh.init(folder / "lake", pointer=False)
    first = lh.ingest(runs, sync=True, on_error="quarantine", labels=["instrument 7"], create_labels=True)
    print(first.summary())

    measured(runs, "tuesday", 2)
    (runs / "tuesday" / "plate9.parquet").write_bytes(b"PAR1 and then the power failed")
    (runs / "monday" / "plate0.csv").unlink()
    aged(runs)
    second = lh.ingest(runs, sync=True, on_error="quarantine", labels=["instrument 7"])
    print(second.summary())
    print(lh.Artifact.filter(ulabels__name="quarantined").pl().select("key", "description"))
    lh.disconnect()
    return [first.counts, second.counts]


def measured(runs: Path, day: str, plates: int) -> None:
    """Write what an instrument would."""
    (runs / day).mkdir(parents=True)
    for n in range(plates):
        (runs / day / f"plate{n}.csv").write_text(f"well,count\nA1,{n}\nA2,{n + 1}\n")
    aged(runs)


def aged(runs: Path) -> None:
    """Let files look as if they had been written an hour ago: fresh ones are left to the next night."""
    for path in runs.rglob("*.*"):
        os.utime(path, (time.time() - 3_600, path.stat().st_mtime - 3_600))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
