"""Columns of related records beside the rows of a query: one value through references, a list through links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, UnknownField, did_you_mean, shown
from registries.binding import REGISTRIES, registry_of
from registries.dtypes import parse_dtype
from registries.kinds import column_of

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.meta import Link, Meta

__all__ = ["include_in"]


@dataclass
class _Path:
    """A chain of joins from the rows of a registry to one column."""

    joins: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    column: str = ""
    many: bool = False

    def kin(self, table: str, before: str, near: str, far: str) -> str:
        """Join parents or children out of the same table, and return its alias."""
        alias = f"t{len(self.joins) + 1}"
        pairs = f"(select uid, unnest(parent_uids) as parent from {quoted(table)})"
        self.joins.append(f"left join {pairs} {alias} on {alias}.{near} = {before}.uid")
        self.tables.add(table)
        return self.step(table, far, alias)

    def step(self, table: str, column: str, before: str, *, far: str = "uid") -> str:
        """Join a table, and return its alias."""
        alias = f"t{len(self.joins) + 1}"
        self.joins.append(f"left join {quoted(table)} {alias} on {alias}.{quoted(far)} = {before}.{quoted(column)}")
        self.tables.add(table)
        return alias


_KIN = {"parents": ("uid", "parent"), "children": ("parent", "uid")}
"""Relatives of records with parents: the column of a pair of child and parent that stands for the record, and theirs."""


def include_in(snapshot: Snapshot, meta: Meta, rows: pa.Table, include: str | Sequence[str]) -> pa.Table:
    """Return rows with related columns added.

    Raises
    ------
    UnknownField
        When a path is not known, with the near ones.
    """
    for path in [include] if isinstance(include, str) else include:
        if not isinstance(path, str):
            raise InputError(f"include={shown(path)}: paths such as 'created_by__handle' are accepted")
        if path in rows.column_names:
            continue
        if path == "features" and f"{meta.table}_value" in REGISTRIES:
            rows = _with_features(snapshot, meta, rows)
        else:
            rows = rows.append_column(path, _related(snapshot, meta, rows["uid"], path))
    return rows


def _related(snapshot: Snapshot, meta: Meta, uids: pa.ChunkedArray, text: str) -> pa.ChunkedArray:
    path = _walked(meta, text)
    value = f"list(distinct {path.column} order by {path.column})" if path.many else f"any_value({path.column})"
    keep = f" filter ({path.column} is not null)" if path.many else ""
    statement = (
        f"select t0.uid, {value}{keep} as v from {quoted(meta.table)} t0 {' '.join(path.joins)} "
        "where t0.uid in (select unnest(?::VARCHAR[])) group by t0.uid"
    )
    found = snapshot.arrow(statement, [uids.to_pylist()], sorted({meta.table, *path.tables}))
    return _in_order(uids, found)


def _in_order(uids: pa.ChunkedArray, found: pa.Table) -> pa.ChunkedArray:
    places = {uid: place for place, uid in enumerate(found["uid"].to_pylist())}
    return found["v"].take(pa.array([places.get(uid) for uid in uids.to_pylist()], pa.int64()))


def _walked(meta: Meta, text: str) -> _Path:
    path, here, alias = _Path(), meta, "t0"
    for part in text.split("__"):
        if path.column:
            raise UnknownField(f"{shown(text)}: nothing follows a column")
        if part in here.links:
            alias, path.many = _over(path, here.links[part], alias), True
            here = registry_of(here.links[part].target).meta
            continue
        if part in _KIN and "parent_uids" in here.columns:
            alias, path.many = path.kin(here.table, alias, *_KIN[part]), True
            continue
        declared = here.columns.get(part)
        if declared is None:
            choices = [*here.columns, *here.links, *(_KIN if "parent_uids" in here.columns else ())]
            raise UnknownField(f"{here.name} has no field {shown(part)}{did_you_mean(part, choices)}")
        if declared.references is not None:
            here = registry_of(declared.references).meta
            alias = path.step(here.table, part, alias)
        else:
            path.column = f"{alias}.{quoted(part)}"
    path.column = path.column or f"{alias}.{quoted(here.title)}"
    return path


def _over(path: _Path, link: Link, alias: str) -> str:
    if link.via is not None:
        alias, before = _near(path, link.via, alias), link.via.far
    else:
        before = "uid"
    alias = path.step(link.table, before, alias, far=link.near)
    return path.step(link.target, link.far, alias)


def _near(path: _Path, link: Link, alias: str) -> str:
    return path.step(link.table, "uid", alias, far=link.near)


def _with_features(snapshot: Snapshot, meta: Meta, rows: pa.Table) -> pa.Table:
    """Return rows with a column for each feature that has values, or labels, for one of them."""
    values: dict[str, dict[str, Any]] = {}
    for feature, uid, value in (*_plain(snapshot, meta, rows["uid"]), *_labels(snapshot, meta, rows["uid"])):
        values.setdefault(feature, {})[uid] = value
    for name in sorted(values):
        column = [values[name].get(uid) for uid in rows["uid"].to_pylist()]
        rows = rows.append_column(_free(name, rows.column_names), pa.array(column))
    return rows


def _free(name: str, taken: Sequence[str]) -> str:
    return f"features__{name}" if name in taken else name


def _plain(snapshot: Snapshot, meta: Meta, uids: pa.ChunkedArray) -> list[tuple[str, str, Any]]:
    table = f"{meta.table}_value"
    statement = (
        f"select f.name, f.dtype, v.* from {quoted(table)} v join feature f on f.uid = v.feature "
        f"where v.{quoted(meta.link_column)} in (select unnest(?::VARCHAR[])) order by v.position"
    )
    found: dict[tuple[str, str], Any] = {}
    for row in snapshot.arrow(statement, [uids.to_pylist()], [table, "feature"]).to_pylist():
        dtype, key = parse_dtype(row["dtype"]), (row["name"], row[meta.link_column])
        value = row[column_of(dtype)]
        found[key] = [*found.get(key, []), value] if dtype.many else value
    return [(name, uid, value) for (name, uid), value in found.items()]


def _labels(snapshot: Snapshot, meta: Meta, uids: pa.ChunkedArray) -> list[tuple[str, str, Any]]:
    found: dict[tuple[str, str], list[str]] = {}
    for table, registry in REGISTRIES.items():
        links = f"{meta.table}_{table}"
        if not registry.meta.carried or links not in REGISTRIES:
            continue
        title = quoted(registry.meta.title)
        statement = (
            f"select f.name, x.{quoted(meta.link_column)} as uid, l.{title} as label from {quoted(links)} x "
            f"join feature f on f.uid = x.feature join {quoted(table)} l on l.uid = x.{quoted(table)} "
            f"where x.{quoted(meta.link_column)} in (select unnest(?::VARCHAR[])) order by 3"
        )
        for row in snapshot.arrow(statement, [uids.to_pylist()], [links, "feature", table]).to_pylist():
            found.setdefault((row["name"], row["uid"]), []).append(row["label"])
    return [(name, uid, labels) for (name, uid), labels in found.items()]
