"""Types of features, as text that reads like Python: ``float``, ``vector[64]``, ``list[cat[ULabel|CellType]]``.

A categorical may narrow a registry by look-ups: ``cat[ULabel(name__startswith='donor ')]``. The text is parsed as an
expression and never run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from lakehouse.errors import InputError, did_you_mean, shown
from registries.binding import REGISTRIES
from registries.dtype import SCALARS, Choice, DType
from registries.lookups import condition

__all__ = ["parse_dtype"]

_LONGEST_TEXT = 2_000
_LONGEST_VECTOR = 1_000_000


def parse_dtype(text: str) -> DType:
    """Return the type that a text stands for.

    Raises
    ------
    InputError
        When it is not known, or names a registry or a field that there is not.

    Examples
    --------
    >>> parse_dtype("flaot")
    Traceback (most recent call last):
    lakehouse.errors.InputError: dtype 'flaot' is not known; did you mean 'float'?
    """
    if text in SCALARS:
        return DType(text)
    tree = _parsed(text)
    head, inner = _subscript(tree)
    if head == "list":
        nested, _ = _subscript(inner)
        if nested != "list":
            found = parse_dtype(ast.unparse(inner))
            return DType(found.kind, found.choices, found.length, many=True)
    if head == "vector" and isinstance(inner, ast.Constant) and type(inner.value) is int:
        length = inner.value
        if 0 < length <= _LONGEST_VECTOR:
            return DType("vector", length=length)
        raise InputError(f"dtype {shown(text)}: a vector has 1 to {_LONGEST_VECTOR:,} numbers")
    if head == "cat":
        return DType("cat", tuple(_choice(part, text) for part in _alternatives(inner)))
    raise _unknown(text)


def _unknown(text: str) -> InputError:
    choices = [*SCALARS, "cat[ULabel]", "vector[64]", "list[int]"]
    return InputError(f"dtype {shown(text)} is not known{did_you_mean(text, choices)}")


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        raise _unknown(text)
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unknown(text) from None


def _subscript(tree: ast.expr) -> tuple[str, ast.expr]:
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        return tree.value.id, tree.slice
    return "", tree


def _alternatives(tree: ast.expr) -> Iterator[ast.expr]:
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        yield from _alternatives(tree.left)
        yield from _alternatives(tree.right)
    else:
        yield tree


def _choice(tree: ast.expr, text: str) -> Choice:
    call = tree if isinstance(tree, ast.Call) else None
    named = call.func if call is not None else tree
    if not isinstance(named, ast.Name):
        raise _unknown(text)
    tables = {registry.__name__: table for table, registry in REGISTRIES.items()}
    if named.id not in tables:
        labels = [registry.__name__ for registry in REGISTRIES.values() if registry.meta.carried]
        raise InputError(f"dtype {shown(text)} names no registry {named.id!r}{did_you_mean(named.id, labels)}")
    lookups = tuple(_lookup(keyword, text) for keyword in call.keywords) if call is not None else ()
    for lookup, value in lookups:
        condition(REGISTRIES[tables[named.id]].meta, lookup, value)
    return Choice(tables[named.id], lookups)


def _lookup(keyword: ast.keyword, text: str) -> tuple[str, Any]:
    if keyword.arg is None:
        raise _unknown(text)
    try:
        return keyword.arg, ast.literal_eval(keyword.value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise InputError(f"dtype {shown(text)}: {keyword.arg} takes a plain value, such as 'human' or 3") from None
