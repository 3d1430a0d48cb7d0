"""The commands and their options; what they do is loaded when one of them runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse import config
from lakehouse.cli import provenance, registering, sourcing, storing
from lakehouse.cli.later import EVERYWHERE, Later
from lakehouse.cli.screen import LogLines, Options, Screen

if TYPE_CHECKING:
    from lakehouse.cli import granting, instances, listing, maintenance, saving, timeline, trashing

else:
    granting = Later("lakehouse.cli.granting")
    instances = Later("lakehouse.cli.instances")
    listing = Later("lakehouse.cli.listing")
    maintenance = Later("lakehouse.cli.maintenance")
    saving = Later("lakehouse.cli.saving")
    timeline = Later("lakehouse.cli.timeline")
    trashing = Later("lakehouse.cli.trashing")

__all__ = ["app"]

app = typer.Typer(
    name="lakehouse",
    help="Findable, traceable and validated data: registries, files and SQL over both, in a folder.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 conflict or busy, 130 interrupted.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
)


def _show_version(asked: bool) -> None:  # noqa: FBT001  the parser calls it
    if asked:
        Screen(Options()).line(f"lakehouse {import_module('lakehouse').__version__}")
        raise typer.Exit


@app.callback()
def _everywhere(
    ctx: typer.Context,
    *,
    instance: Annotated[
        str | None,
        typer.Option(
            metavar="ROOT",
            help="The instance's folder. Default: LAKEHOUSE_INSTANCE, the nearest pointer file .lakehouse, "
            "or the nearest instance above the working folder.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Write one JSON document to standard output, errors as JSON to the other.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell more, with tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    options = Options(instance=instance, json=json, verbose=verbose)
    ctx.obj = Screen(options)
    ctx.call_on_close(_log_shown(options))


def _log_shown(options: Options) -> Callable[[], None]:
    """Show the library's log from now on; what is returned ends that, for callers that go on in this process."""
    logger, lines = logging.getLogger("lakehouse"), LogLines(options)
    before = logger.level
    logger.setLevel("INFO" if options.verbose else config.resolve().log_level)
    logger.addHandler(lines)

    def end() -> None:
        logger.removeHandler(lines)
        logger.setLevel(before)

    return end


@app.command(epilog=EVERYWHERE)
def init(
    ctx: typer.Context,
    root: Annotated[
        str | None, typer.Argument(metavar="[ROOT]", help="The folder; made when absent. Default: the working folder.")
    ] = None,
    *,
    catalog: Annotated[
        str | None,
        typer.Option(metavar="FILE|URL", help="A SQLite file, or a postgresql:// URL. Default: a file in the folder."),
    ] = None,
) -> None:
    """Make an instance in a folder.

    A pointer file, .lakehouse, is left in the working folder, so that commands and lh.connect() there find it.
    """
    instances.init(ctx.obj, root, catalog=catalog)


@app.command(epilog=EVERYWHERE)
def connect(ctx: typer.Context, root: Annotated[str, typer.Argument(help="The instance's folder.")]) -> None:
    """Let commands in this folder find an instance.

    A pointer file, .lakehouse, is left in the working folder, so that commands and lh.connect() there find it.
    """
    instances.connect(ctx.obj, root)


@app.command(epilog=EVERYWHERE)
def info(ctx: typer.Context) -> None:
    """Show what the instance is and holds."""
    instances.info(ctx.obj)


@app.command(epilog=EVERYWHERE)
def save(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or with --recursive folders.")],
    *,
    key: Annotated[
        str | None,
        typer.Option(
            help="The name that the file is found by; for several files or a folder, or where it ends in a slash, "
            "what the names begin with. Default: the file's name, or FOLDER/PATH for the files of a folder.",
        ),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it is.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A label to attach; repeatable.")] = None,
    create_labels: Annotated[bool, typer.Option("--create-labels", help="Make labels that are not known.")] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Save the files of folders, too; hidden ones are skipped.")
    ] = False,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="Overrides the format; blob keeps bytes without reading them.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="ROOT", help="Where the bytes are to lie. Default: what `storage default` says."),
    ] = None,
) -> None:
    """Save files as artifacts, with their labels.

    All are saved in one commit, or none. A new content under a known key becomes its next version; what is there already stays as it is.
    """
    saving.save(
        ctx.obj,
        paths,
        key=key,
        description=description,
        labels=label or [],
        create_labels=create_labels,
        recursive=recursive,
        format=format,
        storage=storage,
    )


