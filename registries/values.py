"""Tables of feature values: which value a feature has for an artifact, a run or a dataset."""

from __future__ import annotations

import datetime as dt
from functools import partial
from types import new_class
from typing import Any

import pyarrow as pa

from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import Column, Reference, column, reference
from registries.record import Record

__all__ = ["HOLDERS", "value_table", "value_uid"]

HOLDERS = ("artifact", "run", "dataset")
"""Tables of what has values of features."""


class _Numbers(Column[Any]):
    """A list of floats."""

    def __init__(self) -> None:
        super().__init__(default=None, doc="The value, of a vector.", unique=False, init=True, references=None)
        self.nullable = True

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column in Arrow and Delta."""
        return pa.list_(pa.float64())

    def checked(self, value: object, owner: str) -> Any:
        """Return the value as it is kept: whoever sets it has checked it."""
        del owner
        return value


def value_table(holder: str) -> str:
    """Return the name of the table with the values of a registry's records.

    Examples
    --------
    >>> value_table("artifact")
    'artifact_value'
    """
    return f"{holder}_value"


def value_uid(holder: str, feature: str, position: int) -> str:
    """Return the uid of a value: computed, so that the same one written twice is one row."""
    return derived_uid("value", holder, feature, str(position))


def _declare(holder: str) -> None:
    new_class(
        f"{holder.title()}Value",
        (Record,),
        {"table": value_table(holder), "links": {}},
        partial(_body, holder),
    )


def _body(holder: str, namespace: dict[str, Any]) -> None:
    article, mine = ("an" if holder[0] in "aeiou" else "a"), ("subject" if holder == "run" else holder)
    columns: dict[str, tuple[Any, Any]] = {
        mine: (Reference[str], reference(holder, doc=f"The {holder}.")),
        "feature": (Reference[str], reference("feature", doc="The feature.")),
        "position": (Column[int], column(doc="Place in a list, from 0; 0 for single values.", default=0)),
    }
    for name, kind, what in (
        ("whole", int, "int"),
        ("number", float, "float"),
        ("text", str, "str"),
        ("truth", bool, "bool"),
        ("day", dt.date, "date"),
        ("moment", dt.datetime, "datetime"),
        ("json", str, "json"),
    ):
        columns[name] = (Column[kind | None], column(doc=f"The value, of dtype {what}.", default=None))  # type: ignore[valid-type]
    columns["vector"] = (Column, _Numbers())
    namespace.update(
        __doc__=f"A value that a feature has for {article} {holder}; its dtype says in which column.",
        __module__=__name__,
        __annotations__={name: hint for name, (hint, _) in columns.items()},
        **{name: declared for name, (_, declared) in columns.items()},
    )


for _holder in HOLDERS:
    if value_table(_holder) not in REGISTRIES:
        _declare(_holder)
