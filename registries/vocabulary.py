"""The vocabulary of a registry: what its records are called, handed to validation as columns."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.engine.scan import quoted
from lakehouse.errors import InputError, RecordNotFound, UnknownField, did_you_mean, shown
from registries.binding import registry_of
from registries.column import TEXTS
from registries.query import Query
from validation import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.engine import Snapshot
    from registries.instance import Instance
    from registries.record import Record

__all__ = ["label_field", "organism_of", "public_vocabulary", "text_fields", "vocabulary_of"]

_LABELS = ("handle", "name", "key", "symbol")
_STATES: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], tuple[Any, Vocabulary]]] = weakref.WeakKeyDictionary()
"""By instance: the last vocabularies, each with the state of the table that it was read from."""
_KEPT = 32
_ORGANISMS: weakref.WeakKeyDictionary[Any, tuple[Any, Any, dict[str, str]]] = weakref.WeakKeyDictionary()
"""By instance: what organisms are called, with the state of their table that it was looked up in."""


def label_field(registry: type[Record]) -> str:
    """Return the column that records are known by.

    Examples
    --------
    >>> from registries import Artifact, ULabel
    >>> label_field(ULabel), label_field(Artifact)
    ('name', 'key')
    """
    named = getattr(registry, "label_field", None)
    for name in (named, *_LABELS):
        if name in registry.meta.columns:
            return str(name)
    raise InputError(f"{registry.meta.name} has no name to compare values with: pass field=")


def text_fields(registry: type[Record]) -> list[str]:
    """Return the columns whose values are text and no references."""
    columns = registry.meta.columns.values()
    return [column.name for column in columns if column.python is str and column.references is None]


def vocabulary_of(
    registry: type[Record],
    home: Instance,
    *,
    field: str | None = None,
    fields: tuple[str, ...] = (),
    organism: str | Record | None = None,
    where: Mapping[str, Any] | None = None,
) -> Vocabulary:
    """Return the names, synonyms and further fields of a registry's records.

    Parameters
    ----------
    registry
        The registry.
    home
        The instance.
    field
        The column that values are spelled in; the one that records are known by, where none is given.
    fields
        Further columns.
    organism
        Of registries that tell organisms apart: its name, a synonym, its id or the record.
    where
        Look-ups that records have to meet, as for ``filter``.

    Raises
    ------
    InputError
        When an organism is needed and neither given nor inferable.
    """
    asked = _checked(registry, field), *(_checked(registry, name) for name in fields)
    snapshot = home.snapshot()
    under = organism_of(registry, home, organism)
    if where:
        return _made(registry, _filtered(registry, home, where), asked, under)
    key, state = (registry.meta.table, *asked, under or ""), snapshot.state(registry.meta.table)
    kept = _STATES.setdefault(home, {})
    known = kept.get(key)
    if known is not None and known[0][0] is state.base and known[0][1] is state.tail:
        return known[1]
    made = _made(registry, _rows(registry, snapshot, asked), asked, under)
    kept.pop(key, None)
    kept[key] = ((state.base, state.tail), made)
    while len(kept) > _KEPT:
        kept.pop(next(iter(kept)), None)
    return made


def public_vocabulary(
    registry: type[Record], entries: Any, name: str, *, field: str | None, fields: tuple[str, ...]
) -> Vocabulary:
    """Return the vocabulary of public entries, which have the columns of the registry."""
    asked = _checked(registry, field), *(_checked(registry, one) for one in fields)
    there = [column for column in _columns(registry, asked) if column in entries.column_names and column != "organism"]
    if not set(asked) <= set(there):
        return Vocabulary([], fields={one: [] for one in asked[1:]}, name=name, field=asked[0])
    made = _made(registry, entries.select(there), asked, None)
    made.name = name
    return made


def _checked(registry: type[Record], field: str | None) -> str:
    if field is None:
        return label_field(registry)
    known = text_fields(registry)
    if field not in known:
        near = did_you_mean(str(field), known)
        raise UnknownField(f"{registry.meta.name} has no field of text called {shown(field)}{near}")
    return field


def _columns(registry: type[Record], asked: tuple[str, ...]) -> list[str]:
    extra = ("synonyms", "alternative_ids", "obsolete", "organism")
    return [*dict.fromkeys((*asked, *(name for name in extra if name in registry.meta.columns)))]


def _rows(registry: type[Record], snapshot: Snapshot, asked: tuple[str, ...]) -> pa.Table:
    table = registry.meta.table
    listed = ", ".join(map(quoted, _columns(registry, asked)))
    # in the order of uids, so that keep='first' means the same each time
    return snapshot.arrow(f"select {listed} from {quoted(table)} order by uid", tables=[table])


def _filtered(registry: type[Record], home: Instance, where: Mapping[str, Any]) -> pa.Table:
    return Query.of(registry, home).filter(**where).order_by("uid").arrow()


def _made(registry: type[Record], rows: pa.Table, asked: tuple[str, ...], organism: str | None) -> Vocabulary:
    import polars as pl

    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    if "obsolete" in frame.columns:
        frame = frame.filter(~pl.col("obsolete"))
    if organism is not None:
        frame = frame.filter(pl.col("organism") == organism)
    elif "organism" in frame.columns and asked[0] in ("name", "symbol"):
        _need_one_organism(registry, frame["organism"])
    synonyms = _synonyms(registry, frame, asked[0])
    fields = {name: frame[name] for name in asked[1:] if name != asked[0]}
    name, plain = registry.meta.name, getattr(registry, "versioned", {}).get(asked[0])
    return Vocabulary(frame[asked[0]], synonyms=synonyms, fields=fields, name=name, field=asked[0], plain=plain)


def _synonyms(registry: type[Record], frame: Any, field: str) -> Any:
    """Return the other names, or other ids, that go with a field."""
    import polars as pl

    identity = getattr(registry, "identity_field", None)
    name = "synonyms" if field == label_field(registry) else "alternative_ids" if field == identity else None
    if name is None or name not in frame.columns:
        return None
    if registry.meta.columns[name].python == TEXTS:
        return frame[name]
    return frame.select(pl.col(name).str.split("|").list.eval(pl.element().str.strip_chars())).to_series()


def organism_of(registry: type[Record], home: Instance, given: Any) -> str | None:
    """Return the uid of the organism that is meant: by its name, a synonym, its id or a record."""
    if given is None:
        return None
    declared = registry.meta.columns.get("organism")
    if declared is None or declared.references != "organism":
        raise InputError(f"{registry.meta.name} does not tell organisms apart: leave organism={shown(given)} out")
    if not isinstance(given, str):
        return str(given.uid)
    state = home.snapshot().state("organism")
    kept = _ORGANISMS.get(home)
    if kept is None or kept[0] is not state.base or kept[1] is not state.tail or len(kept[2]) >= _KEPT:
        kept = _ORGANISMS[home] = (state.base, state.tail, {})
    if given not in kept[2]:
        kept[2][given] = _organism_called(home, given)
    return kept[2][given]


def _organism_called(home: Instance, given: str) -> str:
    for field in ("name", "ontology_id"):  # as it stands, before a million synonyms are gone through
        exact = home.snapshot().lookup("organism", field, [given])
        if len(exact) == 1 and not exact["obsolete"][0].as_py():
            return str(exact["uid"][0].as_py())
    organisms: Any = home.bound(registry_of("organism"))
    for field in ("name", "ontology_id"):
        known = vocabulary_of(organisms, home, field=field, fields=("uid",))
        found = known.standardize([given], return_field="uid", return_mapper=True)
        if given in found:
            return str(found[given])
    raise RecordNotFound(f"no Organism is called {shown(given)}{_hint(organisms, home, given)}")


def _hint(organisms: Any, home: Instance, given: str) -> str:
    known = vocabulary_of(organisms, home).values().to_list()
    return did_you_mean(given, known) or "; save Organism(name=...) first"


def _need_one_organism(registry: type[Record], organisms: Any) -> None:
    found = organisms.drop_nulls().unique()
    if len(found) > 1:
        raise InputError(
            f"{registry.meta.name} has records of {len(found):,} organisms, whose names may be the same: "
            "pass organism=, such as organism='human'"
        )