@app.command(epilog=EVERYWHERE)
def load(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="The artifact's key; its newest version is meant.")],
    *,
    to: Annotated[Path | None, typer.Option(metavar="PATH", help="Copy it there: a new file or folder.")] = None,
) -> None:
    """Bring an artifact near, and tell where it lies: in the storage itself, or in a copy of what is remote."""
    saving.load(ctx.obj, key, to)


@app.command(epilog=EVERYWHERE)
def ls(
    ctx: typer.Context,
    *,
    registry: Annotated[str, typer.Option(metavar="NAME", help="artifact, ulabel, feature, run, ...")] = "artifact",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="The most rows; 0 for all. Default: 50, and all of them with --json."),
    ] = None,
    suffix: Annotated[str | None, typer.Option(metavar=".csv", help="Artifacts with this suffix.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Artifacts with this label; repeat it to ask for several.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the key or name contains, in any case.")
    ] = None,
    all_versions: Annotated[bool, typer.Option("--all-versions", help="Older versions of artifacts, too.")] = False,
) -> None:
    """List records, the newest first."""
    listing.ls(
        ctx.obj, registry, limit=limit, suffix=suffix, labels=label or [], search=search, all_versions=all_versions
    )


@app.command(epilog=EVERYWHERE)
def describe(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A key, a dataset's name, a uid, or the beginning of a uid."),
    ],
) -> None:
    """Show what an artifact or a dataset is and holds."""
    listing.describe(ctx.obj, name)


@app.command(epilog=EVERYWHERE)
def snapshots(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The most commits; 0 for all. Default: 20, and all of them with --json.")
    ] = None,
) -> None:
    """List the commits, the newest first, with their tags.

    `lakehouse sql --at COMMIT` queries the instance as it was then.
    """
    timeline.snapshots(ctx.obj, limit=limit)


_POINT = "A commit's number, a time (UTC) or a tag"


@app.command(epilog=EVERYWHERE)
def tag(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name; one that reads neither as a number nor as a time.")],
    *,
    at: Annotated[str | None, typer.Option(metavar="COMMIT", help=f"{_POINT}. Default: the newest commit.")] = None,
    message: Annotated[str, typer.Option(help="Kept with the tag.")] = "",
    move: Annotated[bool, typer.Option("--move", help="Take the name from the commit that has it.")] = False,
) -> None:
    """Name a commit, so that it stays readable for ever."""
    timeline.tag(ctx.obj, name, at=at, message=message, move=move)


@app.command(epilog=EVERYWHERE)
def tags(ctx: typer.Context) -> None:
    """List the tags, by commit."""
    timeline.tags(ctx.obj)


@app.command(epilog=EVERYWHERE)
def untag(ctx: typer.Context, name: Annotated[str, typer.Argument(help="The tag.")]) -> None:
    """Drop a tag: its commit is retained as long as any other of its age."""
    timeline.untag(ctx.obj, name)


@app.command(epilog=EVERYWHERE)
def changes(
    ctx: typer.Context,
    *,
    table: Annotated[str | None, typer.Option(metavar="NAME", help="artifact, ulabel, ...; all, if left out.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="COMMIT", help=f"{_POINT}; what came after it. Default: all that is retained.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="COMMIT", help=f"{_POINT}; the last to show. Default: the newest commit.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The most rows; 0 for all. Default: 20, and all of them with --json.")
    ] = None,
) -> None:
    """List the rows that were changed, the newest first, with their values before and after."""
    timeline.changes(ctx.obj, table=table, since=since, until=until, limit=limit)


@app.command(epilog=EVERYWHERE)
def revert(
    ctx: typer.Context,
    commit: Annotated[str, typer.Argument(metavar="COMMIT", help=f"{_POINT}.")],
    *,
    message: Annotated[str, typer.Option(help="Kept with the new commit.")] = "",
) -> None:
    """Undo a commit by another; refused where something later depends on it."""
    timeline.revert(ctx.obj, commit, message=message)


