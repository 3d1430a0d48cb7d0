"""``sql``: rows as a table, as CSV or as JSON; of one statement, or in a shell."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import typer

from lakehouse.cli.screen import Screen
from lakehouse.cli.session import moment, opened
from lakehouse.cli.shell import paged, statements, talk
from lakehouse.cli.text import Format, json_text, plain, visible
from lakehouse.errors import InvalidQuery
from registries.instance import Instance
from registries.query import check_limit

__all__ = ["export", "sql"]

_FEW = 100
_BATCH = 10_000


def sql(
    screen: Screen,
    query: str | None,
    *,
    at: str | None,
    format: Format | None,
    params: Sequence[str],
    limit: int | None,
) -> None:
    """Run a query and write its rows; where none is given, those that are typed or piped in."""
    if screen.options.json and format not in (None, Format.JSON):
        raise typer.BadParameter(f"--json contradicts --format {format}: give one of them", param_hint="--format")
    wanted = Format.JSON if screen.options.json else format or Format.TABLE
    most = (_FEW if wanted is Format.TABLE else None) if limit is None else limit or None
    if most is not None:
        check_limit(most)
    with opened(screen, read_only=True) as lake:

        def answer(text: str, values: Sequence[str]) -> None:
            try:
                with paged(screen) if query is None else nullcontext():
                    _write(screen, lake, text, at=at, wanted=wanted, params=_bound(text, values), most=most)
            except duckdb.Error as error:  # some faults show only when rows are fetched
                raise InvalidQuery(str(error)) from error

        if query is None and sys.stdin.isatty() and screen.is_terminal:
            talk(screen, lake, answer)
            return
        given = sys.stdin.read() if query in (None, "-") else str(query)
        for text in statements(given) if query is None else [given]:
            answer(text, params)


def export(screen: Screen, target: Path) -> None:
    """Write a file of views for plain DuckDB."""
    with opened(screen) as lake:
        made = lake.export_sql(target)
    if screen.options.json:
        screen.document(asdict(made) | {"path": str(made.path)})
    else:
        contents = f", {made.contents:,} of them contents of tables" if made.contents else ""
        screen.line(f"{made.path}: {made.views:,} views of commit {made.commit:,}{contents}")


def _write(
    screen: Screen,
    lake: Instance,
    query: str,
    *,
    at: str | None,
    wanted: Format,
    params: list[Any] | dict[str, Any] | None,
    most: int | None,
) -> None:
    relation = lake.sql(query, params, at=moment(at))
    columns = _distinct(relation.columns)
    rows = _rows(relation.to_arrow_reader(_BATCH))
    if wanted is Format.TABLE:
        _table(screen, columns, relation.types, rows, most)
    elif wanted is Format.CSV:
        _csv(screen, columns, islice(rows, most))
    else:
        _json(screen, columns, islice(rows, most))


def _rows(reader: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
    # By position: two columns may have the same name.
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where they repeat, since JSON objects keep one value for a name.

    Examples
    --------
    >>> _distinct(["uid", "name", "uid"])
    ['uid', 'name', 'uid_2']
    """
    found: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in found:
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def _table(
    screen: Screen, columns: Sequence[str], types: Sequence[object], rows: Iterator[tuple[Any, ...]], most: int | None
) -> None:
    shown = list(islice(rows, most))
    numbers = [name for name, kind in zip(columns, types, strict=True) if _is_number(str(kind))]
    screen.table(columns, shown, right=numbers)
    if next(rows, None) is not None:
        screen.note(f"{len(shown):,} rows are shown, there are more: --limit 0 or --format csv writes all.")


def _is_number(kind: str) -> bool:
    return kind.startswith(("DECIMAL", "FLOAT", "DOUBLE")) or kind.endswith(("INT", "INTEGER"))


def _csv(screen: Screen, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    for row in chain([columns], rows):
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow([_field(value) for value in row])
        text = buffer.getvalue()
        # To a file or a program the data goes as it is; a terminal would obey what is in it.
        screen.write(visible(text, lines=True) if screen.is_terminal else text)


def _field(value: Any) -> Any:
    found = plain(value)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, list | dict):
        return json.dumps(found, ensure_ascii=False)
    return str(value) if isinstance(value, float) else found


def _json(screen: Screen, columns: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    first = next(rows, None)  # a fault in the query shows here, before anything is written
    if first is None:
        screen.write("[]\n")
        return
    ascii_only = screen.ascii_only
    before = "[\n  "
    for row in chain([first], rows):
        screen.write(before + json_text(dict(zip(columns, row, strict=True)), ascii_only=ascii_only))
        before = ",\n  "
    screen.write("\n]\n")


def _bound(query: str, params: Sequence[str]) -> list[Any] | dict[str, Any] | None:
    """Return the values for ``?``, or for ``$name`` where the query has names."""
    if not params:
        return None
    names = _names(query)
    if not any(not name.isdecimal() for name in names):
        return [_value(text) for text in params]
    given: dict[str, Any] = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            raise typer.BadParameter(
                f"{text!r} names no value of the query: write one of {', '.join(sorted(f'{n}=V' for n in names))}",
                param_hint="--param",
            )
        given[name] = _value(value)
    return given


def _names(query: str) -> set[str]:
    try:
        return {name for statement in duckdb.extract_statements(query) for name in statement.named_parameters}
    except (duckdb.Error, UnicodeEncodeError):  # whoever runs the statement says what is wrong with it
        return set()


def _value(text: str) -> Any:
    """Return a number, true, false, null or quoted text as what it is in JSON, and everything else as text.

    Examples
    --------
    >>> [_value(text) for text in ("7", "007", '"7"', "true", "treated", "NaN", "[1]")]
    [7, '007', '7', True, 'treated', 'NaN', '[1]']
    """
    try:
        value = json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, list | dict) else value
