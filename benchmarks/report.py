"""The table on the screen, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Row

__all__ = ["show", "write_json"]

_COLOURS = {"reached": "green", "missed": "bold red", "": "dim"}


def show(rows: Sequence[Row], seconds: float) -> None:
    """Print the table."""
    title = (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {seconds:.0f} s"
    )
    table = Table(title=f"Benchmarks ({title})", title_justify="left")
    for column, side in (("", "left"), ("what", "left"), ("median", "right"), ("floor", "right"), ("ratio", "right")):
        table.add_column(column, justify="right" if side == "right" else "left", overflow="fold")
    for column in ("floor is", "must be", "verdict", "note"):
        table.add_column(column, overflow="fold")
    before = ""
    for row in rows:
        if before and row.group != before:
            table.add_section()
        table.add_row(row.group if row.group != before else "", *_cells(row))
        before = row.group
    console = Console(width=None if sys.stdout.isatty() else 190)
    console.print(table)
    if os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        console.print(
            "the machine was busy: times, and ratios of what uses several cores, are worse than they are alone"
        )
    judged = [row for row in rows if row.verdict]
    missed = [row for row in judged if row.verdict == "missed"]
    console.print(f"{len(judged) - len(missed)} of {len(judged)} limits reached")


def _cells(row: Row) -> list[str]:
    unit = f" {row.unit}" if row.unit else ""
    floor = f"{_number(row.floor)}{unit}" if row.floor is not None else ""
    ratio = f"{row.ratio:.3g}×" if row.ratio is not None else ""
    bounds = ", ".join(f"{limit}{unit if limit.of == 'value' else ''}" for limit in row.limits)
    verdict = f"[{_COLOURS[row.verdict]}]{row.verdict}[/]" if row.verdict else ""
    return [row.name, f"{_number(row.value)}{unit}", floor, ratio, row.against, bounds, verdict, row.note]


def _number(value: float) -> str:
    if value and abs(value) < 0.1:
        return f"{value:.3f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def write_json(rows: Sequence[Row], seconds: float, path: Path) -> None:
    """Write every figure, with what it was measured on."""
    document: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()},
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("duckdb", "pyarrow", "deltalake")},
        "rows": [asdict(row) | {"ratio": row.ratio, "verdict": row.verdict} for row in rows],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
