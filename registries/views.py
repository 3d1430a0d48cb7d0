"""What ``lh.sql`` sees beside the registries: convenience views, and the content of artifacts.

``content."samples.csv"`` is the table in the latest version of the artifact with that key; ``obs."pbmc.h5ad"`` and
``var."pbmc.h5ad"`` are the axes of a single-cell array. ``obs."cite.h5mu/rna"`` is that of one modality, or measurement.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from formats.registry import by_name
from lakehouse.engine.scan import literal, quoted
from lakehouse.errors import InvalidQuery, shown
from registries.binding import REGISTRIES
from registries.links import label_registries, link_table
from registries.parsed import columns_in, parsed, tables_in
from registries.retrieve import live, near_misses, newest

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = ["CONTENT", "content_tables", "named_tables", "views"]

_VIEWS: Mapping[str, str] = {
    "artifact_all": "select * from _table_artifact",
    "artifact": "select * from _table_artifact where deleted_at is null",
    "artifact_latest": "select * from artifact where uid in (select max(uid) from artifact group by substr(uid, 1, 16))",
    "dataset_all": "select * from _table_dataset",
    "dataset": "select * from _table_dataset where deleted_at is null",
    "dataset_latest": "select * from dataset where uid in (select max(uid) from dataset group by substr(uid, 1, 16))",
    "dataset_artifact": (
        "select d.uid as dataset, d.name, d.version, m.artifact, m.position from dataset d "
        "join dataset_member m on m.dataset between d.base and d.uid"
    ),
    "artifact_feature": (
        "select a.key, f.name as feature, coalesce(v.text, v.whole::varchar, v.number::varchar, v.truth::varchar, "
        "v.day::varchar, v.moment::varchar, v.json, v.vector::varchar) as value, f.unit, f.dtype, v.position, "
        "a.uid as artifact from artifact_value v join artifact a on a.uid = v.artifact join feature f on f.uid = v.feature"
    ),
}

_ANNOTATED = {
    "artifact_annotated": (
        "select a.*, l.labels, l.label_names, f.features from artifact a "
        "left join (select artifact, map(list(registry), list(names)) as labels, "
        "list_sort(list_distinct(flatten(list(names)))) as label_names from (select artifact, registry, "
        "list(distinct label order by label) as names from artifact_label group by artifact, registry) "
        "group by artifact) l on l.artifact = a.uid "
        "left join (select artifact, map(list(feature), list(said)) as features from (select artifact, feature, "
        "string_agg(value, ', ' order by position, value) as said from (select artifact, feature, value, position "
        "from artifact_feature union all select artifact, feature, label, 0 from artifact_label "
        "where feature is not null) group by artifact, feature) group by artifact) f on f.artifact = a.uid"
    )
}
"""Artifacts with their labels by registry, the names of all these, and what features say of them, as text."""

_LABELS = {
    "artifact": "h.key, h.uid as artifact",
    "run": "h.uid as run, h.transform",
    "transform": "h.name, h.version, h.uid as transform",
    "dataset": "h.name, h.version, h.uid as dataset",
}
"""By table: what the view of its labels says of what carries them."""

CONTENT = {"content": "table", "obs": "obs_table", "var": "var_table"}
"""The schemas whose tables are contents of artifacts, and the method of a format that gives each."""


def views(snapshot: Snapshot, query: str) -> dict[str, str]:
    """Return the convenience views that a statement may mean, by name; one named like a table stands in its place."""
    text = query.lower()
    annotated = _ANNOTATED if "artifact_annotated" in text else {}
    text += " artifact_label" if annotated else ""
    labels = {f"{holder}_label": _label_view(holder, snapshot) for holder in _LABELS if f"{holder}_label" in text}
    return {**_VIEWS, **labels, **annotated}


def _label_view(holder: str, snapshot: Snapshot) -> str:
    """Return the labels of all registries that records of one carry, with where they are from and their feature."""
    near = quoted(REGISTRIES[holder].meta.link_column)
    tables = {registry.meta.table: registry.meta for registry in label_registries()}
    # DuckDB takes milliseconds to bind each; a transaction that is to be serialisable must read the empty ones too
    have = [t for t in tables if link_table(holder, t) in snapshot.tables]
    some = [t for t in have if snapshot.moves or not snapshot.state(link_table(holder, t)).is_empty] or ["ulabel"]
    carried = " union all ".join(
        f"select x.{near} as holder, x.feature, l.{quoted(tables[table].title)} as label, "
        f"{literal(table)} as registry, l.uid as label_uid "
        f"from {quoted(link_table(holder, table))} x join {quoted(table)} l on l.uid = x.{quoted(table)}"
        for table in some
    )
    return (
        f"select {_LABELS[holder]}, c.label, f.name as feature, c.registry, c.label_uid from ({carried}) c "
        f"join {quoted(holder)} h on h.uid = c.holder left join feature f on f.uid = c.feature"
    )


def named_tables(query: str) -> set[tuple[str, str]]:
    """Return the tables of the schemas content, obs and var that a statement names; the statement is not run.

    Examples
    --------
    >>> named_tables('select * from content."a.csv" join artifact on true')
    {('content', 'a.csv')}
    """
    return {(schema, name) for schema, name in tables_in(_tree(query)) if schema in CONTENT}


def _tree(query: str) -> Any:
    """Return the tree of a statement that may name contents; parsing takes a while, so others are passed over."""
    return parsed(query) if not query.isascii() or any(schema in query.lower() for schema in CONTENT) else None


@dataclass(frozen=True)
class NamedContent:
    """A content that a statement names: the artifact, and its rows as a lazy dataset or a table."""

    artifact: Artifact
    table: Any


def content_tables(home: Instance, snapshot: Snapshot, query: str) -> dict[tuple[str, str], NamedContent]:
    """Return the contents that a statement names, by schema and key.

    Raises
    ------
    InvalidQuery
        When no artifact has the key, or its content is no table.
    """
    tree = _tree(query)
    named = {(schema, name) for schema, name in tables_in(tree) if schema in CONTENT}
    columns = columns_in(tree) if named else None
    return {(schema, key): _content(home, snapshot, schema, key, columns) for schema, key in sorted(named)}


def _content(home: Instance, snapshot: Snapshot, schema: str, key: str, columns: frozenset[str] | None) -> NamedContent:
    row, part = _addressed(snapshot, unicodedata.normalize("NFC", key))
    if row is None:
        near = near_misses(snapshot, home.Artifact, "key", [key])
        raise InvalidQuery(f"{schema}.{shown(key)}: no artifact has that key{near}")
    artifact = home.Artifact.from_row(row, home)
    method = getattr(by_name(artifact.format), CONTENT[schema], None)
    if part is not None and (method is None or "part" not in signature(method).parameters):
        raise InvalidQuery(
            f"{schema}.{shown(key)}: no artifact has that key, and {artifact.key!r} has no parts with axes"
        )
    options: dict[str, Any] = {} if part is None else {"part": part}
    if method is not None and "columns" in signature(method).parameters:
        options["columns"] = columns  # of an axis, which is no dataset that is scanned piecewise
    found = method(artifact.path, **options) if method is not None else None
    if found is None and not (schema == "content" and artifact.kind == "dataframe"):  # which may be an empty file
        raise InvalidQuery(
            f"{schema}.{shown(key)}: {artifact.format} has no {schema} table; "
            'content."key" reads tables, obs."key" and var."key" read single-cell arrays'
        )
    if found is None or not found.schema.names:
        raise InvalidQuery(f"{schema}.{shown(key)}: the artifact has no columns, so there is nothing to query in it")
    return NamedContent(artifact, found)


def _addressed(snapshot: Snapshot, key: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return the row of an artifact, and the part of it that is meant: ``key`` or ``key/part``; a whole key goes first."""
    row = newest(live(snapshot.lookup("artifact", "key", [key])))
    above, slash, part = key.rpartition("/")
    if row is not None or not slash:
        return row, None
    return newest(live(snapshot.lookup("artifact", "key", [above]))), part
