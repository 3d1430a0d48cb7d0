"""Mending data by their rules: columns are converted, and names of records put in place of other spellings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registries.curated import column_of, index_of, is_list, reindexed, relisted, replaced
from validation import Rule, Spec
from validation.checks import Resolver
from validation.coercion import coerced_column

__all__ = ["Fix", "member_rules", "mended"]

_log = logging.getLogger("lakehouse")


@dataclass(frozen=True)
class Fix:
    """A value that was standardized.

    Attributes
    ----------
    slot, column
        Where.
    before, after
        The values; of a column that was converted as a whole, what its type was and what dtype it has now.
    """

    slot: str
    column: str
    before: Any
    after: Any


def mended(data: Any, spec: Spec, resolve: Resolver) -> tuple[Any, list[Fix]]:
    """Return data with what is safe to mend mended, and each fix; see ``Curator.standardize``.

    Parameters
    ----------
    data
        A frame, which is copied, or an AnnData or MuData, which is changed in place.
    spec
        The rules.
    resolve
        Finds the vocabularies that rules name.

    Examples
    --------
    >>> import polars as pl
    >>> from validation import Vocabulary
    >>> cells = Vocabulary(["T cell"], synonyms={"T cell": ["T lymphocyte"]})
    >>> rules = Spec.of([Rule("c", "cat[CellType]")])
    >>> mended(pl.DataFrame({"c": ["T LYMPHOCYTE"]}), rules, lambda name, rule: cells)[0]["c"].to_list()
    ['T cell']
    """
    data, fixes = _converted(data, spec)
    for slot, rule in member_rules(spec):
        values = column_of(data, slot, rule.name)
        if values is None:
            continue
        standardize = _in_lists if rule.many else _standardized
        made, found = standardize(values, rule, slot, rule.name, resolve)
        fixes += found
        if made is not values:
            data = replaced(data, slot, rule.name, made)
    for slot, part in spec.slots.items():
        if part.index is not None and part.index.registries:
            data, found = _with_index(data, slot, part.index, resolve)
            fixes += found
    return data, fixes


def member_rules(spec: Spec) -> Iterator[tuple[str, Rule]]:
    """Yield the rules of columns that are compared with registries, each with its slot."""
    for slot, part in spec.slots.items():
        yield from ((slot, rule) for rule in part.rules if rule.registries and not rule.forbidden)


def _standardized(values: Any, rule: Rule, slot: str, name: str, resolve: Resolver) -> tuple[Any, list[Fix]]:
    fixes = []
    for choice in rule.registries:
        vocabulary = resolve(choice, rule)
        mapper = vocabulary.standardize(values, field=rule.field, return_mapper=True)
        if mapper:
            fixes += [Fix(slot, name, before, after) for before, after in mapper.items()]
            values = vocabulary.standardize(values, field=rule.field)
    return values, fixes


def _in_lists(values: Any, rule: Rule, slot: str, name: str, resolve: Resolver) -> tuple[Any, list[Fix]]:
    """Standardize the items of lists; each list stays what it is."""
    rows = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    items = list(dict.fromkeys(item for row in rows if is_list(row) for item in row if isinstance(item, str)))
    made, fixes = _standardized(items, rule, slot, name, resolve)
    if not fixes:
        return values, []
    becomes = dict(zip(items, made, strict=True))
    return relisted(values, [_mapped(row, becomes) if is_list(row) else row for row in rows]), fixes


def _mapped(row: Any, becomes: Mapping[str, str]) -> Any:
    made = [becomes.get(item, item) if isinstance(item, str) else item for item in row]
    return type(row)(made) if isinstance(row, list | tuple) else made


def _converted(data: Any, spec: Spec) -> tuple[Any, list[Fix]]:
    """Convert columns that are to be, and can be without a loss."""
    fixes = []
    for slot, part in spec.slots.items():
        for rule in part.rules:
            values: Any = column_of(data, slot, rule.name) if rule.coerce else None
            if values is not None and (made := coerced_column(values, rule)) is not None:
                before = values.dtype if hasattr(values, "dtype") else values.type
                data = replaced(data, slot, rule.name, made)
                fixes.append(Fix(slot, rule.name, str(before), rule.dtype))
    return data, fixes


def _with_index(data: Any, slot: str, rule: Rule, resolve: Resolver) -> tuple[Any, list[Fix]]:
    """Mend an index, such as gene ids with versions, unless rows would come under one name."""
    values = index_of(data, slot)
    if values is None:
        return data, []
    made, fixes = _standardized(values, rule, slot, "index", resolve)
    if not fixes:
        return data, []
    if made.nunique() < values.nunique():
        _log.warning(
            "%s: its index stays as it is: standardized, %s rows would have the name of another",
            slot,
            values.nunique() - made.nunique(),
        )
        return data, []
    return reindexed(data, slot, made), fixes
