"""``python -m benchmarks``: run them all, or some."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Row
from benchmarks.report import show, write_json

GROUPS = {
    "commit": "commit",
    "batch": "batching",
    "postgres": "postgres",
    "artifact": "artifact",
    "registries": "registries",
    "search": "searching",
    "ontologies": "ontologies",
    "formats": "formats",
    "storage": "storage",
    "bulk": "bulk",
    "scan": "scan",
    "tail": "tail",
    "lineage": "lineage",
    "open": "opening",
    "validate": "validation",
    "datasets": "datasets",
    "import": "importing",
    "moving": "moving",
}
"""What ``--only`` takes, and the module of each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks; the exit code is 0 even where a limit is missed, since machines differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}, with commas")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--large", action="store_true", help="scan 10 million rows, too")
    given = parser.parse_args(arguments)
    wanted = given.only.split(",")
    if unknown := [name for name in wanted if name not in GROUPS]:
        parser.error(f"no benchmark {unknown[0]!r}: choose from {', '.join(GROUPS)}")
    began = time.monotonic()
    rows: list[Row] = []
    try:
        for name in wanted:
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows += import_module(f"benchmarks.{GROUPS[name]}").run(large=given.large)
    finally:  # what was measured is shown even when a later one fails
        seconds = time.monotonic() - began
        show(rows, seconds)
        if given.json:
            write_json(rows, seconds, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
