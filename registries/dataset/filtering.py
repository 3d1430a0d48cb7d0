"""Rows that meet a condition in SQL, over tables that need not have the same columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.errors import InputError, InvalidQuery, did_you_mean, shown
from registries.parsed import columns_in, parsed

__all__ = ["columns_asked", "rows_meeting", "unified"]

_MEMBER, _ROW = "_member", "_row"
_NO_SUCH = re.compile(r'Referenced column "([^"]*)" not found')


def columns_asked(condition: object) -> frozenset[str] | None:
    """Return, in lower case, the columns that a condition names; None where it may mean all of them.

    Examples
    --------
    >>> sorted(columns_asked("cell_type == 'T cell' and n > 3"))
    ['cell_type', 'n']
    """
    if not isinstance(condition, str) or not condition.strip():
        raise InputError(f"{shown(condition)} is no condition: write one such as \"cell_type == 'T cell'\"")
    return columns_in(parsed(f"select 1 from _obs where ({condition})"))


def rows_meeting(
    condition: str, read: Sequence[Callable[[Collection[str] | None], pa.Table]], constants: Sequence[Mapping[str, Any]]
) -> list[np.ndarray[Any, Any]]:
    """Return for each table the rows that meet a condition, in ascending order.

    Parameters
    ----------
    condition
        An expression in DuckDB's SQL; columns that a table lacks are null in its rows.
    read
        For each table what reads the columns that are named in lower case.
    constants
        For each table the columns that have one value in all of its rows.

    Raises
    ------
    InvalidQuery
        When it is no condition, or names a column that no table has.
    """
    wanted = columns_asked(condition)
    parts = []
    for number, (table, same) in enumerate(zip(read, constants, strict=True)):
        found = table(wanted)
        own = [name for name in found.column_names if wanted is None or name.lower() in wanted]
        columns = {name: found[name] for name in own}
        for name, value in same.items():
            if name not in columns and (wanted is None or name.lower() in wanted):
                columns[name] = pa.repeat(pa.scalar(value), len(found))
        columns |= {_MEMBER: pa.repeat(pa.scalar(number), len(found)), _ROW: pa.array(np.arange(len(found)))}
        parts.append(pa.table(columns))
    try:
        hits = _filtered(unified(parts), condition)
    except InvalidQuery as error:
        raise InvalidQuery(f"{error}{_near(str(error), read, constants)}") from error
    member, row = hits[_MEMBER].to_numpy(), hits[_ROW].to_numpy()
    order = np.lexsort((row, member))
    edges = np.searchsorted(member[order], np.arange(len(parts) + 1))
    return [row[order][start:stop] for start, stop in pairwise(edges)]


def unified(parts: Sequence[pa.Table]) -> pa.Table:
    """Return tables one below the other, with the columns of all; categories become text, types those that hold both.

    Raises
    ------
    InvalidQuery
        When a column has types that have nothing in common.
    """
    try:
        return pa.concat_tables([_plain(part) for part in parts], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InvalidQuery(
            f"members have a column of the same name with types that do not go together: {error}"
        ) from error


def _plain(table: pa.Table) -> pa.Table:
    fields = [
        field.with_type(field.type.value_type) if isinstance(field.type, pa.DictionaryType) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields)).replace_schema_metadata(None)


def _filtered(table: pa.Table, condition: str) -> pa.Table:
    import duckdb

    with duckdb.connect(config={"enable_external_access": "false", "lock_configuration": "true"}) as connection:
        try:
            relation = connection.from_arrow(table).filter(condition).project(f"{_MEMBER}, {_ROW}")
            found: pa.Table = relation.to_arrow_table()
            return found
        except duckdb.Error as error:
            raise InvalidQuery(f"{shown(condition)}: {str(error).splitlines()[0]}") from error


def _near(message: str, read: Sequence[Callable[..., pa.Table]], constants: Sequence[Mapping[str, Any]]) -> str:
    """Return the columns that may be meant, of the first few tables."""
    found = _NO_SUCH.search(message)
    if found is None:
        return ""
    names = {name for table in read[:3] for name in table(None).column_names}
    return did_you_mean(found[1], names.union(*constants[:3]))
