"""The commands on registries of users' own and on migrations, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.later import EVERYWHERE, Later

if TYPE_CHECKING:
    from lakehouse.cli import registries
else:
    registries = Later("lakehouse.cli.registries")

__all__ = ["imports", "migrate", "registry"]

registry = typer.Typer(help="Registries of your own, beside the built-in ones.", no_args_is_help=True)
migrate = typer.Typer(
    help="Bring an instance up to date with this version, and with your registries.", no_args_is_help=True
)

imports = typer.Typer(help="Move in from another tool.", no_args_is_help=True)

_CLASSES = "mymodule:Class, of a module in the working folder or installed; or the name of a plug-in"
_LOSS = "Let values go that the new columns cannot hold; --at still shows them."


@registry.command("list", epilog=EVERYWHERE)
def registry_list(ctx: typer.Context) -> None:
    """List the registries with how many records they have, and where those of your own came from."""
    registries.list_all(ctx.obj)


@registry.command("show", epilog=EVERYWHERE)
def registry_show(ctx: typer.Context, name: Annotated[str, typer.Argument(help="sample, CellType, ...")]) -> None:
    """Show the columns of a registry."""
    registries.show(ctx.obj, name)


@registry.command("add", epilog=EVERYWHERE)
def registry_add(
    ctx: typer.Context,
    classes: Annotated[list[str], typer.Argument(metavar="CLASS...", help=_CLASSES)],
    *,
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help=_LOSS)] = False,
) -> None:
    """Add registries that classes declare, or bring them up to date with their classes."""
    registries.add(ctx.obj, classes, allow_loss=allow_loss)


@registry.command("create", epilog=EVERYWHERE)
def registry_create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the registry is called, such as sample.")],
    *,
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="A csv or tsv file with a header.")],
    key: Annotated[str, typer.Option(metavar="COLUMN", help="The column that tells records apart.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be decided.")] = False,
) -> None:
    """Make a registry of a sample sheet, or bring one up to date by key.

    Types and references come from the values; what was decided is shown, and nothing is asked.
    """
    registries.create(ctx.obj, name, source, key=key, dry_run=dry_run)


@migrate.command("plan", epilog=EVERYWHERE)
def migrate_plan(
    ctx: typer.Context,
    classes: Annotated[list[str] | None, typer.Argument(metavar="[CLASS]...", help=_CLASSES)] = None,
) -> None:
    """Show what a migration would do; nothing is changed."""
    registries.plan(ctx.obj, classes or [])


@migrate.command("apply", epilog=EVERYWHERE)
def migrate_apply(
    ctx: typer.Context,
    classes: Annotated[list[str] | None, typer.Argument(metavar="[CLASS]...", help=_CLASSES)] = None,
    *,
    allow_loss: Annotated[bool, typer.Option("--allow-loss", help=_LOSS)] = False,
) -> None:
    """Migrate, in one commit: added columns by metadata alone, all else by writing rows anew."""
    registries.apply(ctx.obj, classes or [], allow_loss=allow_loss)


@migrate.command("check", epilog=EVERYWHERE)
def migrate_check(
    ctx: typer.Context,
    classes: Annotated[list[str] | None, typer.Argument(metavar="[CLASS]...", help=_CLASSES)] = None,
) -> None:
    """Verify that nothing is left to migrate and that rows meet what is declared; exit code 1 otherwise."""
    registries.check(ctx.obj, classes or [])


@migrate.command("list", epilog=EVERYWHERE)
def migrate_list(ctx: typer.Context) -> None:
    """List the changes of tables that the instance has recorded, the newest first."""
    registries.history(ctx.obj)


@imports.command("lamindb", epilog=EVERYWHERE)
def import_lamindb(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="The SQLite file of the instance: storage/.lamindb/lamin.db.")],
) -> None:
    """Move in what a LaminDB instance holds; artifacts stay where they lie, and its database is only read.

    Records that are here already stay as they are: it can be run again.
    """
    registries.import_lamindb(ctx.obj, path)
