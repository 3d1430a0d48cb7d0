"""What is measured or annotated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InputError, did_you_mean, shown
from registries.binding import REGISTRIES
from registries.column import Column, column
from registries.names import check_name
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["Feature", "check_dtype"]

SCALARS = ("int", "float", "str", "bool", "date", "datetime", "json", "cat")
_CATEGORY = re.compile(r"cat\[(\w+(?:\|\w+)*)\]", re.ASCII)
_LIST = re.compile(r"list\[(.+)\]", re.ASCII)
_VECTOR = re.compile(r"vector\[([1-9]\d{0,6})\]", re.ASCII)


class Feature(Record, natural=("name",)):
    """A dimension of measurement or annotation, with its type and unit.

    Examples
    --------
    >>> Feature(name="temperature", dtype="float", unit="degC").dtype
    'float'
    """

    name: Column[str] = column(doc="Unique, in Unicode normal form C.", unique=True)
    dtype: Column[str] = column(
        doc="int, float, str, bool, date, datetime, json, cat, cat[ULabel], vector[64], list[int]."
    )
    unit: Column[str | None] = column(doc="Unit of its values, such as degC.", default=None)
    description: Column[str | None] = column(doc="What it measures.", default=None)

    def check(self) -> None:
        """Check name, dtype and unit."""
        super().check()
        check_dtype(self.dtype)
        if self.unit is not None:
            self._values["unit"] = check_name(self.unit, "Feature.unit")

    def find(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """Return the feature of that name; another dtype under it is refused."""
        row = super().find(snapshot)
        if row is not None and not self.is_saved:
            self._refuse_other_dtype(row)
        return row

    def _refuse_other_dtype(self, row: Mapping[str, Any]) -> None:
        if row["dtype"] != self.dtype:
            raise InputError(
                f"Feature {shown(self.name)} exists with dtype {row['dtype']!r}, not {self.dtype!r}: "
                "use another name, or the dtype that it has"
            )


def check_dtype(text: str) -> str:
    """Return a feature's dtype, or say which there are.

    Examples
    --------
    >>> check_dtype("list[cat[ULabel]]")
    'list[cat[ULabel]]'
    >>> check_dtype("flaot")
    Traceback (most recent call last):
    lakehouse.errors.InputError: dtype 'flaot' is not known; did you mean 'float'?
    """
    if text in SCALARS or _VECTOR.fullmatch(text):
        return text
    if (listed := _LIST.fullmatch(text)) is not None and not text.startswith("list[list"):
        check_dtype(listed[1])
        return text
    if (category := _CATEGORY.fullmatch(text)) is not None:
        names = {registry.__name__ for registry in REGISTRIES.values()}
        for name in category[1].split("|"):
            if name not in names:
                raise InputError(f"dtype {shown(text)} names no registry {name!r}{did_you_mean(name, names)}")
        return text
    choices = [*SCALARS, "cat[ULabel]", "vector[64]", "list[int]"]
    raise InputError(f"dtype {shown(text)} is not known{did_you_mean(text, choices)}")
