"""The commands on public sources of terms, with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from lakehouse.cli.later import EVERYWHERE, Later

if TYPE_CHECKING:
    from lakehouse.cli import sources
else:
    sources = Later("lakehouse.cli.sources")

__all__ = ["source"]

source = typer.Typer(help="Public sources of terms, and those of your own.", no_args_is_help=True)

_Entity: TypeAlias = Annotated[str, typer.Argument(metavar="ENTITY", help="The registry: CellType, Gene, ...")]
_Name: TypeAlias = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="cl, ensembl, ...; default: the pinned or first one.")
]
_Version: TypeAlias = Annotated[str | None, typer.Option(help="Default: the pinned or newest one.")]
_Organism: TypeAlias = Annotated[str | None, typer.Option(metavar="NAME", help="human, mouse, ...")]
_Path: TypeAlias = Annotated[
    str | None, typer.Option("--path", metavar="FILE|URL", help="A file of your own, read as it is.")
]
_Format: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="obo, owl, obographs, gtf, ...; default: what the file begins with.")
]


@source.command("list", epilog=EVERYWHERE)
def source_list(
    ctx: typer.Context,
    entity: Annotated[str | None, typer.Argument(metavar="[ENTITY]", help="CellType, Gene, ...; default: all.")] = None,
    *,
    imported: Annotated[bool, typer.Option("--imported", help="Only those that entries are from.")] = False,
    here: Annotated[bool, typer.Option("--here", help="Only those that need no network.")] = False,
) -> None:
    """List the versions of sources: which are pinned, how many entries are from each, and which need no network."""
    sources.list_all(ctx.obj, entity, imported=imported, here=here)


@source.command("show", epilog=EVERYWHERE)
def source_show(
    ctx: typer.Context, entity: _Entity, *, source: _Name = None, version: _Version = None, organism: _Organism = None
) -> None:
    """Show what is known of a source; without options, of the one that would be imported."""
    sources.show(ctx.obj, entity, source=source, version=version, organism=organism)


@source.command("add", epilog=EVERYWHERE)
def source_add(
    ctx: typer.Context,
    entity: _Entity,
    name: Annotated[str, typer.Argument(help="A short name such as cl.")],
    version: Annotated[str, typer.Argument(help="As its publisher writes it.")],
    url: Annotated[str, typer.Argument(metavar="FILE|URL", help="A file, or a URL: https, s3, gs, ...")],
    *,
    organism: Annotated[str, typer.Option(metavar="NAME", help="human, mouse, ...")] = "all",
    format: _Format = None,
    prefix: Annotated[
        str | None, typer.Option(help="What ids of its own terms begin with; default: all count.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Its full name.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the terms.")] = None,
    checksum: Annotated[str | None, typer.Option(metavar="SHA256", help="A file with another one is refused.")] = None,
    pin: Annotated[bool, typer.Option("--pin", help="Let it be used where no version is named.")] = False,
) -> None:
    """Add a source of your own, or another version of one."""
    fields = {"organism": organism, "format": format, "prefix": prefix, "title": title, "licence": licence}
    sources.add(ctx.obj, entity, name, version, url, fields={**fields, "checksum": checksum}, pinned=pin)


@source.command("pin", epilog=EVERYWHERE)
def source_pin(
    ctx: typer.Context,
    entity: _Entity,
    version: Annotated[str, typer.Argument(help="One of those that `source list` shows.")],
    *,
    source: _Name = None,
    organism: _Organism = None,
) -> None:
    """Let a version be the one that is used where none is named; entries stay as they are."""
    sources.pin(ctx.obj, entity, source=source, version=version, organism=organism)


@source.command("download", epilog=EVERYWHERE)
def source_download(
    ctx: typer.Context, entity: _Entity, *, source: _Name = None, version: _Version = None, organism: _Organism = None
) -> None:
    """Bring the file of a source to this machine, checked, and tell where it lies; nothing is imported."""
    sources.download_file(ctx.obj, entity, source=source, version=version, organism=organism)


@source.command("import", epilog=EVERYWHERE)
def source_import(
    ctx: typer.Context,
    entity: _Entity,
    *,
    source: _Name = None,
    version: _Version = None,
    organism: _Organism = None,
    path: _Path = None,
    format: _Format = None,
    enrich: Annotated[
        bool, typer.Option("--enrich", help="Give entries that are there what the source knows and they lack.")
    ] = False,
) -> None:
    """Import a whole source, in one commit; entries that are there already stay as they are."""
    wanted = {"source": source, "version": version, "organism": organism, "path": path, "format": format}
    sources.import_whole(ctx.obj, entity, wanted, enrich=enrich)


@source.command("upgrade", epilog=EVERYWHERE)
def source_upgrade(
    ctx: typer.Context,
    entity: _Entity,
    *,
    source: _Name = None,
    version: Annotated[str | None, typer.Option(help="The one to go to; default: the newest that is known.")] = None,
    organism: _Organism = None,
    path: _Path = None,
    format: _Format = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it, in one commit; otherwise it is only shown.")] = False,
    move_labels: Annotated[
        bool, typer.Option("--move-labels", help="Let what carries a replaced entry carry the one in its stead.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="The most entries of each kind to show; 0 for all.")] = 10,
) -> None:
    """Show what another version of a source changes, with artifacts that carry obsolete entries; --apply does it."""
    if move_labels and not apply:
        raise typer.BadParameter("--move-labels goes with --apply")
    wanted = {"source": source, "version": version, "organism": organism, "path": path, "format": format}
    sources.upgrade(ctx.obj, entity, wanted, applied=apply, move_labels=move_labels, limit=limit)
