"""Registries out of sample sheets: what a sheet's columns are, and records by key; nothing is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.engine import TableSpec
from lakehouse.engine.arrow import pc
from lakehouse.errors import Duplicate, InputError, InvalidFile, InvalidName, Unsupported, shown
from registries.adding import add
from registries.binding import REGISTRIES
from registries.bulk import arrow_of, checked_columns
from registries.checked import is_column_name, taken_columns
from registries.custom import registry_from
from registries.names import check_name
from registries.record import Record
from registries.retyped import retyped
from registries.sheetfile import guessed, read_sheet, snake

if TYPE_CHECKING:
    from registries.instance import Instance

__all__ = ["SHEET", "Decision", "SheetReport", "create"]

SHEET = "sheet"
"""The origin of registries that were made of sample sheets."""
_SHEETS = (".csv", ".tsv", ".tab", ".txt")
_KINDS = {
    pa.string(): "text",
    pa.int64(): "whole number",
    pa.float64(): "number",
    pa.bool_(): "true or false",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "time",
    pa.list_(pa.string()): "list of text",
}


@dataclass(frozen=True)
class Decision:
    """What became of a column of the sheet.

    Attributes
    ----------
    header
        What the sheet calls it.
    column
        What the registry calls it.
    kind
        The type, or ``-> Registry`` for a reference.
    why
        What there was to decide, in words.
    """

    header: str
    column: str
    kind: str
    why: str = ""


@dataclass(frozen=True)
class SheetReport:
    """What was made of a sample sheet.

    Attributes
    ----------
    registry
        The registry's class name.
    table
        What SQL calls it.
    key
        The column that tells records apart.
    decisions
        What became of each column.
    inserted, updated, unchanged
        Numbers of records.
    """

    registry: str
    table: str
    key: str
    decisions: tuple[Decision, ...]
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def __repr__(self) -> str:
        lines = [f"{self.registry} (table {self.table}, key {self.key})"]
        lines += [f"  {one.column}: {one.kind}" + (f" ({one.why})" if one.why else "") for one in self.decisions]
        return "\n".join(
            [*lines, f"  {self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"]
        )


@dataclass
class _Sheet:
    """Columns under the names that they get."""

    headers: dict[str, str] = field(default_factory=dict)
    values: dict[str, pa.Array] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)


def create(home: Instance, name: str, source: Any, *, key: str, dry_run: bool = False) -> SheetReport:
    """Make or update a registry out of a sample sheet; see ``lh.create_registry``."""
    if not dry_run:
        home.refuse_reading_only()
    table = _table(home, name)
    there = home.bound(REGISTRIES[table]) if home.has(table) else None
    sheet = _read(source)
    wanted = _key(sheet, key, there)
    for column in sheet.values:
        _settle(home, sheet, column, wanted, there)
    cls = _class(home, table, sheet, wanted, there)
    report = SheetReport(cls.__name__, table, wanted, tuple(_decisions(sheet, wanted)))
    if dry_run:
        return report
    rows = checked_columns(cls.meta, pa.table(sheet.values), partial=True)  # before anything is changed
    add(home, [cls])
    done = home.bound(cls).upsert_df(rows, on=wanted)
    return replace(report, inserted=done.inserted, updated=done.updated, unchanged=done.unchanged)


def _table(home: Instance, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidName(f"registry {shown(name)}: a name such as 'sample' is accepted")
    table = snake(name)
    if not is_column_name(table):
        raise InvalidName(f"registry {shown(name)}: a name of letters and digits such as 'sample' is accepted")
    known = REGISTRIES.get(table)
    if known is not None and not known.meta.origin:
        raise InvalidName(f"registry {shown(name)}: {known.__name__} is built in; choose another name")
    if home.has(table) and REGISTRIES[table].meta.origin != SHEET:
        raise InvalidName(
            f"registry {shown(name)}: it was declared by {REGISTRIES[table].meta.origin!r}: "
            f"lh.registry({table!r}).upsert_df(...) brings rows into it"
        )
    return table


# -- columns -----------------------------------------------------------------------------------------------------------
def _read(source: Any) -> _Sheet:
    sheet = _Sheet()
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix.lower() not in _SHEETS:
            raise Unsupported(f"{path.name}: sheets are read from {', '.join(_SHEETS)}; hand in others as a frame")
        for header, texts in read_sheet(path).items():
            guess = guessed(texts)
            name = _named(sheet, header)
            sheet.values[name] = guess.values
            if guess.why:
                sheet.why[name] = guess.why
        return sheet
    for header, values in _framed(source):
        sheet.values[_named(sheet, header)] = values
    return sheet


def _framed(source: Any) -> list[tuple[str, pa.Array]]:
    columns = list(getattr(source, "columns", ()))
    if twice := sorted({str(c) for c in columns if isinstance(c, str) and columns.count(c) > 1}):
        raise InvalidFile(f"the frame has several columns {shown(twice[0])}: rename all but one")
    table = arrow_of(source, "create_registry")
    return [(n, _plain(n, table[n].combine_chunks())) for n in table.column_names]


def _plain(name: str, values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    wanted = next(
        (
            target
            for test, target in (
                (pa.types.is_boolean, pa.bool_()),
                (pa.types.is_integer, pa.int64()),
                (pa.types.is_floating, pa.float64()),
                (pa.types.is_date, pa.date32()),
                (lambda t: pa.types.is_timestamp(t) and t.tz, pa.timestamp("us", "UTC")),
                (
                    lambda t: pa.types.is_large_string(t) or pa.types.is_string_view(t) or pa.types.is_null(t),
                    pa.string(),
                ),
                (pa.types.is_list, pa.list_(pa.string())),
            )
            if test(kind)
        ),
        kind,
    )
    if wanted not in _KINDS:
        raise InputError(f"column {shown(name)} is {kind}: {', '.join(_KINDS.values())} are accepted")
    return values if kind == wanted else values.cast(wanted)


def _named(sheet: _Sheet, header: str) -> str:
    """Return what a column is called; one that has the name of what every record has is called otherwise."""
    name = snake(header)
    if name in taken_columns(Record):
        sheet.why[name := f"{name}_value"] = "every record has that name already"
    if name in sheet.headers:
        raise InvalidFile(
            f"the headers {shown(sheet.headers[name])} and {shown(header)} both come to {name!r}: rename one"
        )
    sheet.headers[name] = header
    return name


def _key(sheet: _Sheet, key: Any, there: type[Record] | None) -> str:
    """Return the key's column, checked: of text, everywhere, each value once."""
    found = next((name for name, header in sheet.headers.items() if key in (name, header)), None)
    if found is None:
        raise InputError(
            f"the sheet has no column {shown(key)}; it has {', '.join(map(shown, sheet.headers.values()))}"
        )
    if there is not None and there.meta.natural != (found,):
        raise InputError(f"{there.__name__} is told apart by {there.meta.natural[0]!r}, not by {found!r}")
    texts = retyped(pa.chunked_array([sheet.values[found]]), pa.string()).to_pylist()
    names = [None if text is None else check_name(text, found) for text in texts]
    values = sheet.values[found] = pa.array(names, pa.string())
    sheet.why.pop(found, None)
    if values.null_count:
        rows = [n for n, value in enumerate(values, start=1) if not value.is_valid][:5]
        raise InvalidFile(f"the key {found!r} is empty in {values.null_count:,} rows, such as row {rows[0]}")
    counts = pc.value_counts(values)
    if len(twice := counts.filter(pc.greater(counts.field("counts"), 1))):
        named = ", ".join(shown(v) for v in twice.field("values")[:5].to_pylist())
        raise Duplicate(f"{len(twice):,} values of the key {found!r} occur more than once, such as {named}").final()
    return found


