"""Link tables."""

from __future__ import annotations

from lakehouse.ids import derived_uid
from registries.column import Reference, reference
from registries.record import Record

__all__ = ["ArtifactULabel", "link_uid"]


class ArtifactULabel(Record):
    """That an artifact carries a label, and under which feature."""

    artifact: Reference[str] = reference("artifact", doc="The artifact.")
    ulabel: Reference[str] = reference("ulabel", doc="The label.")
    feature: Reference[str | None] = reference("feature", doc="The feature that the label is a value of.", default=None)


def link_uid(artifact: str, ulabel: str, feature: str | None) -> str:
    """Return the uid of a link: computed, so that the same link made twice is one row.

    Examples
    --------
    >>> link_uid("a", "b", None) == link_uid("a", "b", None) != link_uid("a", "b", "c")
    True
    """
    return derived_uid("artifact_ulabel", artifact, ulabel, feature or "")
