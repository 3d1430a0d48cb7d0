"""Validating what is no frame: arrays under a key (obsm, layers, X) and unstructured mappings (uns)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lakehouse.errors import shown
from validation.checks import Resolver
from validation.columns import values_of
from validation.frames import column_faults
from validation.report import Fault
from validation.rules import Rule, Slot

__all__ = ["array_faults", "mapping_faults"]

_KINDS = {"int": "iu", "float": "f", "number": "iuf", "bool": "b"}


def array_faults(slot: Slot, arrays: Mapping[str, Any], *, name: str) -> list[Fault]:
    """Return what is wrong with arrays by key: which there are, their dtypes and numbers of columns.

    Values are not read.

    Examples
    --------
    >>> import numpy as np
    >>> slot = Slot([Rule("X_umap", "float", ncols=2)])
    >>> [fault.reason for fault in array_faults(slot, {"X_umap": np.zeros((5, 3))}, name="obsm")]
    ['wrong_shape']
    """
    found = _presence(slot, arrays, name)
    for rule in slot.rules:
        if rule.name not in arrays or rule.forbidden:
            continue
        array = arrays[rule.name]
        dtype, shape = getattr(array, "dtype", None), getattr(array, "shape", ())
        if rule.kind in _KINDS and getattr(dtype, "kind", "") not in _KINDS[rule.kind]:
            told = f"is not of dtype {rule.dtype}, but {dtype or type(array).__name__}"
            found.append(Fault("wrong_dtype", name, rule.name, told, examples=(str(dtype),)))
        if rule.ncols is not None and tuple(shape)[1:2] != (rule.ncols,):
            told = f"has shape {tuple(shape)}, where {rule.ncols} columns are asked for"
            found.append(Fault("wrong_shape", name, rule.name, told))
    return found


def mapping_faults(slot: Slot, given: Mapping[Any, Any], resolve: Resolver, *, name: str) -> list[Fault]:
    """Return what is wrong with a mapping whose values are single values or lists of them.

    Examples
    --------
    >>> slot = Slot([Rule("title", "str"), Rule("n", "int", ge=1)])
    >>> [fault.reason for fault in mapping_faults(slot, {"n": 0}, None, name="uns")]
    ['missing_key', 'out_of_range']
    """
    found = _presence(slot, given, name)
    for rule in slot.rules:
        if rule.name not in given or rule.forbidden:
            continue
        found += _value_faults(rule, given[rule.name], resolve, name)
    return found


def _value_faults(rule: Rule, value: Any, resolve: Resolver, name: str) -> list[Fault]:
    import polars as pl

    many = isinstance(value, list | tuple) or (hasattr(value, "shape") and len(value.shape) == 1)
    if rule.many != many and rule.kind != "any":
        told = (
            f"is {'a list' if many else shown(value, 40)}, where {'a list' if rule.many else 'one value'} is asked for"
        )
        return [Fault("wrong_dtype", name, rule.name, told)]
    given: list[Any] = list(value) if many else [value]
    items = [item.item() if hasattr(item, "item") else item for item in given]
    try:
        series: Any = pl.Series(rule.name, items, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        series = values_of(items).text.alias(rule.name) if rule.kind in ("str", "cat") else None
    if series is None or series.dtype == pl.Object:
        kinds = sorted({type(item).__name__ for item in items})
        return [Fault("wrong_dtype", name, rule.name, f"is not of dtype {rule.dtype}, but {' and '.join(kinds)}")]
    flat = replace(rule, dtype=rule.dtype.removeprefix("list[").removesuffix("]") if rule.many else rule.dtype)
    if rule.many and rule.registries:
        flat = replace(rule, dtype=rule.dtype[5:-1])
    return [replace(fault, rows=()) for fault in column_faults(flat, series, resolve, name=name)]


def _presence(slot: Slot, given: Mapping[Any, Any], name: str) -> list[Fault]:
    keys = [key for key in given if isinstance(key, str)]
    known = {rule.name for rule in slot.rules}
    found = []
    for rule in slot.rules:
        if rule.required and not rule.forbidden and rule.name not in given:
            found.append(Fault("missing_key", name, rule.name, "is missing"))
        if rule.forbidden and rule.name in given:
            found.append(Fault("forbidden_key", name, rule.name, "must not be there", suggestion="remove it"))
    if slot.extra == "forbid":
        extra = [key for key in keys if key not in known]
        found += [Fault("extra_key", name, key, "has no rule, and others are forbidden") for key in extra]
    return found
