"""What ``dataset.describe()`` returns: a value that reads well as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from registries.describe import (
    MOST,
    Described,
    labels_by_registry,
    lines_of,
    made_by,
    pairs_of,
    readable_size,
    values_of,
)
from registries.feature import Feature

if TYPE_CHECKING:
    from registries.dataset.record import Dataset

__all__ = ["DatasetDescription", "describe"]

_SHOWN = 10
"""Members whose keys are told."""


@dataclass(frozen=True, repr=False, kw_only=True)
class DatasetDescription(Described):
    """What is recorded of a dataset and of its members; its title is its name, and labels and values are its own.

    Attributes
    ----------
    formats
        How many members have which format.
    members
        Keys, or uids, of the first members.
    n_members
        How many there are.
    """

    noun: ClassVar[str] = "Dataset"
    formats: dict[str, int]
    members: tuple[str, ...]
    n_members: int

    def _own(self) -> dict[str, Any]:
        return {"formats": self.formats, "members": list(self.members), "n_members": self.n_members}

    def _parts(self) -> list[tuple[str, list[str]]]:
        counted = ", ".join(f"{count:,} {name}" for name, count in self.formats.items())
        rest = self.n_members - len(self.members)
        listed = [*self.members, *([f"… {rest:,} more"] if rest else [])]
        parts = [("General", lines_of(self.general)), ("Provenance", lines_of(self.provenance))]
        parts.append((f"Members ({counted})", listed))
        return parts


def describe(dataset: Dataset) -> DatasetDescription:
    """Return what is recorded of a saved dataset and of its members, without reading any of them."""
    snapshot = dataset.home_of().snapshot()
    formats, first = dataset.members.overview(snapshot, _SHOWN)
    return DatasetDescription(
        title=dataset.name,
        general=pairs_of(
            ("uid", dataset.uid),
            ("name", dataset.name),
            ("description", dataset.description),
            ("kind", dataset.kind),
            ("rows", None if dataset.n_rows is None else f"{dataset.n_rows:,}"),
            ("size", readable_size(dataset.size)),
            ("version", f"{dataset.version}{' (latest)' if dataset.is_latest else ''}"),
            ("state", None if dataset.deleted_at is None else "in the trash"),
        ),
        provenance=made_by(dataset, snapshot),
        formats=formats,
        members=tuple(first),
        n_members=dataset.n_artifacts,
        measured=_measured(dataset),
        labels=dataset.labels.all(),
        values=values_of(dataset.features, snapshot),
        registries=labels_by_registry(dataset.labels),
    )


def _measured(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    """Return what was measured in any member, by slot; of features the first names."""
    found = []
    for slot, query in dataset.feature_sets().items():
        count, told = query.count(), ""
        if query.registry is Feature or issubclass(query.registry, Feature):
            names = [f"{one.name} ({one.dtype})" for one in query.order_by("name").limit(MOST)]
            told = f": {', '.join(names)}{', …' if count > MOST else ''}"
        found.append((slot, f"{count:,} {query.registry.meta.name}{told}"))
    return tuple(found)
