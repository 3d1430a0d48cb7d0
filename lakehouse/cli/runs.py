"""``runs``: listed, shown, and those of other programs begun and ended."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.errors import InputError, NotFound, did_you_mean, shown
from registries.instance import Instance
from registries.lineage.aborted import settle_killed
from registries.lineage.active import outside
from registries.lineage.parameters import Parameter, check_parameters, parameter
from registries.lineage.secrets import without_secrets
from registries.lineage.source import Source, of_path
from registries.lineage.versions import Wanted
from registries.names import check_name
from registries.transform import KINDS

__all__ = ["finish", "list_all", "parameters_of", "show", "start"]

_FEW = 20
_STATUSES = ("finished", "failed", "aborted", "running")


def parameters_of(given: Sequence[str]) -> Mapping[str, Parameter]:
    """Return the parameters that ``--param`` gives.

    Examples
    --------
    >>> parameters_of(["alpha=0.5"])["alpha"].kind
    'float'
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{shown(text)}: NAME=VALUE is accepted", param_hint="--param")
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            found[name] = value
    return {name: parameter(name, value) for name, value in check_parameters(found).items()}


def list_all(screen: Screen, *, limit: int | None, transform: str | None, status: str | None, parts: bool) -> None:
    """List runs, the newest first; what was killed on this machine shows as aborted."""
    if status is not None and status not in _STATUSES:
        raise typer.BadParameter(f"{status!r} is no status{did_you_mean(status, _STATUSES)}", param_hint="--status")
    most = (None if screen.options.json else _FEW) if limit is None else limit or None
    with opened(screen) as lake:
        settle_killed(lake)
        asked: dict[str, Any] = {} if parts else {"run__isnull": True}
        if transform is not None:
            asked["transform__name"] = transform
        if status is not None:
            asked |= {"outcome__isnull": True} if status == "running" else {"outcome": status}
        query = lake.Run.filter(**asked).order_by("-created_at", "-uid")
        found = (query if most is None else query.limit(most)).arrow(
            include=["transform__name", "transform__version", "created_by__handle"]
        )
        rows = found.to_pylist()
        total = query.count() if len(rows) == most else len(rows)
    if screen.options.json:
        screen.document(rows)
        return
    columns = ("transform", "version", "outcome", "started (UTC)", "seconds", "host", "by", "uid")
    screen.table(columns, [_cells(row) for row in rows], right=("seconds",), spare=("host", "by", "version"))
    if not total:
        screen.note("no run is recorded, or none meets what was asked for: `lakehouse run SCRIPT` makes one")
    elif len(rows) < total:
        screen.note(f"{len(rows):,} of {total:,} are shown: --limit 0 lists all.")


def _cells(row: Mapping[str, Any]) -> tuple[Any, ...]:
    began, ended = row["started_at"], row["finished_at"]
    seconds = f"{(ended - began).total_seconds():.2f}" if began is not None and ended is not None else None
    return (
        row["transform__name"],
        row["transform__version"],
        row["outcome"] or "running",
        began,
        seconds,
        row["host"],
        row["created_by__handle"],
        row["uid"],
    )


def show(screen: Screen, uid: str) -> None:
    """Show a run."""
    with opened(screen) as lake:
        settle_killed(lake)
        run = lake.Run.get(uid)
        transform = lake.Transform.get(run.transform)
        row = {name: value for name, value in run.to_row().items() if value is not None}
        row |= {"transform": f"{transform.name}, version {transform.version}", "outcome": run.status}
        params = run.params
        ends = {"inputs": run.inputs.all(), "outputs": run.outputs.all()}
    keys = {name: [artifact.key or artifact.uid for artifact in found] for name, found in ends.items()}
    if screen.options.json:
        screen.document(row | {"parameters": {k: _plain(v) for k, v in params.items()}} | keys)
        return
    lines = [(name, value) for name, value in row.items() if name != "error"]
    lines += [(f"parameter {name}", value) for name, value in params.items()]
    lines += [(name.removesuffix("s"), key) for name, found in keys.items() for key in found]
    screen.table(("what", "value"), lines)
    if run.error:
        screen.line(run.error)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)


def start(
    screen: Screen, name: str, *, kind: str, version: str | None, params: Sequence[str], source: Path | None
) -> None:
    """Begin the run of another program."""
    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind{did_you_mean(kind, KINDS)}", param_hint="--kind")
    if source is not None and not source.is_file():
        raise NotFound(f"{shown(str(source))}: there is no such file")
    kept = parameters_of(params)
    found = Source(kind, name, argued=False) if source is None else of_path(source, kind=kind)
    with opened(screen) as lake:
        wanted = Wanted(found, None, version, None, check_name(name, "name"))
        run = lake.tracking.start(wanted, parameters=kept, detached=True)
    if screen.options.json:
        screen.document(run.to_row())
        return
    screen.line(run.uid)


def finish(screen: Screen, uid: str, *, outcome: str, error: str | None, report: Path | None, log: Path | None) -> None:
    """End a run that was begun by :func:`start`."""
    outcomes = _STATUSES[:3]
    if outcome not in outcomes:
        raise typer.BadParameter(f"{outcome!r} is no outcome{did_you_mean(outcome, outcomes)}", param_hint="--outcome")
    with opened(screen) as lake:
        run = lake.Run.get(uid)
        if run.outcome is not None:
            raise InputError(f"run {run.uid} has ended already: it is {run.outcome}")
        run.finished_at = max(dt.datetime.now(dt.UTC), run.started_at or run.created_at)
        run.outcome, run.error = outcome, str(without_secrets(error)) if error else None
        with outside(), lake.transaction(f"end of run {run.uid}"):
            for name, file in (("report", report), ("log", log)):
                if file is not None:
                    setattr(run, name, lake.Artifact(file, format="blob", key=_key(lake, run, name, file)).save().uid)
            run.save()
        row = run.to_row()
    if screen.options.json:
        screen.document(row)
        return
    screen.line(f"run {row['uid']} is {outcome}")


def _key(lake: Instance, run: Any, name: str, file: Path) -> str:
    return f"{name}/{lake.Transform.get(run.transform).name}/{file.name}"
