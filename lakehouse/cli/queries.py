"""The commands ``search`` and ``sql`` and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.later import EVERYWHERE, Later
from lakehouse.cli.schemas import app as _app

if TYPE_CHECKING:
    from lakehouse.cli import searching

else:
    searching = Later("lakehouse.cli.searching")

__all__ = ["app", "search"]

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
