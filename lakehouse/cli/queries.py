"""The commands ``search`` and ``sql`` and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.ingests import app as _app
from lakehouse.cli.later import EVERYWHERE, Later
from lakehouse.cli.text import Format

if TYPE_CHECKING:
    from lakehouse.cli import querying, searching

else:
    querying = Later("lakehouse.cli.querying")
    searching = Later("lakehouse.cli.searching")

__all__ = ["app", "search", "sql"]

app = _app
"""The application, with these commands in it."""


@_app.command(epilog=EVERYWHERE)
def search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="A name or words, however they are spelt.")],
    *,
    registry: Annotated[
        str | None, typer.Option(metavar="NAME", help="artifact, ulabel, cell_type, ... Default: all with names.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A column to look at; repeatable. Goes with --registry.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="The most records.")] = 20,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="The score to reach: 1 is the name itself.")] = 0.5,
) -> None:
    """Find records by name, synonym, key or description; typos, case and the order of words are forgiven."""
    searching.search(ctx.obj, text, registry=registry, fields=field or [], limit=limit, min_score=min_score)


@_app.command(epilog=EVERYWHERE)
def sql(
    ctx: typer.Context,
    query: Annotated[
        str | None,
        typer.Argument(help="One SELECT; - reads it from standard input. Without it, a shell for many."),
    ] = None,
    *,
    at: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="A commit's number, a time (UTC) such as 2026-01-31, or a tag.")
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            help="Default: table. csv holds the data as it is: cells that begin with = + - @ are not altered."
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="V",
            help="A value for the next ? of the query, or NAME=V for $NAME; repeatable. "
            "Numbers, true, false and null are taken as such, all else as text; quote it as '\"7\"' to pass 7 as text.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The most rows; 0 for all. Default: 100 for a table, all for csv, json.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write FILE.duckdb or FILE.sql: views over published files, for plain DuckDB."
        ),
    ] = None,
) -> None:
    """Run a SELECT over records and contents.

    Tables: artifact, ulabel, ... (see `lakehouse info`), artifact_latest, artifact_annotated, search_cell_type('...'),
    and content."KEY", obs."KEY" and var."KEY" for what artifacts hold.
    """
    if export is not None:
        if query is not None or at is not None:
            raise typer.BadParameter("--export writes all views of the newest state: give no query and no --at")
        querying.export(ctx.obj, export)
        return
    querying.sql(ctx.obj, query, at=at, format=format, params=param or [], limit=limit)
