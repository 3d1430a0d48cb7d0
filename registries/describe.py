"""What ``describe()`` of an artifact returns, and what that of a dataset shares with it: a value that reads well as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from formats.base import ColumnInfo, Description
from formats.registry import by_name
from registries.display import html_tree, rich_tree
from registries.feature import Feature
from registries.feature_set import FeatureSet
from registries.whereabouts import readable

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot
    from registries.annotate import Labels
    from registries.artifact import Artifact
    from registries.features import Features
    from registries.record import Record

__all__ = [
    "MOST",
    "ArtifactDescription",
    "Described",
    "describe",
    "labels_by_registry",
    "lines_of",
    "made_by",
    "pairs_of",
    "readable_size",
    "values_of",
]

MOST = 30
"""Names that are told, of more."""
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, repr=False, kw_only=True)
class Described:
    """A title and sections of lines, shown as a tree.

    Attributes
    ----------
    title
        What it is called.
    general, provenance
        Pairs of a field and its text.
    labels
        Names of labels by the name of their feature; None is for labels under no feature.
    values
        Pairs of a feature and its value, with unit and dtype.
    measured
        Pairs of a slot and what was measured in it.
    registries
        Names of labels under no feature by the name of their registry.
    """

    noun: ClassVar[str]
    """What is described."""
    title: str
    general: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    labels: dict[str | None, list[str]] = field(default_factory=dict)
    values: tuple[tuple[str, str], ...] = ()
    measured: tuple[tuple[str, str], ...] = ()
    registries: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "title": self.title,
            "general": dict(self.general),
            "provenance": dict(self.provenance),
            **self._own(),
            "labels": {name or "": labels for name, labels in self.labels.items()},
            "features": dict(self.values),
            "measured": dict(self.measured),
        }

    def _own(self) -> dict[str, Any]:
        """Return the plain values that only this kind has."""
        raise NotImplementedError

    def sections(self) -> list[tuple[str, list[str]]]:
        """Return the parts of the tree: a title and its lines."""
        parts = self._parts()
        parts += [
            (title, lines_of(pairs))
            for title, pairs in (("Measured", self.measured), ("Features", self.values))
            if pairs
        ]
        if self.registries:
            parts.append(("Labels", [f"{name}: {', '.join(found)}" for name, found in self.registries.items()]))
        return parts

    def _parts(self) -> list[tuple[str, list[str]]]:
        """Return the sections that come first."""
        raise NotImplementedError

    def tree(self, told: Callable[[str], str] = str) -> str:
        """Return it as lines; ``told`` makes each text fit for where it is shown."""
        lines = [f"{self.noun} {told(self.title)}"]
        sections = self.sections()
        for number, (title, inner) in enumerate(sections):
            last = number == len(sections) - 1
            lines.append(f"{'└──' if last else '├──'} {told(title)}")
            stem = "    " if last else "│   "
            lines += [f"{stem}{'└──' if i == len(inner) - 1 else '├──'} {told(line)}" for i, line in enumerate(inner)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.tree()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_tree(f"{self.noun} {self.title}", self.sections())

    def __rich__(self) -> Any:
        return rich_tree(f"{self.noun} {self.title}", self.sections())


@dataclass(frozen=True, repr=False, kw_only=True)
class ArtifactDescription(Described):
    """What is recorded of an artifact and what it holds; its title is its key, or its uid.

    Attributes
    ----------
    storage
        Pairs of a field and its text.
    content
        What its format says of it: shape, columns and dtypes, slots.
    """

    noun: ClassVar[str] = "Artifact"
    storage: tuple[tuple[str, str], ...]
    content: Description

    def _own(self) -> dict[str, Any]:
        return {"storage": dict(self.storage), "content": self.content.as_dict()}

    def _parts(self) -> list[tuple[str, list[str]]]:
        parts = [("General", lines_of(self.general)), ("Storage", lines_of(self.storage))]
        parts.append(("Provenance", lines_of(self.provenance)))
        if self.content.columns:
            title = "Files" if self.content.kind == "folder" else "Columns"
            parts.append((f"{title} ({len(self.content.columns)})", list(_columns(self.content.columns))))
        parts += [(slot, list(_columns(columns))) for slot, columns in self.content.slots.items() if columns]
        return parts


def describe(artifact: Artifact) -> ArtifactDescription:
    """Return what is recorded of a saved artifact and what it holds, without loading its data."""
    home = artifact.home_of()
    snapshot = home.snapshot()
    fmt = by_name(artifact.format)
    path = readable(artifact, fmt)
    is_readable = artifact.size or artifact.suffix in fmt.empty_suffixes
    content = fmt.describe(path) if is_readable else Description(artifact.format, artifact.kind)
    return ArtifactDescription(
        title=artifact.key or artifact.uid,
        general=_general(artifact, content),
        storage=_lies(artifact, path),
        provenance=made_by(artifact, snapshot),
        content=content,
        labels=artifact.labels.all(),
        values=values_of(artifact.features, snapshot),
        measured=_measured(artifact, snapshot),
        registries=labels_by_registry(artifact.labels),
    )


def made_by(record: Record, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Return when, by whom and in which run a record was made."""
    row = record.to_row()
    user = snapshot.get("user", row["created_by"]) or {}
    run = (snapshot.get("run", row["run"]) or {}) if row["run"] else {}
    transform = (snapshot.get("transform", run["transform"]) or {}) if run else {}
    ran = (("run", row["run"]), ("transform", f"{transform.get('name')} {transform.get('version')}")) if run else ()
    return pairs_of(("created", f"{row['created_at']:%Y-%m-%d %H:%M:%S} UTC"), ("by", user.get("handle")), *ran)


