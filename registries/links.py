"""Link tables: which labels a record carries, and under which feature."""

from __future__ import annotations

from functools import partial
from types import new_class
from typing import Any

from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import Reference, reference
from registries.conditions import LEADING, SHARE
from registries.meta import Link, Meta
from registries.record import Record

__all__ = ["HOLDERS", "ArtifactULabel", "complete", "label_registries", "link_table", "link_uid"]

HOLDERS: dict[str, str] = {"artifact": "artifacts", "run": "runs", "transform": "transforms", "dataset": "datasets"}
"""Tables of what carries labels, and the name by which labels look them up."""
_FEATURE = "The feature that the label is a value of."


class ArtifactULabel(Record):
    """That an artifact carries a label, and under which feature."""

    artifact: Reference[str] = reference("artifact", doc="The artifact.")
    ulabel: Reference[str] = reference("ulabel", doc="The label.")
    feature: Reference[str | None] = reference("feature", doc=_FEATURE, default=None)


def link_uid(holder: str, label: str, feature: str | None, table: str = "artifact_ulabel") -> str:
    """Return the uid of a link: computed, so that the same link made twice is one row.

    It begins with the label's own, so that the links of a label lie together.

    Examples
    --------
    >>> link_uid("a", "b", None) == link_uid("a", "b", None) != link_uid("a", "b", "c")
    True
    """
    return label[SHARE].ljust(10, "0") + derived_uid(table, holder, label, feature or "")[:10]


def link_table(holder: str, label: str) -> str:
    """Return the name of the table that links two registries.

    Examples
    --------
    >>> link_table("artifact", "cell_type")
    'artifact_cell_type'
    """
    return f"{holder}_{label}"


def label_registries() -> list[type[Record]]:
    """Return the registries whose records may be carried as labels."""
    return [registry for registry in REGISTRIES.values() if registry.meta.carried]


def complete() -> None:
    """Declare the link tables of all registries that are declared by now, and the look-ups that cross them."""
    for holder, reverse in HOLDERS.items():
        for label in label_registries():
            _declare(REGISTRIES[holder], label, reverse)


def _declare(holder: type[Record], label: type[Record], reverse: str) -> None:
    near, far = holder.meta.link_column, label.meta.table
    table = link_table(holder.meta.table, far)
    if table not in REGISTRIES:
        made = new_class(
            f"{holder.__name__}{label.__name__}", (Record,), {"table": table}, partial(_body, holder.meta, far)
        )
        made.__module__ = __name__
    LEADING.add((table, far))
    holder.meta.links.setdefault(label.meta.carried, Link(table, near, far, far))
    label.meta.links.setdefault(reverse, Link(table, far, near, holder.meta.table))


def _body(holder: Meta, far: str, namespace: dict[str, Any]) -> None:
    near, article = holder.link_column, "an" if holder.table[0] in "aeiou" else "a"
    namespace.update(
        __doc__=f"That {article} {holder.table} carries a {far}, and under which feature.",
        __module__=__name__,
        __annotations__={near: Reference[str], far: Reference[str], "feature": Reference[str | None]},
        **{near: reference(holder.table, doc=f"The {holder.table}."), far: reference(far, doc=f"The {far}.")},
        feature=reference("feature", doc=_FEATURE, default=None),
    )
