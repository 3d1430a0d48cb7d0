"""The command ``ingest`` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.later import EVERYWHERE, Later
from lakehouse.cli.schemas import app as _app

if TYPE_CHECKING:
    from lakehouse.cli import ingesting
else:
    ingesting = Later("lakehouse.cli.ingesting")

__all__ = ["app", "ingest"]

app = _app
"""The application, with this command in it."""


@_app.command(epilog=EVERYWHERE)
def ingest(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A manifest (csv, parquet), a folder, a pattern of paths, or a URL or pattern in a bucket."
        ),
    ],
    *,
    schema: Annotated[str | None, typer.Option(metavar="NAME", help="What each file must conform to.")] = None,
    on_error: Annotated[
        str, typer.Option(metavar="stop|skip|quarantine", help="What happens at a file that fails.")
    ] = "stop",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and validate everything, and save nothing.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Pass over files that are as an earlier run saw them.")
    ] = True,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync", help="Follow a folder: new, changed and vanished files; those being written, next time."
        ),
    ] = False,
    settle: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long a file must not have been written to, with --sync.")
    ] = 2.0,
    most_vanished: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the files, up to which --sync believes that they vanished.")
    ] = 0.5,
    prefix: Annotated[str | None, typer.Option(help="What keys of a folder begin with. Default: its name.")] = None,
    storage: Annotated[str | None, typer.Option(metavar="ROOT", help="Where the bytes are copied to.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A label of all files; repeatable.")] = None,
    create_labels: Annotated[bool, typer.Option("--create-labels", help="Make labels that are not known.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each processor.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the outcome of each file to a .json, .csv or .parquet.")
    ] = None,
) -> None:
    """Register the files of a manifest or a folder, in parallel and in large transactions.

    Run again it changes nothing twice, however the last run ended. The exit code is 1 where files failed.
    """
    ingesting.ingest(
        ctx.obj,
        source,
        report=report,
        options={
            "schema": schema,
            "on_error": on_error,
            "dry_run": dry_run,
            "resume": resume,
            "sync": sync,
            "settle": settle,
            "most_vanished": most_vanished,
            "prefix": prefix,
            "storage": storage,
            "labels": tuple(label or ()),
            "create_labels": create_labels,
            "workers": workers,
        },
    )
