"""What is measured or annotated."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from lakehouse.errors import InputError, shown
from registries.column import MISSING, Column, column
from registries.dtype import Choice
from registries.dtypes import parse_dtype
from registries.kinds import check_value
from registries.names import check_name
from registries.query import Query
from registries.record import Record

if TYPE_CHECKING:
    from lakehouse.engine import Snapshot

__all__ = ["Feature", "check_dtype", "dtype_text"]


_PYTHON: dict[Any, str] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "bool",
    dt.date: "date",
    dt.datetime: "datetime",
    dict: "json",
}


class DTypeColumn(Column[Any]):
    """Text that may be given as a Python type, a registry, several of these, or a query."""

    def __init__(self, *, doc: str) -> None:
        super().__init__(default=MISSING, doc=doc, unique=False, init=True, references=None)

    @overload
    def __get__(self, record: None, owner: type) -> DTypeColumn: ...
    @overload
    def __get__(self, record: Record, owner: type) -> str: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        return self if record is None else record.value(self.name)


class JsonColumn(Column[Any]):
    """A value as JSON text in the table; on a record, the value itself."""

    def __init__(self, *, doc: str) -> None:
        super().__init__(default=None, doc=doc, unique=False, init=True, references=None)
        self.nullable = True

    @overload
    def __get__(self, record: None, owner: type) -> JsonColumn: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Any: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        if record is None:
            return self
        text = record.value(self.name)
        return None if text is None else json.loads(text)


class Feature(Record, natural=("name",), measured="features"):
    """A dimension of measurement or annotation, with its type and unit.

    ``dtype`` is text, or a Python type, a registry, a list of registries, or a query that narrows one.

    Examples
    --------
    >>> Feature(name="temperature", dtype="float", unit="degC").dtype
    'float'
    >>> from registries import ULabel
    >>> Feature(name="condition", dtype=ULabel).dtype
    'cat[ULabel]'
    """

    name: Column[str] = column(doc="Unique, in Unicode normal form C.", unique=True)
    dtype: DTypeColumn = DTypeColumn(
        doc="int, float, str, bool, date, datetime, json, cat, cat[ULabel], vector[64], list[int]."
    )
    unit: Column[str | None] = column(doc="Unit of its values, such as degC.", default=None)
    description: Column[str | None] = column(doc="What it measures.", default=None)
    synonyms: Column[list[str]] = column(doc="Other names.", default=())
    nullable: Column[bool | None] = column(doc="Whether values may be missing; null means yes.", default=True)
    default: JsonColumn = JsonColumn(doc="What stands for a missing value, as JSON.")

    def assign(self, declared: Column[Any], value: Any) -> None:
        """Set a column; types and registries become the text of a dtype."""
        if declared.name == "dtype":
            value = dtype_text(value)
        if declared.name == "default" and value is not None:
            value = _as_json(value)
        super().assign(declared, value)

    def check(self) -> None:
        """Check name, dtype, unit and default."""
        super().check()
        self._values["dtype"] = check_dtype(self.dtype)
        if self.unit is not None:
            self._values["unit"] = check_name(self.unit, "Feature.unit")
        if self.default is not None and not parse_dtype(self.dtype).is_categorical:
            check_value(parse_dtype(self.dtype), self.default, "Feature.default")

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


def dtype_text(given: object) -> object:
    """Return the text for a type that was given as a Python type, a registry, several of these, or a query.

    Examples
    --------
    >>> from registries import ULabel
    >>> dtype_text(float), dtype_text(ULabel), dtype_text("vector[64]")
    ('float', 'cat[ULabel]', 'vector[64]')
    """
    if isinstance(given, type) and issubclass(given, Record):
        return f"cat[{given.__name__}]"
    if isinstance(given, Query):
        return f"cat[{Choice(given.registry.meta.table, given.asked)}]"
    if isinstance(given, list | tuple) and given:
        parts = [dtype_text(part) for part in given]
        if all(isinstance(part, str) and part.startswith("cat[") for part in parts):
            return f"cat[{'|'.join(str(part)[4:-1] for part in parts)}]"
    return _PYTHON.get(given, given) if isinstance(given, type) else given


def check_dtype(text: str) -> str:
    """Return a feature's dtype, or say which there are.

    Examples
    --------
    >>> check_dtype("list[cat[ULabel]]")
    'list[cat[ULabel]]'
    """
    return str(parse_dtype(text))


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"Feature.default = {shown(value)} cannot be written as JSON: {error}") from error