def _settle(home: Instance, sheet: _Sheet, name: str, key: str, there: type[Record] | None) -> None:
    """Decide whether a column refers to records, and bring its values to the type that the registry has."""
    if name == key:
        return
    known = there.meta.columns.get(name) if there is not None else None
    if known is not None:
        if known.references is not None:
            _refer(home, sheet, name, known.references, must=True)
        else:
            _align(sheet, name, known.arrow_type)
        return
    for table in _candidates(home, name):
        if sheet.values[name].type == pa.string() and _refer(home, sheet, name, table, must=False):
            return


def _align(sheet: _Sheet, name: str, kept: pa.DataType) -> None:
    """Give values the type that the registry has; where they need a wider one, the registry gets that."""
    mine = sheet.values[name]
    if not (len(mine) - mine.null_count):
        sheet.values[name] = pa.nulls(len(mine), kept)
        return
    wider = mine.type
    for kind in (kept, pa.float64() if pa.int64() in (kept, mine.type) else kept, pa.string()):
        found = retyped(pa.chunked_array([mine]), kind).combine_chunks()
        if found.null_count == mine.null_count:
            sheet.values[name], wider = found, kind
            break
    if wider != kept:
        sheet.why[name] = f"was {_KINDS[kept]} so far: values that are none need a wider type"


