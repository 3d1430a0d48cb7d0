"""Compiling slots to pandera, for pandas, Polars and Arrow, and reading pandera's schemas and verdicts.

The only module that imports pandera, which takes half a second.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakehouse.errors import InputError, Unsupported, did_you_mean, shown
from validation.checks import Check, Resolver, checks_of
from validation.mixed import of_pandas
from validation.rules import Relation, Rule, Slot

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BACKENDS", "Failure", "compiled", "failures", "is_pandera", "slot_of"]

BACKENDS: Final = ("pandas", "polars", "pyarrow")
_KEY = "lakehouse"
_REASONS = {
    "COLUMN_NOT_IN_DATAFRAME": "missing_column",
    "COLUMN_NOT_IN_SCHEMA": "extra_column",
    "COLUMN_NOT_ORDERED": "wrong_column_order",
    "SERIES_CONTAINS_NULLS": "null",
    "SERIES_CONTAINS_DUPLICATES": "duplicate",
    "DUPLICATES": "duplicate_rows",
    "DATATYPE_COERCION": "not_coercible",
    "WRONG_DATATYPE": "wrong_dtype",
    "CHECK_ERROR": "check_failed",
}


@dataclass(frozen=True, eq=False)
class Failure:
    """Something that pandera found.

    Attributes
    ----------
    reason
        A code.
    column
        The column, if it is about one.
    message
        In words.
    flags
        For each row whether it passes, where it is about rows.
    """

    reason: str
    column: str | None
    message: str
    flags: pl.Series | None = None


def compiled(
    slot: Slot, resolve: Resolver, backend: str = "pandas", *, name: str = "", standardize: bool = True
) -> Any:
    """Return the pandera schema of a slot.

    Parameters
    ----------
    slot
        The rules.
    resolve
        Finds the vocabularies that rules name.
    backend
        ``pandas``, ``polars`` or ``pyarrow``.
    name
        What the schema is called.
    standardize
        Whether values of registry columns are standardized first, where the backend has parsers (pandas).
    """
    library = _library(backend)
    parsing = standardize and backend == "pandas"
    rules = [rule for rule in slot.rules if not rule.forbidden]
    columns = {rule.name: _column(library, rule, resolve, backend, parsing=parsing) for rule in rules}
    options: dict[str, Any] = {
        "strict": slot.extra == "forbid",
        "ordered": slot.ordered,
        "name": name or None,
        "metadata": {_KEY: _kept(slot)},
    }
    rowwise = [*map(_of_relation, slot.relations), *map(_of_group, slot.unique_together)]
    options["checks"] = [_frame_check(library, one, backend) for one in rowwise]
    if slot.index is not None and backend == "pandas":
        checks = [_check(library, one, backend) for one in checks_of(slot.index, resolve)]
        options["index"] = library.Index(None, checks=checks, nullable=slot.index.nullable)
    return library.DataFrameSchema(columns, **options)


def _library(backend: str) -> Any:
    if backend not in BACKENDS:
        raise InputError(f"backend {shown(backend)} is not known{did_you_mean(str(backend), BACKENDS)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"pandera.{backend}")


def _column(library: Any, rule: Rule, resolve: Resolver, backend: str, *, parsing: bool) -> Any:
    checks = [_check(library, one, backend) for one in checks_of(rule, resolve)]
    options: dict[str, Any] = {
        "checks": checks,
        "nullable": rule.nullable,
        "required": rule.required,
        "coerce": rule.coerce and backend != "pyarrow",  # whose backend does not: it warns and fails
        "description": rule.description,
        "metadata": {_KEY: rule.to_dict()},
    }
    if parsing and rule.registries and not rule.many:
        known = [resolve(one, rule) for one in rule.registries]
        options["parsers"] = [library.Parser(_standardizer(known, rule), name="standardize")]
    return library.Column(_dtype(rule, backend) if options["coerce"] else None, **options)


def _standardizer(known: list[Any], rule: Rule) -> Callable[[Any], Any]:
    def standardize(series: Any) -> Any:
        for vocabulary in known:
            series = vocabulary.standardize(series, field=rule.field)
        return series

    return standardize


def _dtype(rule: Rule, backend: str) -> Any:
    """Return the dtype that values are coerced to."""
    if rule.many or rule.kind in ("any", "json", "vector", "number"):
        return None
    kind = {"cat": "str"}.get(rule.kind, rule.kind)
    if backend == "polars":
        import polars as pl

        kinds: dict[str, Any] = {"int": pl.Int64, "float": pl.Float64, "str": pl.String, "bool": pl.Boolean}
        return (kinds | {"date": pl.Date, "datetime": pl.Datetime("us")})[kind]
    nullable = {"int": "Int64", "bool": "boolean"} if rule.nullable else {}
    return ({"int": "int64", "float": "float64", "bool": "bool", "date": "datetime64[ns]"} | nullable).get(
        kind, {"datetime": "datetime64[ns]"}.get(kind, "str")
    )


# One check, three backends


def _check(library: Any, one: Check, backend: str) -> Any:
    options = {"name": one.reason, "error": one.message, "ignore_na": True}
    if backend == "polars":
        return library.Check(functools.partial(_on_polars, one), **options)
    if backend == "pyarrow":
        return library.Check(functools.partial(_on_arrow, one), native=True, **options)
    return library.Check(functools.partial(_on_pandas, one), **options)


def _on_polars(one: Check, data: Any) -> Any:
    import polars as pl

    frame: Any = data.lazyframe.select(pl.col(data.key)).collect()
    flags = _flags(one, frame.to_series())
    if flags if isinstance(flags, bool) else flags.all():
        return True  # pandera looks at each flag several times
    return pl.LazyFrame({"flags": _spread(flags, frame.height)})


def _flags(one: Check, series: pl.Series) -> pl.Series | bool:
    """Return what passes a check; missing values do, of which a whole column may be of no type at all."""
    return True if series.null_count() == len(series) else one.flags(series)


def _spread(flags: pl.Series | bool, height: int) -> pl.Series:  # noqa: FBT001  what a check returns
    """Return one flag for each row: pandera cannot list the failures of two checks when one returns a single one."""
    import polars as pl

    return pl.Series([flags], dtype=pl.Boolean).new_from_index(0, height) if isinstance(flags, bool) else flags


def _on_arrow(one: Check, data: Any) -> Any:
    import polars as pl
    import pyarrow as pa

    series: Any = pl.from_arrow(data.table[data.key])
    made = _spread(_flags(one, series), len(series))
    return data.table.append_column("check_output", made.to_arrow().cast(pa.bool_()))


def _on_pandas(one: Check, series: Any) -> Any:
    import pandas as pd
    import polars as pl

    made, mixed = of_pandas(series)
    if mixed is None:
        flags = _spread(_flags(one, made), len(series))
    else:  # that is the fault: nothing else can be told of such a column
        rows = pl.Series(range(len(series)), dtype=pl.Int64)
        flags = ~rows.is_in(mixed.rows) if one.reason == "wrong_dtype" else rows.is_not_null()
    return pd.Series(flags.fill_null(value=True).to_numpy(), index=series.index)


@dataclass(frozen=True)
class _Rowwise:
    """What must hold for rows of several columns."""

    reason: str
    message: str
    columns: tuple[str, ...]
    expression: Callable[[], pl.Expr]


def _of_relation(relation: Relation) -> _Rowwise:
    def expression() -> pl.Expr:
        import polars as pl

        left, right = pl.col(relation.left), pl.col(relation.right)
        names = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
        made: pl.Expr = getattr(left, names[relation.op])(right)
        return made.fill_null(value=True)

    return _Rowwise("relation", f"is not {relation}", (relation.left, relation.right), expression)


def _of_group(group: tuple[str, ...]) -> _Rowwise:
    def expression() -> pl.Expr:
        import polars as pl

        return ~pl.struct(*group).is_duplicated()

    return _Rowwise("duplicate_rows", f"{' and '.join(group)} repeat together", group, expression)


def _frame_check(library: Any, one: _Rowwise, backend: str) -> Any:
    import polars as pl

    def on_frame(frame: Any) -> Any:
        flags = frame.select(one.expression().alias("check_output"))
        return flags.to_series() if isinstance(frame, pl.DataFrame) else flags

    def on_arrow(data: Any) -> Any:
        frame: Any = pl.from_arrow(data.table.select(list(dict.fromkeys(one.columns))))
        return data.table.append_column("check_output", on_frame(frame).to_arrow())

    def on_pandas(frame: Any) -> Any:
        import pandas as pd

        chosen = frame[list(dict.fromkeys(one.columns))].reset_index(drop=True)
        return pd.Series(on_frame(pl.from_pandas(chosen, nan_to_null=True)).to_numpy(), index=frame.index)

    options = {"name": one.reason, "error": one.message}
    if backend == "polars":
        return library.Check(lambda data: on_frame(data.lazyframe), **options)
    if backend == "pyarrow":
        return library.Check(on_arrow, native=True, **options)
    return library.Check(on_pandas, **options)


def _kept(slot: Slot) -> dict[str, Any]:
    """Return what a schema of pandera has no word for."""
    return {
        "extra": slot.extra,
        "order": [rule.name for rule in slot.rules],
        "forbidden": [rule.to_dict() for rule in slot.rules if rule.forbidden],
        "relations": [[one.left, one.op, one.right] for one in slot.relations],
        "groups": list(slot.unique_together),
        "index": slot.index.to_dict() if slot.index is not None else None,
    }


# What pandera says


def failures(schema: Any, frame: Any) -> list[Failure]:
    """Validate a frame against a pandera schema, and return everything that it found."""
    from pandera import errors

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schema.validate(frame, lazy=True)
    except errors.SchemaErrors as found:
        return _once([_failure(error) for error in found.schema_errors])
    except errors.SchemaError as error:
        return [_failure(error)]
    return []


def _once(found: list[Failure]) -> list[Failure]:
    """Return failures without repeats: what cannot be coerced is told for the frame, the column and its dtype."""
    stuck = {one.column for one in found if one.reason == "not_coercible"}
    told: dict[Any, Failure] = {}
    for one in found:
        if not (one.reason == "wrong_dtype" and one.column in stuck):
            told.setdefault((one.reason, one.column, one.message if one.reason != "not_coercible" else ""), one)
    return list(told.values())


def _failure(error: Any) -> Failure:
    import polars as pl

    code = getattr(error.reason_code, "name", "")
    check = error.check
    own = getattr(check, "name", None)
    reason = _REASONS.get(code) or own or str(code).lower()
    flags = error.check_output
    if flags is not None and not isinstance(flags, pl.Series):
        flags = _as_flags(flags)
    column = error.column_name or getattr(error.schema, "name", None)
    if reason in ("missing_column", "extra_column", "wrong_column_order"):
        column = str(error.failure_cases) if not hasattr(error.failure_cases, "columns") else _only(error.failure_cases)
    if reason == "not_coercible" and column is None and hasattr(error.failure_cases, "columns"):
        column = error.failure_cases.columns[0]
    message = getattr(check, "error", None) or _words(reason, error)
    if reason in ("relation", "duplicate_rows"):
        column = None
    return Failure(reason, None if column is None else str(column), message, flags)


def _only(cases: Any) -> str:
    return str(cases[cases.columns[-1]].to_list()[0])


def _as_flags(output: Any) -> pl.Series | None:
    import polars as pl

    if isinstance(output, pl.DataFrame):
        return output.get_column(output.columns[-1])
    if hasattr(output, "column_names"):
        return pl.Series(output.column(output.column_names[-1]).to_pylist(), dtype=pl.Boolean)
    if getattr(getattr(output, "dtype", None), "kind", "") == "b":
        return pl.Series(output.to_numpy())
    return None


def _words(reason: str, error: Any) -> str:
    plain = {
        "missing_column": "is missing",
        "extra_column": "has no rule and is forbidden",
        "wrong_column_order": "is not where the schema has it",
        "null": "is missing",
        "not_coercible": "cannot be converted",
        "duplicate_rows": "rows repeat",
    }
    return plain.get(reason) or shown(str(error).partition("\n")[0], 300).strip("'\"")


# Schemas that pandera's users have


def is_pandera(given: object) -> bool:
    """Return whether an object is a schema or model of pandera."""
    kind = given if isinstance(given, type) else type(given)
    return any(base.__module__.startswith("pandera.") for base in kind.__mro__)


_STATISTICS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "greater_than_or_equal_to": (("ge", "min_value"),),
    "greater_than": (("gt", "min_value"),),
    "less_than_or_equal_to": (("le", "max_value"),),
    "less_than": (("lt", "max_value"),),
    "isin": (("isin", "allowed_values"),),
    "str_matches": (("regex", "pattern"),),
    "str_length": (("min_length", "min_value"), ("max_length", "max_value")),
}


def slot_of(given: Any) -> Slot:
    """Return the slot that says what a pandera schema or model does.

    Raises
    ------
    Unsupported
        When it has a check that rules have no word for; such a schema can be used as it is instead.
    """
    schema: Any = given
    if isinstance(given, type):
        schema = schema.to_schema()
    kept = (schema.metadata or {}).get(_KEY, {}) if isinstance(schema.metadata, dict) else {}
    rules = [_rule(name, column) for name, column in schema.columns.items()]
    rules += [Rule.from_dict(one) for one in kept.get("forbidden", ())]
    places = {one: place for place, one in enumerate(kept.get("order", ()))}
    rules.sort(key=lambda rule: places.get(rule.name, len(places)))
    extra = "forbid" if schema.strict else kept.get("extra", "report")
    groups = [tuple([schema.unique] if isinstance(schema.unique, str) else schema.unique)] if schema.unique else []
    groups += kept.get("groups", [])
    relations = tuple(Relation(*one) for one in kept.get("relations", ()))
    return Slot(
        tuple(rules),
        index=Rule.from_dict(kept["index"]) if kept.get("index") else None,
        extra=extra,
        ordered=bool(schema.ordered),
        relations=relations,
        unique_together=tuple(groups),
    )


def _rule(name: str, column: Any) -> Rule:
    kept = (column.metadata or {}).get(_KEY)
    if kept:
        return Rule.from_dict(kept)
    made: dict[str, Any] = {"dtype": _kind(str(column.dtype)), "nullable": column.nullable, "unique": column.unique}
    for check in column.checks:
        statistics = check.statistics or {}
        if check.name == "in_range":
            made["ge" if statistics.get("include_min", True) else "gt"] = statistics["min_value"]
            made["le" if statistics.get("include_max", True) else "lt"] = statistics["max_value"]
        elif check.name in _STATISTICS:
            made |= {ours: _plain(statistics.get(theirs)) for ours, theirs in _STATISTICS[check.name]}
        else:
            raise Unsupported(
                f"check {shown(str(check.name))} of column {shown(name)} has no rule: hand the pandera schema itself to "
                "curate(), or leave the check out"
            )
    return Rule(name, required=column.required, coerce=column.coerce, description=column.description, **made)


def _plain(value: Any) -> Any:
    pattern = getattr(value, "pattern", value)
    return tuple(pattern) if isinstance(pattern, list | set | frozenset | tuple) else pattern


def _kind(dtype: str) -> str:
    text = dtype.lower()
    for kind, words in {
        "int": ("int", "uint"),
        "float": ("float",),
        "bool": ("bool",),
        "datetime": ("datetime", "timestamp"),
        "date": ("date",),
        "cat": ("categ", "enum", "dictionary"),
        "str": ("str", "object", "utf8", "large_string"),
    }.items():
        if text.startswith(words):
            return kind
    return "any"
