"""The commands ``run``, ``runs`` and ``lineage`` with their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lakehouse.cli.later import EVERYWHERE, Later

if TYPE_CHECKING:
    from lakehouse.cli import lineage as asking
    from lakehouse.cli import programs, runs
else:
    asking = Later("lakehouse.cli.lineage")
    programs = Later("lakehouse.cli.programs")
    runs = Later("lakehouse.cli.runs")

__all__ = ["add_to"]

_PARAM = "NAME=VALUE; numbers, true, false, null and JSON are taken as such, all else as text; repeatable."
_NAME = "A key, a uid, or the name of a script or notebook."
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


class _ShowFirst(TyperGroup):
    """A group that shows what is named where that is no command of it: `lakehouse lineage KEY`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what is no command for the arguments of `show`."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


lineage_app = typer.Typer(
    cls=_ShowFirst,
    help="Where data comes from and where it went: `lakehouse lineage KEY` shows it.",
    no_args_is_help=True,
)
runs_app = typer.Typer(help="List the runs, the newest first; begin and end those of other programs.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(
        "run",
        epilog="Options of this command come before the script, those after it are the script's. " + EVERYWHERE,
        context_settings=_PASSED_ON,
    )(_run)
    app.add_typer(runs_app, name="runs")
    app.add_typer(lineage_app, name="lineage")


def _run(
    ctx: typer.Context,
    script: Annotated[str | None, typer.Argument(help="A Python script or a notebook.")] = None,
    *,
    module: Annotated[
        str | None, typer.Option("-m", metavar="MODULE", help="A module instead, as of `python -m`.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="What it is called. Default: the path of its file.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_PARAM)] = None,
    log: Annotated[bool, typer.Option("--log", help="Keep what it writes to the screen.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="A file to keep as its report.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a notebook: where to write it with its outputs.")
    ] = None,
) -> None:
    """Run a script or notebook, tracked, without touching its code.

    What it loads and saves through the same instance belongs to its run. The exit code is the script's.
    """
    rest = list(ctx.args)
    if module is not None and script is not None:
        rest.insert(0, script)
    if module is None and script is None:
        raise typer.BadParameter("name a script or notebook, or -m MODULE")
    code = programs.run(
        ctx.obj,
        Path(script) if module is None and script is not None else None,
        rest,
        module=module,
        key=key,
        params=param or [],
        log=log,
        report=report,
        output=output,
    )
    raise typer.Exit(code)


@runs_app.callback(invoke_without_command=True, epilog=EVERYWHERE)
def _runs(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int | None, typer.Option(min=0, help="The most runs; 0 for all. Default: 20, and all of them with --json.")
    ] = None,
    transform: Annotated[str | None, typer.Option(metavar="NAME", help="Of this script or notebook.")] = None,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="finished, failed, aborted or running.")] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Runs that are parts of others, such as steps, too.")] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        runs.list_all(ctx.obj, limit=limit, transform=transform, status=status, parts=parts)


@runs_app.command("show", epilog=EVERYWHERE)
def runs_show(ctx: typer.Context, uid: Annotated[str, typer.Argument(help="A uid, or its beginning.")]) -> None:
    """Show a run with its parameters, inputs and outputs."""
    runs.show(ctx.obj, uid)


@runs_app.command("start", epilog=EVERYWHERE)
def runs_start(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What runs, such as a process of Nextflow or a rule of Snakemake.")],
    *,
    kind: Annotated[str, typer.Option(help="script, notebook, pipeline or function.")] = "pipeline",
    version: Annotated[str | None, typer.Option(help="Its version.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=_PARAM)] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its source, which decides about the version.")
    ] = None,
) -> None:
    """Begin the run of another program, and write its uid to standard output.

    With that in LAKEHOUSE_RUN, `lakehouse load` records inputs, `lakehouse save` outputs, and other runs that begin
    become its parts.
    """
    runs.start(ctx.obj, name, kind=kind, version=version, params=param or [], source=source)


@runs_app.command("finish", epilog=EVERYWHERE)
def runs_finish(
    ctx: typer.Context,
    uid: Annotated[str, typer.Argument(help="What `runs start` wrote.")],
    *,
    outcome: Annotated[str, typer.Option(help="finished, failed or aborted.")] = "finished",
    error: Annotated[str | None, typer.Option(help="What it failed by.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="A file to keep as its report.")] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="A file to keep as its log.")] = None,
) -> None:
    """End a run that `runs start` began."""
    runs.finish(ctx.obj, uid, outcome=outcome, error=error, report=report, log=log)


@lineage_app.command("show", epilog=EVERYWHERE)
def lineage_show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help=_NAME)],
    *,
    upstream: Annotated[bool, typer.Option("--upstream", help="Only what it came from.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="Only where it went.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, help="How many steps; default: all.")] = None,
    format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="text, mermaid, dot, svg, html or json. Default: text.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, in the format of its suffix.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every node, also of large fan-outs.")] = False,
) -> None:
    """Show what an artifact, a run or a script came from and where it went."""
    direction = "upstream" if upstream and not downstream else "downstream" if downstream and not upstream else "both"
    asking.show(ctx.obj, name, direction=direction, depth=depth, format=format, output=output, every=every)


@lineage_app.command("recipe", epilog=EVERYWHERE)
def lineage_recipe(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help=_NAME)],
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Back to the very beginning.")] = False,
) -> None:
    """Say how an artifact is made again: code, parameters, inputs, environment."""
    asking.recipe(ctx.obj, name, deep=deep)


@lineage_app.command("diff", epilog=EVERYWHERE)
def lineage_diff(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help="An artifact.")],
    second: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help="Another one.")],
) -> None:
    """Tell the lineage of two artifacts apart: inputs, parameters, code and packages."""
    asking.diff(ctx.obj, first, second)


@lineage_app.command("withdrawal", epilog=EVERYWHERE)
def lineage_withdrawal(
    ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help="An artifact.")]
) -> None:
    """Say what would break if an artifact were withdrawn; nothing is done."""
    asking.withdrawal(ctx.obj, name)


@lineage_app.command("export", epilog=EVERYWHERE)
def lineage_export(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KEY_OR_UID", help=_NAME)],
    *,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: standard output.")] = None,
) -> None:
    """Write the runs that it came from as events of OpenLineage, one per line."""
    asking.export(ctx.obj, name, output=output)


@lineage_app.command("import", epilog=EVERYWHERE)
def lineage_import(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(help="Events of OpenLineage, as JSON or one per line.")]
) -> None:
    """Record the runs that events of OpenLineage tell of, in one commit."""
    asking.take_in(ctx.obj, file)