def _candidates(home: Instance, name: str) -> list[str]:
    """Return the registries that a column may be called after; without one, that which is told apart by such a column."""
    stem = next((name.removesuffix(end) for end in ("_id", "_uid", "_name") if name.endswith(end)), name)
    metas = [registry.meta for table, registry in REGISTRIES.items() if home.has(table)]
    metas = [meta for meta in metas if meta.title != "uid"]  # which links have
    called = [meta.table for meta in metas if stem == meta.table or (meta.carried and name == meta.carried)]
    keyed = [meta.table for meta in metas if meta.origin and name == meta.title]
    return called or (keyed if len(keyed) == 1 else [])


def _refer(home: Instance, sheet: _Sheet, name: str, table: str, *, must: bool) -> bool:
    """Put the uids of the records that a column names in the place of their names; False where some are unknown."""
    registry = home.bound(REGISTRIES[table])
    texts = retyped(pa.chunked_array([sheet.values[name]]), pa.string()).combine_chunks()
    values = pc.unique(texts).drop_null().to_pylist()
    if not values and not must:
        return False
    best: dict[str, str] = {}
    snapshot = home.snapshot()
    for column in dict.fromkeys((registry.meta.title, getattr(registry, "identity_field", "uid"), "uid")):
        if registry.meta.columns[column].arrow_type != pa.string():
            continue
        rows = snapshot.lookup(table, column, values)
        found = dict(zip(rows[column].to_pylist(), rows["uid"].to_pylist(), strict=True))
        best = max((found if len(found) == len(rows) else {}), best, key=len)
    if lacking := [value for value in values if value not in best]:
        if must:
            raise InputError(
                f"{name}: {registry.__name__} has no {shown(lacking[0])} ({len(lacking):,} such): save it first"
            )
        sheet.why[name] = f"{len(best):,} of {len(values):,} values are records of {registry.__name__}: kept as text"
        return False
    sheet.values[name] = pa.array([None if v is None else best[v] for v in texts.to_pylist()], pa.string())
    sheet.references[name] = table
    return True


# -- the registry ------------------------------------------------------------------------------------------------------
def _class(home: Instance, table: str, sheet: _Sheet, key: str, there: type[Record] | None) -> type[Record]:
    old = home.lake.schemas.current(table).spec if there is not None else None
    fields = (
        {item.name: item for item in old.schema}
        if old is not None
        else {"uid": pa.field("uid", pa.string(), nullable=False)}
    )
    for name, values in sheet.values.items():
        before = fields.get(name)
        doc = (
            before.metadata
            if before is not None
            else {b"comment": f"{sheet.headers[name]} in the sample sheet.".encode()}
        )
        fields[name] = pa.field(name, values.type, nullable=name != key, metadata=doc)
    references = {**(old.references if old is not None else {}), **sheet.references}
    declaration: Mapping[str, Any] = old.declaration if old is not None else _declaration(table, key)
    comment = f"Records of sample sheets, told apart by {key}."
    spec = TableSpec(table, pa.schema(list(fields.values())), ((key,),), references, comment, declaration)
    before_class = REGISTRIES.get(table)
    try:
        return registry_from(spec)
    finally:
        if before_class is not None:  # until it is added, the one that was there stands
            REGISTRIES[table] = before_class
        else:
            REGISTRIES.pop(table, None)


def _declaration(table: str, key: str) -> dict[str, Any]:
    name = "".join(word.capitalize() for word in table.split("_"))
    ending = "es" if table.endswith(("s", "x", "ch", "sh")) else "s"
    plural = f"{table[:-1]}ies" if table.endswith("y") and table[-2:-1] not in "aeiou" else table + ending
    taken = hasattr(REGISTRIES["artifact"], plural) or any(r.meta.carried == plural for r in REGISTRIES.values())
    carried = {} if taken and REGISTRIES.get(table) is None else {"carried": plural}
    return {"class": name, "origin": SHEET, "natural": [key], "label_field": key, **carried}


def _decisions(sheet: _Sheet, key: str) -> Sequence[Decision]:
    found = []
    for name, values in sheet.values.items():
        kind = f"-> {REGISTRIES[sheet.references[name]].__name__}" if name in sheet.references else _KINDS[values.type]
        why = "the key" if name == key else sheet.why.get(name, "")
        found.append(Decision(sheet.headers[name], name, kind, why))
    return found
