"""``ls`` and ``describe``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from lakehouse.cli.screen import Screen
from lakehouse.cli.session import opened
from lakehouse.cli.text import visible
from lakehouse.errors import MultipleFound, RecordNotFound, did_you_mean, shown
from registries.artifact import Artifact
from registries.binding import REGISTRIES
from registries.dataset import Dataset
from registries.describe import Described
from registries.instance import Instance
from registries.links import label_registries
from registries.query import Query
from registries.record import Record
from registries.retrieve import near_misses

__all__ = ["artifact_called", "called", "describe", "ls", "named", "registry_called"]

_FEW = 50
_NAMES = ("key", "name", "handle", "root")
_QUIET = ("created_at", "created_by", "run")


def ls(
    screen: Screen,
    registry: str,
    *,
    limit: int | None,
    suffix: str | None,
    labels: Sequence[str],
    search: str | None,
    all_versions: bool,
) -> None:
    """List records, the newest first."""
    found = registry_called(registry)
    if found is not Artifact and (suffix is not None or labels or all_versions):
        raise typer.BadParameter(f"--suffix, --label and --all-versions go with artifacts, not with {registry}")
    most = (None if screen.options.json else _FEW) if limit is None else limit or None
    with opened(screen, read_only=True) as lake:
        query = _searched(Query.of(lake.bound(found), lake), search)
        if found is Artifact:
            query = _narrowed(lake, query, suffix, labels, all_versions=all_versions)
        ordered = query.order_by("-created_at", "-uid")
        rows: list[dict[str, Any]] = (ordered if most is None else ordered.limit(most)).arrow().to_pylist()
        if found is Artifact:
            _add_labels(lake, rows)
        if screen.options.json:
            screen.document(rows)
            return
        total = query.count() if len(rows) == most else len(rows)
        _show(screen, lake, found, rows)
    _say_how_many(screen, found, len(rows), total)


def registry_called(name: str) -> type[Record]:
    """Return the registry with a name, of the class or the table."""
    wanted = name.lower()
    for table, registry in REGISTRIES.items():
        if wanted in (table, registry.__name__.lower()):
            return registry
    raise typer.BadParameter(
        f"no registry is called {shown(name)}{did_you_mean(wanted, REGISTRIES)}", param_hint="--registry"
    )


def _searched(query: Query[Any], search: str | None) -> Query[Any]:
    if search is None:
        return query
    meta = query.registry.meta
    field = next((name for name in _NAMES if name in meta.columns), None)
    if field is None:
        raise typer.BadParameter(f"a {meta.table} has no name to search in", param_hint="--search")
    return query.filter(**{f"{field}__icontains": search})


def _narrowed(
    lake: Instance, query: Query[Any], suffix: str | None, labels: Sequence[str], *, all_versions: bool
) -> Query[Any]:
    if suffix is not None:
        query = query.filter(suffix=suffix if suffix.startswith(".") or not suffix else f".{suffix}")
    for label in labels:
        query = query.filter(ulabels=lake.ULabel.get(name=label))
    return query if all_versions else query.filter(is_latest=True)


def _add_labels(lake: Instance, rows: list[dict[str, Any]]) -> None:
    """Add the names of the labels of all registries."""
    columns = [registry.meta.carried for registry in label_registries()]
    query = lake.Artifact.filter(uid__in=[row["uid"] for row in rows]).with_trash if rows else None
    carried = {row["uid"]: row for row in query.arrow(include=columns).to_pylist()} if query is not None else {}
    for row in rows:
        mine = carried[row["uid"]]
        row["labels"] = sorted(name for column in columns for name in mine[column] or ())


def _show(screen: Screen, lake: Instance, registry: type[Record], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    handles = {user.uid: user.handle for user in lake.User.filter().all()}
    for row in rows:
        row["by"] = handles.get(row.get("created_by") or "")
    if registry is Artifact:
        right: tuple[str, ...] = ("version", "rows", "bytes")
        cells = [
            (
                row["key"] or "",
                row["version"],
                row["kind"],
                row["n_rows"],
                row["size"],
                ", ".join(row["labels"]),
                row["created_at"],
                row["by"],
                row["uid"],
            )
            for row in rows
        ]
        columns = ("key", "version", "kind", "rows", "bytes", "labels", "created (UTC)", "by", "uid")
        screen.table(columns, cells, right=right, spare=("by", "created (UTC)", "version", "kind", "labels"))
        return
    named = sorted((n for n in registry.meta.columns if n not in (*_QUIET, "uid")), key=lambda n: n not in _NAMES)
    screen.table(
        (*named, "created (UTC)", "by", "uid"),
        [(*(row[name] for name in named), row.get("created_at"), row["by"], row["uid"]) for row in rows],
        spare=("by", "created (UTC)"),
    )


def _say_how_many(screen: Screen, registry: type[Record], shown_rows: int, total: int) -> None:
    name = registry.meta.table
    if not total:
        next_step = "`lakehouse save FILE` makes one" if registry is Artifact else "nothing has made one yet"
        screen.note(f"no {name} is recorded, or none meets what was asked for: {next_step}")
    elif shown_rows < total:
        screen.note(f"{shown_rows:,} of {total:,} are shown: --limit 0 lists all.")


def describe(screen: Screen, name: str) -> None:
    """Show what is recorded of an artifact or a dataset, and what it holds."""
    with opened(screen, read_only=True) as lake:
        description: Described = called(lake, name).describe()
    if screen.options.json:
        screen.document(description.as_dict())
        return
    # Line by line: a name inside that holds a line end must not look like a line of the tree.
    screen.write(f"{description.tree(visible)}\n")


def called(lake: Instance, name: str) -> Artifact | Dataset:
    """Return the artifact or the dataset of a key, name or uid; a whole name goes before the beginning of a uid."""
    found = named(lake.Artifact.filter(is_latest=True), lake.Dataset.filter(is_latest=True), name)
    if found is not None:
        return found
    try:
        return artifact_called(lake, name)
    except RecordNotFound as error:
        missing = error
    try:
        return lake.Dataset.get(name)
    except RecordNotFound:
        raise missing from None


def named(artifacts: Query[Artifact], datasets: Query[Dataset], name: str) -> Artifact | Dataset | None:
    """Return what has a key or a name, of some artifacts and datasets."""
    artifact, dataset = artifacts.filter(key=name).first(), datasets.filter(name=name).first()
    if artifact is not None and dataset is not None:
        raise MultipleFound(
            f"{shown(name)} is the key of artifact {artifact.uid}, and the name of dataset {dataset.uid}: give a uid"
        )
    return artifact or dataset


def artifact_called(lake: Instance, name: str) -> Artifact:
    """Return the artifact with a key, a uid, or the beginning of a uid."""
    try:
        return lake.Artifact.get(key=name)
    except RecordNotFound:
        pass  # it may be a uid
    try:
        return lake.Artifact.get(name)
    except RecordNotFound:
        near = near_misses(lake.snapshot(), lake.Artifact, "key", [name])
        near = near if "did you mean" in near else ";"
        raise RecordNotFound(
            f"no artifact has the key or uid {shown(name)}{near} `lakehouse ls --search TEXT` looks for keys"
        ) from None
