"""The commands ``validate`` and ``schema`` and their options."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.app import app as _app

if TYPE_CHECKING:
    from lakehouse.cli import validating

else:

    class _Later:
        """A module that is imported at its first use: `lakehouse --help` needs neither DuckDB nor Arrow."""

        def __getattr__(self, attribute: str) -> object:
            return getattr(import_module("lakehouse.cli.validating"), attribute)

    validating = _Later()

__all__ = ["app", "validate"]

app = _app
"""The application, with these commands in it."""

_EVERYWHERE = "--instance ROOT, --json and --verbose may stand here, too: see `lakehouse --help`."


@_app.command(epilog=_EVERYWHERE)
def validate(
    ctx: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files, or folders of files.")] = None,
    *,
    schema: Annotated[
        str | None, typer.Option(metavar="NAME", help="A saved schema; `cellxgene` is known without being saved.")
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Save files that conform, in one commit.")] = False,
    on_invalid: Annotated[
        str,
        typer.Option(
            metavar="refuse|quarantine|register",
            help="What becomes of files that do not conform: nothing is saved at all, they are moved to --quarantine, "
            "or saved as invalid.",
        ),
    ] = "refuse",
    quarantine: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where such files are moved to.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Validate saved artifacts again: list those that no longer conform.")
    ] = False,
) -> None:
    """Validate files by a schema: exit code 1 where any does not conform."""
    if stale:
        validating.list_stale(ctx.obj, schema=schema)
        return
    validating.validate(ctx.obj, paths or [], schema=schema, save=save, on_invalid=on_invalid, quarantine=quarantine)


_schema = typer.Typer(help="Schemas: what data have to be.", no_args_is_help=True)
_app.add_typer(_schema, name="schema")


@_schema.command("list", epilog=_EVERYWHERE)
def schema_list(ctx: typer.Context) -> None:
    """List the schemas with their versions."""
    validating.list_schemas(ctx.obj)


@_schema.command("show", epilog=_EVERYWHERE)
def schema_show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Show the newest version of a schema as YAML, or with --json as JSON."""
    validating.show_schema(ctx.obj, name)


@_schema.command("add", epilog=_EVERYWHERE)
def schema_add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML, JSON or JSON Schema; or a table to infer a schema from.")],
    *,
    name: Annotated[str | None, typer.Option(help="Default: the name in the file.")] = None,
) -> None:
    """Save a schema from a file; another content under a known name is its next version."""
    validating.add_schema(ctx.obj, file, name=name)
