"""Reports: every fault of a validation at once, with reason, place, examples and what to do."""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InvalidData, shown

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["EXAMPLES", "MOST_ROWS", "Fault", "Report", "example"]

MOST_ROWS = 1_000
"""Positions that a fault lists; ``count`` has their true number."""
EXAMPLES = 5
"""Distinct values that a fault shows."""
_SHOWN = 5
_HTML = ("slot", "column", "reason", "count", "rows", "message", "suggestion")
_COLUMNS = ("reason", "slot", "column", "count", "message", "rows", "examples", "suggestion", "is_note")


def example(value: Any) -> str:
    """Return a value as messages show it.

    Examples
    --------
    >>> example("x"), example(dt.date(2026, 1, 31))
    ("'x'", '2026-01-31')
    """
    return str(value) if isinstance(value, dt.date) else shown(value, 40)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or, as a note, worth knowing.

    Attributes
    ----------
    reason
        A code such as ``missing_column``, ``wrong_dtype``, ``null``, ``not_in_registry``, ``out_of_range``.
    slot
        Where: ``columns``, ``obs``, ``rna/var``, ...
    column
        The column, if it is about one.
    message
        In words.
    count
        How many values it is about; 1 where it is about the column itself.
    rows
        Positions from 0 of the first 1,000 of them.
    examples
        Some of the values.
    suggestion
        What to do.
    is_note
        Whether it does not make the data invalid.
    """

    reason: str
    slot: str
    column: str | None
    message: str
    count: int = 1
    rows: tuple[int, ...] = ()
    examples: tuple[Any, ...] = ()
    suggestion: str | None = None
    is_note: bool = False

    def __str__(self) -> str:
        where = f"{self.slot}.{self.column}" if self.column is not None else self.slot
        text = f"{where}: {self.message} [{self.reason}]"
        if self.rows:
            text += f" at row{'s' if self.count > 1 else ''} {', '.join(map(str, self.rows[:_SHOWN]))}"
            text += ", …" if self.count > _SHOWN else ""
        return text + (f"; {self.suggestion}" if self.suggestion else "")


@dataclass(frozen=True, repr=False)
class Report:
    """What a validation found.

    Examples
    --------
    >>> report = Report("samples", (Fault("missing_column", "columns", "age", "is missing"),))
    >>> report.ok, report.to_dict()["faults"][0]["reason"]
    (False, 'missing_column')
    """

    schema: str
    faults: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, schema: str, found: Sequence[Fault]) -> Report:
        """Return the report of what was found, faults and notes apart."""
        return cls(schema, tuple(f for f in found if not f.is_note), tuple(f for f in found if f.is_note))

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.faults)

    def __len__(self) -> int:
        return len(self.faults)

    def raise_if_invalid(self) -> Report:
        """Raise with all faults, or return the report itself.

        Raises
        ------
        InvalidData
            When there is any fault; the report is its attribute ``report``.
        """
        if self.faults:
            raise InvalidData(repr(self), self)
        return self

    def merged(self, other: Report) -> Report:
        """Return both reports in one."""
        return replace(self, faults=self.faults + other.faults, notes=self.notes + other.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain lists and dicts."""
        return {
            "schema": self.schema,
            "ok": self.ok,
            "faults": [_plain(fault) for fault in self.faults],
            "notes": [_plain(fault) for fault in self.notes],
        }

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), default=str, ensure_ascii=False)

    def pl(self) -> pl.DataFrame:
        """Return one row for each fault and note, as a Polars DataFrame."""
        import polars as pl

        kinds: dict[str, Any] = {
            "count": pl.Int64,
            "rows": pl.List(pl.Int64),
            "examples": pl.List(pl.String),
            "is_note": pl.Boolean,
        }
        rows = [_plain(fault) | {"examples": [str(e) for e in fault.examples]} for fault in (*self.faults, *self.notes)]
        return pl.DataFrame(rows, schema={name: kinds.get(name, pl.String) for name in _COLUMNS})

    def df(self) -> pd.DataFrame:
        """Return one row for each fault and note, as a pandas DataFrame."""
        return self.pl().to_pandas()

    def to_html(self) -> str:
        """Return it as an HTML fragment; values are escaped."""
        head = "".join(f"<th>{name}</th>" for name in _HTML)
        body = "".join(map(_html_row, (*self.faults, *self.notes)))
        verdict = html.escape(self._verdict())
        return f"<div><p>{verdict}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"

    _repr_html_ = to_html

    def _verdict(self) -> str:
        name = f" {shown(self.schema)}" if self.schema else ""
        if self.ok:
            return f"conforms to schema{name}"
        return f"does not conform to schema{name}: {len(self.faults):,} fault{'s' if len(self.faults) > 1 else ''}"

    def __repr__(self) -> str:
        lines = [self._verdict(), *(f"  {fault}" for fault in self.faults)]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def _plain(fault: Fault) -> dict[str, Any]:
    return asdict(fault) | {"rows": list(fault.rows), "examples": [_json_value(value) for value in fault.examples]}


def _json_value(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _html_row(fault: Fault) -> str:
    rows = ", ".join(map(str, fault.rows[:_SHOWN])) + (", …" if fault.rows and fault.count > _SHOWN else "")
    told = (fault.slot, fault.column, fault.reason, fault.count, rows, fault.message, fault.suggestion)
    words = ("note: " + fault.reason if fault.is_note and one is fault.reason else one for one in told)
    return "<tr>" + "".join(f"<td>{html.escape('' if one is None else str(one))}</td>" for one in words) + "</tr>"
