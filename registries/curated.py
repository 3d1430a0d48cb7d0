"""Columns of data by slot: reading, replacing, and annotating an artifact with what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from registries.dtypes import parse_dtype
from registries.feature import Feature
from registries.feature_set import FeatureSet
from registries.parts import Part, kind_of
from registries.vocabulary import vocabulary_of
from validation import Rule, Slot, Spec, Vocabulary
from validation.columns import values_of
from validation.frames import taken

if TYPE_CHECKING:
    from registries.artifact import Artifact
    from registries.instance import Instance

__all__ = [
    "Collected",
    "annotate",
    "collect",
    "column_of",
    "feature_of",
    "index_of",
    "is_list",
    "labels_named",
    "reindexed",
    "relisted",
    "replaced",
]

_FEATURES = {"number": "float", "any": "str", "json": "json"}


def column_of(data: Any, slot: str, name: str) -> Any:
    """Return a column of a slot as it is, or None where there is none.

    Examples
    --------
    >>> import polars as pl
    >>> column_of(pl.DataFrame({"a": [1]}), "columns", "a").to_list()
    [1]
    """
    frame = _frame_of(data, slot)
    if frame is None:
        return None
    names = frame.column_names if hasattr(frame, "column_names") else list(frame.columns)
    return frame[name] if name in names else None


def _frame_of(data: Any, slot: str) -> Any:
    if kind_of(data) == "frame":
        return data
    *modality, axis = slot.split("/")
    if modality == ["raw"]:
        return data.raw.var if data.raw is not None else None
    owner = data.mod.get(modality[0]) if modality and hasattr(data, "mod") else data
    found = getattr(owner, axis, None)
    return found if found is not None and _is_frame(found) else None


def _is_frame(found: object) -> bool:
    return hasattr(found, "columns") or hasattr(found, "column_names")


def replaced(data: Any, slot: str, name: str, values: Any) -> Any:
    """Return data with another column; a frame is copied, an AnnData or MuData changed in place."""
    frame = _frame_of(data, slot)
    if hasattr(frame, "with_columns"):
        return frame.with_columns(values.alias(name))
    if hasattr(frame, "column_names"):
        return frame.set_column(frame.column_names.index(name), name, values)
    if frame is data:
        data = data.copy(deep=False)
        data[name] = values
        return data
    frame[name] = values
    return data


def is_list(row: Any) -> bool:
    """Return whether a value of a column is a list: a list, tuple, array or Polars Series.

    Examples
    --------
    >>> is_list(["a"]), is_list("a"), is_list(None)
    (True, False, False)
    """
    return isinstance(row, list | tuple) or type(row).__name__ in ("ndarray", "Series")


def relisted(values: Any, rows: list[Any]) -> Any:
    """Return lists as a column of the library and type that another one has.

    Examples
    --------
    >>> import polars as pl
    >>> relisted(pl.Series("a", [["x"]]), [["y"]]).to_list()
    [['y']]
    """
    if hasattr(values, "iloc"):
        import pandas as pd

        made = pd.Series([None] * len(rows), index=values.index, name=values.name, dtype=object)
        made[:] = pd.Series(rows, index=values.index, dtype=object)
        return made
    if hasattr(values, "to_pylist"):
        import pyarrow as pa

        return pa.chunked_array([pa.array(rows, values.type)])
    import polars as pl

    return pl.Series(values.name, rows, dtype=values.dtype)


def index_of(data: Any, slot: str) -> Any:
    """Return the index of a slot that has one which can be replaced, or None."""
    frame = None if slot.startswith("raw/") else _frame_of(data, slot)
    return frame.index if frame is not None and hasattr(frame, "iloc") else None


def reindexed(data: Any, slot: str, values: Any) -> Any:
    """Return data with another index; a frame is copied, an AnnData or MuData changed in place."""
    if kind_of(data) == "frame":
        return data.set_axis(values, axis="index")
    *modality, axis = slot.split("/")
    setattr(data.mod[modality[0]] if modality else data, f"{axis}_names", values)
    return data


# Annotating


Collected: TypeAlias = dict[str, tuple[dict[str, list[str]], list[str]]]
"""By slot: the distinct text of each column that there is a rule for, and of the index."""


def annotate(artifact: Artifact, spec: Spec, parts: Mapping[str, Part], home: Instance) -> None:
    """Record the features of each slot and the labels that its columns hold."""
    for name, (found, index) in collect(spec, parts).items():
        slot = spec.slots[name]
        _label(artifact, slot, found, home)
        _measure(artifact, name, slot, found, index, home)


def collect(spec: Spec, parts: Mapping[str, Part]) -> Collected:
    """Return what data hold that an artifact is annotated with; no instance is asked."""
    found = {name: (slot, parts.get(name)) for name, slot in spec.slots.items()}
    return {
        name: _distinct(slot, part)
        for name, (slot, part) in found.items()
        if part is not None and part.kind in ("frame", "batches")
    }


def _distinct(slot: Slot, part: Part) -> tuple[dict[str, list[str]], list[str]]:
    """Return the distinct text of each column that there is a rule for, and of the index."""
    found: dict[str, dict[str, None]] = {}
    index: dict[str, None] = {}
    for frame in part.read() if part.kind == "batches" else [part.read()]:
        made = taken(frame)
        for rule in slot.rules:
            if rule.name in made.frame.columns:
                series = made.frame[rule.name]
                if rule.many:
                    series = series.explode()
                text = values_of(series).text.unique(maintain_order=True) if rule.registries else series.clear()
                names = text.drop_nulls().to_list() if rule.registries else []
                found.setdefault(rule.name, {}).update(dict.fromkeys(names))
        if slot.index is not None and slot.index.registries and made.index is not None:
            index.update(dict.fromkeys(values_of(made.index).text.drop_nulls().to_list()))
    return {name: list(names) for name, names in found.items()}, list(index)


def _label(artifact: Artifact, slot: Slot, found: Mapping[str, list[str]], home: Instance) -> None:
    for rule in slot.rules:
        if not rule.registries or rule.name not in found:
            continue
        feature = feature_of(rule, home)
        names = found[rule.name]
        for choice in rule.registries:
            known, uids = _uids(choice, rule, names, home)
            names = [name for name in names if name not in known]
            if uids:
                registry: Any = home.bound(parse_dtype(f"cat[{choice}]").choices[0].registry)
                artifact.labels.add(registry.filter(uid__in=uids).all(), feature=feature)


def _uids(choice: str, rule: Rule, names: list[str], home: Instance) -> tuple[set[str], list[str]]:
    """Return which values are in a registry, and the uids of those that mean one record."""
    valid, mapper = _mapped(choice, rule, names, home)
    return valid, sorted(set(mapper.values()))


def _mapped(choice: str, rule: Rule, names: list[str], home: Instance) -> tuple[set[str], dict[str, str]]:
    """Return which values are in a registry, and by value the uid of the one record that it means."""
    found = parse_dtype(f"cat[{choice}]").choices[0]
    where = {**dict(found.lookups), **(rule.where or {})}
    registry = home.bound(found.registry)
    vocabulary: Vocabulary = vocabulary_of(
        registry, home, field=rule.field, fields=("uid",), organism=rule.organism, where=where
    )
    valid = [name for name, ok in zip(names, vocabulary.validate(names), strict=True) if ok]
    mapper: dict[str, str] = vocabulary.standardize(valid, return_field="uid", return_mapper=True)
    return set(valid), mapper


def labels_named(rule: Rule, names: list[str], home: Instance, *, first: bool = False) -> dict[str, tuple[str, str]]:
    """Return table and uid of the record that each value of a column means, from the first registry that has it.

    Parameters
    ----------
    first
        Whether only the first registry is asked.
    """
    found: dict[str, tuple[str, str]] = {}
    for choice in rule.registries[:1] if first else rule.registries:
        valid, mapper = _mapped(choice, rule, names, home)
        table = parse_dtype(f"cat[{choice}]").choices[0].table
        found |= {name: (table, uid) for name, uid in mapper.items()}
        names = [name for name in names if name not in valid]
    return found


def feature_of(rule: Rule, home: Instance) -> Feature:
    """Return the feature that a column of a rule is, made where there is none."""
    rows = home.snapshot().lookup("feature", "name", [rule.name]).to_pylist()
    if rows:
        return home.Feature.from_row(rows[0], home)
    dtype = rule.dtype if rule.kind not in _FEATURES or rule.many else _FEATURES[rule.kind]
    made = home.Feature(name=rule.name, dtype=dtype, unit=rule.unit, description=rule.description)
    return made.save()


def _measure(
    artifact: Artifact,
    name: str,
    slot: Slot,
    found: Mapping[str, list[str]],
    index: list[str],
    home: Instance,
) -> None:
    """Record what was measured: the features that columns are, or the genes that an axis names."""
    if index and slot.index is not None:
        choice = slot.index.registries[0]
        _, uids = _uids(choice, slot.index, index, home)
        registry: Any = home.bound(parse_dtype(f"cat[{choice}]").choices[0].registry)
        if uids and registry.meta.measured:
            members = registry.filter(uid__in=uids).all()
            artifact.features.add_set(home.bound(FeatureSet).of(members), slot=name)
    elif found:
        features = [feature_of(rule, home) for rule in slot.rules if rule.name in found]
        artifact.features.add_set(home.bound(FeatureSet).of(features), slot=name)