@app.command(epilog=EVERYWHERE)
def flush(ctx: typer.Context) -> None:
    """Publish all commits to the Delta tables."""
    instances.flush(ctx.obj)


@app.command(epilog=EVERYWHERE)
def compact(ctx: typer.Context) -> None:
    """Rewrite small and overlapping data files of tables.

    Rows stay as they are, and others go on saving.
    """
    maintenance.compact(ctx.obj)


@app.command(epilog=EVERYWHERE)
def vacuum(
    ctx: typer.Context,
    *,
    retention: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long commits stay readable: 30m, 12h, 7d, 2w or 0. Default: 7d."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete old commits, and files that nothing needs.

    Files of tables and stored objects go once no commit that can still be read refers to them; what is being saved
    at the moment, pinned and tagged commits stay.
    """
    maintenance.vacuum(ctx.obj, retention=retention, dry_run=dry_run)


@app.command(epilog=EVERYWHERE)
def check(
    ctx: typer.Context,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file and compare contents, not only sizes.")] = False,
) -> None:
    """Find what is missing, damaged or contradicts itself.

    Nothing is changed, and nobody needs to stop. The exit code is 1 when anything is harmed.
    """
    maintenance.check(ctx.obj, deep=deep)


@app.command(epilog=EVERYWHERE)
def grant(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="A role of the catalog's database.")],
    *,
    read: Annotated[bool, typer.Option("--read", help="Read every commit.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Save and publish as well.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="Change tables and vacuum as well.")] = False,
    none: Annotated[bool, typer.Option("--none", help="Nothing any more.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Make the role if there is none, without a login.")] = False,
) -> None:
    """Set what a role may do with a catalog in Postgres.

    The server holds it up, whatever program asks. Only the role that made the instance, or a superuser, may grant.
    """
    rights = {"read": read, "write": write, "admin": admin, "none": none}
    granting.grant(ctx.obj, role, rights=rights, create=create)


@app.command(epilog=EVERYWHERE)
def backup(ctx: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")]) -> None:
    """Copy the catalog to a file, while others go on saving."""
    maintenance.backup(ctx.obj, file)


@app.command(epilog=EVERYWHERE)
def delete(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A key, or a dataset's name (the newest version), or a uid.")
    ],
    *,
    permanent: Annotated[bool, typer.Option("--permanent", help="For good, with labels and values; no trash.")] = False,
) -> None:
    """Move an artifact or a dataset to the trash."""
    trashing.delete(ctx.obj, name, permanent=permanent)


@app.command(epilog=EVERYWHERE)
def restore(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A key, name or uid in the trash.")] = None,
    *,
    backup: Annotated[Path | None, typer.Option(metavar="FILE", help="What `lakehouse backup` made.")] = None,
    discard_newer: Annotated[
        bool,
        typer.Option(
            "--discard-newer", help="Give up commits that the backup lacks; without it such a backup is refused."
        ),
    ] = False,
) -> None:
    """Take an artifact or a dataset out of the trash, or put a backup into the catalog's place.

    Nobody may have the instance open while a backup is restored.
    """
    if (name is None) == (backup is None):
        raise typer.BadParameter("name an artifact or a dataset in the trash, or --backup FILE")
    if name is not None:
        trashing.restore(ctx.obj, name)
    elif backup is not None:
        maintenance.restore(ctx.obj, backup, discard_newer=discard_newer)


@app.command(epilog=EVERYWHERE)
def rebuild(
    ctx: typer.Context,
    *,
    catalog: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where it goes, if lake.json is lost too. Default: the folder.")
    ] = None,
) -> None:
    """Make a lost catalog anew from what was published.

    What was committed after the last publication is lost: the command says from which commit on.
    """
    maintenance.rebuild(ctx.obj, catalog=catalog)


app.add_typer(storing.storage, name="storage")
app.add_typer(storing.cache, name="cache")
app.add_typer(registering.registry, name="registry")
app.add_typer(registering.migrate, name="migrate")
app.add_typer(registering.imports, name="import")
app.add_typer(sourcing.source, name="source")
provenance.add_to(app)