def _lies(artifact: Artifact, path: Path) -> tuple[tuple[str, str], ...]:
    store, relative = artifact.place()
    here = store.protocol in ("file", "memory")
    return pairs_of(
        ("storage", store.root),
        ("path", path if here else store.uri(relative)),
        ("copy", path if not here and isinstance(path, Path) else None),
        ("hash", f"{artifact.hash_kind} {artifact.hash}"),
    )


def values_of(features: Features, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Return pairs of a feature and its value, with unit and dtype."""
    values = features.get_values()
    rows = {row["name"]: row for row in snapshot.lookup("feature", "name", list(values)).to_pylist()}
    return tuple(
        (name, f"{_listed(value)}{' ' + unit if (unit := rows[name]['unit']) else ''} ({rows[name]['dtype']})")
        for name, value in values.items()
    )


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value[:MOST])) + (", …" if len(value) > MOST else "")
    return str(value)


def _measured(artifact: Artifact, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    found = artifact.features.sets()
    kinds = {one.modality for one in found.values() if one.modality}
    names = {row["uid"]: row["name"] for row in snapshot.lookup("modality", "uid", list(kinds)).to_pylist()}
    return tuple(
        (slot, f"{one.n:,} {one.registry}{', ' + names[one.modality] if one.modality else ''}{_features(one)}")
        for slot, one in found.items()
    )


def _features(measured: FeatureSet) -> str:
    """Return the features of a set, with their dtypes; other members are too many to be told."""
    if measured.registry != Feature.meta.name:
        return ""
    found = [f"{feature.name} ({feature.dtype})" for feature in measured.members.order_by("name")[:MOST]]
    return f": {', '.join(found)}{', …' if measured.n > MOST else ''}"


def labels_by_registry(labels: Labels) -> dict[str, list[str]]:
    """Return names of labels under no feature by the name of their registry."""
    found: dict[str, list[str]] = {}
    for label, feature in labels.pairs():
        if feature is None:
            found.setdefault(label.meta.name, []).append(str(label.value(label.meta.title)))
    return found


def _general(artifact: Artifact, content: Description) -> tuple[tuple[str, str], ...]:
    shape = " x ".join(f"{length:,}" for length in content.shape) if content.shape else None
    return pairs_of(
        ("uid", artifact.uid),
        ("key", artifact.key),
        ("description", artifact.description),
        ("kind", f"{artifact.kind} ({artifact.format})"),
        ("shape", shape),
        *((name.replace("_", " "), _value(value)) for name, value in content.attributes.items()),
        ("size", readable_size(artifact.size)),
        ("files", f"{artifact.n_files:,}" if artifact.n_files is not None else None),
        ("version", f"{artifact.version}{' (latest)' if artifact.is_latest else ''}"),
    )


def readable_size(size: int) -> str:
    """Return a number of bytes for the eye.

    Examples
    --------
    >>> readable_size(999), readable_size(1_500_000)
    ('999 bytes', '1.5 MB')
    """
    power = 0
    amount = float(size)
    while amount >= 1000 and power < len(_UNITS) - 1:
        amount, power = amount / 1000, power + 1
    return f"{size:,} bytes" if not power else f"{amount:.1f} {_UNITS[power]}"


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def pairs_of(*pairs: tuple[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return those of some pairs that have a value, as text."""
    return tuple((name, str(value)) for name, value in pairs if value is not None)


def lines_of(pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """Return pairs as lines."""
    return [f"{name}: {value}" for name, value in pairs]


def _columns(columns: tuple[ColumnInfo, ...]) -> Iterator[str]:
    for info in columns[:MOST]:
        yield f"{info.name}: {info.dtype}" + (f" in {info.storage}" if info.storage else "")
    if len(columns) > MOST:
        yield f"… {len(columns) - MOST} more"
