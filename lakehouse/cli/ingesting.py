"""What ``lakehouse ingest`` does: many files at once, and a report of what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from formats.durable import write_durably
from formats.keys import suffix_of
from formats.registry import format_for
from lakehouse.cli.progress import paced
from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.speech import spoken
from lakehouse.cli.storages import refuse_fleeting
from lakehouse.errors import InputError, InvalidData, shown
from registries.ingest import Ingest, IngestReport, Options

__all__ = ["ingest"]

_REPORTS = (".json", ".csv", ".parquet")


def ingest(screen: Screen, source: str, *, report: Path | None, options: Mapping[str, Any]) -> None:
    """Ingest, show what became of the files, and end with 1 where some failed."""
    if report is not None and suffix_of(report) not in _REPORTS:
        raise InputError(f"{shown(str(report))}: a report is written to a file that ends in {', '.join(_REPORTS)}")
    with opened(screen) as lake, paced(screen, "files") as progress:
        refuse_fleeting(lake.stores.default()[1].root)
        try:
            found = Ingest(lake, source, Options(**options, progress=progress)).run()
        except InvalidData as error:
            if report is not None and isinstance(error.report, IngestReport):
                _write(error.report, report)
            raise
    if report is not None:
        _write(found, report)
    if screen.options.json:
        screen.document(found.to_dict())
    else:
        screen.line(spoken(found.summary()))
    if not found.ok:
        raise typer.Exit(1)


def _write(found: IngestReport, path: Path) -> None:
    """Write the report; one that is there already is replaced, as a job under cron does every night."""
    if suffix_of(path) == ".json":
        data = found.to_json().encode("utf-8", "backslashreplace")
    else:
        dumped = format_for(suffix=suffix_of(path)).dump(found.arrow(), suffix=suffix_of(path))
        assert dumped is not None
        data = dumped
    write_durably(path.absolute(), data)
