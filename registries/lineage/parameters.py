"""Parameters of runs: typed rows, found by ``run__params__alpha__gt=0.1`` and in SQL as ``run_param``."""

from __future__ import annotations

import datetime as dt
import json
import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from lakehouse.errors import InputError, UnknownField, shown
from lakehouse.ids import derived_uid
from registries.binding import REGISTRIES
from registries.column import Column, Reference, column, reference, to_utc
from registries.conditions import Condition, both, either, opposite
from registries.lineage.secrets import HIDDEN, is_secret_name, without_secrets
from registries.lookups import nested
from registries.record import Record

if TYPE_CHECKING:
    from registries.meta import Meta

__all__ = ["OBJECT", "PARAM", "Parameter", "RunParam", "check_parameters", "parameter", "read_parameter", "with_params"]

PARAM: Final = "run_param"
OBJECT: Final = "object"
"""The kind of what is neither a plain value nor JSON: data that was handed over, of which the type is kept."""
_LONGEST: Final = 10_000
_MOST: Final = 1_000
_BIGGEST: Final = 2**63
_COLUMNS: Final = ("text", "whole", "number", "truth", "moment", "json")


class RunParam(Record, table=PARAM):
    """A parameter of a run; the kind says in which column its value is."""

    subject: Reference[str] = reference("run", doc="The run.")
    name: Column[str] = column(doc="What it is called; unique within the run.")
    kind: Column[str] = column(doc="str, int, float, bool, datetime, date, path, record, json, null, secret or object.")
    text: Column[str | None] = column(
        doc="The value of a str, path, date or record; of an object, its type.", default=None
    )
    whole: Column[int | None] = column(doc="The value of an int.", default=None)
    number: Column[float | None] = column(doc="The value of a float or an int.", default=None)
    truth: Column[bool | None] = column(doc="The value of a bool.", default=None)
    moment: Column[dt.datetime | None] = column(doc="The value of a datetime, UTC.", default=None)
    json: Column[str | None] = column(doc="The value of a list or dict, as JSON.", default=None)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value as it is kept."""

    kind: str
    values: Mapping[str, Any]

    def row(self, run: str, name: str) -> dict[str, Any]:
        """Return the row of a run's parameter, without its stamps."""
        found: dict[str, Any] = {"uid": derived_uid(PARAM, run, name), "subject": run, "name": name, "kind": self.kind}
        return found | dict(self.values)


def parameter(name: str, value: Any) -> Parameter:
    """Return a value as it is kept, with secrets hidden; nothing is refused, whatever the value does when it is asked.

    Examples
    --------
    >>> parameter("alpha", 3), parameter("password", "x").kind
    (Parameter(kind='int', values={'whole': 3, 'number': 3.0}), 'secret')
    """
    try:
        return _kept(name, value)
    except Exception:  # noqa: BLE001  a call must not fail because its arguments do not like to be looked at
        return Parameter(OBJECT, {"text": type(value).__qualname__})


def _kept(name: str, value: Any) -> Parameter:
    if value is None:
        return Parameter("null", {})
    if is_secret_name(name) and not isinstance(value, bool):
        return Parameter("secret", {"text": HIDDEN})
    if isinstance(value, str):
        return Parameter("str", {"text": _storable(value)})
    if type(value).__name__ in ("bool", "bool_"):
        return Parameter("bool", {"truth": bool(value)})
    return _number(value) or _other(value)


def _number(value: Any) -> Parameter | None:
    if isinstance(value, numbers.Integral):
        whole = int(value)
        if -_BIGGEST <= whole < _BIGGEST:
            return Parameter("int", {"whole": whole, "number": float(whole)})
        return Parameter("json", {"json": hex(whole) if whole.bit_length() > 10_000 else str(whole)})
    if isinstance(value, numbers.Real):
        number = float(value)
        return Parameter("float", {"number": number} if math.isfinite(number) else {"text": str(number)})
    return None


def _other(value: Any) -> Parameter:
    if isinstance(value, Record):
        return Parameter("record", {"text": f"{value.meta.table} {value.uid}" if value.is_saved else value.meta.table})
    if isinstance(value, dt.datetime):
        return _moment(value)
    if isinstance(value, dt.date):
        return Parameter("date", {"text": value.isoformat()})
    if isinstance(value, PurePath | os.PathLike):
        return Parameter("path", {"text": _storable(os.fsdecode(os.fspath(value)))})
    if isinstance(value, list | tuple | dict):
        return _json(value)
    return _object(value)


def _moment(value: dt.datetime) -> Parameter:
    if value.tzinfo is None:
        return Parameter("datetime", {"text": value.isoformat()})
    return Parameter("datetime", {"moment": to_utc(value)})


def _json(value: Any) -> Parameter:
    if isinstance(value, list | tuple) and len(value) > _LONGEST:
        return _object(value)
    try:
        text = json.dumps(without_secrets(value), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        return _object(value)
    return Parameter("json", {"json": text}) if len(text) <= _LONGEST else _object(value)


def _object(value: Any) -> Parameter:
    """Keep the type and the extent of data, never the data."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    shape = getattr(value, "shape", None)
    try:
        extent = f" {'x'.join(map(str, shape))}" if isinstance(shape, tuple) else f" of {len(value)}"
    except (TypeError, ValueError, NotImplementedError, AttributeError):
        extent = ""
    return Parameter(OBJECT, {"text": _storable(kind + extent)})


def _storable(text: str) -> str:
    found = str(without_secrets(str.__str__(text)[: 4 * _LONGEST]))
    if len(found) > _LONGEST:
        found = found[: _LONGEST - 1] + "…"
    return found.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def read_parameter(row: Mapping[str, Any]) -> Any:
    """Return the value of a row."""
    kind = row["kind"]
    if kind == "json":
        return json.loads(row["json"]) if not row["json"].startswith("0x") else row["json"]
    if kind == "int":
        return row["whole"]
    return next((row[name] for name in _COLUMNS if row.get(name) is not None), None)


def check_parameters(params: object) -> dict[str, Any]:
    """Return parameters by name.

    Raises
    ------
    InputError
        When they are no dict by text, or more than 1,000.
    """
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InputError(f"params = {shown(params)}: a dict of values by name is accepted")
    if len(params) > _MOST:
        raise InputError(f"params has {len(params):,} entries: at most {_MOST:,} are accepted, group them in a dict")
    for name in params:
        if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
            raise InputError(f"params[{shown(name)}]: a name is text of 1 to 200 visible characters")
    return dict(params)


def with_params(meta: Meta, rest: list[str], value: object, lookup: Any) -> Condition:
    """Return the condition that a run has a parameter: ``params__alpha=3``, ``params__alpha__gt=0.1``."""
    del meta
    if not rest:
        raise UnknownField(f"{shown(str(lookup))}: name the parameter, as in params__alpha=3")
    params = REGISTRIES[PARAM].meta
    named = Condition('"name" = ?', (rest[0],))
    if rest[1:] == ["isnull"]:
        there = named.within("uid", "subject", PARAM)
        return opposite(there) if value is True else there
    columns = _comparable(value)
    found = [both([named, nested(params, [name, *rest[1:]], value, lookup)]) for name in columns]
    return either(found).within("uid", "subject", PARAM)


def _comparable(value: object) -> tuple[str, ...]:
    first: Any = value
    if isinstance(value, list | tuple | set | frozenset):
        first = next(iter(value), "")
    if isinstance(first, bool):
        return ("truth",)
    if isinstance(first, numbers.Real):
        return ("number",)
    return ("moment",) if isinstance(first, dt.datetime) else ("text",)
