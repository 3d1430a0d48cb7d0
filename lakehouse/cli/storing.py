"""The commands on storages and on copies of what lies in them, with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.later import EVERYWHERE, Later

if TYPE_CHECKING:
    from lakehouse.cli import storages
else:
    storages = Later("lakehouse.cli.storages")

__all__ = ["cache", "storage"]

storage = typer.Typer(help="Roots under which artifacts lie.", no_args_is_help=True)


@storage.command("list", epilog=EVERYWHERE)
def storage_list(ctx: typer.Context) -> None:
    """List the storages with how much they hold."""
    storages.list_all(ctx.obj)


@storage.command("add", epilog=EVERYWHERE)
def storage_add(
    ctx: typer.Context,
    root: Annotated[str, typer.Argument(help="A folder, or a URL such as s3://bucket/prefix.")],
    *,
    description: Annotated[str | None, typer.Option(help="What is kept there.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Let new artifacts go there.")] = False,
) -> None:
    """Register a storage: `save --storage ROOT` then stores there, and files in it are registered in place."""
    storages.add(ctx.obj, root, description=description, default=default)


@storage.command("default", epilog=EVERYWHERE)
def storage_default(
    ctx: typer.Context,
    root: Annotated[str | None, typer.Argument(metavar="ROOT", help="Root or uid of a storage.")] = None,
) -> None:
    """Choose the storage that new artifacts go to when they name none; without an argument, show it."""
    storages.choose(ctx.obj, root)


@storage.command("register", epilog=EVERYWHERE)
def storage_register(
    ctx: typer.Context,
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Root or uid of a storage.")],
    prefix: Annotated[str, typer.Argument(help="A folder below it; all of it, where none is given.")] = "",
) -> None:
    """Register every file of a storage where it lies, in one commit, without copying any."""
    storages.register(ctx.obj, root, prefix)


@storage.command("move", epilog=EVERYWHERE)
def storage_move(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The artifact's key; its newest version is moved.")],
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Root or uid of the storage.")],
) -> None:
    """Take an artifact's bytes to another storage; its key, labels and history stay."""
    storages.move(ctx.obj, key, root)


cache = typer.Typer(help="Local copies of what lies in remote storages.", no_args_is_help=True)


@cache.command("info", epilog=EVERYWHERE)
def cache_info(ctx: typer.Context) -> None:
    """Show where the copies lie, how much they take and how much they may."""
    storages.cache_info(ctx.obj)


@cache.command("clear", epilog=EVERYWHERE)
def cache_clear(ctx: typer.Context) -> None:
    """Delete the copies; they are fetched again when they are needed."""
    storages.cache_clear(ctx.obj)
